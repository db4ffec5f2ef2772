package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"grapnel/internal/spelling"
)

// Error says which setting is wrong, where its value came from, and what to
// do about it. It never holds a secret's value.
type Error struct {
	Setting string // the flag, "--listen", or the variable of a setting without one
	Source  string // "default", "flag", the environment variable's name or "file:line"; "" if unknown
	Reason  string // what is wrong
	Remedy  string // what to write instead
}

// Error is the complaint without the remedy.
func (e *Error) Error() string {
	where := ""
	if e.Source != "" && e.Source != e.Setting && e.Source != "flag" {
		where = " (from " + e.Source + ")"
	}
	return e.Setting + where + ": " + e.Reason
}

// Sources says where a setting's value came from, by the setting's flag
// without dashes ("listen"): "flag", "default", an environment variable's
// name, or the line of a settings file. It may be nil.
type Sources func(setting string) string

// Located gives the *Errors in err that do not say where their setting came
// from, those of parts that were given a configuration alone, their source. It
// returns err.
func Located(err error, from Sources) error {
	var e *Error
	if errors.As(err, &e) && e.Source == "" && from != nil {
		e.Source = from(strings.TrimPrefix(e.Setting, "--"))
	}
	return err
}

// leastRetentionSize keeps a forgotten unit from removing everything.
const leastRetentionSize = 64 << 20

// Validate checks all settings and returns every fault, as joined *Errors. It
// opens no files.
func (c *Config) Validate(from Sources) error {
	v := &checker{from: from}
	for _, f := range fields() {
		v.bounded(f, c)
	}
	v.address("listen", c.Listen)
	if c.AdminListen != "" {
		v.address("admin-listen", c.AdminListen)
		if c.AdminListen == c.Listen && !strings.HasSuffix(c.Listen, ":0") {
			v.fault("admin-listen", fmt.Sprintf("%q is the address of --listen", c.AdminListen), "choose another port, on a private address such as 127.0.0.1:9090")
		}
	}
	v.publicURL(c.PublicURL)
	v.pair(c)
	v.ranges("egress-allow", c.EgressAllow)
	v.ranges("egress-deny", c.EgressDeny)
	v.ranges("trusted-proxies", c.TrustedProxies)
	for _, p := range c.ProxyPrefixes() {
		if p.Bits() == 0 {
			v.fault("trusted-proxies", fmt.Sprintf("%q is everybody, who could then call under any address", p), "name the proxies' own range, such as 10.0.0.0/8")
		}
	}
	v.proxy(c)
	v.store(c)
	if c.Data == "" {
		v.fault("data", "is empty", "name the folder that holds the server's data, such as /var/lib/grapnel")
	}
	if c.RetentionSize > 0 && c.RetentionSize < leastRetentionSize {
		v.fault("retention-size", fmt.Sprintf("%s would leave hardly any event", c.RetentionSize), "write a size of 64MiB or more, better some GiB, or 0 for no limit")
	}
	if c.IdempotencyWindow > c.Retention {
		v.fault("idempotency-window", fmt.Sprintf("%s is longer than the retention of %s", c.IdempotencyWindow, c.Retention),
			"shorten it, or lengthen --retention: a key is remembered no longer than its event")
	}
	if c.RateBurst > 0 && c.RateLimit.Off() {
		v.fault("rate-burst", "has no limit to belong to", "set --rate-limit too, such as 100/s, or leave --rate-burst out")
	}
	if c.AdminKey != "" && len(c.AdminKey) < minAdminKey {
		setting := EnvAdminKey
		if c.AdminKeyFile != "" {
			setting = "--admin-key-file"
		}
		v.errs = append(v.errs, &Error{Setting: setting, Source: setting,
			Reason: fmt.Sprintf("has %d characters, an admin key needs %d or more", len(c.AdminKey), minAdminKey),
			Remedy: "use a long random text, or leave it out: the first start then makes a key and shows it"})
	}
	return errors.Join(v.errs...)
}

// minAdminKey is the least length of an admin key that an operator sets.
const minAdminKey = 16

type checker struct {
	from Sources
	errs []error
}

func (v *checker) fault(setting, reason, remedy string) {
	e := &Error{Setting: "--" + setting, Reason: reason, Remedy: remedy}
	if v.from != nil {
		e.Source = v.from(setting)
	}
	v.errs = append(v.errs, e)
}

// kinds says what the values of a type are called.
var kinds = map[reflect.Type]string{reflect.TypeFor[Duration](): "a time", reflect.TypeFor[Size](): "a size", reflect.TypeFor[int](): "a number"}

// bounded checks a field against its tags, and names the nearest value that
// would do.
func (v *checker) bounded(f field, c *Config) {
	if words := f.tag.Get("oneof"); words != "" {
		v.oneOf(f.name, f.text(c), strings.Split(words, ","))
		return
	}
	for _, end := range []struct {
		tag  string
		sign int
	}{{"min", -1}, {"max", 1}} {
		var limit Config
		text := f.tag.Get(end.tag)
		if text == "" || f.set(&limit, text) != nil || cmp.Compare(f.of(c).Int(), f.of(&limit).Int()) != end.sign {
			continue
		}
		allowed := "between " + f.tag.Get("min") + " and " + f.tag.Get("max")
		if f.tag.Get("max") == "" {
			allowed = "of " + f.tag.Get("min") + " or more"
		}
		remedy := fmt.Sprintf("write %s %s; the nearest is %s", kinds[f.of(c).Type()], allowed, text)
		if fallback := f.fallback(ServeVars()); fallback != text {
			remedy += ", the default " + fallback
		}
		v.fault(f.name, f.text(c)+" is out of range", remedy)
	}
}

func (v *checker) oneOf(setting, value string, allowed []string) {
	if slices.Contains(allowed, value) {
		return
	}
	last := len(allowed) - 1
	remedy := "write " + strings.Join(allowed[:last], ", ") + " or " + allowed[last]
	if near := spelling.Nearest(value, allowed); near != "" {
		remedy = fmt.Sprintf("did you mean %s? %s", near, remedy)
	}
	v.fault(setting, fmt.Sprintf("%q is not known", value), remedy)
}

func (v *checker) address(setting, addr string) {
	const remedy = "write HOST:PORT, such as 127.0.0.1:8080, or :8080 for all addresses"
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		v.fault(setting, fmt.Sprintf("%q is not an address with a port", addr), remedy)
		return
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		v.fault(setting, fmt.Sprintf("%q is not a port between 0 and 65535", port), remedy)
	} else if n == 0 && port != "0" {
		v.fault(setting, fmt.Sprintf("%q is not a port", port), remedy)
	}
}

func (v *checker) publicURL(raw string) {
	if raw == "" {
		return
	}
	const remedy = "write it as others reach this server, such as https://hooks.example.com"
	u, err := url.Parse(raw)
	raw = withoutUser(raw) // what is quoted
	switch {
	case err != nil, u.Host == "", u.Scheme != "http" && u.Scheme != "https":
		v.fault("public-url", fmt.Sprintf("%q is not an absolute http or https URL", raw), remedy)
	case u.User != nil:
		v.fault("public-url", "holds a user name or password", remedy)
	case u.RawQuery != "" || u.Fragment != "":
		v.fault("public-url", fmt.Sprintf("%q has a query or a fragment", raw), remedy)
	case strings.HasSuffix(u.Path, "/"):
		v.fault("public-url", fmt.Sprintf("%q ends with a slash", raw), "leave the last slash out: "+strings.TrimRight(raw, "/"))
	}
}

// pair wants both files of a certificate, or neither.
func (v *checker) pair(c *Config) {
	switch {
	case c.TLSCert != "" && c.TLSKey == "":
		v.fault("tls-cert", "has no private key to go with", "name the key's file with --tls-key")
	case c.TLSCert == "" && c.TLSKey != "":
		v.fault("tls-key", "has no certificate to go with", "name the certificate's file with --tls-cert")
	}
}

func (v *checker) ranges(setting string, ranges []string) {
	for _, s := range ranges {
		p, err := netip.ParsePrefix(s)
		if err == nil {
			if p != p.Masked() {
				v.fault(setting, fmt.Sprintf("%q has bits set behind its prefix", s), "write "+p.Masked().String())
			}
			continue
		}
		remedy := "write a range such as 10.0.0.0/8 or fd00::/8"
		if a, aerr := netip.ParseAddr(s); aerr == nil && a.Zone() == "" {
			remedy = fmt.Sprintf("for this one address write %s/%d", a, a.BitLen())
		}
		v.fault(setting, fmt.Sprintf("%q is not an address range", s), remedy)
	}
}

// renewals is how many renewals fit into a lease at least: the second may fail and
// the third still come in time (case 29).
const renewals = 3

// maxNode is the most characters of a server's name.
const maxNode = 64

// store never quotes the URL: what does not read as one may be a password.
func (v *checker) store(c *Config) {
	if c.Renew > c.Lease/renewals {
		v.fault("renew", fmt.Sprintf("%s is more than a third of --lease %s", c.Renew, c.Lease),
			fmt.Sprintf("write %s or less, or a longer --lease: one renewal that fails must not end it", (c.Lease.Std()/renewals).Truncate(time.Millisecond)))
	}
	if len(c.Node) > maxNode || strings.Trim(c.Node, nodeCharacters) != "" {
		v.fault("node", fmt.Sprintf("%q is not a name", c.Node), fmt.Sprintf("write %d letters, digits, dots and dashes at most, such as web-1", maxNode))
	}
	if c.Store == "" {
		return
	}
	if !strings.HasPrefix(c.Store, "postgres://") && !strings.HasPrefix(c.Store, "postgresql://") {
		v.fault("store", "is not a postgres:// URL", "write it as postgres://USER@HOST:PORT/DATABASE; for a data folder leave it out")
	}
	if c.SecretKey == "" && c.SecretKeyFile == "" {
		v.fault("store", "needs a key for secrets that all servers of the database share",
			"make one with openssl rand -base64 32, and give it to each as "+EnvSecretKey+" or with --secret-key-file")
	}
}

// nodeCharacters may be in a server's name.
const nodeCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

// proxy never quotes a URL that holds a password.
func (v *checker) proxy(c *Config) {
	if c.EgressProxy == "" {
		if c.EgressProxyAuthFile != "" {
			v.fault("egress-proxy-auth-file", "has no proxy to belong to", "set --egress-proxy too, or leave --egress-proxy-auth-file out")
		}
		return
	}
	const remedy = "write it as http://HOST:PORT, or https:// for a proxy that speaks TLS"
	u, err := url.Parse(c.EgressProxy)
	switch {
	case err != nil:
		v.fault("egress-proxy", "is not a URL", remedy)
	case u.User != nil:
		v.fault("egress-proxy", "holds a user name or password, which process lists show", "put USER:PASSWORD into a file and name it with --egress-proxy-auth-file")
	case u.Hostname() == "", u.Scheme != "http" && u.Scheme != "https":
		v.fault("egress-proxy", fmt.Sprintf("%q is not an absolute http or https URL", withoutUser(c.EgressProxy)), remedy)
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
		v.fault("egress-proxy", fmt.Sprintf("%q has more than a host and a port", withoutUser(c.EgressProxy)), remedy)
	}
}
