package postgres_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/postgres"
)

// TestLanesFarBehind: what waits in lanes that are behind is estimated where they are
// far behind, instead of being read. All of them are listed all the same.
func TestLanesFarBehind(t *testing.T) {
	t.Parallel()
	st := newDatabase(t, postgres.Options{}).open(t)
	lease, err := st.Acquire(t.Context(), "node")
	if err != nil {
		t.Fatal(err)
	}
	var events []*hook.Event
	var last int64
	for n := range 4000 {
		id := hook.NextEventID(last, time.Now(), uint64(n))
		last = id.Seq()
		targets := []hook.Target{{Endpoint: 1}, {Endpoint: 2}}
		events = append(events, &hook.Event{ID: id, Tenant: 1, Type: "a", Time: id.Time(), Data: []byte("{}"), Targets: targets[:1+n%2]})
	}
	if err := st.Append(t.Context(), &store.Batch{Events: events}); err != nil {
		t.Fatal(err)
	}
	marks := []store.LaneMark{{Endpoint: 1, From: events[0].ID}, {Endpoint: 2, From: events[3001].ID}}
	if err := st.Checkpoint(t.Context(), lease, store.Progress{Floor: hook.EventIDFrom(events[3999].ID.Seq()+1, 0), Behind: marks}); err != nil {
		t.Fatal(err)
	}
	for _, look := range []int{1000, 100_000} { // an estimate, and all of them
		st.SetLanesLook(look)
		lanes, err := st.Lanes(t.Context(), lease)
		if err != nil || len(lanes) != 2 {
			t.Fatalf("%d lanes: %v", len(lanes), err)
		}
		for i, l := range lanes {
			if l.Fresh.Seq() != marks[i].From.Seq() {
				t.Errorf("lane %d begins at %s, its mark is %s", l.Endpoint, l.Fresh, marks[i].From)
			}
		}
		if w := lanes[0].Waiting; w != 4000 {
			t.Errorf("looking at %d events, about %d wait in a lane that gets all 4000", look, w)
		}
		if w := lanes[1].Waiting; w < 500 || look > 4000 && w != 500 {
			t.Errorf("looking at %d events, about %d wait in a lane that has 500", look, w)
		}
	}
}

// TestLanesWithManyPending: what is pending is estimated where there is much of it. All
// lanes are listed all the same, with when they are due.
func TestLanesWithManyPending(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, postgres.Options{UnitSpan: time.Hour})
	st := d.open(t)
	lease, err := st.Acquire(t.Context(), "node")
	if err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for hour := range 2 {
		first := hook.FirstEventID(day.Add(time.Duration(hour) * time.Hour)).Seq()
		run(t, d.opts.URL, fmt.Sprintf(`SELECT grapnel.cut1(ARRAY[%d]::bigint[], %d)`, first, hook.FirstEventID(time.Unix(3600, 0)).Seq()),
			// Each lane has as many as its number, but for a large one; half of them in each unit.
			fmt.Sprintf(`INSERT INTO grapnel.deliveries (event, endpoint, tenant, first_at, next_at, attempts, base, state, manual, reason)
				SELECT %d + i, e, 1, 1, 1000000 * e + i + %d, 1, 0, CASE WHEN i < CASE WHEN e = 60 THEN 3000 ELSE e END THEN 1 ELSE 5 END, false, ''
				FROM generate_series(1, 60) AS e, generate_series(0, 2999) AS i WHERE e = 60 OR i < 60`, first, 10-hour))
	}
	run(t, d.opts.URL, `ANALYZE grapnel.deliveries`)
	listed := func(exactly int64, l store.Lease) []store.Lane {
		t.Helper()
		st.SetPendingExactly(exactly)
		lanes, err := st.Lanes(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		return lanes
	}
	exact := listed(1<<40, lease)
	if len(exact) != 60 || exact[1].Waiting != 4 || exact[59].Waiting != 6000 {
		t.Fatalf("%d lanes: %+v", len(exact), exact)
	}
	for i, l := range listed(0, lease) {
		if l != exact[i] { // the second look is at more than there are
			t.Errorf("got %+v, want %+v", l, exact[i])
		}
	}
	half := lease.Only(1<<32 - 1)
	want := listed(1<<40, half)
	if got := listed(0, half); len(got) == 0 || !slices.Equal(got, want) {
		t.Errorf("under a lease of half the partitions: got %+v, want %+v", got, want)
	}
}
