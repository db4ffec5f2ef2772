package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/store"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
	"grapnel/internal/store/storetest"
)

// database is a store's database that can be opened again and again.
type database struct {
	opts postgres.Options
	st   *postgres.Store
}

func newDatabase(t *testing.T, opts postgres.Options) *database {
	opts.URL = pgtest.Database(t)
	d := &database{opts: opts}
	t.Cleanup(func() {
		if d.st != nil {
			d.st.Close()
		}
	})
	return d
}

func (d *database) open(t *testing.T) *postgres.Store {
	t.Helper()
	st, err := postgres.Open(t.Context(), d.opts)
	if err != nil {
		t.Fatal(err)
	}
	d.st = st
	return st
}

func (d *database) reopen(t *testing.T) *postgres.Store {
	t.Helper()
	if err := d.st.Close(); err != nil {
		t.Fatal(err)
	}
	return d.open(t)
}

// crash cuts the store off from the server, then opens it again.
func (d *database) crash(t *testing.T) *postgres.Store {
	t.Helper()
	cut(t, d.opts.URL)
	d.st.Close()
	return d.open(t)
}

// cut ends all connections to a database.
func cut(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	if err != nil {
		t.Fatal(err)
	}
}

func harness(t *testing.T, opts postgres.Options) storetest.Harness {
	return newDatabase(t, opts).harness(t)
}

func (d *database) harness(t *testing.T) storetest.Harness {
	return storetest.Harness{
		Raises: true,
		Cuts:   d.opts.UnitSpan > 0,
		Store:  d.open(t),
		Reopen: func(t *testing.T) store.Store { return d.reopen(t) },
		Crash:  func(t *testing.T) store.Store { return d.crash(t) },
		Another: func(t *testing.T) store.Store {
			t.Helper()
			return openAt(t, d.opts)
		},
	}
}

// The whole suite with units as they are used. TestStoreBehindAPooler has short ones,
// compressed: two passes are enough, for each test makes a database.
func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Harness { return harness(t, postgres.Options{Conns: 4}) })
}

// The random test with units that end all the time, and no pooler between.
func TestModelWithShortUnits(t *testing.T) {
	t.Parallel()
	storetest.RunModel(t, func(t *testing.T) storetest.Harness {
		return harness(t, postgres.Options{UnitSpan: 3 * time.Second, Conns: 4})
	})
}
