package serve_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"grapnel/client"
	"grapnel/internal/config"
	"grapnel/internal/serve"
)

// loopDialect sends what the API takes as an event.
const loopDialect = `name: loop
title: Loop
request:
  timeout: 20s
  headers:
    content-type: application/json
    User-Agent: Grapnel/1 (webhooks)
  body:
    json:
      type: "{event.type}"
      data: "{event.data}"
subscription: any
secret: {owner: endpoint, made: always, forms: [whsec]}
sign:
  - header: webhook-signature
    over: "{body}"
    with:
      - {key: whsec, algorithm: hmac-sha256, encoding: base64, text: "v1,{signature}"}
success: [2xx]
retry: {on: any, waits: [5s], retry_after_max: 1h}
on_inactive: hold
`

// case 92: a delivery that comes to the API of this server, under an address that it does
// not know as its own, or of another server, is refused wherever it would cause more of its
// kind: as a publish, and as what has deliveries made. One that comes from a program of
// the operator's, with the same key, is not.
func TestDeliveriesDoNotGoRound(t *testing.T) {
	t.Parallel()
	var apis [2]*client.Client
	var fronts [2]string
	var came [2]atomic.Int32
	var behind [2]atomic.Pointer[url.URL]
	var open []netip.AddrPort
	for i := range 2 {
		front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { // its public address
			came[i].Add(1)
			r.SetURL(behind[i].Load())
		}})
		t.Cleanup(front.Close)
		fronts[i] = front.URL
		open = append(open, netip.MustParseAddrPort(strings.TrimPrefix(front.URL, "http://")))
	}
	const key = "gk_admin_0123456789012345678901"
	for i := range 2 {
		cfg := settings(t, t.TempDir())
		cfg.AdminKey, cfg.FailedKeyLimit = key, config.Rate{}
		folder := filepath.Join(cfg.Data, serve.DialectFolder)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "loop.yaml"), []byte(loopDialect), 0o600); err != nil {
			t.Fatal(err)
		}
		s, c := start(t, serve.Config{Settings: cfg, Exempt: open})
		u, err := url.Parse(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		behind[i].Store(u)
		apis[i] = c
		if _, err := c.PutTenant(t.Context(), "acme", client.TenantInput{Dialect: client.Set("loop")}); err != nil {
			t.Fatal(err)
		}
	}
	mine := apis[0]
	credential := client.Headers{{Name: "Authorization", Value: "Bearer " + key}}
	endpoint := func(url string) *client.Endpoint {
		e, err := mine.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set(url), Headers: client.Set(credential), Schedule: client.Set([]client.Duration{})})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	toItself := endpoint(fronts[0] + "/v1/tenants/acme/events")
	endpoint(fronts[1] + "/v1/tenants/acme/events")
	endpoint(fronts[0] + "/v1/tenants/acme/endpoints/" + toItself.ID + "/test")

	r, err := mine.Publish(t.Context(), "acme", client.Event{Type: "a.b", Data: json.RawMessage(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "all deliveries", func() bool {
		e, err := mine.Event(t.Context(), "acme", r.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range e.Deliveries {
			if !d.Terminal() {
				return false
			}
			if d.State != client.Failed || d.Status != http.StatusLoopDetected {
				t.Errorf("a delivery is %s with status %d", d.State, d.Status)
			}
		}
		return len(e.Deliveries) == 3
	})
	if a, b := came[0].Load(), came[1].Load(); a != 2 || b != 1 {
		t.Errorf("%d and %d requests came, want 2 and 1", a, b)
	}
	for i, c := range apis {
		events := 0
		for _, err := range c.Events(t.Context(), "acme", client.EventFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			events++
		}
		if want := 1 - i; events != want {
			t.Errorf("server %d has %d events, want %d", i, events, want)
		}
	}
	// What another program publishes with that key is taken.
	if _, err := apis[1].Publish(t.Context(), "acme", client.Event{Type: "a.b", Data: json.RawMessage(`{}`)}); err != nil {
		t.Error(err)
	}
}
