package ingest_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"grapnel/internal/hook"
	"grapnel/internal/ingest"
	"grapnel/internal/store"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
)

// logged are the keys of the events in the log, in its order.
func logged(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), `SELECT key FROM grapnel.events ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// One id is given at the same time by two transactions and to the API of a third node:
// one event comes of it. Where the three are not the same event, the other two are
// refused, at once or later, and say so.
func TestOneIDFromAllSides(t *testing.T) {
	t.Parallel()
	const keys = 30
	url, conn := database(t)
	nodes := []*node{startNode(t, url), startNode(t, url), startNode(t, url)}
	callers := []*pgx.Conn{connection(t, url), connection(t, url)}
	refused := make([]int, keys) // of each key, at once
	for i := range keys {
		key, data := fmt.Sprint("k", i), func(side int) string {
			if i%2 == 0 {
				return "0"
			}
			return strconv.Itoa(side)
		}
		var mu sync.Mutex
		var work sync.WaitGroup
		refuse := func() { mu.Lock(); defer mu.Unlock(); refused[i]++ }
		for side, conn := range callers {
			work.Go(func() {
				var pg *pgconn.PgError
				_, err := conn.Exec(t.Context(), `SELECT grapnel.publish('acme', 'a.b', $1, id => $2)`, data(side), key)
				if errors.As(err, &pg) && pg.Code == "23505" {
					refuse()
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		work.Go(func() {
			item := ingest.Item{Tenant: "acme", Key: key, Type: "a.b", Data: []byte(data(2))}
			results, _, err := nodes[i%len(nodes)].Publish(t.Context(), &ingest.Submission{Items: []ingest.Item{item}})
			switch {
			case err != nil:
				t.Error(err)
			case results[0].Err != nil && results[0].Err.Code == hook.CodeMismatch:
				refuse()
			case results[0].Err != nil:
				t.Error(results[0].Err)
			}
		})
		work.Wait()
	}
	eventually(t, "nothing waits", empty(t, conn))
	got := logged(t, conn)
	slices.Sort(got)
	if len(got) != keys || len(slices.Compact(got)) != keys {
		t.Errorf("%d events are in the log: %q", len(got), got)
	}
	rejected, err := nodes[0].store.Rejected(t.Context(), store.RejectedQuery{Tenant: 1, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rejected {
		i, err := strconv.Atoi(r.Key[1:])
		if err != nil || r.Code != hook.CodeMismatch {
			t.Fatalf("rejected: %+v", r)
		}
		refused[i]++
	}
	for i, n := range refused {
		if want := 2 * (i % 2); n != want {
			t.Errorf("k%d was refused %d times, want %d", i, n, want)
		}
	}
	t.Logf("%d were rejected later", len(rejected))
}

// The events of one transaction are in the log in the order of its calls, however many,
// while several nodes move; one that is open before and after holds none of them up.
func TestOrderOfATransaction(t *testing.T) {
	t.Parallel()
	const n = 3000
	url, conn := database(t)
	startNode(t, url)
	startNode(t, url)
	open, err := connection(t, url).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open.Exec(t.Context(), `SELECT grapnel.publish('acme', 'a.b', '1', id => 'open')`); err != nil {
		t.Fatal(err)
	}
	exec(t, conn, `SELECT grapnel.publish('acme', 'a.b', '1', id => i::text) FROM generate_series(1, $1) AS i`, n)
	eventually(t, "nothing waits but what is open", func() bool { return len(logged(t, conn)) >= n })
	if err := open.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the open one is there too", func() bool { return len(logged(t, conn)) > n })
	for i, key := range logged(t, conn) {
		if want := strconv.Itoa(i + 1); key != want && (key != "open" || i != n) {
			t.Fatalf("%s is where %s should be", key, want)
		}
	}
}

// A prepared transaction counts when it is committed; rolled back it leaves nothing.
func TestPreparedTransactions(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t, pgtest.Options{Settings: []string{"max_prepared_transactions=4"}})
	url := cluster.Database(t)
	seed(t, url)
	conn := connection(t, url)
	startNode(t, url)
	for _, end := range []string{"ROLLBACK", "COMMIT"} {
		exec(t, conn, `BEGIN`)
		exec(t, conn, `SELECT grapnel.publish('acme', 'a.b', '1', id => $1)`, end)
		exec(t, conn, `PREPARE TRANSACTION '`+end+`'`)
	}
	exec(t, conn, `SELECT grapnel.publish('acme', 'a.b', '1', id => 'other')`)
	eventually(t, "the other event is in the log", func() bool { return slices.Equal(logged(t, conn), []string{"other"}) })
	exec(t, conn, `ROLLBACK PREPARED 'ROLLBACK'`)
	exec(t, conn, `COMMIT PREPARED 'COMMIT'`)
	eventually(t, "what was committed is in the log", func() bool { return slices.Equal(logged(t, conn), []string{"other", "COMMIT"}) })
	if !empty(t, conn)() {
		t.Error("something waits")
	}
}

// A flood of what is invalid holds up neither other tenants nor, for longer than it takes
// to put it aside, its own.
func TestFloodOfInvalid(t *testing.T) {
	t.Parallel()
	const flood = 6000
	url, conn := database(t)
	exec(t, conn, `SELECT grapnel.publish('acme', 'a.b', '{"a":1,"a":2}', id => 'bad' || i) FROM generate_series(1, $1) AS i`, flood)
	exec(t, conn, `SELECT grapnel.publish('acme', 'a.b', '1', id => 'after')`)
	exec(t, conn, `SELECT grapnel.publish('bolt', 'a.b', '1', id => 'beside')`)
	n := startNode(t, url)
	eventually(t, "both good ones are in the log", func() bool { return len(n.keys()) == 2 })
	if got := n.keys(); !slices.Equal(got, []string{"beside", "after"}) {
		t.Errorf("moved: %q", got)
	}
	eventually(t, "all are told of", func() bool { n.mu.Lock(); defer n.mu.Unlock(); return len(n.told) >= flood })
	rejected, err := n.store.Rejected(t.Context(), store.RejectedQuery{Tenant: 1, Limit: flood + 1})
	if err != nil || len(rejected) != flood {
		t.Errorf("%d are rejected: %v", len(rejected), err)
	}
	// An id that was rejected is free.
	exec(t, conn, `SELECT grapnel.publish('acme', 'a.b', '1', id => 'bad1')`)
	eventually(t, "what has been put right is in the log", func() bool { return slices.Contains(n.keys(), "bad1") })
}

// seed makes two tenants and an endpoint each.
func seed(t testing.TB, url string) {
	t.Helper()
	st, err := postgres.Open(t.Context(), postgres.Options{URL: url, Conns: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	c := &store.Change{}
	for i, id := range []string{"acme", "bolt"} {
		c.Tenants = append(c.Tenants, &hook.Tenant{ID: id})
		c.Endpoints = append(c.Endpoints, &hook.Endpoint{ID: fmt.Sprint("ep_", i), Tenant: id, TenantNum: hook.TenantNum(i + 1), URL: "https://example.com/", EventTypes: []string{"a.*"}, Dialect: "standard", State: hook.EndpointActive})
	}
	if _, err := st.Configure(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}
