package dispatch_test

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/dispatch"
	"grapnel/internal/hook"
)

// What a contract adds to the endpoint's URL is there when it is signed.
func TestContractsQueryIsAdded(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "dialect", "dialecttest", "interop", "testdata", "twilio-json.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := dialect.Load("twilio-json.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	dialects, err := dialect.NewRegistry(d)
	if err != nil {
		t.Fatal(err)
	}
	key, err := d.Key("token")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, 0)
	c := dispatch.Composer{Dialects: dialects, Ring: w.ring}
	e := &hook.Endpoint{URL: "https://receiver.example/hooks?a=1", Dialect: d.Name()}
	m, err := c.Compose(&hook.Event{Type: "a.b", Data: []byte(`{"a":1}`)}, e, &hook.Tenant{}, []dialect.Key{key}, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(m.URL)
	if err != nil || u.Query().Get("bodySHA256") != "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862" || u.Query().Get("a") != "1" {
		t.Errorf("it goes to %s (%v)", m.URL, err)
	}
	verifier, err := d.VerifyKey("token")
	if err != nil {
		t.Fatal(err)
	}
	r := dialect.Received{Method: m.Method, URL: m.URL, Header: map[string][]string{}, Body: m.Body, Keys: []dialect.VerifyKey{verifier}}
	for _, h := range m.Header {
		r.Header[h.Name] = []string{h.Value}
	}
	if err := d.Verify(r); err != nil {
		t.Error(err)
	}
}
