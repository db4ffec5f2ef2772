package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// pinnedFor is how long a transaction may keep the server from cleaning up.
const pinnedFor = 10 * time.Minute

// warningsSQL finds what threatens the store though it works. What a role may not see
// is left out.
const warningsSQL = `
	SELECT format('process %s (%s%s, database %s) has had a transaction open since %s, which keeps tables from being cleaned up and makes them larger: end it, or pg_terminate_backend(%s)',
		pid, usename, CASE WHEN application_name <> '' THEN ', ' || application_name END, datname, date_trunc('second', xact_start), pid)
	FROM pg_catalog.pg_stat_activity WHERE xact_start < now() - $1::float8 * interval '1 second' AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND backend_type <> 'walsender'
	UNION ALL
	SELECT format('the prepared transaction %L of %s keeps tables from being cleaned up: COMMIT PREPARED or ROLLBACK PREPARED ends it', gid, owner)
	FROM pg_catalog.pg_prepared_xacts WHERE prepared < now() - $1::float8 * interval '1 second'
	UNION ALL
	SELECT format('the replication slot %s is not in use, and keeps the server from cleaning up and lets its disk fill up: use it, or pg_drop_replication_slot(%L)', slot_name, slot_name)
	FROM pg_catalog.pg_replication_slots WHERE NOT active AND NOT temporary
	UNION ALL
	SELECT format('%s million transactions are left before the server takes no writes any more (wraparound): see that autovacuum runs, and end what keeps it from cleaning up', (2147483647 - age(datfrozenxid)) / 1000000)
	FROM pg_catalog.pg_database WHERE datname = current_database() AND age(datfrozenxid) > 1500000000
	UNION ALL
	SELECT format('%s standbys are not waited for: what was acknowledged last is lost when one takes over; name them in synchronous_standby_names', count(*))
	FROM pg_catalog.pg_stat_replication WHERE current_setting('synchronous_standby_names') = '' HAVING count(*) > 0`

// Warnings says what threatens the store though it works, and what to do about it
// (cases 24 and 34), as it was a minute ago at most.
func (s *Store) Warnings() []string {
	if now := s.way.warnings.Load(); now != nil {
		return *now
	}
	return nil
}

// LookForWarnings finds what Warnings says as it is now, with a question to the server.
func (s *Store) LookForWarnings(ctx context.Context) ([]string, error) {
	return s.warnings(ctx, pinnedFor)
}

func (s *Store) warnings(ctx context.Context, pinned time.Duration) ([]string, error) {
	return warningsOf(ctx, s.pool, pinned)
}

// asker asks something of the server.
type asker interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func warningsOf(ctx context.Context, db asker, pinned time.Duration) ([]string, error) {
	rows, err := db.Query(ctx, warningsSQL, pinned.Seconds())
	if err != nil {
		return nil, fmt.Errorf("look at the server: %w", mapped(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look at the server: %w", mapped(err))
	}
	return out, nil
}

// warn logs each warning once for as long as it holds.
func (s *Store) warn(ctx context.Context) error {
	now, err := s.LookForWarnings(ctx)
	if err != nil {
		return err
	}
	s.way.warnings.Store(&now)
	told := map[string]bool{}
	for _, w := range now {
		if told[w] = true; !s.warned[w] {
			s.log.Warn("the database needs attention", "warning", w)
		}
	}
	s.warned = told
	return nil
}
