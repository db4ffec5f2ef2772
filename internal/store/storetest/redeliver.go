package storetest

import (
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

var redeliverTests = []test{
	{"FromEveryState", func(w *world) {
		events := w.fill(9, 1, 1)
		k := func(i int) hook.DeliveryKey { return key(events[i], 1) }
		w.record(w.outcome(k(0), 1, hook.Delivered), w.outcome(k(1), 1, hook.Pending), w.change(k(3), hook.Held, "paused"), w.change(k(4), hook.Cancelled, "c"))
		w.record(w.outcome(k(1), 2, hook.Failed), w.outcome(k(2), 1, hook.Pending))
		w.settle()
		attempts := []int{1, 2, 1, 0, 0}
		for i, n := range attempts {
			now := w.now.Add(time.Duration(i) * time.Second)
			w.ok(w.st.Redeliver(w.Context(), hook.AllTenants, k(i), now))
			w.state(k(i), hook.Pending, n)
			due, _, err := w.st.Retries(w.Context(), 1, now, 10)
			w.ok(err)
			got := due[len(due)-1]
			if got.Key() != k(i) || got.Trigger != hook.Manual || got.Attempts != n || got.Base != n || !got.FirstAt.IsZero() || !got.NextAt.Equal(now) {
				w.Fatalf("work of delivery %d is %+v", i, got)
			}
		}
		due, _, err := w.st.Retries(w.Context(), 1, w.now.Add(time.Minute), 10)
		w.ok(err)
		w.same("body of "+k(1).String(), string(due[1].Body))
		o := w.outcome(k(1), 3, hook.Pending)
		o.Base = 2
		w.record(o, w.outcome(k(0), 2, hook.Delivered))
		w.crash()
		w.state(k(0), hook.Delivered, 2)
		due, _, err = w.st.Retries(w.Context(), 1, w.now.Add(time.Hour), 10)
		w.ok(err)
		for _, d := range due {
			if d.Key() == k(1) && (d.Trigger != hook.Scheduled || d.Base != 2 || d.Attempts != 3) {
				w.Fatalf("after its first attempt the redelivery is %+v", d)
			}
		}
	}},
	{"OutlastsAnOlderOutcome", func(w *world) {
		// The attempt that was running when somebody asked is recorded, and does not
		// take the redelivery away, unless it delivered.
		events := w.fill(2, 1, 1)
		failed, delivered := key(events[0], 1), key(events[1], 1)
		w.record(w.outcome(failed, 1, hook.Pending), w.outcome(delivered, 1, hook.Pending))
		w.ok(w.st.Redeliver(w.Context(), hook.AllTenants, failed, w.now))
		w.ok(w.st.Redeliver(w.Context(), hook.AllTenants, delivered, w.now))
		w.record(w.change(failed, hook.Held, "older"), w.outcome(failed, 2, hook.Failed), w.outcome(delivered, 2, hook.Delivered))
		w.state(failed, hook.Pending, 2)
		w.state(delivered, hook.Delivered, 2)
		due, _, err := w.st.Retries(w.Context(), 1, w.now, 10)
		w.ok(err)
		if len(due) != 1 || due[0].Key() != failed || due[0].Attempts != 2 || due[0].Base != 2 || due[0].Trigger != hook.Manual {
			w.Fatalf("due: %+v", due)
		}
	}},
	{"FreshStaysFresh", func(w *world) {
		events := w.fill(6, 1, 1)
		w.ok(w.st.Redeliver(w.Context(), hook.AllTenants, key(events[0], 1), w.now))
		w.same(ids(events...), w.fresh(1, hook.EventID{}, 10))
		due, _, err := w.st.Retries(w.Context(), 1, w.now.Add(time.Hour), 10)
		w.ok(err)
		w.same([]*store.Work(nil), due)
	}},
	{"WhatWasNotToBeSent", func(w *world) {
		e := w.event(1, 1)
		e.Targets[0].Disposition = hook.Suppressed
		w.append(e)
		w.state(key(e, 1), hook.Cancelled, 0)
		w.ok(w.st.Redeliver(w.Context(), hook.AllTenants, key(e, 1), w.now))
		w.state(key(e, 1), hook.Pending, 0)
	}},
	{"Missing", func(w *world) {
		e := w.event(1, 1)
		w.missing(w.st.Redeliver(w.Context(), hook.AllTenants, key(e, 1), w.now))
		w.append(e)
		w.missing(w.st.Redeliver(w.Context(), hook.AllTenants, key(e, 2), w.now))
		other := hook.EventIDFrom(e.ID.Seq(), e.ID.Tail()+1)
		w.missing(w.st.Redeliver(w.Context(), hook.AllTenants, hook.DeliveryKey{Event: other, Endpoint: 1}, w.now))
	}},
}
