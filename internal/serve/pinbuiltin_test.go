package serve_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"grapnel/client"
	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/serve"
	"grapnel/internal/store"
	"grapnel/internal/store/eithertest"
)

// stored opens the store of a server that does not run, for a moment.
func stored(t *testing.T, dir string, do func(s store.Store, c *store.Configuration)) {
	t.Helper()
	s := eithertest.At(t, dir, eithertest.Options{})
	defer s.Close()
	c, err := s.Configuration(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	do(s, c)
}

// Bodies of events from before stay as they were when a newer program writes a
// built-in contract's bodies otherwise, and when a setting that stands in them
// changes (C1-D2): on a redelivery as on a replay. A start at which nothing is
// different stores nothing.
func TestBuiltInBodiesKeepTheirShape(t *testing.T) {
	t.Parallel()
	dir, k := t.TempDir(), newTaker(t)
	cfg := serve.Config{Settings: settings(t, dir), Exempt: []netip.AddrPort{k.addr}}
	cfg.Settings.AdminKey, cfg.Settings.PublicURL = "gk_admin_0123456789012345678901", "https://hooks.example"
	c, stop := run(t, cfg)
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	vendorID := func(id string) {
		t.Helper()
		must(c.PutTenant(t.Context(), "acme", client.TenantInput{Settings: client.Set(map[string]string{"vendor_id": id})}))
	}
	vendorID("17")
	must(c.CreateEndpoint(t.Context(), "acme", client.EndpointInput{
		URL: client.Set(k.url), Dialect: client.Set("customers1st"), EventTypes: client.Set([]string{"customer.created"}),
	}))
	bodies := func() []taken { return k.of("") }
	publish := func() string {
		t.Helper()
		have := len(bodies())
		r, err := c.Publish(t.Context(), "acme", client.Event{Type: "customer.created", Data: json.RawMessage(`{"id":1.0}`)})
		must(r, err)
		await(t, "the request", func() bool { return len(bodies()) > have })
		return r.ID
	}
	again := func(id string) string {
		t.Helper()
		have := len(bodies())
		// What is redelivered while its attempt is not over is sent again only if that fails.
		var ev *client.PublishedEvent
		await(t, "the attempt before to be over", func() bool {
			var err error
			ev, err = c.Event(t.Context(), "acme", id)
			return err == nil && ev.Deliveries[0].State == client.Delivered
		})
		must(c.Redeliver(t.Context(), "acme", ev.Deliveries[0].ID))
		await(t, "the redelivery", func() bool { return len(bodies()) > have })
		return lastTaken(bodies()).Body
	}
	first := publish()
	body := lastTaken(bodies()).Body
	if !strings.Contains(body, `"storeid":17`) {
		t.Fatal(body)
	}
	vendorID("18")
	if got := again(first); got != body {
		t.Errorf("after another setting: %s, want %s", got, body)
	}
	second := publish()
	if got := lastTaken(bodies()).Body; !strings.Contains(got, `"storeid":18`) {
		t.Errorf("an event after the change has the old setting: %s", got)
	}
	stop()

	name := hook.PinnedDialect + "customers1st"
	revision := int64(0)
	stored(t, dir, func(s store.Store, c *store.Configuration) {
		builtIn, err := serve.Dialects()
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, name := range builtIn.Names() {
			d, _ := builtIn.Get(name)
			size += len(d.Source())
			if p := pinned(c, hook.PinnedDialect+name); p == nil || string(p.Value) != d.Source() {
				t.Errorf("the text of %s is not pinned: %+v", name, p)
			}
		}
		if size > 40<<10 {
			t.Errorf("the texts of all built-in dialects have %d bytes, which every data folder keeps", size)
		}
		revision = c.Revision
	})
	c, stop = run(t, cfg)
	stop()
	// As if the program had been an earlier one until here, whose bodies had
	// another name for the store.
	stored(t, dir, func(s store.Store, c *store.Configuration) {
		if c.Revision != revision {
			t.Errorf("a start at which nothing is different led from revision %d to %d", revision, c.Revision)
		}
		p := pinned(c, name)
		d, err := dialect.Load("", []byte(strings.Replace(string(p.Value), "storeid:", "shop:", 1)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Configure(t.Context(), &store.Change{Pinned: []*hook.Pinned{{Name: name, Value: []byte(d.Source())}}}); err != nil {
			t.Fatal(err)
		}
	})
	c, stop = run(t, cfg)
	defer stop()
	for id, want := range map[string]string{first: `"shop":17`, second: `"shop":18`} {
		if got := again(id); !strings.Contains(got, want) {
			t.Errorf("after an upgrade: %s, want %s", got, want)
		}
	}
	publish()
	if got := lastTaken(bodies()).Body; !strings.Contains(got, `"storeid":18`) {
		t.Errorf("an event after the upgrade has an old body: %s", got)
	}
}

func pinned(c *store.Configuration, name string) *hook.Pinned {
	for _, p := range c.Pinned {
		if p.Name == name {
			return p
		}
	}
	return nil
}
