package sqlite_test

import (
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/sqlite"
)

// Whoever reads on while events are appended and segments are cut and sealed
// meets every event once and in order.
func TestReadingOnWhileWriting(t *testing.T) {
	t.Parallel()
	const total = 40_000
	st, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), SegmentEvents: 2000})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	wrote := make(chan error, 1)
	go func() { wrote <- appendMany(t, st, total, 450) }()
	for _, q := range []store.EventQuery{{Tenant: 1, Oldest: true, Limit: 1000}, {Tenant: hook.AllTenants, Oldest: true, Limit: 1000}} {
		want := int64(1)
		for want <= total {
			p, err := st.Events(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range p.Events {
				if e.Revision != want {
					t.Fatalf("tenant %d: event %d came when it was the turn of %d", q.Tenant, e.Revision, want)
				}
				want++
			}
			if string(p.Seen[:]) < string(q.After[:]) {
				t.Fatal("went back")
			}
			q.After = p.Seen
		}
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
}

// appendMany appends events, a batch at a time, whose revision counts them.
func appendMany(t *testing.T, st *sqlite.Store, total, batch int) error {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var seq int64
	for n := 1; n <= total; {
		b := &store.Batch{Revision: 1 << 40}
		for ; n <= total && len(b.Events) < batch; n++ {
			now = now.Add(time.Millisecond)
			e := &hook.Event{ID: hook.NextEventID(seq, now, uint64(n)), Tenant: 1, Type: "a", Revision: int64(n), Targets: []hook.Target{{Endpoint: 1}}}
			seq = e.ID.Seq()
			b.Events = append(b.Events, e)
		}
		if err := st.Append(t.Context(), b); err != nil {
			return err
		}
	}
	return nil
}

// A seal that ends while a read goes on takes nothing from it.
func TestReadingAcrossASeal(t *testing.T) {
	t.Parallel()
	st, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), SegmentEvents: 90})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	release := st.HoldUpkeep()
	if err := appendMany(t, st, 100, 10); err != nil {
		t.Fatal(err)
	}
	first, second, err := st.ListTwice(t.Context(), 1, 200, func() error {
		release()
		return st.Settle()
	})
	if err != nil || len(first) != 90 {
		t.Fatalf("%d events, %v", len(first), err)
	}
	diff(t, first, second)
}
