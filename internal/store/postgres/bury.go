package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
)

// unitEnd is what ends with a unit.
type unitEnd struct {
	events  int64
	expired map[hook.EndpointNum]int64
}

func newEnd() *unitEnd { return &unitEnd{expired: map[hook.EndpointNum]int64{}} }

// buryAll counts what is out of the log and was left by a crash, or that another node
// is about to come to, and drops it.
func (p *pruner) buryAll(ctx context.Context) error {
	rows, err := p.s.pool.Query(ctx, `SELECT first, until, open FROM grapnel.gone WHERE NOT counted ORDER BY first`)
	if err != nil {
		return err
	}
	type left struct {
		unit
		open int64
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l left, err error) {
		return l, row.Scan(&l.first, &l.until, &l.open)
	})
	for i := 0; i < len(all) && err == nil; i++ {
		var end *unitEnd
		if end, err = p.s.bury(ctx, all[i].unit, all[i].open); end != nil {
			p.count(end)
		}
	}
	return err
}

// bury forgets the keys of a unit that is out of the log, counts in one transaction
// what ends with it, and has its tables dropped. nil: somebody else does.
func (s *Store) bury(ctx context.Context, u unit, open int64) (end *unitEnd, err error) {
	if err := s.forgetKeys(ctx, u); err != nil {
		if isCode(err, codeNoTable) {
			return nil, nil // another node was faster
		}
		return nil, err
	}
	err = pgx.BeginTxFunc(ctx, s.pool, inSteps, func(tx pgx.Tx) error {
		var first int64
		err := tx.QueryRow(ctx, `SELECT first FROM grapnel.gone WHERE first = $1 AND NOT counted FOR UPDATE SKIP LOCKED`, u.first).Scan(&first)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		counted := newEnd()
		if err := countEnd(ctx, tx, u, "gone", u.gone, counted); err != nil {
			return err
		}
		err = unrecordedIn(ctx, tx, u, u.gone, max(u.first, open), func(e hook.EndpointNum) bool {
			counted.expired[e]++
			return true
		})
		if err != nil {
			return err
		}
		end = counted
		return keepEnd(ctx, tx, u, end)
	})
	if err == nil && end != nil {
		err = s.dropSoon(ctx, u)
	}
	return end, err
}

// keepEnd keeps what ended with a unit.
func keepEnd(ctx context.Context, tx pgx.Tx, u unit, end *unitEnd) error {
	endpoints, counts, total := []int64{}, []int64{}, int64(0)
	for e, n := range end.expired {
		endpoints, counts, total = append(endpoints, int64(e)), append(counts, n), total+n
	}
	_, err := tx.Exec(ctx, `SELECT grapnel.counted1($1::bigint, $2::bigint, $3::bigint, $4::bigint[], $5::bigint[])`, u.first, end.events, total, endpoints, counts)
	return err
}

// countEnd counts a unit's events, and of its recorded deliveries those that were
// held, or waited for endpoints that get nothing: all that are pending when it ends.
// list is where it is listed, table names its tables.
func countEnd(ctx context.Context, db database, u unit, list string, table func(string) string, end *unitEnd) error {
	err := db.QueryRow(ctx, `SELECT coalesce((SELECT events FROM grapnel.`+list+` WHERE first = $1), (SELECT count(*) FROM `+table("events")+`))`, u.first).Scan(&end.events)
	if err != nil {
		return err
	}
	// Each state by itself, for each has an index of its own.
	rows, err := db.Query(ctx, `SELECT endpoint, count(*) FROM `+table("deliveries")+` WHERE state = 1 GROUP BY endpoint
		UNION ALL SELECT endpoint, count(*) FROM `+table("deliveries")+` WHERE state = 2 GROUP BY endpoint`)
	if err != nil {
		return err
	}
	var endpoint, n int64
	_, err = pgx.ForEachRow(rows, []any{&endpoint, &n}, func() error {
		end.expired[hook.EndpointNum(endpoint)] += n
		return nil
	})
	return err
}

// unrecordedIn calls each for the deliveries of a unit's events from an id on that are
// to be sent and that nothing is recorded of, until it says no.
func unrecordedIn(ctx context.Context, db database, u unit, table func(string) string, from int64, each func(hook.EndpointNum) bool) error {
	for from < u.until {
		rows, err := db.Query(ctx, `SELECT seq, targets FROM `+table("events")+` WHERE seq >= $1 AND parts <> 0 ORDER BY seq LIMIT $2`, from, lanesChunk)
		if err != nil {
			return err
		}
		var events, endpoints []int64
		var seq int64
		var coded []byte
		n := 0
		_, err = pgx.ForEachRow(rows, []any{&seq, &coded}, func() error {
			n++
			targets, err := codec.ParseTargets(coded)
			for _, t := range targets {
				if t.Disposition == hook.Deliver {
					events, endpoints = append(events, seq), append(endpoints, int64(t.Endpoint))
				}
			}
			return err
		})
		if err != nil || n == 0 {
			return err
		}
		more, err := unrecordedOf(ctx, db, table, events, endpoints, each)
		if err != nil || !more {
			return err
		}
		from = seq + 1
	}
	return nil
}

// unrecordedOf calls each for those of some deliveries that nothing is recorded of,
// and reports whether it wants more.
func unrecordedOf(ctx context.Context, db database, table func(string) string, events, endpoints []int64, each func(hook.EndpointNum) bool) (more bool, err error) {
	rows, err := db.Query(ctx, `SELECT q.endpoint FROM unnest($1::bigint[], $2::bigint[]) AS q (event, endpoint)
		WHERE NOT EXISTS (SELECT FROM `+table("attempts")+` AS a WHERE a.endpoint = q.endpoint AND a.event = q.event)
			AND NOT EXISTS (SELECT FROM `+table("deliveries")+` AS d WHERE d.endpoint = q.endpoint AND d.event = q.event)`, events, endpoints)
	if err != nil {
		return false, err
	}
	more = true
	var endpoint int64
	_, err = pgx.ForEachRow(rows, []any{&endpoint}, func() error {
		more = more && each(hook.EndpointNum(endpoint))
		return nil
	})
	return more, err
}

// forgetKeys removes the keys of a unit's events, but those that a later event has by
// now, some thousand events at a time.
func (s *Store) forgetKeys(ctx context.Context, u unit) error {
	var some bool
	err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM grapnel.event_keys WHERE seq >= $1 AND seq < $2)`, u.first, u.until).Scan(&some)
	if err != nil || !some {
		return err
	}
	sql := fmt.Sprintf(`WITH old AS MATERIALIZED (SELECT seq, tenant, key FROM %s WHERE seq >= $1 ORDER BY seq LIMIT $2),
		forgotten AS (DELETE FROM grapnel.event_keys AS k USING old WHERE k.tenant = old.tenant AND k.key = old.key AND k.seq = old.seq)
		SELECT max(seq), count(*) FROM old`, u.gone("events"))
	for from, n := u.first, int64(forgetKeysAtOnce); n == forgetKeysAtOnce; {
		var last *int64
		if err := s.pool.QueryRow(ctx, sql, from, forgetKeysAtOnce).Scan(&last, &n); err != nil {
			return err
		}
		if last != nil {
			from = *last + 1
		}
	}
	return nil
}
