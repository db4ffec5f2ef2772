//go:build linux

package ssrf_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	api "grapnel/client"
	"grapnel/internal/config"
	"grapnel/internal/serve"
	"grapnel/internal/ssrf"
)

// serverAddr is where the servers of these tests listen; what the test asks of them there
// is not counted.
var serverAddr = netip.MustParseAddrPort("127.0.0.1:7999")

const adminKey = "gk_admin_0123456789012345678901"

// patience bounds what never comes.
const patience = 4 * time.Minute

// run starts a server in the folder and gives a client of it, and what ends it.
func run(t *testing.T, allow ...string) (*api.Client, func()) {
	t.Helper()
	cfg := config.Serve()
	cfg.Data, cfg.Listen, cfg.AdminKey, cfg.EgressAllow = filepath.Join(os.Getenv(insideVariable), "data"), serverAddr.String(), adminKey, allow
	cfg.PublicURL = "https://hooks.example"
	s, err := serve.New(t.Context(), serve.Config{Settings: cfg, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := api.New(api.Config{URL: s.URL(), Key: adminKey})
	if err != nil {
		t.Fatal(err)
	}
	return c, func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// house is a tenant of each contract, with endpoints at the URLs of the corpus.
type house struct {
	tenant    string
	event     api.Event
	endpoints []string
}

// build makes the tenants and endpoints while the server lets all addresses be given.
func build(t *testing.T, c *api.Client, urls []string) (houses []house, refused int) {
	t.Helper()
	dialects, err := serve.Dialects()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range dialects.Names() {
		d, _ := dialects.Get(name)
		h := house{tenant: "of-" + strings.NewReplacer("@", "-", ".", "-").Replace(name), event: api.Event{Type: "webhook.test", Data: json.RawMessage(`{"id":1}`)}}
		if s := d.Sample(); s != nil {
			h.event = api.Event{Type: s.Type, Data: s.Data, Metadata: s.Metadata, Previous: s.Previous}
		}
		in := api.TenantInput{Dialect: api.Set(name)}
		if name == "api2cart" {
			in.Secret = api.Set("0123456789abcdef0123456789abcdef")
		}
		if _, err := c.PutTenant(t.Context(), h.tenant, in); err != nil {
			t.Fatal(err)
		}
		for _, u := range urls {
			in := api.EndpointInput{URL: api.Set(u)}
			if d.Scope() != nil {
				in.Settings = api.Set(map[string]string{"store_id": "3"})
			}
			switch {
			case name == "standard":
				in.Schedule = api.Set([]api.Duration{api.Duration(time.Second), api.Duration(time.Hour)})
			case !strings.HasPrefix(name, "sixpark"):
				in.EventTypes = api.Set([]string{h.event.Type})
			}
			e, err := c.CreateEndpoint(t.Context(), h.tenant, in)
			if err != nil {
				refused++
				continue
			}
			h.endpoints = append(h.endpoints, e.ID)
		}
		if len(h.endpoints) == 0 {
			t.Errorf("%s has no endpoints", name)
		}
		houses = append(houses, h)
	}
	return houses, refused
}

// send asks for an attempt at each endpoint, and waits for all.
func send(t *testing.T, c *api.Client, houses []house) (attempts int, classes map[string]int) {
	t.Helper()
	type sent struct{ tenant, delivery string }
	var all []sent
	for _, h := range houses {
		for _, id := range h.endpoints {
			r, err := c.TestEndpoint(t.Context(), h.tenant, id, api.TestInput{})
			if err != nil {
				continue // its contract has ended it by what came before
			}
			all = append(all, sent{h.tenant, r.Delivery})
		}
	}
	classes = map[string]int{}
	for _, s := range all {
		d := attempted(t, c, s.tenant, s.delivery, 1)
		classes[d.Class]++
	}
	return len(all), classes
}

// attempted waits until a delivery has had so many attempts, or is over or held.
func attempted(t *testing.T, c *api.Client, tenant, id string, n int) *api.DeliveryDetail {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		d, err := c.Delivery(ctx, tenant, id)
		if err != nil {
			t.Fatal(err)
		}
		if d.AttemptCount >= n || d.Terminal() || d.State == api.Held {
			return d
		}
		<-tick.C
	}
}

// Cases 80 to 84: every feature of a server that opens connections, to URLs that were
// given while all addresses were open: tests, deliveries, retries, redeliveries, replays
// and operational events, under every contract.
func TestInsideAServer(t *testing.T) {
	network(t)
	var urls []string
	for i, u := range ssrf.Hostile() {
		if i%*every == 0 {
			urls = append(urls, u)
		}
	}
	counter := count(t, serverAddr)
	c, stop := run(t, "0.0.0.0/0", "::/0")
	houses, refused := build(t, c, urls)
	tried, _ := send(t, c, houses)
	_, inside, _ := forbidden(t, counter)
	t.Logf("figure: a server with all ranges open: %d endpoints, %d refused, %d tests: %d packets to forbidden addresses", tried, refused, tried, inside)
	if inside == 0 {
		t.Error("nothing was counted with the guard open")
	}
	stop()
	forbidden(t, counter)

	c, stop = run(t)
	tried, classes := send(t, c, houses)
	deliveries := everyWay(t, c, houses)
	notices(t, c, urls)
	stop() // attempts that run end
	blocks, inside, outside := forbidden(t, counter)
	t.Logf("figure: the same server with the guard closed: %d tests, %d deliveries in 4 ways: %d connections to forbidden addresses, %d to the public one; by class %v", tried, deliveries, inside, outside, classes)
	if inside != 0 || tried == 0 || deliveries == 0 {
		t.Errorf("packets left: %v", blocks)
	}
	for class := range classes {
		if !slices.Contains([]string{"", "blocked", "request", "dns", "connect", "refused"}, class) {
			t.Errorf("class %q", class)
		}
	}
}

// everyWay publishes, and has what became of it retried, redelivered and replayed; in
// between endpoints are told of their own end.
func everyWay(t *testing.T, c *api.Client, houses []house) (deliveries int) {
	t.Helper()
	for _, h := range houses {
		r, err := c.Publish(t.Context(), h.tenant, h.event)
		if err != nil {
			t.Fatal(h.tenant, err)
		}
		e, err := c.Event(t.Context(), h.tenant, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range e.Deliveries {
			n := attempted(t, c, h.tenant, d.ID, 1).AttemptCount
			if h.tenant == "of-standard" {
				n = attempted(t, c, h.tenant, d.ID, 2).AttemptCount // by its schedule, unless it was taken
			}
			if _, err := c.Redeliver(t.Context(), h.tenant, d.ID); err == nil {
				attempted(t, c, h.tenant, d.ID, n+1)
			}
			deliveries++
		}
		replay, err := c.CreateReplay(t.Context(), h.tenant, api.ReplayFilter{Types: []string{h.event.Type}, States: []string{api.Pending, api.Failed, api.Delivered}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		for !replay.Over() {
			if replay, err = c.Replay(ctx, h.tenant, replay.ID); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
	}
	return deliveries
}

// notices has an endpoint disabled by its answer, of which another one at a forbidden
// address is told by an operational event.
func notices(t *testing.T, c *api.Client, urls []string) {
	t.Helper()
	const tenant = "told"
	if _, err := c.PutTenant(t.Context(), tenant, api.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, u := range append(urls, "http://metadata.google.internal/") {
		in := api.EndpointInput{URL: api.Set(u), EventTypes: api.Set([]string{"grapnel.endpoint.disabled"}), Schedule: api.Set([]api.Duration{})}
		if _, err := c.CreateEndpoint(t.Context(), tenant, in); err == nil {
			told++
		}
	}
	if _, err := c.CreateEndpoint(t.Context(), tenant, api.EndpointInput{URL: api.Set("http://hooks.customer.example/gone"), EventTypes: api.Set([]string{"a.b"})}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Publish(t.Context(), tenant, api.Event{Type: "a.b", Data: json.RawMessage(`{}`)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; n < told; <-tick.C {
		n = 0
		for d, err := range c.Deliveries(ctx, tenant, api.DeliveryFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			if d.Type == "grapnel.endpoint.disabled" && d.AttemptCount > 0 {
				n++
			}
		}
	}
}
