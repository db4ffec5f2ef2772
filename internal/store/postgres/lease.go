package postgres

import (
	"context"
	"fmt"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Acquire makes a node known, under a name that no other process uses, and takes what
// partitions it can have now. Whoever had the name before is its predecessor, which is
// over: what it held goes to the new one at once.
func (s *Store) Acquire(ctx context.Context, node string) (store.Lease, error) {
	l, err := s.askLease(ctx, store.Lease{Node: node}, `SELECT partitions, tokens, yields, alive FROM grapnel.acquire1($1::text, $2::text, $3::integer, $4::text, $5::interval)`,
		node, s.opts.Version, s.schema, s.opts.Address(), s.opts.Lease)
	if err != nil {
		return store.Lease{}, fmt.Errorf("acquire a lease: %w", err)
	}
	return l, nil
}

// Renew extends a lease, in one round trip, and returns what is held then.
func (s *Store) Renew(ctx context.Context, l store.Lease) (store.Lease, error) {
	partitions, tokens := held(&l, ^uint64(0))
	out, err := s.askLease(ctx, l, `SELECT partitions, tokens, yields, alive FROM grapnel.renew1($1::text, $2::interval, $3::boolean, $4::smallint[], $5::bigint[])`,
		l.Node, s.opts.Lease, l.Leaves, partitions, tokens)
	if err != nil {
		return store.Lease{}, fmt.Errorf("renew a lease: %w", err)
	}
	return out, nil
}

// askLease asks for a lease. Its time counts from before the question (case 31).
func (s *Store) askLease(ctx context.Context, l store.Lease, sql string, args ...any) (store.Lease, error) {
	ctx, leave, err := s.toWrite(ctx)
	if err != nil {
		return store.Lease{}, err
	}
	defer leave()
	var partitions []int16
	var tokens []int64
	var yields []bool
	var alive int
	asked := time.Now()
	err = s.leases.QueryRow(ctx, sql, args...).Scan(&partitions, &tokens, &yields, &alive)
	s.way.noted(asked, err)
	if err != nil {
		return store.Lease{}, mapped(err)
	}
	s.others.Store(alive > 1)
	out := store.Lease{Node: l.Node, Leaves: l.Leaves, Expires: asked.Add(s.opts.Lease)}
	for i, p := range partitions {
		out.Partitions |= 1 << p
		out.Tokens[p] = tokens[i]
		if yields[i] {
			out.Yield |= 1 << p
		}
	}
	return out, nil
}

// Release gives partitions back, and takes leave where the lease says so.
func (s *Store) Release(ctx context.Context, l store.Lease) error {
	ctx, leave, err := s.toWrite(ctx)
	if err != nil {
		return err
	}
	defer leave()
	partitions, tokens := held(&l, ^uint64(0))
	if _, err := s.leases.Exec(ctx, `SELECT grapnel.release1($1::text, $2::smallint[], $3::bigint[], $4::boolean)`, l.Node, partitions, tokens, l.Leaves); err != nil {
		return fmt.Errorf("release a lease: %w", mapped(err))
	}
	return nil
}

// checkLease refuses a lease that is over (I10).
func (s *Store) checkLease(ctx context.Context, l store.Lease) error {
	partitions, tokens := held(&l, ^uint64(0))
	_, err := s.pool.Exec(ctx, `SELECT grapnel.fence1($1::text, $2::smallint[], $3::bigint[])`, l.Node, partitions, tokens)
	return mapped(err)
}

// held lists those of some partitions that a lease is over, with its tokens.
func held(l *store.Lease, among uint64) (partitions []int16, tokens []int64) {
	partitions = partitionsOf(l.Partitions & among)
	tokens = make([]int64, len(partitions))
	for i, p := range partitions {
		tokens[i] = l.Tokens[p]
	}
	return partitions, tokens
}

// partitionsOf lists the partitions of a set.
func partitionsOf(set uint64) []int16 {
	out := []int16{}
	for p := range int16(store.Partitions) {
		if set>>p&1 == 1 {
			out = append(out, p)
		}
	}
	return out
}

// heldFor lists the partitions of endpoints, each once, with the lease's tokens.
// ErrLeaseLost: one of the endpoints is not under the lease.
func heldFor(l *store.Lease, endpoints []hook.EndpointNum) (partitions []int16, tokens []int64, err error) {
	var set uint64
	for _, e := range endpoints {
		if !l.Holds(e) {
			return nil, nil, fmt.Errorf("%w: endpoint %d is not under it", store.ErrLeaseLost, e)
		}
		set |= 1 << store.PartitionOf(e)
	}
	partitions, tokens = held(l, set)
	return partitions, tokens, nil
}
