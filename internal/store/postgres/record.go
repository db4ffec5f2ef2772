package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"grapnel/internal/codec"
	"grapnel/internal/crashpoint"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// maxAttempts is how many attempts of a delivery can be kept.
const maxAttempts = 1<<15 - 1

// Record stores outcomes with one statement, which holds the lease's token against
// the partitions' (I10).
func (s *Store) Record(ctx context.Context, l store.Lease, outcomes []*store.Outcome) error {
	ctx, leave, err := s.toWrite(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if len(outcomes) == 0 {
		return nil
	}
	if err := s.record(ctx, l, outcomes); err != nil {
		return fmt.Errorf("record %d outcomes: %w", len(outcomes), err)
	}
	return nil
}

func (s *Store) record(ctx context.Context, l store.Lease, outcomes []*store.Outcome) error {
	r, err := s.outcomeRows(outcomes)
	if err != nil {
		return err
	}
	endpoints := make([]hook.EndpointNum, len(outcomes))
	for i, o := range outcomes {
		endpoints[i] = o.Key.Endpoint
	}
	partitions, tokens, err := heldFor(&l, endpoints)
	if err != nil {
		return err
	}
	crashpoint.Hit("before-result-commit")
	err = again(ctx, func() error {
		_, err := s.pool.Exec(ctx, recordSQL, l.Node, partitions, tokens, slices.Min(r.events), slices.Max(r.events), r.simple, r.rounds,
			r.events, r.tails, r.endpoints, r.states, r.reasons, r.nextAts, r.firstAts, r.bases, r.bodies,
			r.ns, r.ats, r.attemptStates, r.statuses, r.classes, r.details)
		return err
	})
	if inDoubt(err) { // recording them again changes nothing, should they be there
		return fmt.Errorf("%w: %w", store.ErrUnknown, err)
	}
	return mapped(err)
}

const recordSQL = `SELECT grapnel.record1($1::text, $2::smallint[], $3::bigint[], $4::bigint, $5::bigint, $6::boolean[], $7::integer[],
	$8::bigint[], $9::bigint[], $10::bigint[], $11::smallint[], $12::text[], $13::bigint[], $14::bigint[], $15::integer[], $16::bytea[],
	$17::integer[], $18::bigint[], $19::smallint[], $20::smallint[], $21::text[], $22::bytea[])`

// outcomeRows are outcomes as columns. The last line is of their attempts.
type outcomeRows struct {
	simple                                      []bool
	events, tails, endpoints, nextAts, firstAts []int64
	states                                      []int16
	bases, ns, rounds                           []int32
	reasons                                     []string
	bodies                                      [][]byte

	ats                     []int64
	attemptStates, statuses []int16
	classes                 []string
	details                 [][]byte
}

// outcomeRows checks outcomes and lays them out.
func (s *Store) outcomeRows(outcomes []*store.Outcome) (*outcomeRows, error) {
	r := &outcomeRows{}
	times, rounds := make(map[hook.DeliveryKey]int, len(outcomes)), make(map[hook.DeliveryKey]int32)
	for _, o := range outcomes {
		times[o.Key]++
	}
	pack := &codec.Packer{On: s.opts.Compress}
	var coder codec.Details
	for _, o := range outcomes {
		if o.State < hook.Pending || o.State > hook.Cancelled {
			return nil, fmt.Errorf("outcome of %s: state %d does not exist", o.Key, o.State)
		}
		if a := o.Attempt; a != nil && (a.N < 1 || a.N > maxAttempts) {
			return nil, fmt.Errorf("outcome of %s: attempt number %d is not in 1 to %d", o.Key, a.N, maxAttempts)
		}
		r.simple = append(r.simple, times[o.Key] == 1 && o.Attempt != nil && o.Attempt.N == 1 && o.State == hook.Delivered)
		r.rounds = append(r.rounds, rounds[o.Key])
		if times[o.Key] > 1 {
			rounds[o.Key]++
		}
		r.addOutcome(o, pack)
		r.addAttempt(o.Attempt, pack, &coder)
	}
	return r, nil
}

func (r *outcomeRows) addOutcome(o *store.Outcome, pack *codec.Packer) {
	next := int64(0)
	if o.State == hook.Pending {
		if next = codec.FromTime(o.NextAt); next == 0 {
			next = codec.FromTime(o.At)
		}
	}
	r.events, r.tails = append(r.events, o.Key.Event.Seq()), append(r.tails, int64(o.Key.Event.Tail()))
	r.endpoints, r.states = append(r.endpoints, int64(o.Key.Endpoint)), append(r.states, int16(o.State))
	r.nextAts, r.firstAts = append(r.nextAts, next), append(r.firstAts, codec.FromTime(o.FirstAt))
	r.bases, r.reasons = append(r.bases, int32(o.Base)), append(r.reasons, text(o.Reason))
	if o.Body == nil {
		r.bodies = append(r.bodies, nil)
	} else {
		r.bodies = append(r.bodies, notNull(pack.Pack(o.Body)))
	}
}

func (r *outcomeRows) addAttempt(a *hook.Attempt, pack *codec.Packer, coder *codec.Details) {
	if a == nil {
		a = &hook.Attempt{}
		r.details = append(r.details, nil)
	} else {
		r.details = append(r.details, coder.Append(nil, a, &codec.Packer{On: pack.On}))
	}
	r.ns, r.ats = append(r.ns, int32(a.N)), append(r.ats, codec.FromTime(a.At))
	r.attemptStates, r.statuses = append(r.attemptStates, int16(a.State)), append(r.statuses, int16(a.Status))
	r.classes = append(r.classes, text(a.Class))
}

// Redeliver makes a delivery pending and due.
func (s *Store) Redeliver(ctx context.Context, tenant hook.TenantNum, key hook.DeliveryKey, now time.Time) error {
	return s.RedeliverUnder(ctx, store.Lease{}, tenant, key, now)
}

// RedeliverUnder makes a delivery pending and due, if a lease is still held: it need
// not be that of the delivery's own partition.
func (s *Store) RedeliverUnder(ctx context.Context, l store.Lease, tenant hook.TenantNum, key hook.DeliveryKey, now time.Time) error {
	ctx, leave, err := s.toWrite(ctx)
	if err != nil {
		return err
	}
	defer leave()
	e, err := s.event(ctx, tenant, key.Event)
	if err == nil {
		t, ok := e.Target(key.Endpoint)
		if !ok {
			err = store.ErrNotFound
		} else {
			partitions, tokens := held(&l, ^uint64(0))
			err = mapped(again(ctx, func() error {
				_, err := s.pool.Exec(ctx, `SELECT grapnel.redeliver1($1::bigint, $2::bigint, $3::bigint, $4::boolean, $5::bigint, $6::text, $7::smallint[], $8::bigint[])`,
					key.Event.Seq(), int64(key.Endpoint), int64(e.Tenant), t.Disposition == hook.Deliver, codec.FromTime(now), l.Node, partitions, tokens)
				return err
			}))
		}
	}
	if err != nil {
		return fmt.Errorf("redeliver %s: %w", key, err)
	}
	return nil
}

// text is what of a text PostgreSQL takes: UTF-8, and no zero bytes.
func text(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")
}
