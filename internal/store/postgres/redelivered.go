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

var _ store.Redeliverer = (*Store)(nil)

// redeliveredLimit is how many deliveries are looked at, the latest first: a long replay of
// one lane must not stand before what somebody asks for now in another.
const redeliveredLimit = 50_000

// Redelivered lists lanes with deliveries that somebody asked for again.
func (s *Store) Redelivered(ctx context.Context, since time.Time) (lanes []hook.EndpointNum, err error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	rows, err := s.pool.Query(ctx, `SELECT DISTINCT endpoint FROM (
			SELECT endpoint FROM grapnel.deliveries WHERE state = 1 AND manual AND next_at >= $1 ORDER BY next_at DESC LIMIT $2
		) AS d`, codec.FromTime(since), s.redeliveredTo)
	if err == nil {
		lanes, err = pgx.CollectRows(rows, pgx.RowTo[hook.EndpointNum])
	}
	if err != nil {
		return nil, fmt.Errorf("read what is to be sent again: %w", mapped(err))
	}
	return lanes, nil
}
