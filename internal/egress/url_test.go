package egress_test

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"grapnel/internal/egress"
	"grapnel/internal/hook"
)

// cases 74, 77
func TestCheckURLForm(t *testing.T) {
	t.Parallel()
	c := newClient(t, egress.Config{Allow: closed})
	for raw, words := range map[string]string{
		"":                                                  "must begin with",
		"example.com":                                       "must begin with",
		"//example.com":                                     "must begin with",
		"http:example.com":                                  "must begin with",
		"http:/example.com":                                 "must begin with",
		"ftp://example.com":                                 "must begin with",
		"file:///etc/passwd":                                "must begin with",
		"gopher://example.com":                              "must begin with",
		"javascript://example.com":                          "must begin with",
		" https://example.com":                              "space",
		"https://example.com ":                              "space",
		"https://exa mple.com":                              "space",
		"https://example.com/a b":                           "space",
		"https://example.com/\t":                            "space",
		"https://example.com/\r\nX: y":                      "space or control",
		"https://example.com/\x00":                          "control",
		"https://example.com/\x7f":                          "control",
		"https://example.com/\u202e":                        "control",
		"https://example.com/\u00a0":                        "space",
		"https://example.com/\u2028":                        "space",
		"https://exam\u200bple.com":                         "control",
		"https://example.com\\@evil.com":                    "backslash",
		"https://example.com/\xff":                          "UTF-8",
		"https://user@example.com":                          "user name",
		"https://user:pw@example.com":                       "user name",
		"https://@example.com":                              "user name",
		"https://example.com/#top":                          "fragment",
		"https://example.com#":                              "fragment",
		"https://":                                          "no host",
		"https:///path":                                     "no host",
		"https://?x":                                        "no host",
		"https://:443":                                      "no host",
		"https://.":                                         "no host",
		"https://example.com:0":                             "port",
		"https://example.com:":                              "port",
		"https://example.com:65536":                         "port",
		"https://example.com:99999":                         "port",
		"https://example.com:-1":                            "port",
		"https://example.com:+80":                           "port",
		"https://example.com:80a":                           "port",
		"https://example.com:８０":                            "port",
		"https://[fe80::1%25eth0]/":                         "%",
		"https://[fe80::1%eth0]/":                           "%",
		"https://exam%70le.com/":                            "%",
		"https://[::1":                                      "brackets",
		"https://[::1]x":                                    "brackets",
		"https://[1.2.3.4]":                                 "brackets",
		"https://2600::1":                                   "not a valid name",
		"https://a..example.com":                            "not a valid name",
		"https://.example.com":                              "not a valid name",
		"https://exam!ple.com":                              "not a valid name",
		"https://exam,ple.com":                              "not a valid name",
		"https://<script>.com":                              "not a valid name",
		"https://*.example.com":                             "not a valid name",
		"https://xn--a.example":                             "international",
		"https://xn--.com":                                  "not a valid name",
		"https://ex\u0301\u2f00ample..com":                  "",
		"https://\u05d0a.example":                           "international",
		"https://1.2.3":                                     "number",
		"https://1.2.3.4.5":                                 "number",
		"https://256.1.1.1":                                 "number",
		"https://1.1.1.01":                                  "number",
		"https://example.0x1":                               "number",
		"https://example.com/%":                             "hexadecimal",
		"https://example.com/%4":                            "hexadecimal",
		"https://example.com/?%zz":                          "hexadecimal",
		"https://" + strings.Repeat("a", 64) + ".com":       "not a valid name",
		"https://" + strings.Repeat("abcdefg.", 32) + "com": "253",
		"https://example.com/" + strings.Repeat("a", egress.MaxURL): "allowed",
		"https://10.0.0.1/":        "--egress-allow",
		"https://169.254.169.254/": "always blocked",
		"https://8.8.8.8:22/":      "port 22",
		"https://example.com:25/":  "port 25",
		"https://localhost/":       "--egress-allow",
	} {
		err := c.CheckURL(raw)
		var e *hook.Error
		if !errors.As(err, &e) || e.Code != hook.CodeInvalid || e.Field != "/url" || !strings.Contains(e.Message, words) {
			t.Errorf("%q: %v, want words %q", raw, err, words)
		}
	}
}

func TestCanonicalURL(t *testing.T) {
	t.Parallel()
	c := newClient(t, egress.Config{Allow: closed})
	for raw, want := range map[string]string{
		"https://example.com":               "https://example.com",
		"HTTPS://Example.COM/Path?Q=A":      "https://example.com/Path?Q=A",
		"https://example.com.:8443/":        "https://example.com:8443/",
		"https://example.com:0443/":         "https://example.com:443/",
		"http://example.com?x=1":            "http://example.com?x=1",
		"https://example.com/a%2Fb%7e/../c": "https://example.com/a%2Fb%7e/../c",
		"https://example.com/a%2Fb{c}|d":    "https://example.com/a%2Fb%7Bc%7D%7Cd",
		"https://example.com/?a={b}|c":      "https://example.com/?a={b}|c",
		"https://example.com/ü?ü":           "https://example.com/%C3%BC?%C3%BC",
		"https://example.com//a//":          "https://example.com//a//",
		"https://example.com/?":             "https://example.com/?",
		"https://example.com/a;b=c,d@e:f!":  "https://example.com/a;b=c,d@e:f!",
		"https://Bücher.example/":           "https://xn--bcher-kva.example/",
		"https://xn--bcher-kva.example/":    "https://xn--bcher-kva.example/",
		"https://exаmple.com/":              "https://xn--exmple-4nf.com/", // with a Cyrillic а
		"https://例え。テスト":                    "https://xn--r8jz45g.xn--zckzah",
		"https://ＥＸＡＭＰＬＥ.com":               "https://example.com",
		"https://my_hook.example.com":       "https://my_hook.example.com",
		"https://8.8.8.8":                   "https://8.8.8.8",
		"https://⑧.⑧.⑧.⑧/":                  "https://8.8.8.8/",
		"https://8.8.8.8.":                  "https://8.8.8.8",
		"https://[2606:4700:0:0::1111]:443": "https://[2606:4700::1111]:443",
	} {
		got, err := egress.CanonicalURL(raw)
		if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", raw, got, err, want)
		}
		if err := c.CheckURL(raw); err != nil {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

// Whatever is taken has a canonical form that is ASCII, is its own canonical
// form, means the same to net/url, and names no denied address.
func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{
		"https://example.com/a?b=c", "http://①②⑦.⓪.⓪.①/", "https://[::1]:8080/", "https://user@host#x", "https://a.b:99999", "http://0x7f.1", "https://Bücher.example./ü%41",
		"https://example.com/{a}\"<>", "https://[64:ff9b::1]/", "http://localhost:1",
	} {
		f.Add(s)
	}
	c := newClient(f, egress.Config{Allow: closed})
	f.Fuzz(func(t *testing.T, raw string) {
		if c.CheckURL(raw) != nil {
			return
		}
		canon, err := egress.CanonicalURL(raw)
		if err != nil {
			t.Fatalf("taken, but %v", err)
		}
		if again, err := egress.CanonicalURL(canon); err != nil || again != canon {
			if len(canon) <= egress.MaxURL {
				t.Errorf("%q becomes %q and then %q, %v", raw, canon, again, err)
			}
		}
		if strings.ContainsFunc(canon, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Errorf("%q holds more than printable ASCII", canon)
		}
		u, err := url.Parse(canon)
		if err != nil || u.User != nil || u.Fragment != "" || u.Opaque != "" || u.Hostname() == "" {
			t.Errorf("%q: %+v, %v", canon, u, err)
		}
		if a, err := netip.ParseAddr(u.Hostname()); err == nil && isDenied4(a) {
			t.Errorf("%q is a denied address", canon)
		}
	})
}
