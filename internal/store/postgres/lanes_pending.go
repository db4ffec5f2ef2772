package postgres

import (
	"context"
	"maps"
	"math/bits"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

const (
	// pendingExactly is up to how many pending deliveries, by about, Lanes counts all of
	// them. Where there are more it looks at some of each lane.
	pendingExactly = 400_000
	// pendingEach is how many of a lane it looks at then.
	pendingEach = 20
	// pendingLook is how many it looks at again, in all, of lanes that have more.
	pendingLook = 200_000
)

// findPending adds what is recorded and pending.
func (r *laneLister) findPending(ctx context.Context) error {
	units, err := r.s.pendingUnits(ctx)
	if err != nil {
		return err
	}
	all := int64(0)
	for _, u := range units {
		all += u.about
	}
	if all <= r.s.pendingExactly {
		return r.countPending(ctx, func(l *store.Lane, n int64) { l.Waiting += n },
			`SELECT endpoint, min(next_at), count(*) FROM grapnel.deliveries WHERE state = 1 GROUP BY endpoint`)
	}
	for _, u := range units {
		if err := r.lookAtPending(ctx, u); err != nil && !isCode(err, codeNoTable) { // it may have been removed meanwhile
			return err
		}
	}
	return nil
}

// pendingUnit is a unit's table of deliveries.
type pendingUnit struct {
	table string
	about int64 // how many are pending
}

// pendingUnits lists the tables of deliveries. How many are pending is what the server
// found when it last looked, or by the size of the index, an entry of which takes 40 bytes.
func (s *Store) pendingUnits(ctx context.Context) ([]pendingUnit, error) {
	rows, err := s.pool.Query(ctx, `SELECT x.indrelid::regclass::text, CASE WHEN c.reltuples > 0 THEN c.reltuples::bigint ELSE pg_relation_size(c.oid) / 40 END
		FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid JOIN pg_catalog.pg_index AS x ON x.indexrelid = c.oid
		WHERE i.inhparent = 'grapnel.deliveries_pending'::regclass`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (u pendingUnit, err error) {
		return u, row.Scan(&u.table, &u.about)
	})
}

// lookAtPending adds a unit's pending deliveries. It steps from lane to lane, so that it
// takes as long as there are lanes, and counts the first few of each; of those that
// have more it counts as many as there is time for, and takes it that the rest of the
// unit's, as far as it is under the lease, is shared out among those that have even more.
func (r *laneLister) lookAtPending(ctx context.Context, u pendingUnit) error {
	counted := map[hook.EndpointNum]int64{}
	count := func(l *store.Lane, n int64) { counted[l.Endpoint] = n }
	err := r.countPending(ctx, count, `WITH RECURSIVE e (endpoint, next_at) AS (
			(SELECT d.endpoint, d.next_at FROM `+u.table+` AS d WHERE d.state = 1 ORDER BY d.endpoint, d.next_at LIMIT 1)
			UNION ALL
			SELECT n.endpoint, n.next_at FROM e CROSS JOIN LATERAL (
				SELECT d.endpoint, d.next_at FROM `+u.table+` AS d WHERE d.state = 1 AND d.endpoint > e.endpoint ORDER BY d.endpoint, d.next_at LIMIT 1) AS n
		) SELECT e.endpoint, e.next_at, (SELECT count(*) FROM (SELECT FROM `+u.table+` AS d WHERE d.state = 1 AND d.endpoint = e.endpoint LIMIT $1) AS few) FROM e`, pendingEach)
	if err != nil {
		return err
	}
	more := over(counted, pendingEach)
	if each := pendingLook / int64(max(len(more), 1)); len(more) > 0 && each > pendingEach {
		err := r.countPending(ctx, count, `SELECT e, (SELECT min(d.next_at) FROM `+u.table+` AS d WHERE d.state = 1 AND d.endpoint = e),
				(SELECT count(*) FROM (SELECT FROM `+u.table+` AS d WHERE d.state = 1 AND d.endpoint = e LIMIT $1) AS few)
			FROM unnest($2::bigint[]) AS e WHERE EXISTS (SELECT FROM `+u.table+` AS d WHERE d.state = 1 AND d.endpoint = e)`, each, more)
		if err != nil {
			return err
		}
		more = over(counted, each)
	}
	rest := u.about * int64(bits.OnesCount64(r.lease.Partitions)) / store.Partitions
	for n := range maps.Values(counted) {
		rest -= n
	}
	for _, e := range more {
		counted[hook.EndpointNum(e)] += max(rest, 0) / int64(len(more))
	}
	for e, n := range counted {
		r.lanes[e].Waiting += n
	}
	return nil
}

// over lists the lanes of which as many were counted as were to be.
func over(counted map[hook.EndpointNum]int64, limit int64) (out []int64) {
	for e, n := range counted {
		if n >= limit {
			out = append(out, int64(e))
		}
	}
	return out
}

// countPending reads how many deliveries are pending, and when the first of them is due,
// of endpoints that are under the lease.
func (r *laneLister) countPending(ctx context.Context, count func(l *store.Lane, n int64), sql string, args ...any) error {
	rows, err := r.s.pool.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	var endpoint, n, nextAt int64
	_, err = pgx.ForEachRow(rows, []any{&endpoint, &nextAt, &n}, func() error {
		if e := hook.EndpointNum(endpoint); r.lease.Holds(e) {
			l := r.lane(e)
			if at := codec.ToTime(nextAt); l.NextAt.IsZero() || at.Before(l.NextAt) {
				l.NextAt = at
			}
			count(l, n)
		}
		return nil
	})
	return err
}
