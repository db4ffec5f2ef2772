package storetest

import (
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

var reopenTests = []test{
	// case 1: what was acknowledged is there, in whatever state the files are.
	{"CrashBetweenAnySteps", func(w *world) {
		var events []*hook.Event
		for i := range 12 {
			e := w.keyed(1, string(rune('a'+i)), 1, 2)
			w.append(e)
			events = append(events, e)
			if i%3 == 0 {
				w.crash()
			}
			w.record(w.outcome(key(e, 1), 1, hook.Delivered))
			if i%3 == 1 {
				w.crash()
			}
			w.record(w.outcome(key(e, 2), 1, hook.Pending))
			if i%3 == 2 {
				w.settle()
				w.crash()
			}
		}
		for _, e := range events {
			got, err := w.st.Event(w.Context(), hook.AllTenants, e.ID)
			w.ok(err)
			w.same(e, got)
			w.state(key(e, 1), hook.Delivered, 1)
			w.state(key(e, 2), hook.Pending, 1)
		}
	}},
	{"OrderlyAndBack", func(w *world) {
		events := w.fill(9, 1, 1)
		w.reopen()
		events = append(events, w.fill(9, 1, 1)...)
		w.reopen()
		w.same(ids(events...), w.fresh(1, hook.EventID{}, 4))
		s, err := w.st.Stats(w.Context())
		w.ok(err)
		if s.Events != 18 || s.Units < 1 || s.Bytes <= 0 || !s.Writable || s.Problem != "" || s.Engine == "" || s.Durability == "" || !s.Oldest.Equal(events[0].ID.Time()) {
			w.Fatalf("stats are %+v", s)
		}
	}},
	{"ProgressSurvives", func(w *world) {
		events := w.fill(9, 1, 1)
		for _, e := range events[:6] {
			w.record(w.outcome(key(e, 1), 1, hook.Delivered))
		}
		w.ok(w.st.Checkpoint(w.Context(), w.lease, store.Progress{Floor: events[6].ID}))
		w.crash()
		w.same(events[6].ID, w.lanes()[1].Fresh)
	}},
}
