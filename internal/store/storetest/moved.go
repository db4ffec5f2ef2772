package storetest

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Filled is what Fill has stored.
type Filled struct {
	events   []*hook.Event
	keys     []hook.DeliveryKey
	requests []store.RequestKey
	changes  []store.RequestKey
	now      time.Time
}

// Fill runs random calls against a store, those of the model and changes of the
// configuration, and leaves it closed.
func Fill(rt *rapid.T, t *testing.T, h Harness) *Filled {
	m := &model{world: newWorld(rt, t, h), rt: rt, stands: map[hook.DeliveryKey]*modelStand{}}
	defer func() { m.ok(m.st.Close()) }()
	out := &Filled{}
	for i := range rapid.IntRange(0, 60).Draw(rt, "steps") {
		switch rapid.IntRange(0, 9).Draw(rt, "kind") {
		case 0:
			out.configure(m, i)
		case 1:
			out.request(m, i)
		default:
			m.step()
		}
	}
	out.events, out.keys, out.now = m.events, m.keys, m.now
	return out
}

// configure changes what is configured: records that are there, new ones, ones that go.
func (f *Filled) configure(m *model, i int) {
	id := func(what string) string {
		return fmt.Sprintf("%s_%d", what, rapid.IntRange(0, 3).Draw(m.rt, what))
	}
	gone := rapid.Bool().Draw(m.rt, "gone")
	tenant := fullTenant(fmt.Sprint("t_", i))
	endpoint := fullEndpoint(fmt.Sprint("ep_", i))
	tenant.Deleted, endpoint.Deleted = gone, gone
	r := request(fmt.Sprint("change", i), m.now)
	_, err := m.st.Configure(m.Context(), &store.Change{
		Tenants: []*hook.Tenant{tenant}, Endpoints: []*hook.Endpoint{endpoint},
		Types:    []*hook.EventType{{Name: id("type"), Description: fmt.Sprint(i), Deleted: gone}},
		Keys:     []*hook.Key{{ID: fmt.Sprint("key_", i), Hash: [32]byte{byte(i)}, Hint: "gk_a", LastUsedAt: m.now, Deleted: gone}},
		Replays:  []*hook.Replay{fullReplay(id("rpl")), {ID: "rpl_runs", Tenant: "t", State: hook.ReplayRunning, Total: int64(i)}},
		Pinned:   []*hook.Pinned{{Name: id("dialect/Ünï"), Value: []byte("name: öwn\n\x00")}},
		Requests: []*store.Request{r},
		Audit:    []*hook.AuditEntry{auditEntry(endpoint.ID, m.now, hook.TenantNum(i))},
	})
	m.ok(err)
	f.changes = append(f.changes, r.RequestKey)
}

// request stores an event with a request that is remembered.
func (f *Filled) request(m *model, i int) {
	e, r := m.event(1, 1, 2), request(fmt.Sprint("append", i), m.now)
	m.ok(m.st.Append(m.Context(), &store.Batch{Revision: 1 << 40, Events: []*hook.Event{e}, Requests: []*store.Request{r}}))
	m.events, m.keys = append(m.events, e), append(m.keys, key(e, 1), key(e, 2))
	f.requests = append(f.requests, r.RequestKey)
}

// Same asks two stores everything, and fails where they do not say the same.
func (f *Filled) Same(t tb, left, right store.Store) {
	t.Helper()
	a, b := answers(t, f, left), answers(t, f, right)
	w := &world{tb: t}
	for i := range a {
		if i >= len(b) || a[i].of != b[i].of {
			t.Fatalf("the stores are asked %d and %d things", len(a), len(b))
		}
		if a[i].err != b[i].err {
			t.Fatalf("%s: %s, %s", a[i].of, a[i].err, b[i].err)
		}
		w.same(a[i].what, b[i].what)
	}
}

// answer is what a store says.
type answer struct {
	of   string
	err  string
	what any
}

// answers asks a store everything.
func answers(t tb, f *Filled, st store.Store) (out []answer) {
	w := &world{tb: t, st: st, now: f.now}
	w.acquire()
	add := func(of string, what any, err error) {
		a := answer{of: of, what: what}
		if err != nil {
			a.err = "failed"
		}
		out = append(out, a)
	}
	c, err := st.Configuration(w.Context(), 0)
	add("configuration", c, err)
	log, err := st.AuditLog(w.Context(), store.AuditQuery{Tenant: hook.AllTenants, Limit: 1000})
	add("audit log", log, err)
	last, err := st.LastEvent(w.Context())
	add("last event", last, err)
	stats, err := st.Stats(w.Context())
	add("stats", []any{stats.Events, stats.Expired}, err)
	for _, k := range f.changes {
		r, err := st.Remembered(w.Context(), k, time.Time{})
		add("change "+k.Key, r, err)
	}
	known, err := st.Known(w.Context(), store.KnownQuery{Requests: f.requests})
	add("requests", known.Requests, err)
	for _, e := range f.events {
		got, err := st.Event(w.Context(), hook.AllTenants, e.ID)
		add("event", got, err)
		_, err = st.Event(w.Context(), 99, e.ID)
		add("event of another tenant", nil, err)
		k := store.EventKey{Tenant: e.Tenant, Key: e.Key}
		known, err := st.Known(w.Context(), store.KnownQuery{Events: []store.EventKey{k}})
		add("known", known.Events, err)
		got, err = st.EventByKey(w.Context(), k, time.Time{})
		add("event by key", got, err)
	}
	for _, k := range f.keys {
		d, err := st.Delivery(w.Context(), hook.AllTenants, k)
		add("delivery", d, err)
		list, err := st.Attempts(w.Context(), hook.AllTenants, k)
		add("attempts", list, err)
	}
	for tenant := range hook.TenantNum(4) {
		for _, oldest := range []bool{false, true} {
			page, err := st.Events(w.Context(), store.EventQuery{Tenant: tenant, Oldest: oldest, Limit: math.MaxInt32})
			add("events", page, err)
			for endpoint := range hook.EndpointNum(5) {
				page, err := st.Deliveries(w.Context(), store.DeliveryQuery{Tenant: tenant, Endpoint: endpoint, Oldest: oldest, Limit: math.MaxInt32})
				add("deliveries", page, err)
			}
		}
	}
	lanes := w.lanes()
	for n := hook.EndpointNum(1); n <= 4; n++ {
		add("lane", lanes[n].NextAt, nil) // where it begins is a bound, and engines find their own
		add("fresh", w.fresh(n, lanes[n].Fresh, 3), nil)
		add("all fresh", w.fresh(n, hook.EventID{}, 3), nil)
		due, next, err := st.Retries(w.Context(), n, f.now.Add(24*time.Hour), 1000)
		slices.SortStableFunc(due, func(a, b *store.Work) int { // those that are due together have no order
			return cmp.Or(a.NextAt.Compare(b.NextAt), bytes.Compare(a.Event.ID[:], b.Event.ID[:]))
		})
		add("retries", []any{due, next}, err)
		page, err := st.Pending(w.Context(), n, hook.EventID{}, 1000)
		add("pending", page, err)
	}
	return out
}
