package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// workColumns are what a pending delivery is read of: workTables, with d its row.
const (
	workColumns = `d.endpoint, d.attempts, d.base, d.first_at, d.next_at, d.manual, b.body, ` + eventColumns
	workTables  = `JOIN grapnel.events AS e ON e.seq = d.event LEFT JOIN grapnel.bodies AS b ON b.endpoint = d.endpoint AND b.event = d.event`
)

// Retries returns recorded pending deliveries of a lane that are due.
func (s *Store) Retries(ctx context.Context, endpoint hook.EndpointNum, until time.Time, limit int) ([]*store.Work, time.Time, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer leave()
	limit = max(limit, 0)
	// The one after the last is read as well, due or not, for it says when the next
	// is due.
	list, err := s.work(ctx, `SELECT `+workColumns+` FROM (
			SELECT * FROM grapnel.deliveries WHERE state = 1 AND endpoint = $1 ORDER BY next_at, event LIMIT $2
		) AS d `+workTables+` ORDER BY d.next_at, d.event`, int64(endpoint), limit+1)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read retries of endpoint %d: %w", endpoint, err)
	}
	bound := codec.FromTime(until)
	n := 0
	for n < len(list) && n < limit && codec.FromTime(list[n].NextAt) <= bound {
		n++
	}
	var next time.Time
	if n < len(list) {
		next = list[n].NextAt
	}
	return list[:n], next, nil
}

// Pending returns recorded pending deliveries of a lane in the order of their events.
func (s *Store) Pending(ctx context.Context, endpoint hook.EndpointNum, from hook.EventID, limit int) (store.FreshPage, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return store.FreshPage{}, err
	}
	defer leave()
	list, err := s.work(ctx, `SELECT `+workColumns+` FROM (
			SELECT * FROM grapnel.deliveries WHERE state = 1 AND endpoint = $1 AND event >= $2 ORDER BY event LIMIT $3
		) AS d `+workTables+` ORDER BY d.event`, int64(endpoint), from.Seq(), max(limit, 0)+1)
	if err != nil {
		return store.FreshPage{}, fmt.Errorf("read what is pending of endpoint %d: %w", endpoint, err)
	}
	page := store.FreshPage{Work: list}
	if len(list) > limit {
		page.Work, page.Next = list[:limit], list[limit].Event.ID
	}
	return page, nil
}

// work reads the pending deliveries of a query for workColumns.
func (s *Store) work(ctx context.Context, sql string, args ...any) (out []*store.Work, err error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, mapped(err)
	}
	var e eventRow
	var endpoint, firstAt, nextAt int64
	var attempts, base int
	var manual bool
	var body []byte
	_, err = pgx.ForEachRow(rows, append([]any{&endpoint, &attempts, &base, &firstAt, &nextAt, &manual, &body}, e.into()...), func() (err error) {
		w := &store.Work{Endpoint: hook.EndpointNum(endpoint), Attempts: attempts, Base: base, FirstAt: codec.ToTime(firstAt), NextAt: codec.ToTime(nextAt)}
		if manual {
			w.Trigger = hook.Manual
		}
		if body != nil {
			if w.Body, err = codec.Unpack(body); err != nil {
				return err
			}
		}
		w.Event, err = e.event()
		out = append(out, w)
		return err
	})
	return out, mapped(err)
}
