package serve_test

import (
	"net/netip"
	"strings"
	"testing"

	"grapnel/client"
	"grapnel/internal/serve"
)

// The test of an endpoint arrives under every contract without a word about the
// data, for a vendor's contract has a sample that fits it: Six Park's cannot be
// made without an account (SP-D1).
func TestEndpointTestsFitTheContract(t *testing.T) {
	t.Parallel()
	dialects, err := serve.Dialects()
	if err != nil {
		t.Fatal(err)
	}
	k := newTaker(t)
	cfg := serve.Config{Settings: settings(t, t.TempDir()), Exempt: []netip.AddrPort{k.addr}}
	cfg.Settings.AdminKey, cfg.Settings.PublicURL = "gk_admin_0123456789012345678901", "https://hooks.example"
	api, stop := run(t, cfg)
	defer stop()
	for i, name := range dialects.Names() {
		d, _ := dialects.Get(name)
		tenant := client.TenantInput{Dialect: client.Set(name)}
		if name == "api2cart" {
			tenant.Secret = client.Set("0123456789abcdef0123456789abcdef")
		}
		id := "tenant" + string(rune('a'+i))
		if _, err := api.PutTenant(t.Context(), id, tenant); err != nil {
			t.Fatal(err)
		}
		in := client.EndpointInput{URL: client.Set(k.url)}
		wants := "webhook.test"
		if s := d.Sample(); s != nil {
			wants = s.Type
		}
		if d.Scope() != nil {
			in.Settings = client.Set(map[string]string{"store_id": "3"})
		}
		if strings.HasPrefix(name, "sixpark") {
			wants = "ACCOUNT_OPENED"
		} else if name != "standard" {
			in.EventTypes = client.Set([]string{wants})
		}
		e, err := api.CreateEndpoint(t.Context(), id, in)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sent, err := api.TestEndpoint(t.Context(), id, e.ID, client.TestInput{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		await(t, "the test of "+name, func() bool {
			dl, err := api.Delivery(t.Context(), id, sent.Delivery)
			if err != nil {
				t.Fatal(err)
			}
			if dl.State == client.Held {
				t.Fatalf("%s: held, because %s", name, dl.Reason)
			}
			if dl.State != client.Delivered {
				return false
			}
			if dl.Type != wants {
				t.Errorf("%s: a test of the type %s, want %s", name, dl.Type, wants)
			}
			if d.Scope() != nil {
				for _, h := range dl.Attempts[0].Request.Headers {
					if h.Name == "X-Webhook-Store-Id" && h.Value != "3" {
						t.Errorf("%s: the test is for the store %s, and the endpoint for 3", name, h.Value)
					}
				}
			}
			return true
		})
	}
}
