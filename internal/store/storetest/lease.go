package storetest

import (
	"errors"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

var leaseTests = []test{
	{"CoversSomething", func(w *world) {
		if w.lease.Partitions == 0 || w.lease.Node != "test" {
			w.Fatalf("lease is %+v", w.lease)
		}
		for p, token := range w.lease.Tokens {
			if held := w.lease.Partitions>>p&1 == 1; held && token == 0 {
				w.Fatalf("partition %d has no token", p)
			}
		}
		l, err := w.st.Renew(w.Context(), w.lease)
		w.ok(err)
		w.same(w.lease.Partitions, l.Under(&w.lease))
	}},
	// I10: what an old token says changes nothing.
	{"OldTokenChangesNothing", func(w *world) {
		e := w.event(1, 7, 8)
		w.append(e)
		w.record(w.outcome(key(e, 8), 1, hook.Pending))
		old := w.lease
		w.crash()
		for p, token := range w.lease.Tokens {
			if w.lease.Partitions&old.Partitions>>p&1 == 1 && token <= old.Tokens[p] {
				w.Fatalf("partition %d has token %d after %d", p, token, old.Tokens[p])
			}
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
	// One token out of date is enough, whatever else is in the batch.
	{"BatchIsRefusedAsAWhole", func(w *world) {
		e := w.event(1, 7, 8)
		w.append(e)
		half := w.lease
		half.Tokens[store.PartitionOf(8)]--
		w.lost(w.st.Record(w.Context(), half, []*store.Outcome{w.outcome(key(e, 7), 1, hook.Delivered), w.outcome(key(e, 8), 1, hook.Delivered)}))
		rest := w.lease.Only(^uint64(0) &^ (1 << store.PartitionOf(8)))
		w.lost(w.st.Record(w.Context(), rest, []*store.Outcome{w.outcome(key(e, 7), 1, hook.Delivered), w.outcome(key(e, 8), 1, hook.Delivered)}))
		w.state(key(e, 7), hook.Pending, 0)
		w.state(key(e, 8), hook.Pending, 0)
		w.ok(w.st.Record(w.Context(), rest, []*store.Outcome{w.outcome(key(e, 7), 1, hook.Delivered)}))
		w.state(key(e, 7), hook.Delivered, 1)
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
	// What a replay does is done under the lease of a partition: no node that has lost
	// it does more, or says so.
	{"ReplaysAreFenced", func(w *world) {
		shared, ok := w.st.(store.ReplaySharer)
		running := fullReplay("rpl_1")
		running.State, running.FinishedAt = hook.ReplayRunning, time.Time{}
		e := w.event(1, 7)
		w.append(e)
		w.record(w.outcome(key(e, 7), 1, hook.Failed))
		rev, err := w.st.Configure(w.Context(), &store.Change{Replays: []*hook.Replay{running, fullReplay("rpl_2")}})
		w.ok(err)
		under := w.lease.Only(1 << 5)
		note := func(redelivered int64, l store.Lease) error {
			noted := *running
			noted.Redelivered = redelivered
			_, err := w.st.Configure(w.Context(), &store.Change{Base: rev, Note: true, Replays: []*hook.Replay{&noted}, Lease: &l})
			return err
		}
		w.ok(note(4, under))
		want := func(redelivered int64) {
			w.Helper()
			if !ok {
				return
			}
			all, err := shared.RunningReplays(w.Context())
			w.ok(err)
			noted := *running
			noted.Redelivered = redelivered
			w.same([]*hook.Replay{&noted}, all)
		}
		want(4)
		if !ok {
			return // one process, which does not ask
		}
		w.ok(w.st.Release(w.Context(), w.lease))
		w.lost(note(5, under))
		w.lost(shared.RedeliverUnder(w.Context(), under, hook.AllTenants, key(e, 7), w.now))
		w.state(key(e, 7), hook.Failed, 1)
		w.acquire()
		w.lost(note(5, under))
		w.lost(shared.RedeliverUnder(w.Context(), under, hook.AllTenants, key(e, 7), w.now))
		want(4)
		under = w.lease.Only(1 << 5)
		w.ok(note(6, under))
		want(6)
		w.ok(shared.RedeliverUnder(w.Context(), under, hook.AllTenants, key(e, 7), w.now))
		w.state(key(e, 7), hook.Pending, 1)
		ended := *running
		ended.State, ended.FinishedAt = hook.ReplayCancelled, epoch
		_, err = w.st.Configure(w.Context(), &store.Change{Replays: []*hook.Replay{&ended}})
		w.ok(err)
		all, err := shared.RunningReplays(w.Context())
		w.ok(err)
		w.same([]*hook.Replay(nil), all)
	}},
}

func (w *world) lost(err error) {
	w.Helper()
	if !errors.Is(err, store.ErrLeaseLost) {
		w.Fatalf("got %v, want ErrLeaseLost", err)
	}
}
