package sqlite_test

import (
	"slices"
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/sqlite"
)

// A page of what is pending of a long lane has what it has to, and costs what it
// does of one that is a tenth as long.
func TestPendingOfLongLanes(t *testing.T) {
	t.Parallel()
	for name, sealed := range map[string]bool{"active": false, "sealed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			short, long := pendingPages(t, 1000, sealed), pendingPages(t, 10_000, sealed)
			if long > short+short/2 {
				t.Errorf("a page takes %d steps in a lane that is ten times as long as one in which it takes %d", long, short)
			}
		})
	}
}

// pendingPages reads what is pending of a lane page by page, and gives the steps
// that the dearest page took.
func pendingPages(t *testing.T, events int, sealed bool) (most int) {
	t.Helper()
	st, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), SegmentEvents: events})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	lease, err := st.Acquire(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	var want []hook.EventID
	var seq int64
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for n := 0; n < events; {
		var batch store.Batch
		var outcomes []*store.Outcome
		for ; len(batch.Events) < 250; n++ {
			now = now.Add(time.Millisecond)
			e := &hook.Event{ID: hook.NextEventID(seq, now, uint64(n)), Tenant: 1, Type: "a", Targets: []hook.Target{{Endpoint: 1}, {Endpoint: 2}}}
			seq = e.ID.Seq()
			batch.Events = append(batch.Events, e)
			outcome := func(num hook.EndpointNum, state hook.DeliveryState) {
				outcomes = append(outcomes, &store.Outcome{
					Key: hook.DeliveryKey{Event: e.ID, Endpoint: num}, At: now, State: state, FirstAt: now, NextAt: now.Add(-time.Duration(n) * time.Second),
				})
			}
			outcome(2, hook.Pending)
			switch n % 7 {
			case 3:
				outcome(1, hook.Held)
			case 5: // fresh
			default:
				outcome(1, hook.Pending)
				want = append(want, e.ID)
			}
		}
		if err := st.Append(t.Context(), &batch); err != nil {
			t.Fatal(err)
		}
		if err := st.Record(t.Context(), lease, outcomes); err != nil {
			t.Fatal(err)
		}
	}
	if sealed {
		e := &hook.Event{ID: hook.NextEventID(seq, now.Add(time.Hour), 1), Tenant: 1, Type: "a"}
		if err := st.Append(t.Context(), &store.Batch{Events: []*hook.Event{e}}); err != nil {
			t.Fatal(err)
		}
		if err := st.Settle(); err != nil {
			t.Fatal(err)
		}
	}
	var got []hook.EventID
	for from, more := (hook.EventID{}), true; more; {
		page, steps, err := st.PendingSteps(t.Context(), 1, from, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range page.Work {
			got = append(got, w.Event.ID)
		}
		most = max(most, steps)
		from, more = page.Next, !page.Next.IsZero()
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%d pending deliveries, want %d, oldest first", len(got), len(want))
	}
	return most
}
