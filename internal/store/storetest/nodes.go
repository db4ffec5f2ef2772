package storetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// nodesTests are for engines that several nodes share: they need Harness.Another.
var nodesTests = []test{
	// Nodes whose clocks differ append at once, each sends what is in its partitions, and
	// somebody reads on. Nothing is missed or met twice, whoever stored it.
	{"NobodyMissesAnything", func(w *world) {
		if w.h.Another == nil {
			w.t.Skip("one process has the store to itself")
		}
		nodes := []*node{{w: w, st: w.st, lease: w.lease, clock: epoch}}
		for i, wrong := range []time.Duration{-10 * time.Second, 10 * time.Second} {
			n := &node{w: w, st: w.h.Another(w.t), clock: epoch.Add(wrong)}
			var err error
			n.lease, err = n.st.Acquire(w.Context(), fmt.Sprint("node", i))
			w.ok(err)
			nodes = append(nodes, n)
		}
		share(w, nodes)

		var appending, reading sync.WaitGroup
		ended := make(chan struct{})
		for i, n := range nodes {
			appending.Go(func() { n.failed = n.append(i) })
			reading.Go(func() { n.lost = n.follow(ended) })
		}
		var read []hook.EventID
		var broken error
		reading.Go(func() { read, broken = readOn(w, nodes[1].st, ended) })
		appending.Wait()
		close(ended)
		reading.Wait()

		w.ok(broken)
		var stored []*hook.Event
		for _, n := range nodes {
			w.ok(n.failed)
			w.ok(n.lost)
			stored = append(stored, n.stored...)
		}
		slices.SortFunc(stored, func(a, b *hook.Event) int { return int(a.ID.Seq() - b.ID.Seq()) })
		w.same(ids(stored...), read)
		numbers := map[int64]bool{}
		for _, e := range stored {
			if numbers[e.Number] {
				w.Fatalf("two events begin with the delivery of number %d", e.Number)
			}
			numbers[e.Number] = true
			for _, t := range e.Targets {
				w.state(key(e, t.Endpoint), hook.Delivered, 1)
			}
		}
		for _, n := range nodes {
			var mine []hook.EventID
			for _, e := range stored {
				if slices.ContainsFunc(e.Targets, func(t hook.Target) bool { return n.lease.Holds(t.Endpoint) }) {
					mine = append(mine, e.ID)
				}
			}
			w.same(mine, n.met)
		}
	}},
}

// node is one of several on a store. It keeps errors, for another goroutine to fail
// the test with.
type node struct {
	w      *world
	st     store.Store
	lease  store.Lease
	clock  time.Time
	stored []*hook.Event
	met    []hook.EventID // by following the log

	failed, lost error
}

// share has nodes renew, and release what is asked for, until each has its share.
func share(w *world, nodes []*node) {
	w.Helper()
	for range 4 {
		for _, n := range nodes {
			l, err := n.st.Renew(w.Context(), n.lease)
			w.ok(err)
			w.ok(n.st.Release(w.Context(), l.Only(l.Yield)))
			n.lease = l.Only(^l.Yield)
		}
	}
	all := uint64(0)
	for _, n := range nodes {
		if n.lease.Partitions == 0 || n.lease.Partitions&all != 0 {
			w.Fatalf("a node holds %x, others before it %x", n.lease.Partitions, all)
		}
		all |= n.lease.Partitions
	}
	if all != ^uint64(0) {
		w.Fatalf("only %x are held", all)
	}
}

// append stores a few groups of events, as its clock proposes their ids.
func (n *node) append(self int) error {
	last := int64(0)
	for i := range 12 {
		n.clock = n.clock.Add(time.Second / 2)
		b := &store.Batch{Revision: 1 << 40}
		for j := range 1 + i%3 {
			id := hook.NextEventID(last, n.clock, uint64(1000*self+10*i+j))
			last = id.Seq()
			e := &hook.Event{ID: id, Tenant: 1, Type: "thing.made", Time: n.clock, Data: []byte(`{}`)}
			for k := range 1 + (i+j)%3 {
				e.Targets = append(e.Targets, hook.Target{Endpoint: hook.EndpointNum(1 + (7*i+5*j+self)%40 + 40*k)})
			}
			b.Events = append(b.Events, e)
		}
		if err := n.st.Append(n.w.Context(), b); err != nil {
			return err
		}
		n.stored = append(n.stored, b.Events...)
	}
	return nil
}

// follow meets what arrives, and records it as delivered, until nothing arrives any more
// after ended is closed.
func (n *node) follow(ended <-chan struct{}) error {
	f := n.st.(store.Follower)
	seen := hook.EventID{}
	for {
		over := closed(ended)
		a, err := f.Arrived(n.w.Context(), n.lease, seen, 5)
		if err != nil {
			return err
		}
		seen = a.Seen
		var outs []*store.Outcome
		for _, e := range a.Events {
			n.met = append(n.met, e.ID)
			for _, t := range e.Targets {
				if n.lease.Holds(t.Endpoint) {
					at := &hook.Attempt{Key: key(e, t.Endpoint), N: 1, At: e.Time, State: hook.Delivered, Status: 200}
					outs = append(outs, &store.Outcome{Key: at.Key, Attempt: at, At: e.Time, State: hook.Delivered})
				}
			}
		}
		if err := n.st.Record(n.w.Context(), n.lease, outs); err != nil {
			return err
		}
		if over && len(a.Events) == 0 {
			return nil
		}
	}
}

// readOn reads all events as they come, the oldest first.
func readOn(w *world, st store.Store, ended <-chan struct{}) (read []hook.EventID, err error) {
	q := store.EventQuery{Tenant: hook.AllTenants, Oldest: true, Limit: 4}
	for {
		over := closed(ended)
		p, err := st.Events(w.Context(), q)
		if err != nil {
			return nil, err
		}
		read, q.After = append(read, ids(p.Events...)...), p.Seen
		if over && len(p.Events) == 0 {
			return read, nil
		}
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
