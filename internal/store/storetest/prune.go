package storetest

import (
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

var pruneTests = []test{
	{"RemovesWhatIsOver", func(w *world) {
		w.needsCuts()
		events := w.fill(30, 1, 1)
		for _, e := range events {
			w.record(w.outcome(key(e, 1), 1, hook.Delivered))
		}
		w.settle()
		p := w.prune(events[20].ID.Time(), nil)
		if p.Units == 0 || p.Events == 0 || p.Events > 20 || len(p.Expired) > 0 {
			w.Fatalf("pruned %+v", p)
		}
		for range 2 {
			_, err := w.st.Event(w.Context(), hook.AllTenants, events[0].ID)
			w.missing(err)
			got, err := w.st.Event(w.Context(), hook.AllTenants, events[29].ID)
			w.ok(err)
			w.same(events[29], got)
			w.events(store.EventQuery{Tenant: 1}, events[p.Events:])
			w.record(w.outcome(key(events[0], 1), 2, hook.Pending))
			w.missing(w.st.Redeliver(w.Context(), hook.AllTenants, key(events[0], 1), w.now))
			w.crash()
		}
	}},
	{"LastEventAndNumbersSurvive", func(w *world) {
		events := w.fill(20, 1, 1)
		for _, e := range events {
			w.record(w.outcome(key(e, 1), 1, hook.Delivered))
		}
		w.settle()
		w.prune(w.now.Add(time.Hour), nil)
		w.crash()
		last, err := w.st.LastEvent(w.Context())
		w.ok(err)
		w.same(events[19].ID, last)
		e := w.event(1, 1)
		w.append(e)
		w.same(events[19].Number+1, e.Number)
	}},
	{"PendingPins", func(w *world) {
		w.needsCuts()
		events := w.fill(30, 1, 1, 2)
		for i, e := range events {
			if i == 0 {
				w.record(w.outcome(key(e, 1), 1, hook.Pending))
			} else {
				w.record(w.outcome(key(e, 1), 1, hook.Delivered))
			}
			if i != 10 {
				w.record(w.outcome(key(e, 2), 1, hook.Delivered))
			}
		}
		w.settle()
		w.prune(w.now, nil)
		w.state(key(events[0], 1), hook.Pending, 1)
		w.state(key(events[10], 2), hook.Pending, 0)
		_, err := w.st.Event(w.Context(), hook.AllTenants, events[20].ID)
		w.missing(err)
		w.ok(w.st.Checkpoint(w.Context(), w.lease, store.Progress{Floor: events[20].ID, Behind: []store.LaneMark{{Endpoint: 2, From: events[10].ID}}}))
		w.prune(w.now, nil)
		w.state(key(events[0], 1), hook.Pending, 1)
		w.state(key(events[10], 2), hook.Pending, 0)
		w.record(w.outcome(key(events[0], 1), 2, hook.Failed), w.outcome(key(events[10], 2), 1, hook.Failed))
		w.prune(w.now, nil)
		_, err = w.st.Event(w.Context(), hook.AllTenants, events[0].ID)
		w.missing(err)
		_, err = w.st.Event(w.Context(), hook.AllTenants, events[10].ID)
		w.missing(err)
	}},
	{"InactiveAndHeldExpire", func(w *world) {
		w.needsCuts()
		events := w.fill(30, 1, 1, 2)
		for i, e := range events {
			switch {
			case i < 2:
				w.record(w.outcome(key(e, 1), 1, hook.Delivered), w.change(key(e, 2), hook.Held, "paused"))
			case i < 5:
				w.record(w.outcome(key(e, 1), 1, hook.Pending), w.outcome(key(e, 2), 1, hook.Delivered))
			default:
				w.record(w.outcome(key(e, 2), 1, hook.Delivered))
			}
		}
		w.settle()
		p := w.prune(w.now.Add(time.Hour), func(n hook.EndpointNum) bool { return n == 1 })
		if p.Events < 20 {
			w.Fatalf("pruned %+v", p)
		}
		w.same(map[hook.EndpointNum]int64{1: p.Events - 2, 2: 2}, p.Expired)
		for range 2 {
			s, err := w.st.Stats(w.Context())
			w.ok(err)
			w.same(p.Events, s.Expired)
			w.same(int64(30)-p.Events, s.Events)
			w.crash()
		}
	}},
	{"TheNewestGoesToo", func(w *world) {
		events := w.fill(3, 1, 1)
		for _, e := range events {
			w.record(w.outcome(key(e, 1), 1, hook.Delivered))
		}
		removed := int64(0)
		for range 2 {
			removed += w.prune(w.now.Add(time.Hour), nil).Events
			w.settle()
		}
		w.same(int64(3), removed)
		w.crash()
		w.events(store.EventQuery{Tenant: hook.AllTenants}, nil)
		e := w.event(1, 1)
		w.append(e)
		w.same(events[2].Number+1, e.Number)
	}},
	{"TooMuch", func(w *world) {
		w.needsCuts()
		events := w.fill(30, 1, 1)
		for _, e := range events {
			w.record(w.outcome(key(e, 1), 1, hook.Delivered))
		}
		w.settle()
		w.same(store.Pruned{}, w.pruneTo(w.size(), nil))
		p := w.pruneTo(w.size()/2, nil)
		if p.Units == 0 || p.Events == 0 || p.Events >= 29 || p.Over > 0 || p.Pinned > 0 {
			w.Fatalf("pruned %+v", p)
		}
		w.events(store.EventQuery{Tenant: hook.AllTenants}, events[p.Events:])
		rest := w.pruneTo(1, nil)
		if rest.Units == 0 || rest.Over <= 0 || rest.Pinned > 0 {
			w.Fatalf("pruned %+v", rest)
		}
		for range 2 {
			_, err := w.st.Event(w.Context(), hook.AllTenants, events[0].ID)
			w.missing(err)
			w.events(store.EventQuery{Tenant: hook.AllTenants}, events[p.Events+rest.Events:])
			got, err := w.st.Event(w.Context(), hook.AllTenants, events[29].ID) // what is written to stays
			w.ok(err)
			w.same(events[29], got)
			w.crash()
		}
	}},
	{"PendingPinsTooMuch", func(w *world) {
		w.needsCuts()
		events := w.fill(30, 1, 1, 2)
		for i, e := range events {
			switch {
			case i == 0:
				w.record(w.outcome(key(e, 1), 1, hook.Pending), w.outcome(key(e, 2), 1, hook.Delivered))
			case i == 10:
				w.record(w.outcome(key(e, 1), 1, hook.Delivered), w.change(key(e, 2), hook.Held, "paused"))
			default:
				w.record(w.outcome(key(e, 1), 1, hook.Delivered), w.outcome(key(e, 2), 1, hook.Delivered))
			}
		}
		w.settle()
		w.ok(w.st.Checkpoint(w.Context(), w.lease, store.Progress{Floor: events[29].ID}))
		p := w.pruneTo(1, nil)
		if p.Units == 0 || p.Over <= 0 || p.Pinned != 1 {
			w.Fatalf("pruned %+v", p)
		}
		w.same(map[hook.EndpointNum]int64{2: 1}, p.Expired)
		w.state(key(events[0], 1), hook.Pending, 1)
		_, err := w.st.Event(w.Context(), hook.AllTenants, events[10].ID)
		w.missing(err)
		p = w.pruneTo(1, func(n hook.EndpointNum) bool { return n == 1 })
		w.same(map[hook.EndpointNum]int64{1: 1}, p.Expired)
		w.same(0, p.Pinned)
		_, err = w.st.Event(w.Context(), hook.AllTenants, events[0].ID)
		w.missing(err)
	}},
	{"NothingOldEnough", func(w *world) {
		events := w.fill(20, 1, 1)
		for _, e := range events {
			w.record(w.outcome(key(e, 1), 1, hook.Delivered))
		}
		w.settle()
		w.same(store.Pruned{}, w.prune(events[0].ID.Time(), nil))
		w.events(store.EventQuery{Tenant: hook.AllTenants}, events)
	}},
}

// prune prunes. What a rehearsal says of a settled store is at least what goes.
func (w *world) prune(before time.Time, inactive func(hook.EndpointNum) bool) store.Pruned {
	w.Helper()
	return w.pruneBy(store.PruneQuery{Before: before, Inactive: inactive})
}

// pruneTo prunes what is too much, whatever its age. A rehearsal says exactly what
// goes.
func (w *world) pruneTo(bytes int64, inactive func(hook.EndpointNum) bool) store.Pruned {
	w.Helper()
	would, err := w.st.Prune(w.Context(), store.PruneQuery{Bytes: bytes, Inactive: inactive, DryRun: true})
	w.ok(err)
	p := w.pruneBy(store.PruneQuery{Bytes: bytes, Inactive: inactive})
	w.same(would, p)
	return p
}

// size is what the store takes on the disk.
func (w *world) size() int64 {
	w.Helper()
	s, err := w.st.Stats(w.Context())
	w.ok(err)
	return s.Bytes
}

func (w *world) pruneBy(q store.PruneQuery) store.Pruned {
	w.Helper()
	if q.Inactive == nil {
		q.Inactive = func(hook.EndpointNum) bool { return false }
	}
	was, dry := w.stored(), q
	dry.DryRun = true
	would, err := w.st.Prune(w.Context(), dry)
	w.ok(err)
	w.same(was, w.stored())
	p, err := w.st.Prune(w.Context(), q)
	w.ok(err)
	if p.Units > would.Units || p.Events > would.Events {
		w.Fatalf("pruned %+v, and would have pruned %+v", p, would)
	}
	return p
}

// stored is how many events there are.
func (w *world) stored() int64 {
	w.Helper()
	s, err := w.st.Stats(w.Context())
	w.ok(err)
	return s.Events
}

func (w *world) needsCuts() {
	w.Helper()
	if !w.h.Cuts {
		w.t.Skip("the log is not cut every few events here")
	}
}
