package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
)

// openAt opens a store.
func openAt(t testing.TB, opts postgres.Options) *postgres.Store {
	t.Helper()
	st, err := postgres.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// number asks a database for a number.
func number(t testing.TB, url, sql string) (n int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// Units are there before they are needed, and once, however many nodes make them.
func TestUnitsAreMadeAhead(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	var all sync.WaitGroup
	now := time.Date(2026, 3, 1, 23, 30, 0, 0, time.UTC) // the next day begins within the hour
	for range 4 {
		st := openAt(t, postgres.Options{URL: url, Conns: 2})
		all.Go(func() {
			if err := st.Keep(t.Context(), now); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := number(t, url, `SELECT count(*) FROM grapnel.units`); n != 2 {
		t.Fatalf("there are %d units, want that of today and that of tomorrow", n)
	}
	id := hook.NextEventID(0, now.Add(time.Hour), 1)
	if n := number(t, url, fmt.Sprintf(`SELECT count(*) FROM grapnel.units WHERE first <= %d AND until > %[1]d`, id.Seq())); n != 1 {
		t.Fatal("there is no unit for what comes in an hour")
	}
}

// A unit takes less time where more comes in.
func TestUnitsAreCutBySize(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ ids, gib, want int64 }{
		{24, 0, 24}, {24, 16, 24}, {24, 17, 12}, {12, 17, 8}, {1, 1, 12}, {1, 16, 1}, {1, 400, 1}, {0, 0, 24},
	} {
		if got := postgres.SpanFor(24, c.ids, c.gib<<30); got != c.want {
			t.Errorf("%d GiB in %d ids of 24: the next unit covers %d, want %d", c.gib, c.ids, got, c.want)
		}
	}
}

// oldUnits stores n events a day from each other, each delivered to endpoint 1.
func oldUnits(t *testing.T, st *postgres.Store, n int) (events []*hook.Event) {
	t.Helper()
	lease, err := st.Acquire(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		e := event(hook.NextEventID(0, time.Date(2026, 1, 1+i, 12, 0, 0, 0, time.UTC), uint64(i)).Seq())
		e.Key = fmt.Sprint("key", i)
		if err := st.Append(t.Context(), &store.Batch{Revision: 1, Events: []*hook.Event{e}}); err != nil {
			t.Fatal(err)
		}
		k := hook.DeliveryKey{Event: e.ID, Endpoint: 1}
		out := &store.Outcome{Key: k, At: e.Time, State: hook.Delivered, Attempt: &hook.Attempt{Key: k, N: 1, At: e.Time, Status: 200, State: hook.Delivered}}
		if err := st.Record(t.Context(), lease, []*store.Outcome{out}); err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

// Several nodes that prune at once remove every unit once, and count it once.
func TestManyPruneAtOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	st := openAt(t, postgres.Options{URL: url, Conns: 4})
	events := oldUnits(t, st, 6)
	var all sync.WaitGroup
	var mu sync.Mutex
	units, gone := 0, int64(0)
	for range 3 {
		other := openAt(t, postgres.Options{URL: url, Conns: 3})
		all.Go(func() {
			if err := other.Keep(t.Context(), events[5].ID.Time()); err != nil {
				t.Error(err)
			}
			p, err := other.Prune(t.Context(), store.PruneQuery{Before: events[5].ID.Time()})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			units, gone = units+p.Units, gone+p.Events
		})
	}
	all.Wait()
	if units != 5 || gone != 5 {
		t.Errorf("%d units with %d events went, want 5 with 5", units, gone)
	}
	nothingLeft(t, url, 1)
}

// nothingLeft checks that all but so many events are gone with all that belongs to
// them.
func nothingLeft(t *testing.T, url string, events int64) {
	t.Helper()
	for sql, want := range map[string]int64{
		`SELECT events FROM grapnel.head`:         events,
		`SELECT count(*) FROM grapnel.events`:     events,
		`SELECT count(*) FROM grapnel.attempts`:   events,
		`SELECT count(*) FROM grapnel.event_keys`: events,
		`SELECT count(*) FROM grapnel.gone`:       0,
		`SELECT count(*) FROM pg_class WHERE relname LIKE 'gone\_%' AND relkind = 'r' AND relnamespace = 'grapnel'::regnamespace AND relname <> 'gone'`: 0,
	} {
		if n := number(t, url, sql); n != want {
			t.Errorf("%s: %d, want %d", sql, n, want)
		}
	}
}

// What a crash leaves of a removal the next one completes, and counts.
func TestRemovalIsCompleted(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	st := openAt(t, postgres.Options{URL: url, Conns: 2})
	events := oldUnits(t, st, 3)
	run(t, url, `SELECT grapnel.detach1((SELECT min(first) FROM grapnel.units), 0)`)
	if _, err := st.Prune(t.Context(), store.PruneQuery{Before: events[0].ID.Time()}); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, url, 2)
}

// case 34: whoever has the log open for long is not waited for by anybody but the
// removal of old units, which says who it is.
func TestRemovalWaitsForOthersAlone(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	st := openAt(t, postgres.Options{URL: url, Conns: 4})
	events := oldUnits(t, st, 2)
	reader, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close(context.Background())
	for _, sql := range []string{`BEGIN`, `SELECT count(*) FROM grapnel.events`, `SELECT pg_sleep(0.2)`} { // longer than longUse
		if _, err := reader.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	who, err := st.InUse(t.Context())
	if want := fmt.Sprintf("process %d (", reader.PgConn().PID()); err != nil || len(who) < len(want) || who[:len(want)] != want {
		t.Fatalf("in use by %q, %v; want %s…", who, err, want)
	}
	done := make(chan error, 1)
	go func() {
		p, err := st.Prune(t.Context(), store.PruneQuery{Before: events[1].ID.Time()})
		if err == nil && p.Units != 1 {
			err = fmt.Errorf("pruned %+v", p)
		}
		done <- err
	}()
	for i := range 20 {
		e := event(events[1].ID.Seq() + int64(1+i))
		if err := st.Append(t.Context(), &store.Batch{Revision: 1, Events: []*hook.Event{e}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := reader.Exec(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// Large tables are dropped in the background: Prune does not wait for it. What one node
// does not come to, another one does.
func TestLargeUnitsAreDroppedInTheBackground(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	st := openAt(t, postgres.Options{URL: url, Conns: 2})
	st.SetDropAtOnce(0)
	events := oldUnits(t, st, 3)
	p, err := st.Prune(t.Context(), store.PruneQuery{Before: events[1].ID.Time()})
	if err != nil || p.Units != 1 || p.Events != 1 {
		t.Fatalf("pruned %+v, %v", p, err)
	}
	for number(t, url, `SELECT count(*) FROM grapnel.gone`) > 0 {
		time.Sleep(10 * time.Millisecond)
	}
	nothingLeft(t, url, 2)

	run(t, url, `SELECT grapnel.detach1((SELECT min(first) FROM grapnel.units), 0)`,
		`SELECT grapnel.counted1((SELECT min(first) FROM grapnel.gone), 1, 0, '{}', '{}')`,
		`DELETE FROM grapnel.event_keys WHERE seq < (SELECT min(seq) FROM grapnel.events)`)
	other := openAt(t, postgres.Options{URL: url, Conns: 2})
	if err := other.Keep(t.Context(), events[2].ID.Time()); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, url, 1)
}
