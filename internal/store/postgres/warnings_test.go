package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
)

// case 34: who keeps the server from cleaning up is named.
func TestLongTransactionsAreNamed(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	st := openAt(t, postgres.Options{URL: url, Conns: 2})
	other, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.Background())
	named := func(after time.Duration) bool {
		t.Helper()
		all, err := st.WarningsAfter(t.Context(), after)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(all, func(w string) bool {
			return strings.HasPrefix(w, fmt.Sprintf("process %d (", other.PgConn().PID())) && strings.Contains(w, "pg_terminate_backend")
		})
	}
	for _, sql := range []string{`BEGIN ISOLATION LEVEL REPEATABLE READ`, `SELECT 1 FROM grapnel.head`} {
		if _, err := other.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if !named(0) {
		t.Error("a transaction that is open is not told of")
	}
	if named(time.Hour) {
		t.Error("a transaction that is open for less than an hour is told of")
	}
	if _, err := other.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if named(0) {
		t.Error("a transaction that has ended is told of")
	}
}

// case 24: a standby that is not waited for may lack what was acknowledged when it takes
// over: the server's warnings tell of it.
func TestStandbysThatAreNotWaitedForAreNamed(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	standby, err := server.StartStandby()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.End)
	st := openAt(t, postgres.Options{URL: server.Database(t), Conns: 2})
	told := func() bool {
		t.Helper()
		all, err := st.LookForWarnings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(all, func(w string) bool { return strings.Contains(w, "synchronous_standby_names") })
	}
	if told() {
		t.Error("a standby that is waited for is told of")
	}
	if err := server.Exec(t.Context(), "postgres", `ALTER SYSTEM RESET synchronous_standby_names`, `SELECT pg_reload_conf()`); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); !told(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a standby that is not waited for is not told of")
		}
	}
}
