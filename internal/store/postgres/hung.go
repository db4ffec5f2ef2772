package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// hungAfter is how long a session of ours may hold what all others wait for without
	// anything being said to it.
	hungAfter = 5 * time.Second
	// hungEvery is how often each node looks for such sessions. So others wait for a
	// client that has stopped no longer than both together, and a moment.
	hungEvery = 5 * time.Second
)

// beginSQL begins a transaction of several round trips. Its client may stop in between
// without a word, and its connection stay: the server ends it then.
const beginSQL = `BEGIN; SET LOCAL idle_in_transaction_session_timeout = '5s'` // hungAfter

// inSteps is how such a transaction is begun.
var inSteps = pgx.TxOptions{BeginQuery: beginSQL}

// endHungSQL ends sessions of this role that hold the head of the log, a lock on a
// holder of partitions, or the log's tables for themselves, and have waited for their
// client for long. A statement holds any of these only while the server works on it,
// but for one whose last few bytes do not arrive, which no time limit of the server
// ends: its transaction is not idle.
// First they are found, then ended: the order within one condition would be the server's
// to choose.
const endHungSQL = `
	WITH hung AS MATERIALIZED (
		SELECT a.pid, a.application_name FROM pg_catalog.pg_stat_activity AS a
		WHERE a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_backend_pid() AND a.wait_event = 'ClientRead'
			AND greatest(a.xact_start, a.state_change) < clock_timestamp() - $1::float8 * interval '1 second' AND a.xact_start IS NOT NULL
			AND EXISTS (
				SELECT FROM pg_catalog.pg_locks AS l WHERE l.pid = a.pid AND l.granted AND (
					l.locktype = 'relation' AND l.relation = 'grapnel.head'::regclass AND l.mode = 'RowExclusiveLock'
					OR l.locktype = 'relation' AND l.relation = 'grapnel.events'::regclass AND l.mode = 'AccessExclusiveLock'
					OR l.locktype = 'advisory' AND l.classid = 1198678383))
	)
	SELECT format('process %s (%s)', pid, application_name) FROM hung WHERE pg_terminate_backend(pid)`

// endHung ends sessions of clients that have stopped in the middle of something that
// others wait for, and says so.
func (s *Store) endHung(ctx context.Context, after time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, endHungSQL, after.Seconds())
	if err != nil {
		return mapped(err)
	}
	ended, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(ended) > 0 {
		s.log.Warn("a node stopped in the middle of something that others wait for; its session was ended", "sessions", strings.Join(ended, ", "))
	}
	return mapped(err)
}
