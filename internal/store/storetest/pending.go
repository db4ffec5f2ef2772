package storetest

import (
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

var pendingTests = []test{
	{"OldestEventsFirstWheneverDue", func(w *world) {
		events := w.fill(8, 1, 1, 2)
		for i, m := range []int{5, 3, 8, 1, 9, 2, 7} {
			o := w.outcome(key(events[i], 1), 1, hook.Pending)
			o.NextAt = w.now.Add(time.Duration(m) * time.Minute)
			w.record(o)
		}
		w.record(w.outcome(key(events[2], 1), 2, hook.Delivered), w.change(key(events[4], 1), hook.Held, "paused"))
		for range 3 {
			w.inOrder(1, hook.EventID{}, 10, nil, events[0], events[1], events[3], events[5], events[6])
			w.inOrder(1, hook.EventID{}, 2, events[3], events[0], events[1])
			w.inOrder(1, events[3].ID, 2, events[6], events[3], events[5])
			w.inOrder(1, events[4].ID, 2, nil, events[5], events[6])
			w.inOrder(1, events[7].ID, 2, nil)
			w.inOrder(2, hook.EventID{}, 10, nil)
			w.settle()
			w.crash()
		}
	}},
	{"CarryWhatAnAttemptNeeds", func(w *world) {
		e := w.event(1, 1)
		e.OrderingKey = "k"
		w.append(e)
		o := w.outcome(key(e, 1), 1, hook.Pending)
		w.record(o)
		p, err := w.st.Pending(w.Context(), 1, hook.EventID{}, 10)
		w.ok(err)
		w.same([]*store.Work{{Event: e, Endpoint: 1, Attempts: 1, FirstAt: o.FirstAt, NextAt: o.NextAt, Body: o.Body}}, p.Work)
	}},
	{"WhatIsRedelivered", func(w *world) {
		events := w.fill(3, 1, 1)
		for _, e := range events {
			w.record(w.outcome(key(e, 1), 1, hook.Delivered))
		}
		w.ok(w.st.Redeliver(w.Context(), hook.AllTenants, key(events[2], 1), w.now))
		w.ok(w.st.Redeliver(w.Context(), hook.AllTenants, key(events[0], 1), w.now))
		w.inOrder(1, hook.EventID{}, 10, nil, events[0], events[2])
	}},
}

// inOrder checks what is pending, and where the next page begins (nil: nowhere).
func (w *world) inOrder(endpoint hook.EndpointNum, from hook.EventID, limit int, next *hook.Event, want ...*hook.Event) {
	w.Helper()
	p, err := w.st.Pending(w.Context(), endpoint, from, limit)
	w.ok(err)
	var got []hook.EventID
	for _, d := range p.Work {
		got = append(got, d.Event.ID)
	}
	w.same(ids(want...), got)
	var at int64 // of what follows, only its place counts
	if next != nil {
		at = next.ID.Seq()
	}
	w.same(at, p.Next.Seq())
}
