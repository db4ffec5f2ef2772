package postgres

import (
	"context"
	"errors"
	"fmt"

	"grapnel/internal/codec"
	"grapnel/internal/crashpoint"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Append stores events and requests with one statement.
func (s *Store) Append(ctx context.Context, b *store.Batch) error {
	ctx, leave, err := s.toWrite(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if len(b.Events)+len(b.Requests)+len(b.Taken) == 0 {
		return nil
	}
	s.appending.Lock()
	defer s.appending.Unlock()
	err = s.append(ctx, b)
	s.full.Store(errors.Is(err, store.ErrFull))
	if err != nil {
		return fmt.Errorf("append %d events: %w", len(b.Events), err)
	}
	crashpoint.Hit("after-commit")
	return nil
}

func (s *Store) append(ctx context.Context, b *store.Batch) error {
	if b.Revision < s.revision.Load() {
		return store.ErrStale
	}
	rows, err := s.rowsOf(b)
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		if len(b.Events) > 0 {
			crashpoint.Hit("before-commit") // the statement is its own transaction: it is still to be sent
		}
		raised, number, err := s.appendRows(ctx, b, rows)
		switch {
		case err == nil:
			placed(b, raised, number)
			s.tell(len(b.Events))
			return nil
		case isCode(err, codeCheck) && n < tries: // a unit is missing
			err = s.cutFor(ctx, rows.seqs)
			if err != nil {
				return mapped(err)
			}
		case isCode(err, codeSerializable, codeDeadlock) && n < tries:
		case isCode(err, codeTwice):
			return fmt.Errorf("%w: a key twice in a batch", store.ErrKeyTaken)
		case inDoubt(err):
			return fmt.Errorf("%w: %w", store.ErrUnknown, err)
		default:
			return mapped(err)
		}
	}
}

// appendRows calls the function that stores. Each call has a serial of its own.
func (s *Store) appendRows(ctx context.Context, b *store.Batch, r *appendRows) (raised, number int64, err error) {
	s.serial++
	statement, args := appendSQL, []any{s.appender, s.serial, b.Revision, s.opts.IdempotencyWindow.Milliseconds(), r.deliveries, r.keyed,
		r.seqs, r.tails, r.tenants, r.offsets, r.parts, r.times, r.revisions,
		r.types, r.targets, r.data, r.keys, r.prints, r.previous, r.metadata, r.ordering,
		r.scopes, r.requestKeys, r.ats, r.requestPrints, r.answers}
	if len(b.Taken) > 0 {
		statement, args = withTaken(statement, len(args)), append(args, takenArgs(b.Taken)...)
	}
	err = s.pool.QueryRow(ctx, statement, args...).Scan(&raised, &number)
	return raised, number, err
}

const appendSQL = `SELECT raised, number FROM grapnel.append1($1::text, $2::bigint, $3::bigint, $4::bigint, $5::bigint, $6::bigint,
	$7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
	$14::text[], $15::bytea[], $16::bytea[], $17::text[], $18::bytea[], $19::bytea[], $20::bytea[], $21::text[],
	$22::text[], $23::text[], $24::bigint[], $25::bytea[], $26::bytea[])`

// placed tells the events of a batch where they are.
func placed(b *store.Batch, raised, number int64) {
	for _, e := range b.Events {
		if raised != 0 {
			e.ID = hook.EventIDFrom(e.ID.Seq()+raised, e.ID.Tail())
		}
		e.Number = number
		number += int64(len(e.Targets))
	}
	for _, r := range b.Requests {
		r.Raised = raised
	}
}

// Resolve finds out what became of the last append.
func (s *Store) Resolve(ctx context.Context, b *store.Batch) (stored bool, err error) {
	ctx, leave, err := s.toWrite(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	s.appending.Lock()
	defer s.appending.Unlock()
	var raised, number int64
	err = s.pool.QueryRow(ctx, `SELECT stored, raised, number FROM grapnel.resolve1($1::text, $2::bigint)`, s.appender, s.serial).Scan(&stored, &raised, &number)
	if err != nil {
		return false, fmt.Errorf("find out about the last append: %w", mapped(err))
	}
	if stored {
		placed(b, raised, number)
	}
	return stored, nil
}

// LastEvent is the highest event id ever stored.
func (s *Store) LastEvent(ctx context.Context) (hook.EventID, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return hook.EventID{}, err
	}
	defer leave()
	id, err := s.last(ctx)
	if err != nil {
		return hook.EventID{}, fmt.Errorf("find the last event: %w", err)
	}
	return id, nil
}

func (s *Store) last(ctx context.Context) (id hook.EventID, err error) {
	var last, tail int64
	err = s.pool.QueryRow(ctx, `SELECT last, tail FROM grapnel.head`).Scan(&last, &tail)
	if err == nil && last > 0 {
		id = hook.EventIDFrom(last, uint64(tail))
	}
	return id, mapped(err)
}

// cutFor makes the units that events with these ids need, wherever append1 puts them.
func (s *Store) cutFor(ctx context.Context, seqs []int64) error {
	var raised int64
	err := s.pool.QueryRow(ctx, `SELECT greatest(least($1::bigint, grapnel.latest1()), h.last + 1) - $1 FROM grapnel.head AS h`, seqs[0]).Scan(&raised)
	if err != nil {
		return err
	}
	need := make([]int64, len(seqs))
	for i, seq := range seqs {
		need[i] = seq + raised
	}
	return s.cut(ctx, need)
}

// appendRows is a batch as columns.
type appendRows struct {
	deliveries, keyed                                      int64
	seqs, tails, tenants, offsets, parts, times, revisions []int64
	types                                                  []string
	targets, data                                          [][]byte
	keys                                                   []*string
	prints, previous, metadata                             [][]byte
	ordering                                               []*string
	scopes, requestKeys                                    []string
	ats                                                    []int64
	requestPrints, answers                                 [][]byte
}

// rowsOf checks a batch and lays it out.
func (s *Store) rowsOf(b *store.Batch) (*appendRows, error) {
	r := &appendRows{seqs: []int64{}, scopes: []string{}}
	packed := (&codec.Packer{On: s.opts.Compress}).PackEvents(b.Events)
	for i, e := range b.Events {
		if i > 0 && e.ID.Seq() <= r.seqs[i-1] {
			return nil, fmt.Errorf("event id %s does not follow %s", e.ID, b.Events[i-1].ID)
		}
		if err := codec.CheckTargets(e.Targets); err != nil {
			return nil, fmt.Errorf("event %s: %w", e.ID, err)
		}
		r.addEvent(e, &packed[i])
	}
	for _, q := range b.Requests {
		r.scopes, r.requestKeys, r.ats = append(r.scopes, q.Scope), append(r.requestKeys, q.Key), append(r.ats, codec.FromTime(q.At))
		r.requestPrints, r.answers = append(r.requestPrints, q.Fingerprint[:]), append(r.answers, q.Answer)
	}
	return r, nil
}

func (r *appendRows) addEvent(e *hook.Event, p *codec.Packed) {
	r.seqs, r.tails, r.tenants = append(r.seqs, e.ID.Seq()), append(r.tails, int64(e.ID.Tail())), append(r.tenants, int64(e.Tenant))
	r.offsets, r.parts = append(r.offsets, r.deliveries), append(r.parts, int64(partsOf(e.Targets)))
	r.times, r.revisions = append(r.times, codec.FromTime(e.Time)), append(r.revisions, e.Revision)
	r.types, r.targets = append(r.types, e.Type), append(r.targets, codec.AppendTargets([]byte{}, e.Targets))
	r.data = append(r.data, notNull(p.Data))
	r.previous, r.metadata = append(r.previous, p.Previous), append(r.metadata, p.Metadata)
	r.ordering = append(r.ordering, orNull(e.OrderingKey))
	r.keys = append(r.keys, orNull(e.Key))
	if e.Key == "" {
		r.prints = append(r.prints, nil)
	} else {
		r.prints = append(r.prints, e.Fingerprint[:])
		r.keyed++
	}
	r.deliveries += int64(len(e.Targets))
}

// partsOf is the set of partitions that an event is to be delivered in.
func partsOf(targets []hook.Target) (set uint64) {
	for _, t := range targets {
		if t.Disposition == hook.Deliver {
			set |= 1 << store.PartitionOf(t.Endpoint)
		}
	}
	return set
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
