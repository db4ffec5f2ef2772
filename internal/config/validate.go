package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Error says which setting is wrong, where its value came from, and what to
// do about it. It never holds a secret's value.
type Error struct {
	Setting string // the flag, "--listen", or the variable of a setting without one
	Source  string // "default", "flag" or the environment variable's name; "" if unknown
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
// without dashes ("listen"): "flag", "default" or an environment variable's
// name. It may be nil.
type Sources func(setting string) string

// Validate checks all settings and returns every fault, as joined *Errors.
func (c *Config) Validate(from Sources) error {
	v := &checker{from: from}
	v.listen(c.Listen)
	v.publicURL(c.PublicURL)
	v.egress(c.EgressAllow)
	if c.Data == "" {
		v.fault("data", "is empty", "name the folder that holds the server's data, such as /var/lib/grapnel")
	}
	v.spans(c)
	v.numbers(c)
	v.oneOf("log-format", c.LogFormat, "json", "text")
	v.oneOf("log-level", c.LogLevel, "debug", "info", "warn", "error")
	if c.AdminKey != "" && len(c.AdminKey) < 16 {
		v.errs = append(v.errs, &Error{Setting: EnvAdminKey, Source: EnvAdminKey,
			Reason: fmt.Sprintf("has %d characters, an admin key needs 16 or more", len(c.AdminKey)),
			Remedy: "use a long random text, or leave it out: the first start then makes a key and shows it"})
	}
	return errors.Join(v.errs...)
}

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

func (v *checker) listen(addr string) {
	const remedy = "write HOST:PORT, such as 127.0.0.1:8080, or :8080 for all addresses"
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		v.fault("listen", fmt.Sprintf("%q is not an address with a port", addr), remedy)
		return
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		v.fault("listen", fmt.Sprintf("%q is not a port between 0 and 65535", port), remedy)
	} else if n == 0 && port != "0" {
		v.fault("listen", fmt.Sprintf("%q is not a port", port), remedy)
	}
}

func (v *checker) publicURL(raw string) {
	if raw == "" {
		return
	}
	const remedy = "write it as others reach this server, such as https://hooks.example.com"
	u, err := url.Parse(raw)
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

func (v *checker) egress(ranges []string) {
	for _, s := range ranges {
		p, err := netip.ParsePrefix(s)
		if err == nil {
			if p != p.Masked() {
				v.fault("egress-allow", fmt.Sprintf("%q has bits set behind its prefix", s), "write "+p.Masked().String())
			}
			continue
		}
		remedy := "write a range such as 10.0.0.0/8 or fd00::/8"
		if a, aerr := netip.ParseAddr(s); aerr == nil && a.Zone() == "" {
			remedy = fmt.Sprintf("for this one address write %s/%d", a, a.BitLen())
		}
		v.fault("egress-allow", fmt.Sprintf("%q is not an address range", s), remedy)
	}
}

func (v *checker) spans(c *Config) {
	if c.Drain < 0 || c.Drain > maxDrain {
		v.fault("drain", fmt.Sprintf("%s is out of range", c.Drain), "write a time between 0s and 1h, such as 30s")
	}
	if c.Retention < minRetention {
		v.fault("retention", fmt.Sprintf("%s is too short", c.Retention), "write a time of 1h or more, such as 30d")
	}
	if c.IdempotencyWindow < 0 || c.IdempotencyWindow > c.Retention {
		v.fault("idempotency-window", fmt.Sprintf("%s is not between 0s and the retention of %s", c.IdempotencyWindow, c.Retention),
			"shorten it, or lengthen --retention: a key is remembered no longer than its event")
	}
}

func (v *checker) numbers(c *Config) {
	if c.MaxEventSize < minEventSize || c.MaxEventSize > maxEventSize {
		v.fault("max-event-size", fmt.Sprintf("%s is out of range", c.MaxEventSize), "write a size between 1KiB and 64MiB")
	}
	if c.MaxInFlight < 1 || c.MaxInFlight > maxInFlight {
		v.fault("max-in-flight", fmt.Sprintf("%d is out of range", c.MaxInFlight), "write a number between 1 and 65536")
	}
}

func (v *checker) oneOf(setting, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		last := len(allowed) - 1
		v.fault(setting, fmt.Sprintf("%q is not known", value),
			"write "+strings.Join(allowed[:last], ", ")+" or "+allowed[last])
	}
}
