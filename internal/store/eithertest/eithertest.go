package eithertest

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"grapnel/internal/store"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
	"grapnel/internal/store/sqlite"
)

// Variable is the environment variable that names the engine: "sqlite", which is the
// default, or "postgres".
const Variable = "GRAPNEL_TEST_STORE"

// Postgres reports whether the tests run on PostgreSQL.
func Postgres() bool {
	switch v := os.Getenv(Variable); v {
	case "", "sqlite":
		return false
	case "postgres":
		return true
	default:
		panic(fmt.Sprintf("%s is %q: write sqlite or postgres", Variable, v))
	}
}

// OnlySQLite ends a test that says nothing about PostgreSQL where the tests run on
// that. It is no gap: why names what SQLite alone has.
func OnlySQLite(t testing.TB, why string) {
	t.Helper()
	if Postgres() {
		t.Skip("of SQLite alone: " + why)
	}
}

// Options are what tests choose of an engine.
type Options struct {
	// Events cuts SQLite's log after so many events; 0: as it is used. On PostgreSQL
	// units are spans of time, which its own tests make short.
	Events int
}

// Open opens a new store, which is closed with the test unless it has been before.
func Open(t testing.TB) store.Store {
	t.Helper()
	st := At(t, t.TempDir(), Options{})
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// lease is how long a lease on PostgreSQL is, long enough that no test has to renew it.
// SQLite's never end.
const lease = time.Hour

// At opens the store that belongs to a folder: the same one each time. The caller
// closes it.
func At(t testing.TB, dir string, o Options) store.Store {
	t.Helper()
	var st store.Store
	var err error
	if Postgres() {
		st, err = postgres.Open(t.Context(), postgres.Options{URL: URL(t, dir), Conns: 8, Lease: lease})
	} else {
		st, err = sqlite.Open(t.Context(), sqlite.Options{Dir: dir, SegmentEvents: o.Events})
	}
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// databases are those that belong to folders.
var databases struct {
	sync.Mutex
	of map[string]string
}

// URL is the database that belongs to a folder where the tests run on PostgreSQL. The
// test that asks for it first makes it, and it goes with that test.
func URL(t testing.TB, dir string) string {
	t.Helper()
	databases.Lock()
	defer databases.Unlock()
	if url := databases.of[dir]; url != "" {
		return url
	}
	if databases.of == nil {
		databases.of = map[string]string{}
	}
	databases.of[dir] = pgtest.Database(t)
	return databases.of[dir]
}
