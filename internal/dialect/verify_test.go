package dialect_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// A dialect of another shape verifies from the same file: the timestamp stands
// in the signature header, as in "t=…,v1=…,v1=…".
func TestVerifyAcme(t *testing.T) {
	t.Parallel()
	d := load(t, base)
	var keys []dialect.Key
	for _, s := range []hook.Secret{"new", "old"} {
		k, err := d.Key(s)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	headers, err := d.Header(dialect.Request{Event: event(), Body: []byte("body"), At: noon, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	received := func(secret hook.Secret, body string, change func(http.Header)) error {
		k, err := d.VerifyKey(secret)
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		for _, x := range headers {
			h[x.Name] = []string{x.Value}
		}
		if change != nil {
			change(h)
		}
		return d.Verify(dialect.Received{Header: h, Body: []byte(body), At: noon, Tolerance: time.Minute, Keys: []dialect.VerifyKey{k}})
	}
	for _, s := range []hook.Secret{"new", "old"} {
		if err := received(s, "body", nil); err != nil {
			t.Errorf("%q: %v", string(s), err)
		}
	}
	set := func(name string, change func(string) string) func(http.Header) {
		return func(h http.Header) { h[name] = []string{change(h[name][0])} }
	}
	const sig = "X-Acme-Signature"
	for _, c := range []struct {
		name   string
		body   string
		secret hook.Secret
		change func(http.Header)
		flaw   dialect.Flaw
	}{
		{"another body", "bodz", "new", nil, dialect.NoMatch},
		{"another secret", "body", "newer", nil, dialect.NoMatch},
		{"upper-case hex", "body", "new", set(sig, func(s string) string { return strings.Replace(strings.ToUpper(s), "T=", "t=", 1) }), dialect.NoMatch},
		{"a space after the comma", "body", "new", set(sig, func(s string) string { return strings.Replace(s, ",", ", ", 1) }), dialect.NoMatch},
		{"no timestamp in the signature", "body", "new", set(sig, func(s string) string { return s[strings.Index(s, "v1="):] }), dialect.MalformedHeader},
		{"another time in the other header", "body", "new", set("X-Acme-Time", func(string) string { return "1" }), dialect.MalformedHeader},
		{"no signature", "body", "new", func(h http.Header) { delete(h, sig) }, dialect.MissingHeader},
	} {
		var r *dialect.Refusal
		if err := received(c.secret, c.body, c.change); !errors.As(err, &r) || r.Flaw != c.flaw {
			t.Errorf("%s: %v, want %s", c.name, err, c.flaw)
		}
	}
}
