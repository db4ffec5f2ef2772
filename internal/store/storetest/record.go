package storetest

import (
	"sync"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

var recordTests = []test{
	{"AttemptsKeepEveryField", func(w *world) {
		e := w.event(1, 1)
		w.append(e)
		k := key(e, 1)
		outs := []*store.Outcome{w.outcome(k, 1, hook.Pending), w.outcome(k, 2, hook.Pending), w.outcome(k, 3, hook.Delivered)}
		outs[0].Attempt = w.attempt(k, 1, 0, hook.Pending)
		outs[0].Attempt.NextAt = outs[0].NextAt
		outs[1].Attempt.Trigger = hook.Manual
		w.record(outs...)
		for range 2 {
			got, err := w.st.Attempts(w.Context(), hook.AllTenants, k)
			w.ok(err)
			w.same([]*hook.Attempt{outs[0].Attempt, outs[1].Attempt, outs[2].Attempt}, got)
			d := w.delivery(k)
			w.same(&hook.Delivery{
				Key: k, Tenant: 1, Type: e.Type, Number: e.Number, State: hook.Delivered, Attempts: 3,
				LastAt: outs[2].Attempt.At, Status: 200,
			}, d)
			w.crash()
		}
	}},
	{"EveryState", func(w *world) {
		events := w.fill(9, 1, 1)
		k := func(i int) hook.DeliveryKey { return key(events[i], 1) }
		w.record(w.outcome(k(0), 1, hook.Delivered), w.outcome(k(1), 1, hook.Pending), w.outcome(k(2), 1, hook.Failed),
			w.change(k(3), hook.Held, "paused"), w.change(k(4), hook.Cancelled, "endpoint deleted"), w.change(k(5), hook.Pending, ""))
		w.record(w.outcome(k(1), 2, hook.Delivered), w.change(k(3), hook.Pending, ""))
		w.record(w.outcome(k(3), 1, hook.Delivered))
		for range 3 {
			w.state(k(0), hook.Delivered, 1)
			w.state(k(1), hook.Delivered, 2)
			w.state(k(2), hook.Failed, 1)
			w.state(k(3), hook.Delivered, 1)
			w.state(k(4), hook.Cancelled, 0)
			w.state(k(5), hook.Pending, 0)
			w.state(k(6), hook.Pending, 0)
			w.same("given up", w.delivery(k(2)).Reason)
			w.same("endpoint deleted", w.delivery(k(4)).Reason)
			w.settle()
			w.crash()
		}
	}},
	// I8: a terminal state stays, and what is recorded is not recorded again.
	{"LateOutcomesChangeNothing", func(w *world) {
		events := w.fill(9, 1, 1)
		k := func(i int) hook.DeliveryKey { return key(events[i], 1) }
		w.record(w.outcome(k(0), 1, hook.Delivered), w.outcome(k(1), 1, hook.Failed), w.outcome(k(2), 1, hook.Pending), w.change(k(3), hook.Cancelled, "c"))
		for range 2 {
			w.record(w.outcome(k(0), 1, hook.Failed), w.outcome(k(0), 2, hook.Pending), w.change(k(0), hook.Held, "h"),
				w.outcome(k(1), 2, hook.Delivered), w.outcome(k(2), 1, hook.Failed), w.outcome(k(3), 1, hook.Delivered))
			w.state(k(0), hook.Delivered, 1)
			w.state(k(1), hook.Failed, 1)
			w.state(k(2), hook.Pending, 1)
			w.state(k(3), hook.Cancelled, 0)
			w.settle()
			w.crash()
		}
		gone := w.event(1, 1)
		w.record(w.outcome(key(gone, 1), 1, hook.Delivered), w.outcome(key(events[0], 99), 1, hook.Delivered))
		_, err := w.st.Delivery(w.Context(), hook.AllTenants, key(gone, 1))
		w.missing(err)
	}},
	{"ManyAtOnce", func(w *world) {
		const callers, each = 8, 25
		events := w.fill(callers*each/4, 1, 1, 2, 3, 4)
		var keys []hook.DeliveryKey
		for _, e := range events {
			for _, t := range e.Targets {
				keys = append(keys, key(e, t.Endpoint))
			}
		}
		var wg sync.WaitGroup
		for i := range callers {
			var outs []*store.Outcome
			for j, k := range keys[i*each : (i+1)*each] {
				outs = append(outs, w.outcome(k, 1, [...]hook.DeliveryState{hook.Delivered, hook.Pending, hook.Failed}[j%3]))
			}
			wg.Go(func() {
				for _, o := range outs {
					if err := w.st.Record(w.Context(), w.lease, []*store.Outcome{o}); err != nil {
						w.Error(err)
					}
				}
			})
		}
		wg.Go(func() {
			for range 20 {
				if err := w.st.Append(w.Context(), &store.Batch{Revision: 1 << 40, Events: []*hook.Event{w.event(2, 9)}}); err != nil {
					w.Error(err)
				}
			}
		})
		wg.Wait()
		for i, k := range keys {
			w.state(k, [...]hook.DeliveryState{hook.Delivered, hook.Pending, hook.Failed}[i%each%3], 1)
		}
		if got := len(w.fresh(9, hook.EventID{}, 7)); got != 20 {
			w.Fatalf("%d fresh, want 20", got)
		}
	}},
	{"TimesAreExact", func(w *world) {
		e := w.event(1, 1)
		w.append(e)
		o := w.outcome(key(e, 1), 1, hook.Pending)
		o.NextAt = time.Date(2026, 3, 4, 5, 6, 7, 89, time.UTC)
		w.record(o)
		w.same(o.NextAt, w.delivery(key(e, 1)).NextAt)
	}},
}
