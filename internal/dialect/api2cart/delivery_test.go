package api2cart_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/client"
	"grapnel/internal/dialect"
	"grapnel/internal/dialect/api2cart"
	"grapnel/internal/hook"
	"grapnel/internal/vendortest"
)

// The vendor's snippet takes everything that the server sends, and nothing that
// was changed.
func TestPrintedReceivers(t *testing.T) {
	t.Parallel()
	const custom = `b/ü "c" \d <&'>`
	php := func(t testing.TB, secret string) string { return vendortest.PHP(t, "testdata/receiver.php", secret) }
	for _, c := range []struct {
		name   string
		start  func(t testing.TB, secret string) string
		header client.Headers
	}{
		{"A2-S1 A2-S2 A2-S4 A2-S5 A2-LOST1 A2-LOST4 PHP", php, client.Headers{{Name: "X-Webhook-Custom", Value: strings.Replace(custom, "ü", "", 1)}, {Name: "X-Webhook", Value: "not signed"}}},
		{"A2-D5 PHP that knows the names", func(t testing.TB, secret string) string { return vendortest.PHP(t, "testdata/literal.php", secret) }, nil},
		{"A2-S1 A2-S2 A2-S4 A2-S5 A2-LOST1 A2-LOST4 JavaScript", func(t testing.TB, secret string) string { return vendortest.Node(t, "testdata/receiver.mjs", secret) },
			client.Headers{{Name: "X-Webhook-Zz", Value: custom}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			tap := vendortest.NewTap(t, c.start(t, s.storeKey))
			s.want("POST", "/v1.1/webhook.create.json?entity=product&action=add&callback="+tap.URL+"/hook", "", ok(`{"id":1}`))
			if _, err := s.UpdateEndpoint(t.Context(), "acme", s.endpoints()[0].ID, client.EndpointInput{Headers: client.Set(c.header)}); err != nil {
				t.Fatal(err)
			}
			corpus := vendortest.Data()
			for _, data := range corpus {
				s.Send("acme", client.Event{Type: "product.add", Data: []byte(data)}, 1)
			}
			sent := len(corpus)
			if c.header != nil { // a lost store has headers that the example does not name
				sent++
				if _, err := s.SetConnection(t.Context(), "acme", client.StoreConnectionInput{State: client.Lost, Code: 103, Reason: "bridge/deleted", Message: `Put "it" back, or é <ends>.`}); err != nil {
					t.Fatal(err)
				}
			}
			seen := slices.Clone(tap.Wait(sent))
			for i, r := range seen {
				if r.Status != 200 {
					t.Errorf("%d: answered %d to %v %.200s", i, r.Status, r.Header, r.Body)
				}
			}
			if c.header != nil { // which the receiver has found authentic, as all above
				at := slices.IndexFunc(seen, func(r vendortest.Seen) bool { return r.Has("X-Webhook-Error-Try-Count") })
				lost := seen[max(at, 0)]
				for name, want := range map[string]string{
					"X-Webhook-Error-Code": "103", "X-Webhook-Error-Reason": "bridge/deleted", "X-Webhook-Error-Message": `Put "it" back, or é <ends>.`, "X-Webhook-Error-Try-Count": "4",
					"X-Webhook-Entity": "product", "X-Webhook-Action": "add",
				} {
					if got := lost.Get(name); got != want {
						t.Errorf("of the lost store, %s is %q, want %q", name, got, want)
					}
				}
				if len(lost.Body) != 0 {
					t.Errorf("of the lost store, the body is %q", lost.Body)
				}
			}
			large := 0 // one of a megabyte is enough to change
			changed := slices.DeleteFunc(slices.Clone(seen), func(r vendortest.Seen) bool {
				if len(r.Body) > 1<<19 {
					large++
				}
				return len(r.Body) > 1<<19 && large > 1
			})
			tap.Tamper(changed, "x-webhook-")
			vendortest.NoneTaken(t, seen, c.start(t, s.storeKey+"x"))
		})
	}
}

// An endpoint may have headers of the vendor's prefix in the vendor's case, for
// those are signed; but none that the contract itself sends, now or at a loss.
func TestOwnHeaders(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.want("POST", create, "", ok(`{"id":1}`))
	id := s.endpoints()[0].ID
	t.Run("A2-S4 which headers an endpoint may have", func(t *testing.T) {
		for name, allowed := range map[string]bool{
			"X-Webhook-Mine": true, "x-webhook-mine": false, "X-Webhook-Entity": false, "X-Webhook-Signature": false, "X-Webhook-Error-Reason": false, "Webhook-Id": false,
		} {
			_, err := s.UpdateEndpoint(t.Context(), "acme", id, client.EndpointInput{Headers: client.Set(client.Headers{{Name: name, Value: "x"}})})
			if (err == nil) != allowed {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// A loss is told once over a restart, and ordinary deliveries go on beside it.
func TestLostStoreAndRestart(t *testing.T) {
	t.Parallel()
	dir, tap := t.TempDir(), vendortest.NewTap(t, "")
	srv := vendortest.StartIn(t, dir)
	s := &shop{Server: srv, t: t, storeKey: srv.MakeTenant("acme", "api2cart"), apiKey: srv.MakeKey("acme")}
	s.want("POST", "/v1.1/webhook.create.json?entity=product&action=add&store_id=2&callback="+tap.URL, "", ok(`{"id":1}`))
	told := func(want string, in client.StoreConnectionInput) {
		t.Helper()
		c, err := s.SetConnection(t.Context(), "acme", in)
		if err != nil || c.Told != 1 || *c.TriesLeft != 4 || c.Reason != want {
			t.Fatalf("%+v, %v", c, err)
		}
	}
	told("bridge deleted", client.StoreConnectionInput{State: client.Lost, Code: 105, Reason: "bridge deleted"})
	tap.Wait(1)
	srv.End()
	s.Server = vendortest.StartIn(t, dir)
	t.Run("A2-LOST1 A2-LOST2 what was told is known after a restart", func(t *testing.T) {
		tenant, err := s.Tenant(t.Context(), "acme")
		if err != nil || tenant.Connection == nil || tenant.Connection.Told != 1 || tenant.Connection.Code != 105 {
			t.Fatalf("%+v, %v", tenant, err)
		}
		told("no answer", client.StoreConnectionInput{State: client.Lost, Reason: "no answer"}) // the words change, the count does not
		s.Send("acme", client.Event{Type: "product.add", Data: []byte(`{"id":1}`), Metadata: []byte(`{"store_id":"2"}`)}, 1)
		seen := tap.Wait(2)
		lost, ordinary := seen[0], seen[1]
		if len(lost.Body) != 0 || lost.Get("X-Webhook-Error-Code") != "105" || lost.Get("X-Webhook-Error-Try-Count") != "4" || lost.Get("X-Webhook-Store-Id") != "2" {
			t.Errorf("%q %q", lost.Header, lost.Body)
		}
		if ordinary.Get("X-Webhook-Error-Code") != "0" || string(ordinary.Body) != `{"id":"1"}` || ordinary.Has("X-Webhook-Error-Try-Count") {
			t.Errorf("%q %q", ordinary.Header, ordinary.Body)
		}
	})
	t.Run("A2-LOST3 restored", func(t *testing.T) {
		if c, err := s.SetConnection(t.Context(), "acme", client.StoreConnectionInput{State: client.Restored}); err != nil || c.State != client.Restored {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

// What lies on the wire.
func TestOnTheWire(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	tap := vendortest.NewTap(t, "")
	s.want("GET", "/v1.0/webhook.create.json?entity=product&action=add&fields=id,name&callback="+tap.URL+"/cb%3Fa=1", "", ok(`{"id":"1"}`))
	s.Send("acme", client.Event{Type: "product.add", Data: []byte(`{"id": 86, "sku": "x", "name": "test product"}`),
		Metadata: []byte(`{"error_code":"100","error_reason":"no notice","error_message":"of ours","try_count":"4"}`)}, 1)
	r := tap.Wait(1)[0]
	t.Run("A2-D1 A2-D2 the source's example", func(t *testing.T) {
		if r.Line != "POST /cb?a=1 HTTP/1.1" || string(r.Body) != `{"id":"86","name":"test product"}` {
			t.Errorf("%s %s", r.Line, r.Body)
		}
	})
	t.Run("A2-D3 A2-D5 names in their case", func(t *testing.T) {
		for name, want := range map[string]string{"X-Webhook-Store-Id": "1", "X-Webhook-Action": "add", "X-Webhook-Entity": "product", "X-Webhook-Error-Code": "0"} {
			if got := r.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if r.Get("X-Webhook-Signature") == "" || r.Get("X-Webhook-Timestamp") == "" || r.Has("X-Webhook-Error-Reason") || r.Has("X-Webhook-Error-Message") || r.Has("X-Webhook-Error-Try-Count") {
			t.Errorf("%q", r.Header)
		}
	})
}

func TestA2Retries(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		answers  []vendortest.Reply
		attempts int
		state    hook.DeliveryState
	}{
		{"A2-R1 200 alone is success", vendortest.Statuses(200), 1, hook.Delivered},
		{"A2-R2 anything else is sent once more", vendortest.Statuses(500, 200), 2, hook.Delivered},
		{"A2-R1 A2-R2 201 and 204 are no success", vendortest.Statuses(201, 204), 2, hook.Failed},
		{"A2-R2 two failures, and no third attempt", vendortest.Statuses(302, 404, 200), 2, hook.Failed},
		{"A2-R2 410 means nothing more", vendortest.Statuses(410, 200), 2, hook.Delivered},
		{"A2-R2 no answer counts as a failure", []vendortest.Reply{{Class: "timeout"}, {Class: "refused"}}, 2, hook.Failed},
		{"A2-R2 Retry-After changes nothing", []vendortest.Reply{{Status: 503, Header: http.Header{"Retry-After": {"3600"}}}, {Status: 200}}, 2, hook.Delivered},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := vendortest.Timeline(t, vendortest.Case{Dialect: "api2cart", Type: "product.add", Answers: c.answers}, 48*time.Hour)
			if len(s.After) != c.attempts || s.Delivery.State != c.state || !s.Endpoint.Active() {
				t.Errorf("attempts %v, then the delivery is %s and the endpoint %s", s.After, s.Delivery.State, s.Endpoint.State)
			}
			if c.attempts == 2 {
				if diff := cmp.Diff([]time.Duration{5 * time.Second}, s.Waits()); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// The log goes back a day, by the server's clock.
func TestFailedLogIsOfADay(t *testing.T) {
	t.Parallel()
	v, err := api2cart.Vendor()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("A2-R4 24 hours", func(t *testing.T) {
		log := &noted{}
		for _, r := range v.Routes {
			if r.Pattern == "GET /v1.1/account.failed_webhooks.json" {
				r.Serve(host{key: key{log: log}}, httptest.NewRecorder(), httptest.NewRequest("GET", "/?api_key=x&start=20&count=30&ids=4,5", nil))
			}
		}
		want := []dialect.LogQuery{{States: []hook.DeliveryState{hook.Failed}, Hooks: []string{"4", "5"}, Since: now.Add(-24 * time.Hour), Start: 20, Size: 30}}
		if diff := cmp.Diff(want, log.queries); diff != "" {
			t.Error(diff)
		}
	})
}

// host, key and noted stand for a server whose log is empty and notes what it
// is asked for.
type (
	host struct {
		dialect.Control
		key
	}
	key struct {
		dialect.Caller
		log *noted
	}
	noted struct{ queries []dialect.LogQuery }
)

func (h host) Caller(*http.Request, hook.Secret) (dialect.Caller, error) { return h.key, nil }
func (host) Now() time.Time                                              { return now }

func (k key) Log(_ context.Context, q dialect.LogQuery, _ func(*dialect.LogEntry)) (dialect.LogPage, error) {
	k.log.queries = append(k.log.queries, q)
	return dialect.LogPage{}, nil
}
