package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
)

// heldUp is how long others may wait for a client that has stopped: ten seconds by the
// constants of hung.go, and what a loaded machine takes besides.
const heldUp = 2 * time.Minute

// stopBeforeSync has the server run a statement for a client whose last message for it,
// the one that ends its transaction, never comes.
func stopBeforeSync(t *testing.T, url, sql string) {
	t.Helper()
	h, err := connect(t, url).PgConn().Hijack()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Conn.Close() })
	h.Frontend.SendParse(&pgproto3.Parse{Query: sql})
	h.Frontend.SendBind(&pgproto3.Bind{})
	h.Frontend.SendExecute(&pgproto3.Execute{})
	h.Frontend.Send(&pgproto3.Flush{})
	if err := h.Frontend.Flush(); err != nil {
		t.Fatal(err)
	}
	for {
		switch m, err := h.Frontend.Receive(); m := m.(type) {
		case *pgproto3.CommandComplete:
			return
		case *pgproto3.ErrorResponse:
			t.Fatal(m.Message)
		default:
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// stopBetween has the server run a statement for a client that then stops, in a
// transaction of several round trips.
func stopBetween(t *testing.T, url, sql string) {
	t.Helper()
	conn := connect(t, url)
	for _, sql := range []string{postgres.BeginSQL, sql} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

// cases 26 and 27: a client that stops in the middle of an append, of counting what ended
// or of removing a unit, and whose connection stays, does not keep others from
// appending for longer than the bound.
func TestStoppedClientHoldsUpNobody(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(t *testing.T, url string){
		"InAnAppend":    func(t *testing.T, url string) { stopBeforeSync(t, url, `UPDATE grapnel.head SET last = last`) },
		"WhileCounting": func(t *testing.T, url string) { stopBetween(t, url, `UPDATE grapnel.head SET events = events`) },
		"WhileRemoving": func(t *testing.T, url string) {
			stopBetween(t, url, `SELECT grapnel.detach1((SELECT min(first) FROM grapnel.units), 0)`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t)
			st := openAt(t, postgres.Options{URL: url, Timeout: heldUp})
			if err := st.Append(t.Context(), &store.Batch{Revision: 1, Events: []*hook.Event{event(1 << 40)}}); err != nil {
				t.Fatal(err)
			}
			stop(t, url)
			if err := st.Append(t.Context(), &store.Batch{Revision: 1, Events: []*hook.Event{event(1 << 41)}}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// What a node was about to record when it stopped goes to others all the same.
func TestStoppedRecordIsTakenOver(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	a, b := join(t, url, "a"), join(t, url, "b")
	stopBeforeSync(t, url, `SELECT pg_advisory_xact_lock_shared(1198678383, hashtext('a'))`)
	expire(t, url, "a")
	b.renew()
	if b.lease.Partitions != 0 {
		t.Fatalf("got %x while it was recorded for", b.lease.Partitions)
	}
	for begun := time.Now(); b.lease.Partitions != ^uint64(0); b.renew() {
		if time.Since(begun) > heldUp {
			t.Fatalf("after %s it has %x", heldUp, b.lease.Partitions)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err := a.st.Checkpoint(t.Context(), a.lease, store.Progress{}); !errors.Is(err, store.ErrLeaseLost) {
		t.Fatalf("got %v, want ErrLeaseLost", err)
	}
}

// Only sessions that others wait for are ended: not those that read, nor those that are
// at work.
func TestOthersAreLeftAlone(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	st := join(t, url, "node").st
	reader, publisher, holder := connect(t, url), connect(t, url), connect(t, url)
	for _, c := range []struct {
		conn *pgx.Conn
		sql  string
	}{
		{reader, `SELECT * FROM grapnel.head`},
		{publisher, `INSERT INTO grapnel.expired (endpoint, count) VALUES (1, 1)`},
		{holder, `UPDATE grapnel.head SET last = last`},
	} {
		for _, sql := range []string{`BEGIN`, c.sql} {
			if _, err := c.conn.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := st.EndHung(t.Context(), 10*time.Second); err != nil { // nobody has waited for so long
		t.Fatal(err)
	}
	if err := holder.Ping(t.Context()); err != nil {
		t.Fatalf("a session that has just been used was ended: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var err error
	for err == nil { // until it waits for its client, or has run what it just got
		if err := st.EndHung(ctx, 0); err != nil {
			t.Fatal(err)
		}
		err = holder.Ping(ctx)
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "57P01" {
		t.Fatalf("the one that holds the head got %v", err)
	}
	for _, conn := range []*pgx.Conn{reader, publisher} {
		if _, err := conn.Exec(t.Context(), `COMMIT`); err != nil {
			t.Fatal(err)
		}
	}
}
