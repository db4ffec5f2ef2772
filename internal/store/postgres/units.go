package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/hook"
)

// unitTables are the tables that are cut into units.
var unitTables = []string{"events", "attempts", "deliveries", "bodies"}

// unit is a run of the log.
type unit struct {
	first, until int64
	last         int64 // event in it; 0: it is empty
	bytes        int64
	sealed       bool // the log's head is past it: no event comes to it any more
}

// String names a unit by the time that it begins at.
func (u unit) String() string {
	return "the unit of " + hook.EventIDFrom(u.first, 0).Time().UTC().Format(time.DateTime)
}

// table is the name of one of a unit's tables.
func (u unit) table(of string) string { return fmt.Sprintf("grapnel.%s_%d", of, u.first) }

// gone is what that table is called once the unit is out of the log.
func (u unit) gone(of string) string { return fmt.Sprintf("grapnel.gone_%s_%d", of, u.first) }

// units lists the units, oldest first.
func (s *Store) units(ctx context.Context) (out []unit, err error) {
	rows, err := s.pool.Query(ctx, `SELECT u.first, u.until, coalesce(e.last, 0), coalesce(b.bytes, 0), u.until <= h.last
		FROM grapnel.head AS h CROSS JOIN grapnel.units AS u
		LEFT JOIN LATERAL (SELECT max(seq) AS last FROM grapnel.events WHERE seq >= u.first AND seq < u.until) AS e ON true
		LEFT JOIN LATERAL (
			SELECT sum(pg_total_relation_size(to_regclass('grapnel.' || t || '_' || u.first))) AS bytes FROM unnest($1::text[]) AS t
		) AS b ON true
		ORDER BY u.first`, unitTables)
	if err != nil {
		return nil, err
	}
	var u unit
	_, err = pgx.ForEachRow(rows, []any{&u.first, &u.until, &u.last, &u.bytes, &u.sealed}, func() error {
		out = append(out, u)
		return nil
	})
	return out, err
}

// cut makes the units that events with these ids need.
func (s *Store) cut(ctx context.Context, seqs []int64) error {
	return again(ctx, func() error {
		_, err := s.pool.Exec(ctx, `SELECT grapnel.cut1($1::bigint[], $2::bigint)`, seqs, s.span(ctx))
		return err
	})
}

// seqsOf is how many ids a span of time holds.
func seqsOf(d time.Duration) int64 {
	return max(1, hook.FirstEventID(time.UnixMilli(d.Milliseconds())).Seq())
}

const (
	// unitBytes is about how large a unit is to get at most, so that retention by size
	// removes no more than it has to, and vacuum has tables that it is soon done with.
	unitBytes = 16 << 30
	// unitParts is into how many parts a unit's time is cut at most for that: each
	// costs every query that goes through the whole log.
	unitParts = 24
)

// span is how many ids the next unit covers: Options.UnitSpan, or a part of it where
// the newest units are too large. What cannot be found out makes no difference.
func (s *Store) span(ctx context.Context) int64 {
	whole := seqsOf(s.opts.UnitSpan)
	var first, until, last, bytes int64
	err := s.pool.QueryRow(ctx, `SELECT u.first, u.until, h.last, coalesce((SELECT sum(pg_total_relation_size(to_regclass('grapnel.' || t || '_' || u.first))) FROM unnest($1::text[]) AS t), 0)
		FROM grapnel.head AS h CROSS JOIN grapnel.units AS u WHERE u.first <= h.last ORDER BY u.first DESC LIMIT 1`, unitTables).Scan(&first, &until, &last, &bytes)
	if err != nil {
		return whole
	}
	return spanFor(whole, min(last, until-1)-first+1, bytes)
}

// spanFor is the largest part of a unit's whole span that would not get larger than
// unitBytes, if it fills as fast as so many ids have filled so many bytes.
func spanFor(whole, ids, bytes int64) int64 {
	for _, parts := range []int64{1, 2, 3, 4, 6, 8, 12} {
		if part := whole / parts; float64(bytes)/float64(max(ids, 1))*float64(part) <= unitBytes {
			return max(1, part)
		}
	}
	return max(1, whole/unitParts)
}

// ahead is how long before it is needed a unit is made, so that no append has to.
func (s *Store) ahead() time.Duration { return min(s.opts.UnitSpan/unitParts, time.Hour) }

// cutAhead makes the units for what is taken in now and soon. Many nodes may be at
// it: they wait for each other, and all but the first find them made.
func (s *Store) cutAhead(ctx context.Context, now time.Time) error {
	var at int64
	err := s.pool.QueryRow(ctx, `SELECT greatest(least($1::bigint, grapnel.latest1()), h.last + 1) FROM grapnel.head AS h`, hook.FirstEventID(now).Seq()).Scan(&at)
	if err != nil {
		return mapped(err)
	}
	soon := at + seqsOf(s.ahead())
	var made bool
	err = s.pool.QueryRow(ctx, `SELECT count(*) = 2 FROM unnest(ARRAY[$1::bigint, $2::bigint]) AS s JOIN grapnel.units AS u ON u.first <= s AND u.until > s`, at, soon).Scan(&made)
	if err != nil || made {
		return mapped(err)
	}
	return mapped(s.cut(ctx, []int64{at, soon}))
}

// seal counts the events of units that the head is past, once, so that their
// removal has no need to.
func (s *Store) seal(ctx context.Context) error {
	for {
		tag, err := s.pool.Exec(ctx, `UPDATE grapnel.units AS u SET events = (SELECT count(*) FROM grapnel.events AS e WHERE e.seq >= u.first AND e.seq < u.until)
			WHERE u.first = (SELECT c.first FROM grapnel.units AS c JOIN grapnel.head AS h ON c.until <= h.last WHERE c.events IS NULL ORDER BY c.first LIMIT 1 FOR UPDATE OF c SKIP LOCKED)`)
		if err != nil || tag.RowsAffected() == 0 {
			return mapped(err)
		}
	}
}

// inUse tells who has worked on tables of the log for so long that taking a unit out of it
// would have everybody wait; "" if nobody has. It asks before the lock is
// asked for, since whoever waits for such a lock has all others wait behind him.
func (s *Store) inUse(ctx context.Context) (who string, err error) {
	var names []string
	err = s.pool.QueryRow(ctx, `SELECT array(SELECT DISTINCT format('process %s (%s%s) since %s', a.pid, a.usename, CASE WHEN a.application_name <> '' THEN ', ' || a.application_name END,
				coalesce(date_trunc('second', a.xact_start)::text, 'some time'))
		FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
		WHERE l.locktype = 'relation' AND l.granted AND a.pid <> pg_backend_pid() AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
			AND l.relation IN ('grapnel.events'::regclass, 'grapnel.attempts'::regclass, 'grapnel.deliveries'::regclass, 'grapnel.bodies'::regclass)
			AND coalesce(a.xact_start < clock_timestamp() - $1::float8 * interval '1 second', true))`, longUse.Seconds()).Scan(&names)
	return strings.Join(names, ", "), err
}

// longUse is how long a transaction may have had the log's tables for a unit to be
// taken out all the same.
const longUse = 100 * time.Millisecond
