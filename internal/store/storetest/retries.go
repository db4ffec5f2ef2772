package storetest

import (
	"math"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

var retriesTests = []test{
	{"EarliestFirstAcrossUnits", func(w *world) {
		events := w.fill(8, 1, 1, 2)
		now := w.now
		at := []int{5, 3, 8, 1, 9, 2, 7}
		for i, m := range at {
			o := w.outcome(key(events[i], 1), 1, hook.Pending)
			o.NextAt = now.Add(time.Duration(m) * time.Minute)
			w.record(o)
		}
		for range 3 {
			w.retries(1, now.Add(5*time.Minute), 10, now.Add(7*time.Minute), events[3], events[5], events[1], events[0])
			w.retries(1, now.Add(5*time.Minute), 2, now.Add(3*time.Minute), events[3], events[5])
			w.retries(1, now, 10, now.Add(time.Minute))
			w.retries(1, now.Add(time.Hour), 10, time.Time{}, events[3], events[5], events[1], events[0], events[6], events[2], events[4])
			w.retries(2, now.Add(time.Hour), 10, time.Time{})
			w.settle()
			w.crash()
		}
	}},
	{"AnyTimeIsABound", func(w *world) { // a caller that wants all of them asks for the end of time
		events := w.fill(3, 1, 1)
		for _, e := range events[:2] {
			o := w.outcome(key(e, 1), 1, hook.Pending)
			o.NextAt = w.now.Add(10 * time.Minute)
			w.record(o)
		}
		far := w.outcome(key(events[2], 1), 1, hook.Pending)
		far.NextAt = w.now.AddDate(150, 0, 0)
		w.record(far)
		for range 2 {
			for _, until := range []time.Time{time.Unix(0, math.MaxInt64), time.Unix(1<<40, 0), time.Unix(1<<60, 0), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)} {
				w.retries(1, until, 10, time.Time{}, events...)
			}
			for _, until := range []time.Time{{}, time.Unix(-1<<40, 0), time.Unix(0, math.MinInt64)} {
				w.retries(1, until, 10, w.now.Add(10*time.Minute))
			}
			w.settle()
			w.crash()
		}
	}},
	{"CarryWhatAnAttemptNeeds", func(w *world) {
		e := w.keyed(1, "k", 1)
		w.append(e)
		o := w.outcome(key(e, 1), 1, hook.Pending)
		w.record(o)
		o2 := w.outcome(key(e, 1), 2, hook.Pending)
		o2.Body, o2.FirstAt, o2.NextAt = nil, o.FirstAt, o.NextAt.Add(time.Hour)
		w.record(o2)
		due, _, err := w.st.Retries(w.Context(), 1, o2.NextAt, 10)
		w.ok(err)
		w.same([]*store.Work{{Event: e, Endpoint: 1, Attempts: 2, FirstAt: o.FirstAt, NextAt: o2.NextAt, Body: o.Body}}, due)
	}},
	{"NoMoreWhenOver", func(w *world) {
		events := w.fill(5, 1, 1)
		for _, e := range events {
			w.record(w.outcome(key(e, 1), 1, hook.Pending))
		}
		due := w.now.Add(time.Minute)
		w.record(w.outcome(key(events[0], 1), 2, hook.Delivered), w.outcome(key(events[1], 1), 2, hook.Failed),
			w.change(key(events[2], 1), hook.Held, "paused"), w.change(key(events[3], 1), hook.Cancelled, "gone"))
		w.retries(1, due, 10, time.Time{}, events[4])
		w.same(due, w.lanes()[1].NextAt)
		w.record(w.outcome(key(events[4], 1), 2, hook.Delivered))
		w.retries(1, due, 10, time.Time{})
		w.same(map[hook.EndpointNum]store.Lane{}, w.lanes())
		back := w.change(key(events[2], 1), hook.Pending, "")
		back.NextAt = due
		w.record(back)
		w.retries(1, due, 10, time.Time{}, events[2])
	}},
}

// retries checks what is due and when the next one is.
func (w *world) retries(endpoint hook.EndpointNum, until time.Time, limit int, next time.Time, want ...*hook.Event) {
	w.Helper()
	due, at, err := w.st.Retries(w.Context(), endpoint, until, limit)
	w.ok(err)
	var got []hook.EventID
	for _, d := range due {
		got = append(got, d.Event.ID)
	}
	w.same(ids(want...), got)
	w.same(next, at)
}
