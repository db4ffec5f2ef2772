package postgres

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

const (
	// lanesChunk is how many events Lanes looks at at once.
	lanesChunk = 1000
	// lanesLook is how many events it looks at to say how much waits in lanes that are
	// behind. What waits of the rest it estimates: a lane may be days behind.
	lanesLook = 20_000
)

// Lanes lists the lanes with work: those behind by the last checkpoint, those with
// unrecorded deliveries since, and those with pending rows.
func (s *Store) Lanes(ctx context.Context, l store.Lease) ([]store.Lane, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	r := &laneLister{s: s, lease: l, lanes: map[hook.EndpointNum]*store.Lane{}, from: map[hook.EndpointNum]int64{}, look: s.lanesLook}
	if err := r.list(ctx); err != nil {
		return nil, fmt.Errorf("list lanes: %w", mapped(err))
	}
	var out []store.Lane
	for _, e := range slices.Sorted(maps.Keys(r.lanes)) {
		if a := r.lanes[e]; !a.Fresh.IsZero() || !a.NextAt.IsZero() {
			out = append(out, *a)
		}
	}
	return out, nil
}

// laneLister is a call of Lanes.
type laneLister struct {
	s      *Store
	lease  store.Lease
	lanes  map[hook.EndpointNum]*store.Lane
	from   map[hook.EndpointNum]int64 // marks
	look   int                        // lanesLook
	floors [store.Partitions]int64
}

func (r *laneLister) lane(e hook.EndpointNum) *store.Lane {
	l := r.lanes[e]
	if l == nil {
		l = &store.Lane{Endpoint: e}
		r.lanes[e] = l
	}
	return l
}

func (r *laneLister) list(ctx context.Context) error {
	if err := r.s.checkLease(ctx, r.lease); err != nil {
		return err
	}
	if err := r.readProgress(ctx); err != nil {
		return err
	}
	if err := r.findFresh(ctx); err != nil {
		return err
	}
	return r.findPending(ctx)
}

// readProgress reads the last checkpoint of each partition.
func (r *laneLister) readProgress(ctx context.Context) error {
	partitions := partitionsOf(r.lease.Partitions)
	rows, err := r.s.pool.Query(ctx, `SELECT partition::integer, seq FROM grapnel.floors WHERE partition = ANY ($1::smallint[])`, partitions)
	if err != nil {
		return err
	}
	var partition int
	var seq, tail, endpoint int64
	if _, err := pgx.ForEachRow(rows, []any{&partition, &seq}, func() error {
		r.floors[partition] = seq
		return nil
	}); err != nil {
		return err
	}
	rows, err = r.s.pool.Query(ctx, `SELECT endpoint, seq, tail FROM grapnel.lane_marks WHERE partition = ANY ($1::smallint[])`, partitions)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, []any{&endpoint, &seq, &tail}, func() error {
		e := hook.EndpointNum(endpoint)
		r.from[e] = seq
		r.lane(e).Fresh = hook.EventIDFrom(seq, uint64(tail))
		return nil
	})
	return err
}

// findFresh looks through the events that progress leaves open: all of those from the
// lowest floor on, which are few, and before it as many as say what waits in lanes with
// a mark.
func (r *laneLister) findFresh(ctx context.Context) error {
	floor, mark := int64(math.MaxInt64), int64(math.MaxInt64)
	for _, p := range partitionsOf(r.lease.Partitions) {
		floor = min(floor, r.floors[p])
	}
	for _, from := range r.from {
		mark = min(mark, from)
	}
	if _, err := r.lookThrough(ctx, floor, math.MaxInt64, math.MaxInt); err != nil || mark >= floor {
		return err
	}
	counted := make(map[hook.EndpointNum]int64, len(r.from))
	for e := range r.from {
		counted[e] = -r.lanes[e].Waiting
	}
	next, err := r.lookThrough(ctx, mark, floor, r.look)
	if err != nil || next == floor {
		return err
	}
	for e := range r.from {
		counted[e] += r.lanes[e].Waiting
	}
	return r.estimate(ctx, counted, mark, next, floor)
}

// lookThrough adds what is fresh of the events from one id up to another, or of the
// first of them; next is where it ended.
func (r *laneLister) lookThrough(ctx context.Context, from, until int64, limit int) (next int64, err error) {
	for next = from; limit > 0; limit -= lanesChunk {
		list, err := r.s.outlines(ctx, `SELECT `+outlineColumns+` FROM grapnel.events AS e WHERE e.seq >= $1 AND e.seq < $2 AND e.parts & $3::bigint <> 0 ORDER BY e.seq LIMIT $4`,
			next, until, int64(r.lease.Partitions), lanesChunk)
		if err != nil {
			return next, err
		}
		if err := r.addFresh(ctx, list); err != nil {
			return next, err
		}
		if len(list) < lanesChunk {
			return until, nil
		}
		next = list[len(list)-1].id.Seq() + 1
	}
	return next, nil
}

// estimate adds what may wait of the events between next and floor, in lanes of whose
// events from mark to next so many were counted: the same share, or of a lane that
// began later that of all lanes with a mark in the mean.
func (r *laneLister) estimate(ctx context.Context, counted map[hook.EndpointNum]int64, mark, next, floor int64) error {
	var looked, left int64
	err := r.s.pool.QueryRow(ctx, `SELECT count(*) FILTER (WHERE seq < $2), count(*) FILTER (WHERE seq >= $2) FROM grapnel.events WHERE seq >= $1 AND seq < $3`, mark, next, floor).Scan(&looked, &left)
	if err != nil {
		return err
	}
	all, lanes := int64(0), int64(0)
	for e, n := range counted {
		if r.from[e] < next {
			all, lanes = all+n, lanes+1
		}
	}
	for e, n := range counted {
		if r.from[e] >= next {
			n = (all + lanes - 1) / lanes // there is the one with the first mark
		}
		r.lanes[e].Waiting += int64(float64(n) * float64(left) / float64(max(looked, 1)))
	}
	return nil
}

// addFresh counts the deliveries of some events that nothing is recorded of.
func (r *laneLister) addFresh(ctx context.Context, list []*outline) error {
	mine := func(o *outline, e hook.EndpointNum) bool { return r.lease.Holds(e) && o.id.Seq() >= r.begin(e) }
	return r.s.unrecorded(ctx, list, mine, func(id hook.EventID, e hook.EndpointNum) {
		l := r.lane(e)
		if l.Waiting++; l.Fresh.IsZero() || id.Seq() < l.Fresh.Seq() {
			l.Fresh = id
		}
	})
}

// unrecorded calls each for the deliveries of some events that are to be sent, are
// asked for, and have nothing recorded of them.
func (s *Store) unrecorded(ctx context.Context, list []*outline, asked func(o *outline, e hook.EndpointNum) bool, each func(hook.EventID, hook.EndpointNum)) error {
	ids := map[int64]hook.EventID{}
	var events, endpoints []int64
	for _, o := range list {
		ids[o.id.Seq()] = o.id
		for _, t := range o.targets {
			if t.Disposition == hook.Deliver && asked(o, t.Endpoint) {
				events, endpoints = append(events, o.id.Seq()), append(endpoints, int64(t.Endpoint))
			}
		}
	}
	if len(events) == 0 {
		return nil
	}
	rows, err := s.pool.Query(ctx, `SELECT q.event, q.endpoint FROM unnest($1::bigint[], $2::bigint[]) AS q (event, endpoint)
		WHERE NOT EXISTS (SELECT FROM grapnel.attempts AS a WHERE a.endpoint = q.endpoint AND a.event = q.event AND a.event BETWEEN $3 AND $4)
			AND NOT EXISTS (SELECT FROM grapnel.deliveries AS d WHERE d.endpoint = q.endpoint AND d.event = q.event AND d.event BETWEEN $3 AND $4)`,
		events, endpoints, slices.Min(events), slices.Max(events))
	if err != nil {
		return err
	}
	var event, endpoint int64
	_, err = pgx.ForEachRow(rows, []any{&event, &endpoint}, func() error {
		each(ids[event], hook.EndpointNum(endpoint))
		return nil
	})
	return err
}

// begin is where a lane's fresh deliveries begin: its mark, or else the floor.
func (r *laneLister) begin(e hook.EndpointNum) int64 {
	if from, ok := r.from[e]; ok {
		return from
	}
	return r.floors[store.PartitionOf(e)]
}

// Checkpoint keeps progress for the lease's partitions.
func (s *Store) Checkpoint(ctx context.Context, l store.Lease, p store.Progress) error {
	ctx, leave, err := s.toWrite(ctx)
	if err != nil {
		return err
	}
	defer leave()
	behind, seqs, tails := []int64{}, []int64{}, []int64{}
	partitions := []int16{}
	for _, m := range p.Behind {
		behind, partitions = append(behind, int64(m.Endpoint)), append(partitions, int16(store.PartitionOf(m.Endpoint)))
		seqs, tails = append(seqs, m.From.Seq()), append(tails, int64(m.From.Tail()))
	}
	caught := make([]int64, len(p.CaughtUp))
	for i, e := range p.CaughtUp {
		caught[i] = int64(e)
	}
	held, tokens := held(&l, ^uint64(0))
	err = again(ctx, func() error {
		_, err := s.pool.Exec(ctx, `SELECT grapnel.checkpoint1($1::text, $2::smallint[], $3::bigint[], $4::bigint, $5::bigint, $6::bigint[], $7::smallint[], $8::bigint[], $9::bigint[], $10::bigint[])`,
			l.Node, held, tokens, p.Floor.Seq(), int64(p.Floor.Tail()), behind, partitions, seqs, tails, caught)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep progress: %w", mapped(err))
	}
	return nil
}
