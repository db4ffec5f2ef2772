package postgres_test

import (
	"errors"
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/postgres/pgtest"
)

// skews are what a node's clock is wrong by.
var skews = map[string]time.Duration{
	"FiveMinutesAhead": 5 * time.Minute, "FiveMinutesBehind": -5 * time.Minute,
	"AnHourAhead": time.Hour, "AnHourBehind": -time.Hour,
	"TenYearsAhead": 10 * 365 * 24 * time.Hour, "In1970": -time.Since(time.Unix(1, 0)),
}

// proposed makes a batch as a node whose clock shows an instant proposes it.
func proposed(at time.Time, n int) *store.Batch {
	b := &store.Batch{Revision: 1}
	last := int64(0)
	for i := range n {
		e := event(hook.NextEventID(last, at, uint64(i)).Seq())
		last = e.ID.Seq()
		b.Events = append(b.Events, e)
	}
	return b
}

// cases 31 and 32: a node whose clock is wrong takes events in like the others, and its
// ids are neither from the future nor in anybody's way.
func TestSkewedProposals(t *testing.T) {
	t.Parallel()
	for name, skew := range skews {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t)
			right, wrong := join(t, url, "right").st, join(t, url, "wrong").st
			wrong.SetClock(func() time.Time { return time.Now().Add(skew) })
			last := int64(0)
			for round := range 4 {
				st, clock := right, time.Now()
				if round%2 == 0 {
					st, clock = wrong, clock.Add(skew)
				}
				if err := st.Keep(t.Context(), clock); err != nil {
					t.Fatal(err)
				}
				b := proposed(clock, 3)
				r := &store.Request{RequestKey: store.RequestKey{Scope: "s", Key: name + string(rune('a'+round))}, At: clock}
				b.Requests = append(b.Requests, r)
				first := b.Events[0].ID.Seq()
				if err := st.Append(t.Context(), b); err != nil {
					t.Fatal(err)
				}
				if moved := b.Events[0].ID.Seq() - first; r.Raised != moved {
					t.Errorf("round %d: ids moved by %d, it says %d", round, moved, r.Raised)
				}
				for _, e := range b.Events {
					if e.ID.Seq() <= last {
						t.Errorf("round %d: %d does not follow %d", round, e.ID.Seq(), last)
					}
					if ahead := time.Until(e.ID.Time()); ahead > 2*time.Second {
						t.Errorf("round %d: an event is %s from the future", round, ahead)
					}
					if last = e.ID.Seq(); skew > 0 && time.Since(e.ID.Time()) > time.Minute {
						t.Errorf("round %d: an event is from %s", round, e.ID.Time())
					}
				}
			}
			page, err := right.Events(t.Context(), store.EventQuery{Tenant: hook.AllTenants, Oldest: true, Limit: 100})
			if err != nil || len(page.Events) != 12 {
				t.Fatalf("there are %d events, %v", len(page.Events), err)
			}
		})
	}
}

// case 31: what is not old by the server's clock is neither removed nor forgotten for a
// node whose clock is ahead.
func TestSkewedRetention(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	right, wrong := join(t, url, "right"), join(t, url, "wrong")
	const years = 10 * 365 * 24 * time.Hour
	wrong.st.SetClock(func() time.Time { return time.Now().Add(years) })
	begun := time.Now()
	b := proposed(begun, 1)
	b.Events[0].Key, b.Requests = "k", []*store.Request{{RequestKey: store.RequestKey{Scope: "s", Key: "k"}, At: begun}}
	if err := right.st.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := right.st.Record(t.Context(), right.lease, delivered(b.Events[0])); err != nil {
		t.Fatal(err)
	}
	if err := right.st.Checkpoint(t.Context(), right.lease, store.Progress{Floor: hook.EventIDFrom(b.Events[0].ID.Seq()+1, 0)}); err != nil {
		t.Fatal(err)
	}
	change := &store.Change{Types: []*hook.EventType{{Name: "a"}}, Requests: []*store.Request{{RequestKey: store.RequestKey{Scope: "c", Key: "k"}, At: begun}}}
	if _, err := right.st.Configure(t.Context(), change); err != nil {
		t.Fatal(err)
	}

	wrongly := time.Now().Add(years)
	if p, err := wrong.st.Prune(t.Context(), store.PruneQuery{Before: wrongly.Add(-30 * 24 * time.Hour), Requests: wrongly.Add(-24 * time.Hour)}); err != nil || p.Events != 0 {
		t.Errorf("it removed %+v, %v", p, err)
	}
	since := wrongly.Add(-24 * time.Hour)
	known, err := wrong.st.Known(t.Context(), store.KnownQuery{Since: since, Events: []store.EventKey{{Tenant: 1, Key: "k"}}, Requests: []store.RequestKey{{Scope: "s", Key: "k"}}})
	if err != nil || known.Events[0] == nil || known.Requests[0] == nil {
		t.Errorf("it knows %+v, %v", known, err)
	}
	twice := proposed(wrongly, 1)
	twice.Events[0].Key = "k"
	if err := wrong.st.Append(t.Context(), twice); !errors.Is(err, store.ErrKeyTaken) {
		t.Errorf("its second event under a key: got %v, want ErrKeyTaken", err)
	}
	if r, err := wrong.st.Remembered(t.Context(), store.RequestKey{Scope: "c", Key: "k"}, since); err != nil || r == nil {
		t.Errorf("it remembers %v, %v", r, err)
	}
	other := &store.Change{Types: []*hook.EventType{{Name: "b"}}, Requests: []*store.Request{{RequestKey: store.RequestKey{Scope: "c", Key: "other"}, At: wrongly}}}
	if _, err := wrong.st.Configure(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if r, err := right.st.Remembered(t.Context(), store.RequestKey{Scope: "c", Key: "k"}, begun.Add(-time.Hour)); err != nil || r == nil {
		t.Errorf("others remember %v, %v", r, err)
	}
	// A clock that is right forgets it in time.
	if p, err := right.st.Prune(t.Context(), store.PruneQuery{Before: time.Now().Add(2 * time.Second)}); err != nil || p.Events != 1 {
		t.Errorf("a clock that is right removed %+v, %v", p, err)
	}
}

// case 31: the database's own clock goes back, as with a failover to a standby whose clock is
// behind. A node that has died before does not hold its share until the clock is there
// again: it has a lease's time, as everybody has.
func TestClockOfTheDatabaseGoesBack(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	live, dead, gone := join(t, url, "live"), join(t, url, "dead"), join(t, url, "gone")
	settled(t, live, dead, gone)
	expire(t, url, "gone")
	settled(t, live, dead)
	run(t, url, `UPDATE grapnel.nodes SET started = started + interval '1 day', seen = seen + interval '1 day', expires = expires + interval '1 day'`)
	live.renew()
	nodes, err := live.st.Nodes(t.Context())
	if err != nil || len(nodes) != 3 {
		t.Fatal(nodes, err)
	}
	for _, n := range nodes {
		if left := time.Until(n.Expires); left > time.Hour+time.Minute {
			t.Errorf("the lease of %s lasts %s longer, not an hour at most", n.Name, left)
		}
	}
	for _, name := range []string{"dead", "gone"} { // that hour
		expire(t, url, name)
	}
	settled(t, live)
	if live.lease.Partitions != ^uint64(0) {
		t.Errorf("the one that is there holds %b", live.lease.Partitions)
	}
}

// cases 31 and 32: leases are held against the server's clock alone, so that a node whose
// clock is wrong keeps its share, and takes nothing of others.
func TestSkewedLeases(t *testing.T) {
	t.Parallel()
	for name, skew := range skews {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t)
			wrong, right := join(t, url, "wrong"), join(t, url, "right")
			wrong.st.SetClock(func() time.Time { return time.Now().Add(skew) })
			settled(t, wrong, right)
			wrongs, rights := wrong.lease, right.lease
			for range 3 {
				wrong.renew()
				right.renew()
			}
			if wrong.lease.Under(&wrongs) != wrongs.Partitions || right.lease.Under(&rights) != rights.Partitions {
				t.Error("partitions moved")
			}
			if left := time.Until(wrong.lease.Expires); left < 50*time.Minute || left > time.Hour {
				t.Errorf("a lease of an hour lasts %s", left)
			}
			nodes, err := right.st.Nodes(t.Context())
			if err != nil || len(nodes) != 2 {
				t.Fatalf("the nodes are %+v, %v", nodes, err)
			}
			for _, n := range nodes {
				if n.Over || time.Until(n.Expires).Abs() > 2*time.Hour {
					t.Errorf("%s is %+v", n.Name, n)
				}
			}
		})
	}
}
