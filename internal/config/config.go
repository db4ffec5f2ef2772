package config

import (
	"net/netip"
	"time"
)

// Config is every setting of the server. Each flag --some-name has the
// environment twin GRAPNEL_SOME_NAME.
type Config struct {
	Data   string `placeholder:"DIR" default:"${data}" help:"Folder that holds everything the server keeps (default ${default})."`
	Listen string `placeholder:"ADDR" default:"${listen}" help:"Address to listen on, as HOST:PORT; port 0 takes a free one (default ${default})."`

	PublicURL string `placeholder:"URL" help:"URL under which others reach this server; links are made from it (default http://ADDR of --listen)."`

	EgressAllow []string `placeholder:"CIDR" help:"Private range that deliveries may go to, with all its ports; may be given several times. Cloud metadata addresses stay closed."`

	Drain             Duration `placeholder:"TIME" default:"${drain}" help:"How long running attempts may take to finish when the server stops (default ${default})."`
	Retention         Duration `placeholder:"TIME" default:"30d" help:"How long events and their deliveries are kept (default ${default})."`
	IdempotencyWindow Duration `placeholder:"TIME" default:"24h" help:"How long an event id of the publisher's own, or an Idempotency-Key, is remembered (default ${default})."`

	MaxEventSize Size `placeholder:"SIZE" default:"1MiB" help:"Largest event that is taken; one above it is refused, never cut (default ${default})."`
	MaxInFlight  int  `placeholder:"N" default:"1024" help:"Most delivery attempts at once, over all endpoints (default ${default})."`

	LogFormat string `placeholder:"FORMAT" default:"${log_format}" help:"Log lines as json or text (default ${default})."`
	LogLevel  string `placeholder:"LEVEL" default:"${log_level}" help:"Least level that is logged: debug, info, warn or error (default ${default})."`

	// AdminKey is the first admin key, from GRAPNEL_ADMIN_KEY alone. Without it
	// the first start makes one and shows it once.
	AdminKey string `kong:"-"`
	// SecretKey is the key that encrypts secrets at rest, from
	// GRAPNEL_SECRET_KEY alone. Without it a key file in Data is used.
	SecretKey string `kong:"-"`
}

// The environment variables of the settings that have no flag.
const (
	EnvAdminKey  = "GRAPNEL_ADMIN_KEY"
	EnvSecretKey = "GRAPNEL_SECRET_KEY"
)

// Limits of the settings.
const (
	minEventSize = 1 << 10  // 1 KiB: below it ordinary events would be refused
	maxEventSize = 64 << 20 // 64 MiB: an event is held in memory whole
	maxInFlight  = 65_536
	maxDrain     = Duration(time.Hour)
	minRetention = Duration(time.Hour)
)

// Serve returns the defaults of a production server.
func Serve() Config { return defaults(ServeVars()) }

// Dev returns the defaults of the trial server.
func Dev() Config { return defaults(DevVars()) }

// ServeVars are the defaults that differ between the two ways to run the
// server, by the names that Config's tags use, as they are for production.
func ServeVars() map[string]string {
	return map[string]string{"data": "grapnel-data", "listen": ":8080", "drain": "30s", "log_format": "json", "log_level": "info"}
}

// DevVars are the defaults that ServeVars names, as they are for a trial: what
// is under way is given back soon, for a person waits for the prompt.
func DevVars() map[string]string {
	return map[string]string{"data": ".grapnel", "listen": "127.0.0.1:8080", "drain": "500ms", "log_format": "text", "log_level": "warn"}
}

func defaults(vars map[string]string) Config {
	var drain Duration
	if err := drain.UnmarshalText([]byte(vars["drain"])); err != nil {
		drain = Duration(30 * time.Second)
	}
	return Config{
		Data:              vars["data"],
		Listen:            vars["listen"],
		Drain:             drain,
		Retention:         Duration(30 * day),
		IdempotencyWindow: Duration(day),
		MaxEventSize:      1 << 20,
		MaxInFlight:       1024,
		LogFormat:         vars["log_format"],
		LogLevel:          vars["log_level"],
	}
}

// EgressPrefixes returns EgressAllow parsed. It is for a Config that Validate
// has passed: ranges that cannot be read are left out.
func (c *Config) EgressPrefixes() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range c.EgressAllow {
		if p, err := netip.ParsePrefix(s); err == nil {
			out = append(out, p)
		}
	}
	return out
}
