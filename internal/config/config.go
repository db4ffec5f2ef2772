package config

import (
	"net/netip"
)

// Config is every setting of the server. Each flag --some-name has the
// environment twin GRAPNEL_SOME_NAME and the key some-name in a settings file.
//
// The tags say all that is known of a setting: default and help are the
// command line's too; min and max bound it, both included; oneof lists the
// words that it may be; range tells the bounds of a text in words; more is
// what the reference says beyond help.
type Config struct {
	Listen         string   `group:"Listening" placeholder:"ADDR" default:"${listen}" range:"HOST:PORT" help:"Address to listen on, as HOST:PORT; port 0 takes a free one (default ${default})." more:"A socket that systemd passes goes before it."`
	AdminListen    string   `group:"Listening" placeholder:"ADDR" range:"HOST:PORT" help:"Address of a second listener, for /metrics, /livez and /readyz alone." more:"It is plain HTTP and needs no key: keep it on a private address. When it is set, the public listener has no /metrics any more, and its /readyz gives no details. The API stays on the public listener."`
	PublicURL      string   `group:"Listening" placeholder:"URL" range:"http or https URL" help:"URL under which others reach this server; links are made from it (default http://ADDR of --listen)." more:"Without it they are made from the address that is listened on."`
	TLSCert        string   `group:"Listening" placeholder:"FILE" range:"PEM file" help:"File with the certificate chain to serve HTTPS with, the server's own first." more:"Needs --tls-key. HTTP/2 is offered, and nothing below TLS 1.2 taken. When one of the files changes, the new pair is used from the next connection on; one that cannot be used is logged, and the old pair stays."`
	TLSKey         string   `group:"Listening" placeholder:"FILE" range:"PEM file" help:"File with the private key of --tls-cert."`
	TrustedProxies []string `group:"Listening" placeholder:"CIDR" range:"address ranges" help:"Range of proxies that are believed about who calls; may be given several times." more:"From them alone X-Forwarded-For or Forwarded tells a caller's address, for logs and limits: the last address in it that is not such a proxy's. When both headers are there and disagree, neither is believed."`
	MaxConnections int      `group:"Listening" placeholder:"N" default:"10000" min:"1" max:"1000000" help:"Most connections at once on the public listener; further ones wait (default ${default})."`
	RequestTimeout Duration `group:"Listening" placeholder:"TIME" default:"1m" min:"1s" max:"1h" help:"How long a request may take to arrive, its body included (default ${default})."`
	IdleTimeout    Duration `group:"Listening" placeholder:"TIME" default:"2m" min:"1s" max:"1h" help:"How long an unused connection of a caller is kept (default ${default})." more:"A load balancer in front must give up its unused connections sooner than this."`

	Data              string   `group:"Storage" placeholder:"DIR" default:"${data}" range:"folder" help:"Folder that holds everything the server keeps (default ${default})."`
	Retention         Duration `group:"Storage" placeholder:"TIME" default:"30d" min:"1h" help:"How long events and their deliveries are kept (default ${default})." more:"It must be longer than every retry schedule."`
	RetentionSize     Size     `group:"Storage" placeholder:"SIZE" default:"0" min:"0" max:"1024TiB" range:"0, or 64MiB or more" help:"Size of the log on the disk above which the oldest events go before --retention is over; 0 is no limit (default ${default})." more:"They go by whole files of the log, of up to 512 MiB each, so give it some GiB. A file with deliveries that can still be sent stays, and a warning says so; so does the file in use. Events that go before --idempotency-window is over take their keys with them."`
	Compression       string   `group:"Storage" placeholder:"HOW" default:"off" oneof:"off,zstd" help:"How the data of events is stored: off for as it is, or zstd (default ${default})." more:"Compressed, usual JSON takes about half the room, or less, and some microseconds of CPU time for each event. What is stored already stays as it is, and both are read whatever is written here."`
	IdempotencyWindow Duration `group:"Storage" placeholder:"TIME" default:"24h" min:"1m" range:"1m to the retention" help:"How long an event id of the publisher's own, or an Idempotency-Key, is remembered (default ${default})."`

	Store string   `group:"PostgreSQL" placeholder:"URL" range:"postgres:// URL" help:"PostgreSQL database that any number of servers share; without it, everything is in the data folder." more:"Give it as GRAPNEL_STORE if it holds a password, for process lists show flags; PGPASSWORD and PGPASSFILE are read too. All servers of a database need the same keys in GRAPNEL_SECRET_KEY or --secret-key-file. The data folder is then asked for dialects alone, and need not exist; --min-free says nothing. Up to 16 connections are kept; a parameter pool_max_conns says otherwise: all servers together must stay below the max_connections of the database."`
	Node  string   `group:"PostgreSQL" placeholder:"NAME" range:"letters, digits, dots and dashes" help:"Name of this server among those of a database; its host's name by default." more:"Some letters are added to it that are others at each start, so that two of one name do no harm."`
	Lease Duration `group:"PostgreSQL" placeholder:"TIME" default:"10s" min:"1s" max:"5m" help:"How long a server that stops answering keeps others from sending what it was about to (default ${default})." more:"Its deliveries go on elsewhere after that at the latest. A longer one bears longer interruptions of the database without a pause. The same for all servers, or they take over at different times."`
	Renew Duration `group:"PostgreSQL" placeholder:"TIME" default:"3s" min:"100ms" max:"100s" help:"How often the server renews its lease, a third of --lease at most (default ${default})."`

	Drain               Duration `group:"Delivery" placeholder:"TIME" default:"${drain}" min:"0s" max:"1h" help:"How long running attempts may take to finish when the server stops (default ${default})."`
	MaxInFlight         int      `group:"Delivery" placeholder:"N" default:"1024" min:"1" max:"65536" help:"Most delivery attempts at once, over all endpoints (default ${default})."`
	EgressAllow         []string `group:"Delivery" placeholder:"CIDR" range:"address ranges" help:"Private range that deliveries may go to, with all its ports; may be given several times." more:"Cloud metadata addresses stay closed."`
	EgressDeny          []string `group:"Delivery" placeholder:"CIDR" range:"address ranges" help:"Range that no delivery may go to, public or opened by --egress-allow; may be given several times." more:"For addresses that only look public from outside: your own services', or the IPv6 range of a NAT64 of your own network."`
	EgressProxy         string   `group:"Delivery" placeholder:"URL" range:"http or https URL" help:"Forward proxy that all deliveries go through, by CONNECT; HTTP_PROXY and its like are never looked at." more:"Names are resolved and addresses checked here, and the proxy is asked for the very address that passed: it needs to resolve nothing, and must allow CONNECT to every port that endpoints use, 80 included. What an address means in the proxy's own network this server cannot know: the proxy must itself refuse addresses that are private there."`
	EgressProxyAuthFile string   `group:"Delivery" placeholder:"FILE" range:"file" help:"File with USER:PASSWORD for --egress-proxy."`

	MaxEventSize   Size `group:"Limits" placeholder:"SIZE" default:"1MiB" min:"1KiB" max:"64MiB" help:"Largest event that is taken; one above it is refused, never cut (default ${default})."`
	MaxBatchSize   Size `group:"Limits" placeholder:"SIZE" default:"16MiB" min:"64KiB" max:"256MiB" help:"Largest request that publishes several events (default ${default})." more:"One event always fits, whatever is written here."`
	MaxEndpoints   int  `group:"Limits" placeholder:"N" default:"10000" min:"1" max:"1000000" help:"Most endpoints that one tenant may have (default ${default})."`
	RateLimit      Rate `group:"Limits" placeholder:"RATE" default:"off" help:"Most API requests with one key, such as 100/s or 6000/m (default ${default})." more:"Every answer then has RateLimit and RateLimit-Policy, and a request above the limit gets 429 with Retry-After. A batch of events is one request."`
	RateBurst      int  `group:"Limits" placeholder:"N" default:"0" min:"0" max:"1000000" help:"How many requests --rate-limit lets through at once after a pause; 0 is the number in --rate-limit (default ${default})."`
	FailedKeyLimit Rate `group:"Limits" placeholder:"RATE" default:"60/m" help:"Most requests with a wrong key from one address; off for no limit (default ${default})." more:"Beyond it the address gets 429, but for keys that have worked from there. An IPv6 address counts as its /64 network. Behind a proxy, set --trusted-proxies, or all callers count as one address."`

	TenantRate    Rate `group:"Limits" placeholder:"RATE" default:"off" help:"Most events that are taken of one tenant, such as 100/s, over a while (default ${default})." more:"A second's worth may come at once, and a larger request is paid back. Beyond it the tenant's events get 429 with Retry-After, and the others' are taken. A tenant's own quota goes before this."`
	TenantPending int  `group:"Limits" placeholder:"N" default:"0" min:"0" help:"Most deliveries of one tenant that may wait; while there are as many, its events get 429; 0 is no limit (default ${default})." more:"A tenant's own quota goes before this. There is no limit by default, for a receiver that is down for a night must not cost events: what waits takes room on the disk, and little in memory."`
	MaxPending    int  `group:"Limits" placeholder:"N" default:"0" min:"0" help:"Most deliveries of all tenants that may wait; while there are as many, all events get 503; 0 is no limit (default ${default})." more:"It holds everybody up for what one of them may have caused: prefer --tenant-pending, and --min-free against a full disk."`
	MinFree       Size `group:"Limits" placeholder:"SIZE" default:"64MiB" min:"0" max:"1TiB" help:"Room on the disk of the data folder below which no more events are taken (default ${default})." more:"They get 503 with Retry-After, and /readyz says why, while what was taken before is still delivered and recorded. 0 takes events until the disk is full, which loses nothing either, but holds deliveries up."`

	AdminKeyFile  string `group:"Secrets" placeholder:"FILE" range:"file" help:"File with the first admin key, instead of GRAPNEL_ADMIN_KEY." more:"Fits a credential of systemd (--admin-key-file %d/admin-key in a unit) or a mounted secret."`
	SecretKeyFile string `group:"Secrets" placeholder:"FILE" range:"file" help:"File with the keys that encrypt secrets at rest, instead of GRAPNEL_SECRET_KEY." more:"The server never writes to it."`

	LogFormat string `group:"Logs" placeholder:"FORMAT" default:"${log_format}" oneof:"json,text" help:"Log lines as json or text (default ${default})."`
	LogLevel  string `group:"Logs" placeholder:"LEVEL" default:"${log_level}" oneof:"debug,info,warn,error" help:"Least level that is logged: debug, info, warn or error (default ${default})."`

	// AdminKey is the first admin key, from GRAPNEL_ADMIN_KEY or AdminKeyFile.
	// Without it the first start makes one and shows it once.
	AdminKey string `kong:"-" env:"GRAPNEL_ADMIN_KEY" group:"Secrets" range:"16 characters or more" help:"The first admin key. Without it the first start makes one and shows it once."`
	// SecretKey holds the keys that encrypt secrets at rest, from
	// GRAPNEL_SECRET_KEY or SecretKeyFile. Without it a key file in Data is used.
	SecretKey string `kong:"-" env:"GRAPNEL_SECRET_KEY" group:"Secrets" range:"base64 of 32 bytes" help:"The keys that encrypt secrets at rest, the newest first, separated by commas. Without it secret.key in the data folder is used, and made at the first start."`
	// ProxyAuth is USER:PASSWORD for EgressProxy, from EgressProxyAuthFile.
	ProxyAuth string `kong:"-"`
}

// The environment variables of the settings that have no flag.
const (
	EnvAdminKey  = "GRAPNEL_ADMIN_KEY"
	EnvSecretKey = "GRAPNEL_SECRET_KEY"
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

// EgressPrefixes returns EgressAllow parsed. It is for a Config that Validate
// has passed: ranges that cannot be read are left out.
func (c *Config) EgressPrefixes() []netip.Prefix { return prefixes(c.EgressAllow) }

// DeniedPrefixes returns EgressDeny parsed, as EgressPrefixes does.
func (c *Config) DeniedPrefixes() []netip.Prefix { return prefixes(c.EgressDeny) }

// ProxyPrefixes returns TrustedProxies parsed, as EgressPrefixes does.
func (c *Config) ProxyPrefixes() []netip.Prefix { return prefixes(c.TrustedProxies) }

func prefixes(texts []string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range texts {
		if p, err := netip.ParsePrefix(s); err == nil {
			out = append(out, p)
		}
	}
	return out
}
