package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/hook"
	"grapnel/internal/ingest"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
)

// node is what moves events: a store, an ingester and a mover.
type node struct {
	*ingest.Ingester
	store *postgres.Store
	mover *ingest.Mover
	dir   *directory.Directory

	mu      sync.Mutex
	offered []*hook.Event
	told    []*store.Rejected
}

// patience bounds what hangs.
const patience = 2 * time.Minute

// startNode starts a node on a database.
func startNode(t testing.TB, url string, change ...func(*ingest.Config)) *node {
	t.Helper()
	st, err := postgres.Open(t.Context(), postgres.Options{URL: url, Conns: 8})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{store: st}
	if n.dir, err = directory.Load(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	cfg := ingest.Config{
		Log: st, Directory: n.dir, Window: time.Hour, Logger: slog.New(slog.DiscardHandler),
		Policy: func(string) ingest.Policy { return ingest.Policy{} },
		Offer: func(events []*hook.Event) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.offered = append(n.offered, events...)
		},
	}
	for _, fn := range change {
		fn(&cfg)
	}
	if n.Ingester, err = ingest.New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	n.mover, err = ingest.StartMover(t.Context(), ingest.MoverConfig{
		Inbox: st, Ingester: n.Ingester, Node: hook.NewID("n_"), MaxData: 1000, Logger: cfg.Logger,
		Tell: func(_ context.Context, r *store.Rejected) error {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.told = append(n.told, r)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.mover.Stop()
		n.Close()
		st.Close()
	})
	return n
}

// database makes a database with two tenants and an endpoint each.
func database(t testing.TB) (url string, conn *pgx.Conn) {
	t.Helper()
	url = pgtest.Database(t)
	seed(t, url)
	return url, connection(t, url)
}

func connection(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came to this: %s", what)
		}
	}
}

func empty(t *testing.T, conn *pgx.Conn) func() bool {
	return func() (is bool) {
		if err := conn.QueryRow(t.Context(), `SELECT NOT EXISTS (SELECT FROM grapnel.inbox)`).Scan(&is); err != nil {
			t.Fatal(err)
		}
		return is
	}
}

func exec(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// keys are those of what was offered, in order.
func (n *node) keys() (out []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.offered {
		out = append(out, e.Key)
	}
	return out
}

func TestMoverPublishes(t *testing.T) {
	t.Parallel()
	url, conn := database(t)
	n := startNode(t, url)
	exec(t, conn, `SELECT grapnel.publish('acme', 'a.b', '{"x": 1.0}', id => 'k1', metadata => '{"m":1}', previous => '0', ordering_key => 'o', "time" => '2026-01-31 08:00:00Z')`)
	exec(t, conn, `SELECT grapnel.publish('bolt', 'c', '1', id => 'k2')`)
	eventually(t, "both are in the log", func() bool { return len(n.keys()) == 2 })
	e, err := n.store.EventByKey(t.Context(), store.EventKey{Tenant: 1, Key: "k1"}, time.Time{})
	if err != nil || string(e.Data) != `{"x": 1.0}` || string(e.Metadata) != `{"m":1}` || string(e.Previous) != "0" || e.OrderingKey != "o" || e.Type != "a.b" ||
		!e.Time.Equal(time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)) || len(e.Targets) != 1 {
		t.Fatalf("got %+v, %v", e, err)
	}
	if e, err := n.store.EventByKey(t.Context(), store.EventKey{Tenant: 2, Key: "k2"}, time.Time{}); err != nil || len(e.Targets) != 0 || e.Tenant != 2 {
		t.Fatalf("got %+v, %v", e, err)
	}
	if !empty(t, conn)() {
		t.Error("the inbox is not empty")
	}
}

// One id is one event, however it comes.
func TestMoverFoldsRepeats(t *testing.T) {
	t.Parallel()
	url, conn := database(t)
	n := startNode(t, url)
	when := time.Date(2026, 1, 31, 8, 0, 0, 5e6, time.UTC)
	item := ingest.Item{Tenant: "acme", Key: "k", Type: "a.b", Data: []byte(`{"é":1}`), Previous: []byte(`1`), Metadata: []byte(`{}`), Time: when, Suppress: true, OrderingKey: "o é"}
	if results, _, err := n.Publish(t.Context(), &ingest.Submission{Items: []ingest.Item{item}}); err != nil || results[0].Err != nil {
		t.Fatal(results, err)
	}
	const call = `SELECT grapnel.publish('acme', 'a.b', $1, id => $2, metadata => '{}', previous => '1', ordering_key => 'o é', suppress => true, "time" => '2026-01-31 08:00:00.0059Z')`
	// While one mover is held up, what comes twice waits twice.
	n.mover.Stop()
	exec(t, conn, call, ` {"é":1}`, "k")
	if !empty(t, conn)() {
		t.Error("an event that is known already waits")
	}
	if _, err := conn.Exec(t.Context(), call, `{"é":2}`, "k"); err == nil {
		t.Error("another event has got the same id")
	}
	for _, data := range []string{"1", "1", "2"} {
		exec(t, conn, call, data, "twice")
	}
	other := startNode(t, url)
	eventually(t, "the other event is told of", func() bool { other.mu.Lock(); defer other.mu.Unlock(); return len(other.told) == 1 })
	eventually(t, "the event is in the log", func() bool { return len(other.keys()) > 0 })
	if got := other.keys(); !slices.Equal(got, []string{"twice"}) {
		t.Errorf("moved: %q", got)
	}
	if r := other.told[0]; r.Code != hook.CodeMismatch || string(r.Data) != "2" || r.Key != "twice" || r.TenantID != "acme" {
		t.Errorf("told of %+v", r)
	}
}

// What SQL lets through and Grapnel does not is kept as rejected, and holds up nothing.
func TestMoverRejects(t *testing.T) {
	t.Parallel()
	url, conn := database(t)
	n := startNode(t, url)
	if _, err := n.store.Configure(t.Context(), &store.Change{Types: []*hook.EventType{{Name: "strict", Schema: []byte(`{"type":"object"}`), Validate: true}}}); err != nil {
		t.Fatal(err)
	}
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bad := []string{`{"a":1,"a":2}`, `"\ud800"`, `"` + strings.Repeat("x", 999) + `"`, "12"}
	for i, data := range bad {
		exec(t, conn, `UPDATE grapnel.inbox_rules SET max_bytes = 1000000`)
		eventType := "a.b"
		if data == "12" {
			eventType = "strict"
		}
		exec(t, conn, `SELECT grapnel.publish('acme', $3, $1, id => $2)`, data, fmt.Sprint("bad", i), eventType)
		exec(t, conn, `SELECT grapnel.publish('acme', 'a.b', '1', id => $1)`, fmt.Sprint("good", i))
	}
	exec(t, conn, `SELECT grapnel.publish('bolt', 'a.b', '1', id => 'gone')`)
	exec(t, conn, `UPDATE grapnel.tenants SET deleted = true WHERE id = 'bolt'`)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all are told of", func() bool { n.mu.Lock(); defer n.mu.Unlock(); return len(n.told) == len(bad)+1 })
	eventually(t, "the good ones are in the log", func() bool { return len(n.keys()) == len(bad) })
	if got := n.keys(); !slices.Equal(got, []string{"good0", "good1", "good2", "good3"}) {
		t.Errorf("moved: %q", got)
	}
	rejected, err := n.store.Rejected(t.Context(), store.RejectedQuery{Tenant: 1, Limit: 10})
	if err != nil || len(rejected) != len(bad) {
		t.Fatal(rejected, err)
	}
	for i, code := range []hook.Code{hook.CodeUnfit, hook.CodeTooLarge, hook.CodeInvalid, hook.CodeInvalid} { // the latest first
		if r := rejected[i]; r.Code != code || r.Reason == "" || r.Key != fmt.Sprint("bad", len(bad)-1-i) {
			t.Errorf("rejected: %+v", r)
		}
	}
}

// poison is a log that cannot store some events.
type poison struct{ store.Log }

func (p poison) Append(ctx context.Context, b *store.Batch) error {
	for _, e := range b.Events {
		if string(e.Data) == `"poison"` {
			return fmt.Errorf("%w: the store chokes on %s", store.ErrUnfit, e.Key)
		}
	}
	return p.Log.Append(ctx, b)
}

// An event that the store itself cannot take ends as rejected as well.
func TestMoverGivesPoisonUp(t *testing.T) {
	t.Parallel()
	url, conn := database(t)
	for i := range 20 {
		data := "1"
		if i%7 == 3 {
			data = `"poison"`
		}
		exec(t, conn, `SELECT grapnel.publish('acme', 'a.b', $1, id => $2)`, data, fmt.Sprint(i))
	}
	n := startNode(t, url, func(c *ingest.Config) { c.Log = poison{c.Log} })
	eventually(t, "three are told of", func() bool { n.mu.Lock(); defer n.mu.Unlock(); return len(n.told) == 3 })
	eventually(t, "nothing waits", empty(t, conn))
	eventually(t, "the others are in the log", func() bool { return len(n.keys()) == 17 })
}

// shut is a log that stores nothing for reasons of its own.
type shut struct {
	store.Log
	tried chan struct{}
	open  chan struct{} // closed: it is over
}

func (s shut) Append(ctx context.Context, b *store.Batch) error {
	select {
	case <-s.open:
		return s.Log.Append(ctx, b)
	default:
	}
	select {
	case s.tried <- struct{}{}:
	default:
	}
	return errors.New("permission denied for table events")
}

// What the store cannot take for reasons of its own, of whatever kind, waits until it can:
// an event that was committed is no worse for that.
func TestMoverWaitsForTheStore(t *testing.T) {
	t.Parallel()
	url, conn := database(t)
	for i := range 5 {
		exec(t, conn, `SELECT grapnel.publish('acme', 'a.b', '1', id => $1)`, fmt.Sprint(i))
	}
	s := shut{tried: make(chan struct{}, 1), open: make(chan struct{})}
	n := startNode(t, url, func(c *ingest.Config) { s.Log = c.Log; c.Log = s })
	for range 2 { // also alone
		<-s.tried
	}
	close(s.open)
	eventually(t, "all are in the log", func() bool { return len(n.keys()) == 5 })
	eventually(t, "nothing waits", empty(t, conn))
	if rejected, err := n.store.Rejected(t.Context(), store.RejectedQuery{Tenant: 1, Limit: 10}); err != nil || len(rejected) != 0 {
		t.Errorf("rejected: %v, %v", rejected, err)
	}
}

// A quota paces a tenant's events, and no other tenant's.
func TestMoverKeepsToQuotas(t *testing.T) {
	t.Parallel()
	url, conn := database(t)
	exec(t, conn, `SELECT grapnel.publish('acme', 'a.b', i::text, id => i::text) FROM generate_series(1, 3000) AS i`)
	exec(t, conn, `SELECT grapnel.publish('bolt', 'a.b', '1', id => 'b')`)
	n := startNode(t, url, func(c *ingest.Config) { c.Limits.Events = 1000 })
	eventually(t, "the other tenant's event is in the log", func() bool { return slices.Contains(n.keys(), "b") })
	if got := len(n.keys()); got > 2000 {
		t.Errorf("%d events are in the log before", got)
	}
	eventually(t, "all events are in the log", func() bool { return len(n.keys()) == 3001 })
	last := 0
	for _, k := range n.keys() {
		var i int
		if _, err := fmt.Sscan(k, &i); err == nil {
			if i != last+1 {
				t.Fatalf("%d follows %d", i, last)
			}
			last = i
		}
	}
	if len(n.told) > 0 {
		t.Errorf("rejected: %+v", n.told[0])
	}
}

// Several nodes move at once: each committed event is in the log once, in its
// transactions' order, and what was rolled back is not. Connections break meanwhile.
func TestMoversShareTheInbox(t *testing.T) {
	t.Parallel()
	const callers, each = 6, 150
	url, conn := database(t)
	nodes := []*node{startNode(t, url), startNode(t, url), startNode(t, url)}
	var mu sync.Mutex
	want := map[string]bool{}
	var work sync.WaitGroup
	for caller := range callers {
		conn := connection(t, url+"&application_name=caller")
		random := rand.New(rand.NewPCG(1, uint64(caller)))
		work.Go(func() {
			for i := range each {
				tx, err := conn.Begin(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				var keys []string
				for range 1 + random.IntN(3) {
					key := fmt.Sprintf("%d.%04d.%d", caller, i, len(keys))
					if _, err := tx.Exec(t.Context(), `SELECT grapnel.publish($1, 'a.b', $2, id => $3)`, []string{"acme", "bolt"}[caller%2], `"x"`, key); err != nil {
						t.Error(err)
						return
					}
					keys = append(keys, key)
				}
				if random.IntN(3) == 0 {
					if err := tx.Rollback(t.Context()); err != nil {
						t.Error(err)
					}
					continue
				}
				if err := tx.Commit(t.Context()); err != nil {
					t.Error(err)
				}
				mu.Lock()
				for _, k := range keys {
					want[k] = true
				}
				mu.Unlock()
			}
		})
	}
	done := make(chan struct{})
	go func() { work.Wait(); close(done) }()
	for over := false; !over; {
		exec(t, conn, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'grapnel' AND state <> 'idle' AND pid <> pg_backend_pid() LIMIT 1`)
		select {
		case <-done:
			over = true
		case <-time.After(20 * time.Millisecond):
		}
	}
	eventually(t, "nothing waits", empty(t, conn))
	seen, last := map[string]bool{}, map[byte]string{}
	rows, err := conn.Query(t.Context(), `SELECT key FROM grapnel.events ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if seen[k] || !want[k] {
			t.Errorf("%s is in the log: twice %v, committed %v", k, seen[k], want[k])
		}
		if k < last[k[0]] {
			t.Errorf("%s follows %s", k, last[k[0]])
		}
		seen[k], last[k[0]] = true, k
	}
	if len(seen) != len(want) {
		t.Errorf("%d events are in the log, %d were committed", len(seen), len(want))
	}
	eventually(t, "each event is offered, once", func() bool {
		offered := 0
		for _, n := range nodes {
			offered += len(n.keys())
		}
		return offered == len(want)
	})
}
