package postgres

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// freshScan is how many events one page of Fresh looks at, most of which may be for
// other lanes.
const freshScan = 20_000

// Fresh returns deliveries of a lane that nothing is recorded of. No index lists them:
// the events from the lane's place on are looked through, by the partitions that each
// is for, and only those of this lane's partition are held against what is recorded.
func (s *Store) Fresh(ctx context.Context, q store.FreshQuery) (store.FreshPage, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return store.FreshPage{}, err
	}
	defer leave()
	page, err := s.fresh(ctx, q)
	if err != nil {
		return store.FreshPage{}, fmt.Errorf("read what is fresh of endpoint %d: %w", q.Endpoint, mapped(err))
	}
	return page, nil
}

func (s *Store) fresh(ctx context.Context, q store.FreshQuery) (page store.FreshPage, err error) {
	before := int64(math.MaxInt64)
	if !q.Before.IsZero() {
		before = q.Before.Seq()
	}
	last, err := s.last(ctx) // so that what comes meanwhile is not taken for looked at
	if err != nil {
		return page, err
	}
	rows, err := s.pool.Query(ctx, freshSQL, q.From.Seq(), before, bit(q.Endpoint), int64(q.Endpoint), q.Limit+1, freshScan)
	if err != nil {
		return page, err
	}
	n := 0
	var r eventRow
	_, err = pgx.ForEachRow(rows, r.into(), func() error {
		if n++; n > q.Limit {
			page.Next = hook.EventIDFrom(r.seq, 0)
			return nil
		}
		e, err := r.event()
		if err != nil {
			return err
		}
		if t, ok := e.Target(q.Endpoint); ok && t.Disposition == hook.Deliver { // else it is for another lane of the partition
			page.Work = append(page.Work, &store.Work{Event: e, Endpoint: q.Endpoint})
		}
		return nil
	})
	if err != nil || !page.Next.IsZero() {
		return page, err
	}
	stored := min(before, last.Seq()+1)
	until, err := s.scanUntil(ctx, q.From.Seq(), stored)
	if until < stored {
		page.Next = hook.EventIDFrom(until, 0)
	}
	return page, err
}

const freshSQL = `SELECT ` + eventColumns + ` FROM grapnel.fresh1($1, $2, $3, $4, $5, $6) AS e`

// scanUntil is the id that a page from one on has ended before, if it has looked at
// freshScan events.
func (s *Store) scanUntil(ctx context.Context, from, before int64) (until int64, err error) {
	err = s.pool.QueryRow(ctx, `SELECT coalesce((SELECT seq FROM grapnel.events WHERE seq >= $1 AND seq < $2 ORDER BY seq OFFSET $3 LIMIT 1), $2)`,
		from, before, freshScan).Scan(&until)
	return until, err
}

// bit is that of an endpoint's partition.
func bit(endpoint hook.EndpointNum) int64 { return int64(uint64(1) << store.PartitionOf(endpoint)) }

// outline is what of an event says whom it goes to.
type outline struct {
	id      hook.EventID
	tenant  hook.TenantNum
	kind    string
	number  int64
	targets []hook.Target
}

// outlineColumns are those that an outline is read of, of events AS e.
const outlineColumns = `e.seq, e.tail, e.tenant, e.type, e.number, e.targets`

// outlines reads the outlines of a query for outlineColumns.
func (s *Store) outlines(ctx context.Context, sql string, args ...any) (out []*outline, err error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	var seq, tail, tenant, number int64
	var kind string
	var targets []byte
	_, err = pgx.ForEachRow(rows, []any{&seq, &tail, &tenant, &kind, &number, &targets}, func() error {
		o := &outline{id: hook.EventIDFrom(seq, uint64(tail)), tenant: hook.TenantNum(tenant), kind: kind, number: number}
		out = append(out, o)
		var err error
		o.targets, err = codec.ParseTargets(targets)
		return err
	})
	return out, err
}
