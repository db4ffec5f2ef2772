package bench

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/child"
	"grapnel/internal/store/postgres/pgserver"
)

// privateStore has a benchmark start a PostgreSQL server of its own.
const privateStore = "postgres"

// databases are where servers keep their events instead of in a data folder: one of
// a PostgreSQL server's databases each.
type databases struct {
	*pgserver.Cluster
	pid  int    // of the server's first process; 0: it is somebody else's
	key  string // that secrets are sealed with
	made int
}

// checkStore refuses what is neither empty, nor privateStore, nor a URL. It never
// quotes a URL, which may hold a password.
func checkStore(text string) error {
	if u, err := url.Parse(text); text != "" && text != privateStore && (err != nil || !strings.HasPrefix(u.Scheme, "postgres")) {
		return fmt.Errorf("--store is neither %s, for a server of the benchmark's own, nor a postgres:// URL", privateStore)
	}
	return nil
}

// newDatabases starts a server, or takes the one that a URL names; nil for "".
func newDatabases(text, key string) (*databases, error) {
	if text == "" {
		return nil, nil
	}
	d := &databases{key: key}
	var err error
	if text != privateStore {
		d.Cluster, err = pgserver.At(text)
		return d, err
	}
	// More than what an empty configuration gives, as anybody would set it who
	// expects load; nothing that makes it less safe.
	d.Cluster, err = pgserver.Start(pgserver.Options{Durable: true, Settings: []string{
		"shared_buffers=512MB", "max_wal_size=4GB", "shared_preload_libraries=pg_stat_statements", "pg_stat_statements.track_planning=off",
	}})
	if err == nil {
		d.pid, err = d.PID()
	}
	if err == nil {
		err = d.Exec(context.Background(), "postgres", `CREATE EXTENSION pg_stat_statements`)
	}
	if err != nil && d.Cluster != nil {
		d.End()
	}
	return d, err
}

// create makes an empty database.
func (d *databases) create(ctx context.Context) (name string, err error) {
	d.made++
	name = fmt.Sprintf("grapnel_bench_%d_%d", os.Getpid(), d.made)
	return name, d.Exec(ctx, "postgres", `CREATE DATABASE `+name+` TEMPLATE template0 ENCODING 'UTF8'`)
}

// drop removes a database with whoever uses it.
func (d *databases) drop(name string) error {
	return d.Exec(context.Background(), "postgres", `DROP DATABASE `+name+` WITH (FORCE)`)
}

// env has a server keep its events in a database.
func (d *databases) env(name string) []string {
	return []string{"GRAPNEL_STORE=" + d.URL(name), "GRAPNEL_SECRET_KEY=" + d.key}
}

// databaseUsage is what a PostgreSQL server has done so far.
type databaseUsage struct {
	calls   int64         // statements of clients, in one database; -1: not known
	log     int64         // bytes of its write-ahead log
	cpu     time.Duration // of all its processes; 0: not known
	written int64         // bytes sent to the storage layer by those that there are
}

// usage reads what was done for a database.
func (d *databases) usage(ctx context.Context, name string) (u databaseUsage, err error) {
	conn, err := pgx.Connect(ctx, d.URL("postgres"))
	if err != nil {
		return u, err
	}
	defer func() { _ = conn.Close(ctx) }() // it has been read by then
	if err := conn.QueryRow(ctx, `SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint`).Scan(&u.log); err != nil {
		return u, err
	}
	const calls = `SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid WHERE d.datname = $1`
	if conn.QueryRow(ctx, calls, name).Scan(&u.calls) != nil { // the extension is not there
		u.calls = -1
	}
	if d.pid == 0 {
		return u, nil
	}
	tree, err := child.ReadTree(d.pid)
	if errors.Is(err, child.ErrUnknown) {
		err = nil
	}
	u.cpu, u.written = tree.CPU, tree.Written
	return u, err
}

// databaseCosts are the figures of what a window cost the database.
func (w *window) databaseCosts(f *figures) {
	from, to, n := w.database[0], w.database[1], float64(w.unique)
	if from == (databaseUsage{}) {
		return
	}
	if to.cpu > 0 {
		f.add("PostgreSQL CPU", "µs/event", float64((to.cpu-from.cpu).Microseconds())/n)
		f.add("written to disk by PostgreSQL", "B/event", float64(to.written-from.written)/n)
	}
	f.add("write-ahead log", "B/event", float64(to.log-from.log)/n)
	if to.calls >= 0 {
		f.add("database round trips", "per event", float64(to.calls-from.calls)/n)
	}
}
