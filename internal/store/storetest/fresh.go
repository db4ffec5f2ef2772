package storetest

import (
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

var freshTests = []test{
	{"OldestFirstAcrossUnits", func(w *world) {
		var mine []*hook.Event
		for i := range 20 {
			e := w.event(1, 1)
			if i%2 == 0 {
				e.Targets = append(e.Targets, hook.Target{Endpoint: 2})
				mine = append(mine, e)
			}
			w.append(e)
		}
		for range 3 {
			w.same(ids(mine...), w.fresh(2, hook.EventID{}, 3))
			w.same(ids(mine[4:]...), w.fresh(2, mine[4].ID, 100))
			w.same([]hook.EventID(nil), w.fresh(3, hook.EventID{}, 3))
			w.settle()
			w.crash()
		}
		p, err := w.st.Fresh(w.Context(), store.FreshQuery{Endpoint: 2, From: mine[1].ID, Before: mine[3].ID, Limit: 10})
		w.ok(err)
		if len(p.Work) != 2 || !p.Next.IsZero() {
			w.Fatalf("%d between two ids, next %v", len(p.Work), p.Next)
		}
		w.same(&store.Work{Event: mine[1], Endpoint: 2}, p.Work[0])
	}},
	{"OnlyWhatIsToBeSent", func(w *world) {
		e := w.event(1, 1, 2, 3)
		e.Targets[1].Disposition, e.Targets[2].Disposition = hook.Inactive, hook.Suppressed
		w.append(e)
		w.same(ids(e), w.fresh(1, hook.EventID{}, 9))
		w.same(ids(), w.fresh(2, hook.EventID{}, 9))
		w.same(ids(), w.fresh(3, hook.EventID{}, 9))
		w.same(map[hook.EndpointNum]store.Lane{1: {Endpoint: 1, Fresh: e.ID}}, w.lanes())
	}},
	{"RecordedIsNotFresh", func(w *world) {
		events := w.fill(8, 1, 1)
		w.record(w.outcome(key(events[0], 1), 1, hook.Delivered), w.outcome(key(events[1], 1), 1, hook.Pending),
			w.change(key(events[2], 1), hook.Held, "paused"), w.outcome(key(events[5], 1), 1, hook.Failed))
		for range 3 {
			w.same(ids(events[3], events[4], events[6], events[7]), w.fresh(1, hook.EventID{}, 2))
			w.settle()
			w.crash()
		}
	}},
	{"LanesAfterACheckpoint", func(w *world) {
		events := w.fill(9, 1, 1, 2, 3)
		for i, e := range events {
			if i != 2 {
				w.record(w.outcome(key(e, 1), 1, hook.Delivered))
			}
			if i < 7 {
				w.record(w.outcome(key(e, 2), 1, hook.Delivered), w.outcome(key(e, 3), 1, hook.Delivered))
			}
		}
		w.record(w.outcome(key(events[7], 2), 1, hook.Pending))
		w.ok(w.st.Checkpoint(w.Context(), w.lease, store.Progress{Floor: events[5].ID, Behind: []store.LaneMark{{Endpoint: 1, From: events[2].ID}}}))
		want := map[hook.EndpointNum]store.Lane{
			1: {Endpoint: 1, Fresh: events[2].ID},
			2: {Endpoint: 2, Fresh: events[8].ID, NextAt: w.now.Add(time.Minute)},
			3: {Endpoint: 3, Fresh: events[7].ID},
		}
		for range 3 {
			w.same(want, w.lanes())
			w.settle()
			w.crash()
		}
		w.ok(w.st.Checkpoint(w.Context(), w.lease, store.Progress{Floor: events[5].ID, CaughtUp: []hook.EndpointNum{1}}))
		delete(want, 1)
		w.same(want, w.lanes())
	}},
	{"LanesSayHowMuchWaits", func(w *world) {
		events := w.fill(20, 1, 1, 2)
		for _, e := range events[:10] {
			w.record(w.outcome(key(e, 1), 1, hook.Delivered), w.outcome(key(e, 2), 1, hook.Pending))
		}
		floor := hook.EventIDFrom(w.seq+1, 0) // as of a server all of whose lanes are behind
		w.ok(w.st.Checkpoint(w.Context(), w.lease, store.Progress{Floor: floor, Behind: []store.LaneMark{{Endpoint: 1, From: events[10].ID}, {Endpoint: 2, From: events[15].ID}}}))
		for range 3 {
			got := w.waiting()
			w.same(int64(10), got[1].Waiting)
			w.same(int64(15), got[2].Waiting) // those that are pending, and what is fresh from the mark on
			w.settle()
			w.crash()
		}
	}},
	{"LanesOfAnEmptyStore", func(w *world) {
		w.same(map[hook.EndpointNum]store.Lane{}, w.lanes())
	}},
}
