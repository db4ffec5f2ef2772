package serve_test

import (
	"encoding/json"
	"net/netip"
	"testing"

	"grapnel/client"
	"grapnel/internal/serve"
)

// The request of a delivery is shown as it was sent under every contract: with
// numbers and ids of the vendor's, chosen fields, and in a tenant's own version,
// also when all of that has changed since.
func TestRequestsAreShownAsSent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dialect, event string
		tenant         client.TenantInput
		change         func(*client.EndpointInput)
	}{
		{"standard", "order.shipped", client.TenantInput{}, nil},
		{"customers1st", "customer.created", client.TenantInput{Settings: client.Set(map[string]string{"vendor_id": "17"})}, nil},
		{"customers1st@bare", "customer.created", client.TenantInput{}, nil},
		{"propstack", "client_updated", client.TenantInput{}, nil},
		{"api2cart", "order.add", client.TenantInput{Secret: client.Set("0123456789abcdef0123456789abcdef")}, func(in *client.EndpointInput) { in.Fields = client.Set([]string{"id", "account.id"}) }},
		{"smake", "order.shipped", client.TenantInput{APIVersion: client.Set("2022-02-01")}, nil},
		{"smake@2022-02-01", "order.shipped", client.TenantInput{APIVersion: client.Set("2022-02-01")}, nil},
		{"sixpark", "ACCOUNT_OPENED", client.TenantInput{}, func(in *client.EndpointInput) { in.EventTypes = client.Set([]string(nil)) }},
	} {
		t.Run(c.dialect, func(t *testing.T) {
			t.Parallel()
			k := newTaker(t)
			cfg := serve.Config{Settings: settings(t, t.TempDir()), Exempt: []netip.AddrPort{k.addr}}
			cfg.Settings.AdminKey, cfg.Settings.PublicURL = "gk_admin_0123456789012345678901", "https://hooks.example"
			api, stop := run(t, cfg)
			defer stop()
			must := func(_ any, err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			versions := func(program string) {
				t.Helper()
				must(api.PutEventType(t.Context(), "order.shipped", client.EventTypeInput{Versions: client.Set([]client.TypeVersion{{Version: "2022-02-01", Convert: program}})}))
			}
			versions("{id, old: .account.id}")
			c.tenant.Dialect = client.Set(c.dialect)
			must(api.PutTenant(t.Context(), "acme", c.tenant))
			in := client.EndpointInput{URL: client.Set(k.url), EventTypes: client.Set([]string{c.event})}
			if c.change != nil {
				c.change(&in)
			}
			e, err := api.CreateEndpoint(t.Context(), "acme", in)
			must(e, err)
			r, err := api.Publish(t.Context(), "acme", client.Event{Type: c.event, Data: json.RawMessage(`{"id":7, "name":"a", "account":{"id":"9","url":"https://a.example/9"}}`)})
			must(r, err)
			var d client.Delivery
			await(t, "the delivery", func() bool {
				ev, err := api.Event(t.Context(), "acme", r.ID)
				must(ev, err)
				if len(ev.Deliveries) != 1 {
					t.Fatalf("%+v", ev)
				}
				d = ev.Deliveries[0]
				return d.State == client.Delivered
			})
			versions("{changed: true}")
			must(api.PutTenant(t.Context(), "acme", client.TenantInput{Settings: client.Set(map[string]string{"vendor_id": "99"}), APIVersion: client.Set("")}))
			if c.dialect == "api2cart" {
				must(api.UpdateEndpoint(t.Context(), "acme", e.ID, client.EndpointInput{Fields: client.Set([]string{"name"})}))
			}
			shown, err := api.Delivery(t.Context(), "acme", d.ID)
			must(shown, err)
			k.mu.Lock()
			sent := lastTaken(k.got).Body
			k.mu.Unlock()
			if shown.Request == nil || shown.Request.Text != sent {
				t.Errorf("shown is %+v, sent was %s", shown.Request, sent)
			}
		})
	}
}
