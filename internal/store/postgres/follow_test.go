package postgres_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
)

// to makes an event of an id for an endpoint, of so many bytes.
func to(seq int64, endpoint hook.EndpointNum, size int) *hook.Event {
	e := event(seq)
	e.Targets = []hook.Target{{Endpoint: endpoint}}
	e.Data = append([]byte(`"`+strings.Repeat("x", size)), '"')
	return e
}

// apart are endpoints of two partitions.
func apart() (a, b hook.EndpointNum) {
	for b = 2; store.PartitionOf(b) == store.PartitionOf(1); b++ {
	}
	return 1, b
}

// What nodes store arrives in order, as far as it is for the partitions that are
// asked for, and how far was looked is told also where nothing is.
func TestArrived(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	a, b := join(t, url, "a"), join(t, url, "b")
	mine, other := apart()
	l := store.Lease{Partitions: 1 << store.PartitionOf(mine)}
	look := func(after hook.EventID, limit int, seen hook.EventID, want ...hook.EventID) {
		t.Helper()
		got, err := a.st.Arrived(t.Context(), l, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		var ids []hook.EventID
		for _, e := range got.Events {
			ids = append(ids, e.ID)
		}
		if got.Seen != seen || !equal(ids, want) {
			t.Fatalf("got %v, seen up to %v; want %v and %v", ids, got.Seen, want, seen)
		}
	}
	none := hook.EventID{}
	look(none, 10, none)
	e := []*hook.Event{to(1<<40, mine, 1), to(1<<40, other, 1), to(1<<40, mine, 1), to(1<<40, other, 1)}
	e[3].Targets = append([]hook.Target{{Endpoint: mine, Disposition: hook.Inactive}}, e[3].Targets...)
	for i, e := range e {
		if err := []*member{a, b}[i%2].st.Append(t.Context(), &store.Batch{Revision: 1, Events: []*hook.Event{e}}); err != nil {
			t.Fatal(err)
		}
	}
	look(none, 10, e[3].ID, e[0].ID, e[2].ID)
	look(none, 1, e[0].ID, e[0].ID)
	look(e[0].ID, 10, e[3].ID, e[2].ID)
	look(e[2].ID, 10, e[3].ID)
	look(e[3].ID, 10, e[3].ID)

	large := []*hook.Event{to(1<<40, mine, 5<<20), to(1<<40+1, mine, 5<<20), to(1<<40+2, mine, 1)}
	if err := b.st.Append(t.Context(), &store.Batch{Revision: 1, Events: large}); err != nil {
		t.Fatal(err)
	}
	look(e[3].ID, 10, large[1].ID, large[0].ID, large[1].ID)
	look(large[1].ID, 10, large[2].ID, large[2].ID)
}

func equal(a, b []hook.EventID) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// heard starts to listen and returns what is heard.
func heard(t *testing.T, st *postgres.Store) <-chan store.Hint {
	t.Helper()
	out := make(chan store.Hint, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	var listening sync.WaitGroup
	listening.Go(func() { st.Listen(ctx, func(h store.Hint) { out <- h }) })
	t.Cleanup(func() {
		cancel()
		listening.Wait()
	})
	return out
}

// await waits until a hint is heard.
func await(t *testing.T, hints <-chan store.Hint, want store.Hint) {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		select {
		case h := <-hints:
			if h == want {
				return
			}
		case <-limit:
			t.Fatalf("hint %d was not heard", want)
		}
	}
}

// What a node changes is heard by the others, again also after the connection broke.
func TestHints(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	a, b := join(t, url, "a"), join(t, url, "b")
	heard(t, a.st) // who listens also tells
	hints := heard(t, b.st)
	a.renew() // it learns of the other one, and releases what is asked for
	await(t, hints, store.HintLeases)
	if err := a.st.Append(t.Context(), &store.Batch{Revision: 100, Events: []*hook.Event{event(1 << 40)}}); err != nil {
		t.Fatal(err)
	}
	await(t, hints, store.HintEvents)
	if _, err := a.st.Configure(t.Context(), &store.Change{Tenants: []*hook.Tenant{{ID: hook.NewID("t")}}}); err != nil {
		t.Fatal(err)
	}
	await(t, hints, store.HintConfiguration)
	for len(hints) > 0 {
		<-hints
	}
	cut(t, url)
	await(t, hints, store.HintLeases) // connected again: something may have been missed
}

// What is asked all the time is not so dear by the server's reckoning that it would compile
// it each time, which takes a tenth of a second. A new server knows nothing of the tables.
func TestNothingIsCompiled(t *testing.T) {
	t.Parallel()
	conn := crowded(t, 500)
	var plan []struct {
		Plan struct {
			Total float64 `json:"Total Cost"`
		}
	}
	explain(t, conn, &plan, "(FORMAT JSON)", postgres.ArrivedSQL, int64(1<<40), int64(-1), 1000, 8<<20)
	if total := plan[0].Plan.Total; total > 50_000 { // half of what jit_above_cost is
		t.Errorf("what has arrived is reckoned to cost %.0f", total)
	}
}

// A page of what is fresh reads as much as it returns, in the log's order, however much
// follows: on a new server, which knows nothing of the tables, it was all sorted on disk.
func TestPageOfFreshReadsNoMore(t *testing.T) {
	t.Parallel()
	conn := crowded(t, 5000)
	if _, err := conn.Exec(t.Context(), `SET work_mem = '512kB'`); err != nil {
		t.Fatal(err)
	}
	var plan []struct {
		Plan struct {
			Temp int `json:"Temp Written Blocks"`
			Hit  int `json:"Shared Hit Blocks"`
			Rows int `json:"Actual Rows"`
		}
	}
	explain(t, conn, &plan, "(ANALYZE, BUFFERS, FORMAT JSON)", postgres.FreshSQL, int64(1<<40), int64(1<<41), int64(-1), int64(1), 100, 20_000)
	if p := plan[0].Plan; p.Rows != 100 || p.Temp != 0 || p.Hit > 5000 {
		t.Errorf("a page of 100 events has %d, reads %d blocks and writes %d to disk", p.Rows, p.Hit, p.Temp)
	}
}

// crowded connects to a new database with events for one endpoint.
func crowded(t *testing.T, events int64) *pgx.Conn {
	t.Helper()
	url := pgtest.Database(t)
	st := openAt(t, postgres.Options{URL: url, Conns: 2})
	b := &store.Batch{Revision: 1}
	for i := range events {
		b.Events = append(b.Events, to(1<<40+i, 1, 1000))
	}
	if err := st.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return connect(t, url)
}

// explain reads the plan of a statement.
func explain(t *testing.T, conn *pgx.Conn, plan any, how, sql string, args ...any) {
	t.Helper()
	var text []byte
	if err := conn.QueryRow(t.Context(), "EXPLAIN "+how+" "+sql, args...).Scan(&text); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, plan); err != nil {
		t.Fatal(err)
	}
}
