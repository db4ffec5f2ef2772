package storetest

import (
	"slices"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

var listTests = []test{
	{"Events", func(w *world) {
		var all []*hook.Event
		for i := range 17 {
			e := w.event(hook.TenantNum(1+i%2), 1)
			if i%3 == 0 {
				e.Type = "other.thing"
			}
			w.append(e)
			all = append(all, e)
		}
		queries := []store.EventQuery{
			{Tenant: hook.AllTenants}, {Tenant: 1}, {Tenant: 2}, {Tenant: 3}, {Tenant: hook.AllTenants, Type: "other.thing"}, {Tenant: 2, Type: "other.thing"}, {Tenant: hook.AllTenants, Type: "none"},
			{Tenant: hook.AllTenants, Since: all[4].ID.Time(), Until: all[9].ID.Time()}, {Tenant: 1, Since: all[4].ID.Time()}, {Tenant: 2, Until: all[4].ID.Time()},
			{Tenant: hook.AllTenants, Before: all[6].ID}, {Tenant: 1, Before: all[6].ID}, {Tenant: hook.AllTenants, After: all[6].ID}, {Tenant: 2, After: all[6].ID}, {Tenant: hook.AllTenants, After: all[16].ID},
			{Tenant: hook.AllTenants, After: all[2].ID, Before: all[11].ID}, {Tenant: 1, Type: "other.thing", After: all[2].ID, Until: all[14].ID.Time()},
		}
		for range 3 {
			for _, q := range queries {
				w.events(q, all)
			}
			w.settle()
			w.crash()
		}
	}},
	{"ManyFailedOfAnEvent", func(w *world) {
		var all []*hook.Delivery
		var batch []*hook.Event
		var outs []*store.Outcome
		for range 250 {
			batch = append(batch, w.event(1, 1, 2, 3))
		}
		w.append(batch...)
		for _, e := range batch {
			for i, t := range e.Targets {
				d := &hook.Delivery{Key: key(e, t.Endpoint), Tenant: 1, Type: e.Type, Number: e.Number + int64(i), State: hook.Held, Reason: "said so"}
				all = append(all, d)
				outs = append(outs, w.change(d.Key, hook.Held, "said so"))
			}
		}
		w.record(outs...)
		slices.Reverse(all)
		// Pages of 9 end everywhere in rows of a power of two.
		w.deliveries(store.DeliveryQuery{Tenant: 1, States: []hook.DeliveryState{hook.Held}}, all, 9, 100)
		w.deliveries(store.DeliveryQuery{Tenant: hook.AllTenants, Endpoint: 2, States: []hook.DeliveryState{hook.Held}}, all, 9, 100)
		w.deliveries(store.DeliveryQuery{Tenant: hook.AllTenants, Type: "none"}, all)
		w.deliveries(store.DeliveryQuery{Tenant: hook.AllTenants}, all, 9, 100)
	}},
	{"ReadingOn", func(w *world) {
		// Whoever goes on after what was seen meets each event once, though it
		// comes between two calls, in another unit or of another tenant.
		var got, want []*hook.Event
		q := store.EventQuery{Tenant: 1, Type: "thing.made", Oldest: true, Limit: 2}
		read := func() {
			for {
				p, err := w.st.Events(w.Context(), q)
				w.ok(err)
				got, q.After = append(got, p.Events...), p.Seen
				if p.Next.IsZero() {
					return
				}
			}
		}
		read()
		w.same(hook.EventID{}, q.After)
		for i := range 20 {
			e := w.event(hook.TenantNum(1+i%3), 1)
			if i%4 == 0 {
				e.Type = "other.thing"
			}
			w.append(e)
			if e.Tenant == 1 && e.Type == q.Type {
				want = append(want, e)
			}
			if i%2 == 0 {
				read()
				w.same(e.ID, q.After)
			}
			if i == 11 {
				w.settle()
				w.crash()
			}
		}
		read()
		w.same(want, got)
	}},
	{"OneEventOfATenant", func(w *world) {
		e := w.event(1, 1)
		w.append(e)
		got, err := w.st.Event(w.Context(), 1, e.ID)
		w.ok(err)
		w.same(e, got)
		_, err = w.st.Event(w.Context(), 2, e.ID)
		w.missing(err)
		_, err = w.st.Event(w.Context(), hook.AllTenants, hook.EventIDFrom(e.ID.Seq(), e.ID.Tail()+1))
		w.missing(err)
		_, err = w.st.Delivery(w.Context(), 2, key(e, 1))
		w.missing(err)
		_, err = w.st.Delivery(w.Context(), hook.AllTenants, key(e, 2))
		w.missing(err)
		_, err = w.st.Delivery(w.Context(), 1, key(e, 1))
		w.ok(err)
	}},
	{"NothingOfAnotherTenant", func(w *world) { // case 94
		e := w.event(1, 1)
		w.append(e)
		k := key(e, 1)
		w.record(w.outcome(k, 1, hook.Failed))
		entry := &hook.AuditEntry{At: w.now, Action: "a", Tenant: "t", TenantNum: 1, Result: hook.AuditDone}
		_, err := w.st.Configure(w.Context(), &store.Change{Audit: []*hook.AuditEntry{entry}})
		w.ok(err)
		for _, of := range []struct {
			tenant hook.TenantNum
			found  int
		}{{1, 1}, {hook.AllTenants, 1}, {2, 0}, {0, 0}} { // 0: somebody forgot to say
			events, err := w.st.Events(w.Context(), store.EventQuery{Tenant: of.tenant, Limit: 10})
			w.ok(err)
			deliveries, err := w.st.Deliveries(w.Context(), store.DeliveryQuery{Tenant: of.tenant, Limit: 10})
			w.ok(err)
			failed, err := w.st.Deliveries(w.Context(), store.DeliveryQuery{Tenant: of.tenant, Endpoint: 1, States: []hook.DeliveryState{hook.Failed}, Limit: 10})
			w.ok(err)
			ofEvent, err := w.st.Deliveries(w.Context(), store.DeliveryQuery{Tenant: of.tenant, Event: e.ID, Limit: 10})
			w.ok(err)
			attempts, err := w.st.Attempts(w.Context(), of.tenant, k)
			w.ok(err)
			audit, err := w.st.AuditLog(w.Context(), store.AuditQuery{Tenant: of.tenant, Limit: 10})
			w.ok(err)
			w.same([]int{of.found, of.found, of.found, of.found, of.found, of.found},
				[]int{len(events.Events), len(deliveries.Deliveries), len(failed.Deliveries), len(ofEvent.Deliveries), len(attempts), len(audit.Entries)})
			if of.found == 0 {
				_, err = w.st.Event(w.Context(), of.tenant, e.ID)
				w.missing(err)
				_, err = w.st.Delivery(w.Context(), of.tenant, k)
				w.missing(err)
				w.missing(w.st.Redeliver(w.Context(), of.tenant, k, w.now))
				w.state(k, hook.Failed, 1)
			}
		}
		w.ok(w.st.Redeliver(w.Context(), 1, k, w.now))
		w.state(k, hook.Pending, 1)
	}},
	{"Deliveries", func(w *world) {
		all := w.mixed()
		k := all[len(all)/2].Key
		queries := []store.DeliveryQuery{
			{Tenant: hook.AllTenants}, {Tenant: 1}, {Tenant: 2}, {Tenant: hook.AllTenants, Endpoint: 1}, {Tenant: hook.AllTenants, Endpoint: 3}, {Tenant: hook.AllTenants, Endpoint: 9}, {Tenant: 2, Endpoint: 1}, {Tenant: hook.AllTenants, Event: k.Event}, {Tenant: hook.AllTenants, Event: k.Event, Endpoint: k.Endpoint},
			{Tenant: hook.AllTenants, Type: "other.thing"}, {Tenant: hook.AllTenants, Since: k.Event.Time()}, {Tenant: hook.AllTenants, Until: k.Event.Time()}, {Tenant: hook.AllTenants, Before: k}, {Tenant: 1, Before: k}, {Tenant: hook.AllTenants, Endpoint: k.Endpoint, Before: k},
			{Tenant: 2, Event: k.Event}, {Tenant: hook.AllTenants, After: k}, {Tenant: 1, After: k}, {Tenant: hook.AllTenants, Endpoint: k.Endpoint, After: k}, {Tenant: hook.AllTenants, After: k, Before: all[3].Key}, {Tenant: hook.AllTenants, Event: k.Event, After: k},
		}
		for _, st := range []hook.DeliveryState{hook.Pending, hook.Held, hook.Delivered, hook.Failed, hook.Cancelled} {
			queries = append(queries, store.DeliveryQuery{Tenant: hook.AllTenants, States: []hook.DeliveryState{st}}, store.DeliveryQuery{Tenant: 1, States: []hook.DeliveryState{st}},
				store.DeliveryQuery{Tenant: hook.AllTenants, Endpoint: 2, States: []hook.DeliveryState{st}}, store.DeliveryQuery{Tenant: 2, Endpoint: 3, States: []hook.DeliveryState{st}, Before: k},
				store.DeliveryQuery{Tenant: hook.AllTenants, Endpoint: 2, States: []hook.DeliveryState{st}, After: k}, store.DeliveryQuery{Tenant: 1, States: []hook.DeliveryState{st}, After: k})
		}
		queries = append(queries, store.DeliveryQuery{Tenant: 1, States: []hook.DeliveryState{hook.Held, hook.Failed}}, store.DeliveryQuery{Tenant: hook.AllTenants, Endpoint: 1, States: []hook.DeliveryState{hook.Failed, hook.Pending}})
		for range 3 {
			for _, q := range queries {
				w.deliveries(q, all)
			}
			w.settle()
			w.crash()
		}
	}},
}

// events checks that paging finds exactly the events that a query describes, in
// both orders.
func (w *world) events(q store.EventQuery, all []*hook.Event) {
	w.Helper()
	var want []*hook.Event
	for _, e := range slices.Backward(all) {
		if (q.Tenant == hook.AllTenants || e.Tenant == q.Tenant) && (q.Type == "" || e.Type == q.Type) && inside(e.ID.Time(), q.Since, q.Until) &&
			(q.Before.IsZero() || string(e.ID[:]) < string(q.Before[:])) && string(e.ID[:]) > string(q.After[:]) {
			want = append(want, e)
		}
	}
	for _, limit := range []int{3, 100} {
		q.Limit, q.Oldest = limit, false
		w.same(want, w.pages(q))
	}
	slices.Reverse(want)
	for _, limit := range []int{3, 100} {
		q.Limit, q.Oldest = limit, true
		w.same(want, w.pages(q))
	}
}

// pages reads all pages of a query. One with the oldest first has Seen what it
// shows, and says so by never going back.
func (w *world) pages(q store.EventQuery) (got []*hook.Event) {
	w.Helper()
	for {
		p, err := w.st.Events(w.Context(), q)
		w.ok(err)
		got = append(got, p.Events...)
		if len(p.Events) > q.Limit {
			w.Fatalf("page of %d", len(p.Events))
		}
		if q.Oldest && (string(p.Seen[:]) < string(q.After[:]) || string(p.Seen[:]) < string(p.Next[:]) ||
			len(p.Events) > 0 && string(p.Seen[:]) < string(p.Events[len(p.Events)-1].ID[:])) {
			w.Fatalf("has seen up to %v, after %v with %d events, next %v", p.Seen, q.After, len(p.Events), p.Next)
		}
		if p.Next.IsZero() {
			return got
		}
		if q.Oldest {
			q.After = p.Next
		} else {
			q.Before = p.Next
		}
	}
}

func inside(at, since, until time.Time) bool {
	return (since.IsZero() || !at.Before(since)) && (until.IsZero() || at.Before(until))
}

// mixed stores deliveries in all states and returns them as they are to be
// listed.
func (w *world) mixed() []*hook.Delivery {
	w.Helper()
	var all []*hook.Delivery
	states := []hook.DeliveryState{hook.Pending, hook.Delivered, hook.Failed, hook.Held, hook.Cancelled, 0, hook.Delivered}
	n := 0
	for i := range 16 {
		e := w.event(hook.TenantNum(1+i%2), 1, 2, 3)
		if i%4 == 0 {
			e.Type = "other.thing"
			e.Targets[1].Disposition = hook.Suppressed
		}
		w.append(e)
		for j, t := range e.Targets {
			k := key(e, t.Endpoint)
			d := &hook.Delivery{Key: k, Tenant: e.Tenant, Type: e.Type, Number: e.Number + int64(j), State: hook.Pending}
			if t.Disposition != hook.Deliver {
				d.State = hook.Cancelled
			} else {
				w.put(d, states[n%len(states)])
				n++
			}
			all = append(all, d)
		}
	}
	slices.Reverse(all)
	return all
}

// put brings a delivery into a state; 0 leaves it fresh.
func (w *world) put(d *hook.Delivery, state hook.DeliveryState) {
	w.Helper()
	switch state {
	case 0:
		return
	case hook.Held, hook.Cancelled:
		w.record(w.change(d.Key, state, "said so"))
		d.Reason = "said so"
	default:
		o := w.outcome(d.Key, 1, state)
		w.record(o)
		d.Attempts, d.LastAt, d.Status, d.Reason, d.NextAt = 1, o.Attempt.At, o.Attempt.Status, o.Reason, o.NextAt
	}
	d.State = state
}

// deliveries checks that paging finds exactly what a query describes, in both
// orders. all is in the order of the list.
func (w *world) deliveries(q store.DeliveryQuery, all []*hook.Delivery, limits ...int) {
	w.Helper()
	if limits == nil {
		limits = []int{2, 100}
	}
	var want []*hook.Delivery
	past, short := q.Before.Event.IsZero(), false
	for _, d := range all {
		short = short || d.Key == q.After
		if past && !short && (q.Tenant == hook.AllTenants || d.Tenant == q.Tenant) && (q.Endpoint == 0 || d.Key.Endpoint == q.Endpoint) &&
			(q.Event.IsZero() || d.Key.Event == q.Event) && (q.Type == "" || d.Type == q.Type) && inside(d.Key.Event.Time(), q.Since, q.Until) &&
			(len(q.States) == 0 || slices.Contains(q.States, d.State)) {
			want = append(want, d)
		}
		past = past || d.Key == q.Before
	}
	for _, limit := range limits {
		q.Limit, q.Oldest = limit, false
		w.same(want, w.deliveryPages(q))
	}
	want = slices.Clone(want)
	slices.Reverse(want)
	for _, limit := range limits {
		q.Limit, q.Oldest = limit, true
		w.same(want, w.deliveryPages(q))
	}
}

func (w *world) deliveryPages(q store.DeliveryQuery) (got []*hook.Delivery) {
	w.Helper()
	for {
		p, err := w.st.Deliveries(w.Context(), q)
		w.ok(err)
		for _, d := range p.Deliveries {
			if d.State == hook.Cancelled && d.Reason != "said so" {
				d.Reason = "" // an engine's own words
			}
		}
		got = append(got, p.Deliveries...)
		if p.Next.Event.IsZero() {
			return got
		}
		if q.Oldest {
			q.After = p.Next
		} else {
			q.Before = p.Next
		}
	}
}
