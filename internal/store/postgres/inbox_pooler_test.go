//go:build unix

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
)

// Applications publish, and nodes move, behind a pooler that gives each transaction
// whatever connection is free: more of them than it has connections.
func TestPublishBehindAPooler(t *testing.T) {
	t.Parallel()
	address := startPooler(t).through(t, pgtest.Database(t))
	st, err := postgres.Open(t.Context(), postgres.Options{URL: address, Conns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	if _, err := st.Configure(t.Context(), &store.Change{Tenants: []*hook.Tenant{{ID: "acme"}}}); err != nil {
		t.Fatal(err)
	}
	cfg, err := pgx.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	rolledBack := errors.New("rolled back")
	for i := range 6 {
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		err = pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
			for part := range 2 {
				if _, err := tx.Exec(t.Context(), `SELECT grapnel.publish('acme', 'a', '1', id => $1)`, fmt.Sprint(i, ".", part)); err != nil {
					return err
				}
			}
			if i%2 == 1 {
				return rolledBack
			}
			return nil
		})
		if i%2 == 0 && err != nil || i%2 == 1 && !errors.Is(err, rolledBack) {
			t.Fatal(err)
		}
	}
	b := &store.Batch{Revision: 1}
	for i, w := range waiting(t, st) {
		e := event(1<<40 + int64(i))
		e.Key, e.Data = w.Key, w.Data
		b.Events, b.Taken = append(b.Events, e), append(b.Taken, store.Taken{InboxPlace: w.InboxPlace})
	}
	if err := st.Append(t.Context(), b); err != nil || len(b.Events) != 6 {
		t.Fatalf("%d events wait, want 6: %v", len(b.Events), err)
	}
	for i, e := range b.Events {
		if want := fmt.Sprint(i/2*2, ".", i%2); e.Key != want {
			t.Errorf("%s waits where %s should", e.Key, want)
		}
	}
	if left := waiting(t, st); len(left) > 0 {
		t.Errorf("waiting still: %+v", left[0])
	}
}
