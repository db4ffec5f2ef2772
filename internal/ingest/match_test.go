package ingest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/ingest"
)

var stores = &dialect.Scope{Metadata: "store_id", Setting: "store_id", Default: "1"}

// policyOf is what some contracts say, by their names.
func policyOf(name string) ingest.Policy {
	p := ingest.Policy{CancelInactive: name != "standard", Suppressible: name == "customers1st"}
	switch name {
	case "propstack":
		p.EventName = func(eventType string) string {
			if eventType == "client_deleted" {
				return "client_updated"
			}
			return eventType
		}
	case "api2cart":
		p.Scope = stores
	}
	return p
}

// put sets the endpoints of the tenant bolt.
func (b *bench) put(t testing.TB, endpoints ...*hook.Endpoint) {
	t.Helper()
	b.config.Revision, b.config.Endpoints = b.config.Revision+1, endpoints
	if err := b.dir.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func of(name string, e *hook.Endpoint) *hook.Endpoint {
	e.Dialect = name
	return e
}

// PS-E2: endpoints subscribe in the words of their contract, exactly as they are
// written, and the event keeps its own type.
func TestMatchesInTheContractsWords(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.put(t,
		of("propstack", ep(11, 2, "client_updated")), of("propstack", ep(12, 2, "client_deleted")), of("propstack", ep(13, 2, "CLIENT_UPDATED")),
		of("propstack", ep(14, 2)), ep(15, 2, "client_updated"), ep(16, 2, "client_deleted"), of("propstack", ep(17, 2, "grapnel.endpoint.disabled")))
	b.publish(t, submission("", item("bolt", "", "client_deleted", `1`), item("bolt", "", "client_updated", `1`), item("bolt", "", "grapnel.endpoint.disabled", `1`)))
	for i, want := range [][]hook.EndpointNum{{4, 11, 14, 16}, {4, 11, 14, 15}, {17}} {
		if diff := cmp.Diff(want, targets(b.journal.events[i])); diff != "" {
			t.Errorf("event %d: %s", i, diff)
		}
	}
	if got := b.journal.events[0].Type; got != "client_deleted" {
		t.Errorf("the event became %s", got)
	}
}

// A2-M4: an endpoint gets the events of its own store alone; store 1 where nobody
// says which.
func TestMatchesWithinItsScope(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := func(num hook.EndpointNum, store string) *hook.Endpoint {
		e := of("api2cart", ep(num, 2))
		if store != "-" {
			e.Settings = map[string]string{"store_id": store, "other": "9"}
		}
		return e
	}
	b.put(t, in(11, "-"), in(12, "1"), in(13, "2"), in(14, ""), in(15, "é"))
	for metadata, want := range map[string][]hook.EndpointNum{
		``:                  {4, 11, 12, 14},
		`{}`:                {4, 11, 12, 14},
		`{"store_id":null}`: {4, 11, 12, 14},
		`{"store_id":""}`:   {4, 11, 12, 14},
		`{"store_id":"1"}`:  {4, 11, 12, 14},
		`{"store_id":1}`:    {4, 11, 12, 14},
		`{"a":{"store_id":"1"}, "store_id" : "2"}`: {4, 13},
		`{"store_id":2,"a":[]}`:                    {4, 13},
		`{"store_id":"\u00e9"}`:                    {4, 15},
		`{"store_id":"3"}`:                         {4},
		`{"store_id":{"a":1}}`:                     {4},
	} {
		it := item("bolt", "", "product.add", `1`)
		if metadata != "" {
			it.Metadata = []byte(metadata)
		}
		b.publish(t, submission("", it))
		if diff := cmp.Diff(want, targets(lastOf(b.journal.events))); diff != "" {
			t.Errorf("%s: %s", metadata, diff)
		}
	}
}

func lastOf[T any](list []T) T { return list[len(list)-1] }

// C1-X4: what is suppressed is so for the contracts that know suppression, and
// recorded.
func TestSuppression(t *testing.T) {
	t.Parallel()
	b := setup(t)
	paused := of("customers1st", ep(12, 2))
	paused.State = hook.EndpointPaused
	b.put(t, of("customers1st", ep(11, 2)), paused, of("propstack", ep(13, 2)))
	it := item("bolt", "", "product.created", `1`)
	it.Suppress = true
	b.publish(t, submission("", it, item("bolt", "", "product.created", `1`)))
	want := []hook.Target{{Endpoint: 4}, {Endpoint: 11, Disposition: hook.Suppressed}, {Endpoint: 12, Disposition: hook.Suppressed}, {Endpoint: 13}}
	if diff := cmp.Diff(want, b.journal.events[0].Targets); diff != "" {
		t.Error(diff)
	}
	want = []hook.Target{{Endpoint: 4}, {Endpoint: 11}, {Endpoint: 12, Disposition: hook.Inactive}, {Endpoint: 13}}
	if diff := cmp.Diff(want, b.journal.events[1].Targets); diff != "" {
		t.Error(diff)
	}
}

// BenchmarkMatch publishes to one endpoint of a tenant beside many others, and
// beside many tenants: neither costs anything.
func BenchmarkMatch(b *testing.B) {
	for _, c := range []struct {
		name           string
		others, tenant int
		metadata       string
	}{{"alone", 0, 1, ""}, {"beside 10,000 of other types", 10_000, 2, ""}, {"beside 10,000 of other tenants", 10_000, 1, ""}, {"with a scope", 0, 1, `{"store_id":"1"}`}} {
		b.Run(c.name, func(b *testing.B) {
			w := setup(b)
			list := []*hook.Endpoint{of("standard", ep(10, 2, "a.b"))}
			if c.metadata != "" {
				list[0].Dialect = "api2cart"
			}
			for i := range c.others {
				list = append(list, ep(hook.EndpointNum(100+i), hook.TenantNum(c.tenant), fmt.Sprint("other.", i)))
			}
			w.put(b, list...)
			items := make([]ingest.Item, 100)
			for i := range items {
				items[i] = item("bolt", "", "a.b", `{"n":1}`)
				items[i].Metadata, items[i].Time = []byte(c.metadata), time.Unix(1, 0)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += len(items) {
				if _, _, err := w.Publish(b.Context(), submission("", items...)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
