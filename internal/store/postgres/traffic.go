package postgres

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/store"
)

var _ store.Networked = (*Store)(nil)

// purpose is what a round trip is for.
type purpose int

const (
	forOther purpose = iota
	forAppend
	forRecord
	forLease
	forArrivals
	forConfiguration
	forInbox
	purposes
)

var purposeNames = [purposes]string{"other", "append", "record", "lease", "arrivals", "configuration", "inbox"}

// purposeOf says what is asked by the first thing of ours that a statement names.
var purposeOf = map[string]purpose{
	"append1": forAppend, "resolve1": forAppend, "event_keys": forAppend, "requests": forAppend, "clock1": forAppend,
	"record1": forRecord, "checkpoint1": forRecord, "redeliver1": forRecord,
	"acquire1": forLease, "renew1": forLease, "release1": forLease, "fence1": forLease,
	"revision": forConfiguration, "changes": forConfiguration, "tenants": forConfiguration, "endpoints": forConfiguration, "types": forConfiguration,
	"keys": forConfiguration, "replays": forConfiguration, "pinned": forConfiguration,
	"mover1": forInbox, "waiting1": forInbox, "inbox": forInbox, "inbox_rules": forInbox, "rejected": forInbox,
}

// ours begins every name in our schema.
const ours = "grapnel."

func purposeFor(sql string) purpose {
	if sql == arrivedSQL {
		return forArrivals
	}
	_, rest, _ := strings.Cut(sql, ours)
	end := strings.IndexFunc(rest, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	if end < 0 {
		end = len(rest)
	}
	return purposeOf[rest[:end]]
}

// trips counts round trips. It is what connections tell of each statement.
type trips [purposes]atomic.Int64

// TraceQueryStart counts a statement.
func (t *trips) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	t[purposeFor(q.SQL)].Add(1)
	return ctx
}

// TraceQueryEnd is not needed.
func (*trips) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart counts statements that go together: only Configure sends such.
func (t *trips) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	t[forConfiguration].Add(1)
	return ctx
}

// TraceBatchQuery is not needed.
func (*trips) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd is not needed.
func (*trips) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// Traffic tells what went on between this node and the server.
func (s *Store) Traffic() store.Traffic {
	p := s.pool.Stat()
	out := store.Traffic{
		Trips: map[string]int64{}, InUse: int(p.AcquiredConns()), Idle: int(p.IdleConns()), Max: int(p.MaxConns()),
		Waits: p.EmptyAcquireCount(), Waited: p.EmptyAcquireWaitTime(),
	}
	for i := range s.way.trips {
		out.Trips[purposeNames[i]] = s.way.trips[i].Load()
	}
	return out
}

// way is what is known of the way to the server.
type way struct {
	trips    trips
	lost     atomic.Int64             // since when nothing comes through, in Unix nanoseconds; 0: it does
	warnings atomic.Pointer[[]string] // that hold now
}

// noted takes in how a call ended that was made at a moment, and that needs nothing but
// the way and the server.
func (w *way) noted(at time.Time, err error) {
	switch {
	case err == nil || !isConnection(err) && !errors.Is(err, context.Canceled):
		w.lost.Store(0)
	case isConnection(err):
		w.lost.CompareAndSwap(0, at.UnixNano())
	}
}

// problem says what is wrong with the way, where a call failed with err.
func (w *way) problem(err error) string {
	switch lost := w.lost.Load(); {
	case lost != 0:
		return "the database cannot be reached since " + time.Unix(0, lost).UTC().Format(time.RFC3339)
	case errors.Is(err, context.DeadlineExceeded):
		return "the database, or a connection to it, was not had in time"
	}
	return "the database cannot be reached"
}
