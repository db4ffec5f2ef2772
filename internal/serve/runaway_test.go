package serve_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"grapnel/client"
	"grapnel/internal/serve"
)

// A program that runs away holds its own delivery, with the reason, and no
// other: not one of its own tenant's, nor of another's, with two places for all.
func TestARunawayProgramHoldsItsOwn(t *testing.T) {
	t.Parallel()
	k := newTaker(t)
	cfg := serve.Config{Settings: settings(t, t.TempDir()), Exempt: []netip.AddrPort{k.addr}}
	cfg.Settings.AdminKey, cfg.Settings.MaxInFlight = "gk_admin_0123456789012345678901", 2
	c, stop := run(t, cfg)
	defer stop()
	// Without a sample nobody runs it before.
	versions := client.Set([]client.TypeVersion{{Version: "1", Convert: "def f: f; if .end then . else f end"}})
	if _, err := c.PutEventType(t.Context(), "item.sold", client.EventTypeInput{Versions: versions}); err != nil {
		t.Fatal(err)
	}
	for tenant, version := range map[string]string{"old": "1", "new": ""} {
		if _, err := c.PutTenant(t.Context(), tenant, client.TenantInput{APIVersion: client.Set(version)}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.CreateEndpoint(t.Context(), tenant, client.EndpointInput{URL: client.Set(k.url), MaxInFlight: client.Set(1)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range []struct{ tenant, data, becomes string }{
		{"old", `{}`, client.Held}, {"old", `{"end":true}`, client.Delivered}, {"new", `{}`, client.Delivered},
	} {
		r, err := c.Publish(t.Context(), e.tenant, client.Event{Type: "item.sold", Data: json.RawMessage(e.data)})
		if err != nil {
			t.Fatal(err)
		}
		await(t, "an event of the tenant "+e.tenant+" to be "+e.becomes, func() bool {
			ev, err := c.Event(t.Context(), e.tenant, r.ID)
			if err != nil {
				t.Fatal(err)
			}
			d := ev.Deliveries[0]
			if d.State == client.Held && !strings.Contains(d.Reason, "version 1: the program took too long") {
				t.Fatalf("held, because %q", d.Reason)
			}
			return d.State == e.becomes
		})
	}
}
