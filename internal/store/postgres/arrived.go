package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

var _ store.Follower = (*Store)(nil)

// arrivedBytes is how much the events of one answer carry, but for a single one that is
// larger.
const arrivedBytes = 8 << 20

// arrivedSQL reads the end of the log, and what there is up to it, in one snapshot:
// appends take their turn on the head's row, so that nothing appears before that end
// any more. Where there is nothing new, it costs the reading of that row. That it is one
// row is said (LIMIT 1), for a server that has not counted takes it for a thousand, and
// compiles the statement (jit_above_cost) each time, which takes longer than all else.
const arrivedSQL = `SELECT h.last, h.tail, ` + eventColumns + `
	FROM (SELECT last, tail FROM grapnel.head LIMIT 1) AS h LEFT JOIN LATERAL (
		SELECT *, sum(octet_length(n.data)) OVER (ORDER BY n.seq) - octet_length(n.data) AS before
		FROM grapnel.events AS n WHERE h.last > $1 AND n.seq > $1 AND n.parts & $2::bigint <> 0 ORDER BY n.seq LIMIT $3
	) AS e ON e.before < $4 ORDER BY e.seq`

// Arrived returns what was stored after an id.
func (s *Store) Arrived(ctx context.Context, l store.Lease, after hook.EventID, limit int) (store.Arrivals, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return store.Arrivals{}, err
	}
	defer leave()
	a, err := s.arrived(ctx, l.Partitions, after, limit)
	if err != nil {
		return store.Arrivals{}, fmt.Errorf("read what arrived: %w", mapped(err))
	}
	return a, nil
}

func (s *Store) arrived(ctx context.Context, partitions uint64, after hook.EventID, limit int) (store.Arrivals, error) {
	a := store.Arrivals{Seen: after}
	rows, err := s.pool.Query(ctx, arrivedSQL, after.Seq(), int64(partitions), limit, arrivedBytes)
	if err != nil {
		return a, err
	}
	var last, tail int64
	var r eventRow
	size := 0
	_, err = pgx.ForEachRow(rows, append([]any{&last, &tail}, orZero(r.into())...), func() error {
		if r.seq == 0 {
			return nil // there are none
		}
		e, err := r.event()
		a.Events = append(a.Events, e)
		size += len(r.data)
		return err
	})
	switch n := len(a.Events); {
	case err != nil:
		return store.Arrivals{}, err
	case n > 0 && (n == limit || size >= arrivedBytes): // there may be more
		a.Seen = a.Events[n-1].ID
	case last > after.Seq():
		a.Seen = hook.EventIDFrom(last, uint64(tail))
	}
	return a, nil
}

// orZero has columns that are null read as zero.
func orZero(places []any) []any {
	for i, p := range places {
		switch p := p.(type) {
		case *int64:
			places[i] = (*zeronull.Int8)(p)
		case *string:
			places[i] = (*zeronull.Text)(p)
		}
	}
	return places
}
