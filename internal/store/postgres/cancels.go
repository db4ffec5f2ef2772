package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

var _ store.CancelSharer = (*Store)(nil)

// cancelsLimit is how many are listed at once; the rest when these are done.
const cancelsLimit = 1000

// cancels are the columns of requests.
type cancels struct {
	endpoints, events, tails, tenants []int64
	partitions                        []int16
	reasons                           []string
}

func cancelsOf(asked []store.CancelRequest) (c cancels) {
	for _, a := range asked {
		seq, tail := a.Key.Event.Seq(), a.Key.Event.Tail()
		c.endpoints, c.events, c.tails = append(c.endpoints, int64(a.Key.Endpoint)), append(c.events, seq), append(c.tails, int64(tail))
		c.tenants, c.reasons = append(c.tenants, int64(a.Tenant)), append(c.reasons, text(a.Reason))
		c.partitions = append(c.partitions, int16(store.PartitionOf(a.Key.Endpoint)))
	}
	return c
}

// AskCancel writes down what is to be cancelled by others.
func (s *Store) AskCancel(ctx context.Context, asked []store.CancelRequest) error {
	ctx, leave, err := s.toWrite(ctx)
	if err != nil {
		return err
	}
	defer leave()
	c := cancelsOf(asked)
	_, err = s.pool.Exec(ctx, `INSERT INTO grapnel.cancels (endpoint, event, tail, partition, tenant, reason)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::bigint[], $6::text[]) ON CONFLICT DO NOTHING`,
		c.endpoints, c.events, c.tails, c.partitions, c.tenants, c.reasons)
	if err != nil {
		return fmt.Errorf("ask another node to cancel: %w", mapped(err))
	}
	return nil
}

// AskedCancels lists what others were asked to cancel of a lease's partitions.
func (s *Store) AskedCancels(ctx context.Context, l store.Lease) (asked []store.CancelRequest, err error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	rows, err := s.pool.Query(ctx, `SELECT endpoint, event, tail, tenant, reason FROM grapnel.cancels WHERE partition = ANY ($1::smallint[]) LIMIT $2`,
		partitionsOf(l.Partitions), cancelsLimit)
	if err == nil {
		asked, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (a store.CancelRequest, err error) {
			var seq, tail int64
			err = row.Scan(&a.Key.Endpoint, &seq, &tail, &a.Tenant, &a.Reason)
			a.Key.Event = hook.EventIDFrom(seq, uint64(tail))
			return a, err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read what is to be cancelled: %w", mapped(err))
	}
	return asked, nil
}

// DoneCancels takes requests off the list.
func (s *Store) DoneCancels(ctx context.Context, done []store.CancelRequest) error {
	ctx, leave, err := s.toWrite(ctx)
	if err != nil {
		return err
	}
	defer leave()
	c := cancelsOf(done)
	_, err = s.pool.Exec(ctx, `DELETE FROM grapnel.cancels WHERE (endpoint, event) IN (SELECT * FROM unnest($1::bigint[], $2::bigint[]))`, c.endpoints, c.events)
	if err != nil {
		return fmt.Errorf("take off what was cancelled: %w", mapped(err))
	}
	return nil
}

// StillAsked counts requests on the list.
func (s *Store) StillAsked(ctx context.Context, asked []store.CancelRequest) (n int, err error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	c := cancelsOf(asked)
	err = s.pool.QueryRow(ctx, `SELECT count(*) FROM grapnel.cancels WHERE (endpoint, event) IN (SELECT * FROM unnest($1::bigint[], $2::bigint[]))`, c.endpoints, c.events).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("read what is still to be cancelled: %w", mapped(err))
	}
	return n, nil
}
