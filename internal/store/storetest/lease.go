package storetest

import (
	"errors"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

var leaseTests = []test{
	{"CoversSomething", func(w *world) {
		if w.lease.Partitions == 0 || w.lease.Token == 0 || w.lease.Node != "test" {
			w.Fatalf("lease is %+v", w.lease)
		}
		l, err := w.st.Renew(w.Context(), w.lease)
		w.ok(err)
		w.same(w.lease.Token, l.Token)
	}},
	// I10: what an old token says changes nothing.
	{"OldTokenChangesNothing", func(w *world) {
		e := w.event(1, 7, 8)
		w.append(e)
		w.record(w.outcome(key(e, 8), 1, hook.Pending))
		old := w.lease
		w.crash()
		if w.lease.Token <= old.Token {
			w.Fatalf("token %d after %d", w.lease.Token, old.Token)
		}
		w.lost(w.st.Record(w.Context(), old, []*store.Outcome{w.outcome(key(e, 7), 1, hook.Delivered), w.outcome(key(e, 8), 2, hook.Failed)}))
		w.lost(w.st.Checkpoint(w.Context(), old, store.Progress{Floor: w.id()}))
		_, err := w.st.Lanes(w.Context(), old)
		w.lost(err)
		_, err = w.st.Renew(w.Context(), old)
		w.lost(err)
		w.state(key(e, 7), hook.Pending, 0)
		w.state(key(e, 8), hook.Pending, 1)
		w.same(e.ID, w.lanes()[7].Fresh)
	}},
	{"ReleasedLeaseAllowsNothing", func(w *world) {
		e := w.event(1, 7)
		w.append(e)
		old := w.lease
		w.ok(w.st.Release(w.Context(), old))
		w.lost(w.st.Record(w.Context(), old, []*store.Outcome{w.outcome(key(e, 7), 1, hook.Delivered)}))
		w.acquire()
		w.record(w.outcome(key(e, 7), 1, hook.Delivered))
	}},
}

func (w *world) lost(err error) {
	w.Helper()
	if !errors.Is(err, store.ErrLeaseLost) {
		w.Fatalf("got %v, want ErrLeaseLost", err)
	}
}
