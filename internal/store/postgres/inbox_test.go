package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
)

// withTenants opens a store that has these tenants.
func withTenants(t *testing.T, ids ...string) (*postgres.Store, *pgx.Conn) {
	t.Helper()
	url := pgtest.Database(t)
	st, err := postgres.Open(t.Context(), postgres.Options{URL: url, Conns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	c := &store.Change{}
	for _, id := range ids {
		c.Tenants = append(c.Tenants, &hook.Tenant{ID: id})
	}
	if _, err := st.Configure(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return st, connect(t, url)
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// waiting reads all that waits.
func waiting(t *testing.T, st *postgres.Store) []*store.Waiting {
	t.Helper()
	all, err := st.Waiting(t.Context(), store.InboxQuery{Node: "n", For: time.Minute, Limit: 1000, Each: 1000, Bytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func publish(t *testing.T, conn *pgx.Conn, args string) string {
	t.Helper()
	var id string
	if err := conn.QueryRow(t.Context(), `SELECT grapnel.publish(`+args+`)`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestPublishKeepsWhatItIsGiven(t *testing.T) {
	t.Parallel()
	st, conn := withTenants(t, "acme")
	data := "\n{\"b\" : 1.00, \"a\":\"\\u00e9é\",\t\"n\":12345678901234567890123}  "
	if id := publish(t, conn, `'acme', 'a.b', '`+data+`', id => 'k1', "time" => '2026-01-31 08:00:00.1239Z', metadata => ' {"m":1}', previous => '[1]', ordering_key => 'o', suppress => true`); id != "k1" {
		t.Fatalf("the id is %q", id)
	}
	made := publish(t, conn, `'acme', 'a.b', 'null'`)
	all := waiting(t, st)
	if len(all) != 2 || all[1].Key != made || !strings.HasPrefix(made, "tx_") || all[0].N >= all[1].N {
		t.Fatalf("waiting: %+v", all)
	}
	w := all[0]
	if w.TenantID != "acme" || w.Type != "a.b" || !bytes.Equal(w.Data, []byte(strings.TrimSpace(data))) || string(w.Metadata) != `{"m":1}` || string(w.Previous) != "[1]" ||
		w.Ordering != "o" || !w.Suppress || !w.Time.Equal(time.Date(2026, 1, 31, 8, 0, 0, 123e6, time.UTC)) {
		t.Fatalf("waiting: %+v", w)
	}
	if w := all[1]; w.Metadata != nil || w.Previous != nil || !w.Time.IsZero() || w.Suppress || w.Ordering != "" || string(w.Data) != "null" {
		t.Fatalf("waiting: %+v", w)
	}
}

func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	st, conn := withTenants(t, "acme")
	if err := st.Rule(t.Context(), store.InboxRules{MaxBytes: 10, Window: time.Hour}); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]struct{ code, message string }{
		`'nobody', 'a', '1'`:                                      {"23503", "there is no tenant 'nobody'"},
		`'', 'a', '1'`:                                            {"23503", "there is no tenant ''"},
		`repeat('x', 100000), 'a', '1'`:                           {"23503", "there is no tenant '" + strings.Repeat("x", 130) + "'"},
		`NULL, 'a', '1'`:                                          {"22004", "the event has no tenant"},
		`'acme', NULL, '1'`:                                       {"22004", "the event has no type"},
		`'acme', 'a', NULL`:                                       {"22004", "the event has no data"},
		`'acme', 'a b', '1'`:                                      {"22023", "the event type 'a b' is not valid"},
		`'acme', '', '1'`:                                         {"22023", "the event type '' is not valid"},
		`'acme', '..', '1'`:                                       {"22023", "the event type '..' is not valid"},
		`'acme', E'a\n', '1'`:                                     {"22023", "is not valid"},
		`'acme', 'grapnel.x', '1'`:                                {"22023", "the event type 'grapnel.x' begins with"},
		`'acme', repeat('a', 129), '1'`:                           {"22023", "is not valid"},
		`'acme', 'a', '{'`:                                        {"22P02", "the event's data is not JSON"},
		`'acme', 'a', ''`:                                         {"22P02", "the event's data is not JSON"},
		`'acme', 'a', '1', previous => '{'`:                       {"22P02", "the event's previous is not JSON"},
		`'acme', 'a', '1', metadata => '{'`:                       {"22P02", "the event's metadata is not JSON"},
		`'acme', 'a', '1', metadata => '[]'`:                      {"22023", "the event's metadata is not a JSON object"},
		`'acme', 'a', '12345678901'`:                              {"54000", "the event's data has more than 10 bytes"},
		`'acme', 'a', repeat('[', 10000000)`:                      {"54000", "the event's data has more than 10 bytes"},
		`'acme', 'a', '1', previous => '12345678901'`:             {"54000", "the event's previous has more than 10 bytes"},
		`'acme', 'a', '1', metadata => '{"a":12345}'`:             {"54000", "the event's metadata has more than 10 bytes"},
		`'acme', 'a', '1', id => ''`:                              {"22023", "the event's id is not valid"},
		`'acme', 'a', '1', id => 'é'`:                             {"22023", "the event's id is not valid"},
		`'acme', 'a', '1', id => repeat('a', 257)`:                {"22023", "the event's id is not valid"},
		`'acme', 'a', '1', ordering_key => repeat('a', 256)`:      {"22023", "the ordering key is not valid"},
		`'acme', 'a', '1', ordering_key => chr(10)`:               {"22023", "the ordering key is not valid"},
		`'acme', 'a', '1', "time" => 'infinity'`:                  {"22008", "the event's time is out of range"},
		`'acme', 'a', '1', "time" => '10000-01-01 00:00:00Z'`:     {"22008", "the event's time is out of range"},
		`'acme', 'a', '1', "time" => '0002-01-01 00:00:00+00 BC'`: {"22008", "the event's time is out of range"},
		`'acme', 'a', '1', "time" => 'yesterdayish'`:              {"22007", "yesterdayish"},
		`'acme', 'a', '{}'::jsonb`:                                {"42883", "does not exist"},
	} {
		_, err := conn.Exec(t.Context(), `SELECT grapnel.publish(`+args+`)`)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != want.code || !strings.Contains(pg.Message, want.message) {
			t.Errorf("%s: got %v, want %s: %s", args, err, want.code, want.message)
		} else if pg.Hint == "" && pg.Code != "22008" && pg.Code != "22007" {
			t.Errorf("%s: %v does not say what to do", args, err)
		}
	}
	// What is nested so deep that PostgreSQL gives up is no JSON either.
	if err := st.Rule(t.Context(), store.InboxRules{MaxBytes: 1 << 20, Window: time.Hour}); err != nil {
		t.Fatal(err)
	}
	var pg *pgconn.PgError
	if _, err := conn.Exec(t.Context(), `SELECT grapnel.publish('acme', 'a', repeat('[', 500000) || repeat(']', 500000))`); !errors.As(err, &pg) || pg.Code != "22P02" || !strings.Contains(pg.Detail, "stack depth") {
		t.Errorf("deep: got %v", err)
	}
	if all := waiting(t, st); len(all) > 0 {
		t.Errorf("waiting: %+v", all[0])
	}
}

// batchOf is a batch with an event, if it has a key, and what is taken.
func batchOf(key string, data string, taken ...store.Taken) *store.Batch {
	b := &store.Batch{Revision: 1, Taken: taken}
	if key != "" {
		e := event(1 << 40)
		e.Key, e.Data = key, []byte(data)
		b.Events = []*hook.Event{e}
	}
	return b
}

// What leaves the inbox does so with its event, once.
func TestTakenOnce(t *testing.T) {
	t.Parallel()
	st, conn := withTenants(t, "acme", "other")
	publish(t, conn, `'acme', 'a', '1', id => 'one'`)
	publish(t, conn, `'other', 'a', '2', id => 'two'`)
	publish(t, conn, `'acme', 'a', '3', id => 'three'`)
	all := waiting(t, st)
	if len(all) != 3 || all[0].Key != "one" || all[1].Key != "three" || all[2].Key != "two" {
		t.Fatalf("waiting: %+v", all)
	}
	first := store.Taken{InboxPlace: all[0].InboxPlace}
	if err := st.Append(t.Context(), batchOf("one", "1", first)); err != nil {
		t.Fatal(err)
	}
	if err := st.Append(t.Context(), batchOf("again", "1", first)); !errors.Is(err, store.ErrTaken) {
		t.Fatalf("got %v, want ErrTaken", err)
	}
	if _, err := st.EventByKey(t.Context(), store.EventKey{Tenant: 1, Key: "again"}, time.Time{}); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("the event of a row that was gone: %v", err)
	}
	// A key that is taken keeps the row where it is.
	if err := st.Append(t.Context(), batchOf("one", "3", store.Taken{InboxPlace: all[1].InboxPlace})); !errors.Is(err, store.ErrKeyTaken) {
		t.Fatalf("got %v, want ErrKeyTaken", err)
	}
	if rest := waiting(t, st); len(rest) != 2 {
		t.Fatalf("waiting: %+v", rest)
	}
	// One that is rejected is kept as it was.
	reason := hook.Invalid("/data", "is wrong")
	if err := st.Append(t.Context(), batchOf("", "", store.Taken{InboxPlace: all[1].InboxPlace, Err: reason})); err != nil {
		t.Fatal(err)
	}
	untold, err := st.Untold(t.Context(), 10)
	if err != nil || len(untold) != 1 || untold[0].Key != "three" || string(untold[0].Data) != "3" || untold[0].TenantID != "acme" || untold[0].Code != hook.CodeInvalid || untold[0].Reason != "/data: is wrong" {
		t.Fatalf("untold: %+v, %v", untold, err)
	}
	if err := st.Told(t.Context(), []store.InboxPlace{untold[0].InboxPlace}); err != nil {
		t.Fatal(err)
	}
	if untold, err := st.Untold(t.Context(), 10); err != nil || len(untold) > 0 {
		t.Fatalf("untold: %+v, %v", untold, err)
	}
	for query, want := range map[store.RejectedQuery]int{
		{Tenant: 1, Limit: 10}:                   1,
		{Tenant: 1, Key: "three", Limit: 10}:     1,
		{Tenant: 1, Key: "one", Limit: 10}:       0,
		{Tenant: 1, Before: all[1].N, Limit: 10}: 0,
		{Tenant: 2, Limit: 10}:                   0,
	} {
		if got, err := st.Rejected(t.Context(), query); err != nil || len(got) != want {
			t.Errorf("%+v: got %+v, %v", query, got, err)
		}
	}
	if _, err := st.Prune(t.Context(), store.PruneQuery{Before: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if got, err := st.Rejected(t.Context(), store.RejectedQuery{Tenant: 1, Limit: 10}); err != nil || len(got) > 0 {
		t.Errorf("kept for ever: %+v, %v", got, err)
	}
}

// Of what was rejected a tenant keeps the latest, and not more however much comes.
func TestRejectedAreBounded(t *testing.T) {
	t.Parallel()
	st, conn := withTenants(t, "acme", "other")
	const flood = 21_000
	if _, err := conn.Exec(t.Context(), `INSERT INTO grapnel.rejected (tenant, n, at, suppress, key, type, data, rejected_at, code, reason, told)
		SELECT 1 + (i = 1)::int, i, 1, false, i::text, 'a', '1', (extract(epoch FROM now()) * 1000000000)::bigint, 'invalid', 'x', false FROM generate_series(1, $1) AS i`, flood); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Prune(t.Context(), store.PruneQuery{Before: time.Now().Add(-time.Hour)}); err != nil {
		t.Fatal(err)
	}
	for tenant, want := range map[hook.TenantNum]struct{ n, last int }{1: {10_000, flood}, 2: {1, 1}} {
		got, err := st.Rejected(t.Context(), store.RejectedQuery{Tenant: tenant, Limit: flood})
		if err != nil || len(got) != want.n || got[0].N != int64(want.last) || got[len(got)-1].N != int64(want.last-want.n+1) {
			t.Errorf("tenant %d: %d are kept, %v", tenant, len(got), err)
		}
	}
}

// A row that another transaction holds is not waited for.
func TestTakeDoesNotWait(t *testing.T) {
	t.Parallel()
	st, conn := withTenants(t, "acme")
	publish(t, conn, `'acme', 'a', '1'`)
	all := waiting(t, st)
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), `SELECT FROM grapnel.inbox FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	if err := st.Append(t.Context(), batchOf("k", "1", store.Taken{InboxPlace: all[0].InboxPlace})); !errors.Is(err, store.ErrTaken) {
		t.Fatalf("got %v, want ErrTaken", err)
	}
}

// What a transaction that is open for long puts in is found when it is committed,
// however much has been moved meanwhile.
func TestLateCommit(t *testing.T) {
	t.Parallel()
	st, conn := withTenants(t, "acme")
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT grapnel.publish('acme', 'a', '1', id => 'early')`); err != nil {
		t.Fatal(err)
	}
	other := connect(t, conn.Config().ConnString())
	for range 100 {
		publish(t, other, `'acme', 'a', '2'`)
	}
	b := &store.Batch{Revision: 1}
	for i, w := range waiting(t, st) {
		e := event(1<<40 + int64(i))
		e.Key = w.Key
		b.Events, b.Taken = append(b.Events, e), append(b.Taken, store.Taken{InboxPlace: w.InboxPlace})
	}
	if err := st.Append(t.Context(), b); err != nil || len(b.Events) != 100 {
		t.Fatalf("%d events: %v", len(b.Events), err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := waiting(t, st); len(all) != 1 || all[0].Key != "early" || all[0].N > b.Taken[0].N {
		t.Fatalf("waiting: %+v", all)
	}
}

func TestWaitingIsSharedOut(t *testing.T) {
	t.Parallel()
	st, conn := withTenants(t, "a", "b", "c")
	if _, err := conn.Exec(t.Context(), `SELECT grapnel.publish('a', 't', '"0123456789"') FROM generate_series(1, 1000)`); err != nil {
		t.Fatal(err)
	}
	publish(t, conn, `'b', 't', '"0123456789"'`)
	publish(t, conn, `'c', 't', '"0123456789"'`)
	q := store.InboxQuery{Node: "n", For: time.Minute, Limit: 100, Each: 10, Bytes: 1 << 20}
	for name, c := range map[string]struct {
		change func(*store.InboxQuery)
		want   map[string]int
	}{
		"each":  {func(*store.InboxQuery) {}, map[string]int{"a": 10, "b": 1, "c": 1}},
		"after": {func(q *store.InboxQuery) { q.After = 1 }, map[string]int{"b": 1, "c": 1}},
		"skip":  {func(q *store.InboxQuery) { q.Skip = []hook.TenantNum{1, 3} }, map[string]int{"b": 1}},
		"limit": {func(q *store.InboxQuery) { q.Limit = 3 }, map[string]int{"a": 3}},
		"bytes": {func(q *store.InboxQuery) { q.Bytes = 30 }, map[string]int{"a": 3}},
		"least": {func(q *store.InboxQuery) { q.Bytes = 1 }, map[string]int{"a": 1}},
		"other": {func(q *store.InboxQuery) { q.Node = "m" }, map[string]int{}}, // n is at it
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := st.Waiting(t.Context(), q); err != nil { // n has the say
				t.Fatal(err)
			}
			q := q
			c.change(&q)
			all, err := st.Waiting(t.Context(), q)
			got := map[string]int{}
			for _, w := range all {
				got[w.TenantID]++
			}
			if err != nil || len(got) != len(c.want) {
				t.Fatalf("got %v, %v, want %v", got, err, c.want)
			}
			for id, n := range c.want {
				if got[id] != n {
					t.Errorf("got %v, want %v", got, c.want)
				}
			}
		})
	}
	if _, err := conn.Exec(t.Context(), `UPDATE grapnel.mover SET until = now()`); err != nil {
		t.Fatal(err)
	}
	q.Node = "m"
	if all, err := st.Waiting(t.Context(), q); err != nil || len(all) != 12 {
		t.Fatalf("after n has said nothing for a while: %d, %v", len(all), err)
	}
}

// publisher is a role that may publish for some tenants alone or, where none are named, for
// all. It goes with the test.
func publisher(t *testing.T, conn *pgx.Conn, tenants ...string) (role string) {
	t.Helper()
	role = "Grapnel's test_" + strings.ToLower(hook.NewID(""))
	for _, sql := range postgres.PublisherSQL(role, tenants, false) {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	t.Cleanup(func() {
		for _, sql := range []string{`RESET ROLE`, `DROP OWNED BY "` + role + `"`, `DROP ROLE "` + role + `"`} {
			if _, err := conn.Exec(context.Background(), sql); err != nil {
				t.Error(err)
			}
		}
	})
	return role
}

// as runs SQL as a role, in a transaction that is rolled back, and returns the SQLSTATE.
func as(t *testing.T, conn *pgx.Conn, role, sql string) string {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), `SET LOCAL ROLE "`+role+`"`); err != nil {
		t.Fatal(err)
	}
	_, err = tx.Exec(t.Context(), sql)
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	if err != nil {
		t.Fatal(err)
	}
	return ""
}

const denied = "42501"

// A role that may only publish can do nothing else, and that for its tenants alone if
// it is bound to some.
func TestPublisherRole(t *testing.T) {
	t.Parallel()
	st, conn := withTenants(t, "acme", "other")
	role := publisher(t, conn)
	for sql, want := range map[string]string{
		`SELECT grapnel.publish('other', 'a', '1')`:                                         "",
		`SELECT * FROM grapnel.inbox`:                                                       denied,
		`SELECT * FROM grapnel.events`:                                                      denied,
		`DELETE FROM grapnel.inbox`:                                                         denied,
		`SELECT grapnel.take1('{}', '{}', '{}', '{}')`:                                      denied,
		`SELECT grapnel.mover1('x', '1s')`:                                                  denied,
		`SELECT FROM grapnel.head FOR KEY SHARE`:                                            denied,
		`SELECT FROM grapnel.revision FOR UPDATE`:                                           denied,
		`LOCK TABLE grapnel.head IN ACCESS SHARE MODE`:                                      denied,
		`LOCK TABLE grapnel.inbox IN ACCESS EXCLUSIVE MODE`:                                 denied,
		`SELECT nextval('grapnel.inbox_n_seq')`:                                             denied,
		`SELECT last_value FROM grapnel.inbox_n_seq`:                                        denied,
		`TRUNCATE grapnel.events`:                                                           denied,
		`INSERT INTO grapnel.publishers VALUES ('x', 'acme')`:                               denied,
		`CREATE TABLE grapnel.mine (x int)`:                                                 denied,
		`CREATE TABLE mine (n bigint REFERENCES grapnel.head (one))`:                        denied,
		`CREATE FUNCTION grapnel.octet_length(text) RETURNS int LANGUAGE sql AS 'SELECT 0'`: denied,
		`ALTER FUNCTION grapnel.publish SECURITY INVOKER`:                                   denied,
		`GRANT EXECUTE ON FUNCTION grapnel.publish TO PUBLIC`:                               "", // a warning: nothing is granted
	} {
		if got := as(t, conn, role, sql); got != want {
			t.Errorf("%s: got %q, want %q", sql, got, want)
		}
	}
	// The same of all that there is, so that what is added later is looked at too.
	rows, err := conn.Query(t.Context(), `
		SELECT p.proname::text FROM pg_proc AS p WHERE p.pronamespace = 'grapnel'::regnamespace AND has_function_privilege($1, p.oid, 'EXECUTE')
		UNION ALL
		SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.relnamespace = 'grapnel'::regnamespace AND CASE WHEN c.relkind IN ('r', 'p', 'v', 'm')
			THEN has_table_privilege($1, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') OR has_any_column_privilege($1, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES') END
		UNION ALL
		SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.relnamespace = 'grapnel'::regnamespace AND CASE WHEN c.relkind = 'S'
			THEN has_sequence_privilege($1, c.oid, 'USAGE, SELECT, UPDATE') END
		UNION ALL
		SELECT 'CREATE in the schema' WHERE has_schema_privilege($1, 'grapnel', 'CREATE')`, role)
	if err != nil {
		t.Fatal(err)
	}
	may, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(may) != 1 || may[0] != "publish" {
		t.Errorf("the role may use %q: %v", may, err)
	}
	if got := waiting(t, st); len(got) != 0 {
		t.Errorf("waiting: %+v", got[0])
	}
}

// A role that is bound to tenants publishes for no other.
func TestBoundPublisher(t *testing.T) {
	t.Parallel()
	_, conn := withTenants(t, "acme", "bolt", "other")
	role := publisher(t, conn, "acme", "bolt")
	for tenant, want := range map[string]string{"acme": "", "bolt": "", "other": denied, "nobody": denied} {
		if got := as(t, conn, role, `SELECT grapnel.publish('`+tenant+`', 'a', '1')`); got != want {
			t.Errorf("%s: got %q, want %q", tenant, got, want)
		}
	}
	for _, sql := range postgres.PublisherSQL(role, []string{"other"}, true) {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	if got := as(t, conn, role, `SELECT grapnel.publish('other', 'a', '1')`); got != "" {
		t.Errorf("after it was bound to one more: %q", got)
	}
}

// A member of a bound role is bound as it is, and one of two as both; who has no part in
// one is not.
func TestMembersOfBoundPublishers(t *testing.T) {
	t.Parallel()
	_, conn := withTenants(t, "acme", "bolt", "other")
	acme, bolt, free := publisher(t, conn, "acme"), publisher(t, conn, "bolt"), publisher(t, conn)
	member, both := publisher(t, conn), publisher(t, conn)
	for _, sql := range []string{
		`GRANT "` + acme + `" TO "` + member + `"`, `ALTER ROLE "` + member + `" NOINHERIT`, `GRANT "` + member + `" TO "` + both + `"`, `GRANT "` + bolt + `" TO "` + both + `"`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for role, may := range map[string]string{acme: "acme", member: "acme", both: "acme bolt", free: "acme bolt other"} {
		for _, tenant := range []string{"acme", "bolt", "other"} {
			want := denied
			if strings.Contains(may, tenant) {
				want = ""
			}
			if got := as(t, conn, role, `SELECT grapnel.publish('`+tenant+`', 'a', '1')`); got != want {
				t.Errorf("one who may for %s, for %s: got %q, want %q", may, tenant, got, want)
			}
		}
	}
}

// What an open transaction of a publisher holds stands in nobody's way: appends,
// configuration, retention and the units of the log go on.
func TestPublisherHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	st, conn := withTenants(t, "acme")
	role := publisher(t, conn)
	if _, err := conn.Exec(t.Context(), `SET ROLE "`+role+`"`); err != nil {
		t.Fatal(err)
	}
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), `SELECT grapnel.publish('acme', 'a', '1', id => i::text) FROM generate_series(1, 100) AS i`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := st.Append(ctx, batchOf("1", "1")); err != nil { // the same key
		t.Error(err)
	}
	if _, err := st.Configure(ctx, &store.Change{Tenants: []*hook.Tenant{{ID: "new"}}}); err != nil {
		t.Error(err)
	}
	if _, err := st.Prune(ctx, store.PruneQuery{Before: time.Now().Add(time.Hour), Requests: time.Now().Add(time.Hour)}); err != nil {
		t.Error(err)
	}
	if err := st.Rule(ctx, store.InboxRules{MaxBytes: 5, Window: time.Minute}); err != nil {
		t.Error(err)
	}
	// Another application publishes under the same id, and need not wait to see.
	other := connect(t, conn.Config().ConnString())
	if _, err := other.Exec(ctx, `SELECT grapnel.publish('acme', 'a', '1', id => '2')`); err != nil {
		t.Error(err)
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if all := waiting(t, st); len(all) != 1 || all[0].Key != "2" {
		t.Errorf("waiting: %+v", all)
	}
}

// BenchmarkPublish is what publishing costs an application: one transaction of 100 events.
func BenchmarkPublish(b *testing.B) {
	url := pgtest.Database(b)
	st, err := postgres.Open(b.Context(), postgres.Options{URL: url})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	if _, err := st.Configure(b.Context(), &store.Change{Tenants: []*hook.Tenant{{ID: "acme"}}}); err != nil {
		b.Fatal(err)
	}
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	data := `{"a":"` + strings.Repeat("x", 1000) + `"}`
	for b.Loop() {
		if _, err := conn.Exec(b.Context(), `SELECT grapnel.publish('acme', 'a.b', $1, id => i::text) FROM generate_series(1, 100) AS i`, data); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/100, "µs/event")
}
