package dialect_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"grapnel/internal/dialect"
	"grapnel/internal/dialect/all"
	"grapnel/internal/hook"
)

// everyDialect are those that are built in, and those of other vendors' shapes.
func everyDialect(t testing.TB) []*dialect.Dialect {
	t.Helper()
	registry, err := all.Registry()
	if err != nil {
		t.Fatal(err)
	}
	var out []*dialect.Dialect
	for _, name := range registry.Names() {
		d, _ := registry.Get(name)
		out = append(out, d)
	}
	files, err := filepath.Glob(filepath.Join("dialecttest", "interop", "testdata", "*.yaml"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files (%v)", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d, err := dialect.Load(file, text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, d)
	}
	return out
}

// FuzzSignAndVerify: whatever a publisher and an operator write, every dialect
// makes headers that can be sent and that verify, and that do not any more
// after the body, the secret or a signed header has changed.
func FuzzSignAndVerify(f *testing.F) {
	f.Add("product.add", `{"id":"86"}`, `{"store_id":"1"}`, "X-Webhook-Own", "a", "key", int64(1516291592), 1)
	f.Add("a", `1`, ``, "", "", "  key with spaces/+= ", int64(0), 2)
	f.Add("order.item.update", `{"account":{"id":"é","url":"/"}}`, `{"er":"Магазин\r\n\u0000","store_id":null}`, "X-Webhook-Z", "\xff \n😀", "geheim-äöü-🔑", int64(1<<40), 9)
	f.Add("grapnel.connection.lost", `[]`, `{"error_code":4,"error_message":"Магазин\r\n\u0000","error_reason":"\ud83d"}`, "X-Webhook-Signature-Hint", "\u2028", "k", int64(-5), 3)
	dialects := everyDialect(f)
	f.Fuzz(func(t *testing.T, eventType, data, metadata, name, value, secret string, unix int64, n int) {
		if !json.Valid([]byte(data)) || metadata != "" && !json.Valid([]byte(metadata)) || !utf8.ValidString(secret) || secret == "" || hook.ValidType(eventType) != nil {
			return
		}
		for _, d := range dialects {
			roundTrip(t, d, eventType, data, metadata, name, value, secret, unix, n)
		}
	})
}

// lastDate is the end of the years that RFC 3339 has, in Unix seconds.
const lastDate = 253402300800

func roundTrip(t *testing.T, d *dialect.Dialect, eventType, data, metadata, name, value, secret string, unix int64, n int) {
	t.Helper()
	switch e := d.SecretEncoding(); {
	case d.Name() == "standard":
		secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	case e != "":
		secret = string(e.Append(nil, []byte(secret)))
	}
	key, err := d.Key(hook.Secret(secret))
	if err != nil {
		t.Fatal(err)
	}
	endpoint := &hook.Endpoint{ID: "ep_1", Num: 7, VendorID: "42", EventTypes: []string{"product.add"}, Settings: map[string]string{"a": value}}
	tenant := &hook.Tenant{ID: "acme", Num: 3, Settings: map[string]string{"shop": value}}
	r := dialect.Request{
		Event:    &hook.Event{Type: eventType, Data: []byte(data), Metadata: []byte(metadata)},
		Endpoint: endpoint, Tenant: tenant, URL: "https://receiver.example/hooks?a=1", Method: d.Method(), Body: []byte(data), At: time.Unix(unix, 0), N: n, Keys: []dialect.Key{key},
	}
	// A name that is signed is read back in Go's spelling, which is all that a receiver
	// written in Go is told.
	if httpguts.ValidHeaderFieldName(name) && !d.Sends(name) && (http.CanonicalHeaderKey(name) == name || !strings.HasPrefix(strings.ToLower(name), "x-webhook-")) {
		r.Extra = []hook.Header{{Name: name, Value: value}}
	}
	if body, err := d.Body(dialect.Input{Event: r.Event, Endpoint: endpoint, Tenant: tenant, PublicURL: "https://hooks.example"}); err == nil {
		r.Body = body // else the contract wants something of the data that this has not
	}
	r.URL = d.URL(r)
	headers, err := d.Header(r)
	if err != nil {
		t.Fatalf("%s: %v", d.Name(), err)
	}
	verifier, err := d.VerifyKey(hook.Secret(secret))
	if err != nil {
		t.Fatal(err)
	}
	got := dialect.Received{Method: r.Method, URL: r.URL, Header: http.Header{}, Body: r.Body, At: r.At, Tolerance: time.Minute, Keys: []dialect.VerifyKey{verifier}}
	for _, h := range headers {
		if !httpguts.ValidHeaderFieldValue(h.Value) || strings.Trim(h.Value, " \t\r\n") != h.Value || !utf8.ValidString(h.Value) {
			t.Errorf("%s: %s: %q cannot be sent as it is", d.Name(), h.Name, h.Value)
		}
		// A type without a dot has no action, and one that begins with it no entity.
		half := h.Name == "X-Webhook-Action" || h.Name == "X-Webhook-Entity" && eventType[0] == '.'
		if h.Value == "" && len(r.Extra) == 0 && !half {
			t.Errorf("%s: %s is empty", d.Name(), h.Name)
		}
		got.Header.Add(h.Name, h.Value)
	}
	err = d.Verify(got)
	if fits(d, got) != (err == nil) && unix > 0 && unix < lastDate {
		t.Errorf("%s: the inspection says %v, the verifier %v", d.Name(), fits(d, got), err)
	}
	if !fits(d, got) && strings.Contains(eventType, ".") {
		t.Fatalf("%s: what was signed does not verify: %v", d.Name(), err)
	}
	body := got
	if body.Body = append(bytes.Clone(r.Body), "&a=b"...); fits(d, body) {
		t.Errorf("%s: another body verifies", d.Name())
	}
	for _, h := range headers {
		if signed := strings.HasPrefix(h.Name, "X-Webhook-"); !signed && (!d.Sends(h.Name) || !strings.Contains(strings.ToLower(h.Name), "signature")) || d.Name() != "api2cart" && signed {
			continue
		}
		changed := got
		changed.Header = got.Header.Clone()
		changed.Header[http.CanonicalHeaderKey(h.Name)] = []string{h.Value + "x"}
		if fits(d, changed) && h.Name == http.CanonicalHeaderKey(h.Name) {
			// Of several signatures, another may still fit: then the verifier
			// refuses the one that does not.
			if d.Verify(changed) == nil {
				t.Errorf("%s: verifies after %s changed", d.Name(), h.Name)
			}
		}
	}
}

// fits reports whether a signature fits, whatever the timestamp is.
func fits(d *dialect.Dialect, r dialect.Received) bool {
	for _, token := range d.Inspect(r).Tokens {
		for _, fits := range token.Fits {
			if fits {
				return true
			}
		}
	}
	return false
}
