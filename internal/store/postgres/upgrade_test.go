package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
)

// case 14: a program goes on working, and starts, with a schema that a later one has made, as
// long as that says so; and that is not done while a program runs that it would break.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	old := openAt(t, postgres.Options{URL: url, Conns: 2})
	oldUnits(t, old, 1)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	has := number(t, url, `SELECT schema_version FROM grapnel.meta`)
	const adds = "-- Works with 1.\nALTER TABLE grapnel.events ADD COLUMN colour text; ALTER TABLE grapnel.head ADD COLUMN colours bigint NOT NULL DEFAULT 0"
	if err := postgres.MigrateWith(t.Context(), conn, adds); err != nil {
		t.Fatal(err)
	}
	if now := number(t, url, `SELECT schema_version FROM grapnel.meta`); now != has+1 {
		t.Fatalf("the schema is at %d, was at %d", now, has)
	}
	e := event(hook.NextEventID(0, time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), 1).Seq())
	if err := old.Append(t.Context(), &store.Batch{Revision: 1, Events: []*hook.Event{e}}); err != nil {
		t.Fatal("a program that ran: ", err)
	}
	late := openAt(t, postgres.Options{URL: url, Conns: 2})
	if _, err := late.Event(t.Context(), hook.AllTenants, e.ID); err != nil {
		t.Fatal("a program that starts: ", err)
	}
	const breaks = "ALTER TABLE grapnel.events RENAME COLUMN data TO contents"
	if err := postgres.MigrateWith(t.Context(), conn, adds, breaks); !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "2 nodes") {
		t.Fatalf("a change that breaks nodes that run: %v", err)
	}
	if err := errors.Join(late.Close(), old.Close()); err != nil {
		t.Fatal(err)
	}
	if err := postgres.MigrateWith(t.Context(), conn, adds, breaks); err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.Open(t.Context(), postgres.Options{URL: url}); !errors.Is(err, store.ErrNewer) {
		t.Fatalf("got %v, want ErrNewer", err)
	}
}

// A migration takes tables in another order than a program that publishes, which holds one
// and wants the next: the migration gives way, and is done once the other is.
func TestMigrationGivesWay(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	connect := func() *pgx.Conn {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
		return conn
	}
	migrates, publishes := connect(), connect()
	tx, err := publishes.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lock := func(table string) {
		t.Helper()
		if _, err := tx.Exec(t.Context(), "LOCK TABLE grapnel."+table+" IN ROW EXCLUSIVE MODE"); err != nil {
			t.Fatal("a program that publishes: ", err)
		}
	}
	lock("appenders")
	done := make(chan error, 1)
	go func() {
		done <- postgres.MigrateWith(t.Context(), migrates, "-- Works with 1.\nALTER TABLE grapnel.events ADD COLUMN colour text; CREATE INDEX late ON grapnel.appenders (at)")
	}()
	const waits = `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'grapnel.appenders'::regclass`
	for number(t, url, waits) == 0 {
		select {
		case err := <-done:
			t.Fatalf("it did not wait: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	lock("events")
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal("the migration: ", err)
	}
}
