package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"math"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

const (
	// maxLanesScan is how many events above the floor a start looks at: what a busy
	// server has between two checkpoints, and some tenths of a second. Where there
	// are more, no progress was kept for long.
	maxLanesScan = 100_000
	// pendingCounted is how many pending rows of a lane are counted in a segment.
	pendingCounted = 1000
)

// Lanes lists the lanes with work: those behind by the last checkpoint, those
// with unrecorded deliveries since, and those with pending rows.
func (s *Store) Lanes(ctx context.Context, l store.Lease) ([]store.Lane, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	if err := s.checkLease(l); err != nil {
		return nil, err
	}
	r := &laneLister{s: s, lanes: map[hook.EndpointNum]*store.Lane{}}
	if err := r.list(ctx); err != nil {
		return nil, fmt.Errorf("list lanes: %w", err)
	}
	var out []store.Lane
	for _, e := range sortedKeys(r.lanes) {
		if a := r.lanes[e]; l.Holds(e) && (!a.Fresh.IsZero() || !a.NextAt.IsZero()) {
			out = append(out, *a)
		}
	}
	return out, nil
}

// progress reads the last checkpoint.
func (s *Store) progress(ctx context.Context) (p store.Progress, err error) {
	err = s.control.read(ctx, func(c *connection) error {
		meta, err := c.meta()
		if err != nil {
			return err
		}
		if meta["floor"] > 0 {
			p.Floor = hook.EventIDFrom(meta["floor"], uint64(meta["floor_tail"]))
		}
		return c.query(`SELECT endpoint, event, tail FROM lanes`, nil, func(st *sqlite3.Stmt) bool {
			id := hook.EventIDFrom(st.ColumnInt64(1), uint64(st.ColumnInt64(2)))
			p.Behind = append(p.Behind, store.LaneMark{Endpoint: hook.EndpointNum(st.ColumnInt64(0)), From: id})
			return true
		})
	})
	return p, err
}

// laneLister is a call of Lanes.
type laneLister struct {
	s       *Store
	lanes   map[hook.EndpointNum]*store.Lane
	ordered []*store.Lane // the same, by endpoint, once all are found
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
	p, err := r.s.progress(ctx)
	if err != nil {
		return err
	}
	for _, m := range p.Behind {
		r.lane(m.Endpoint).Fresh = m.From
	}
	if err := r.findFresh(ctx, p.Floor.Seq()); err != nil {
		return err
	}
	r.findPending()
	first := r.first()
	for _, g := range r.s.list() {
		if err := r.count(ctx, g, first); err != nil {
			return err
		}
	}
	return nil
}

// findPending adds the lanes that may have pending rows. With them all are found.
func (r *laneLister) findPending() {
	for _, g := range r.s.list() {
		g.mu.RLock()
		for e := range g.pending {
			r.lane(e)
		}
		g.mu.RUnlock()
	}
	for _, e := range sortedKeys(r.lanes) {
		r.ordered = append(r.ordered, r.lanes[e])
	}
}

// first is the first event that a lane may have something fresh of.
func (r *laneLister) first() int64 {
	first := int64(math.MaxInt64)
	for _, l := range r.lanes {
		if !l.Fresh.IsZero() {
			first = min(first, l.Fresh.Seq())
		}
	}
	return first
}

// findFresh finds each lane's first unrecorded delivery of events at floor and
// above. After so many events it stops looking: all lanes that have anything
// from there on may have something fresh there.
func (r *laneLister) findFresh(ctx context.Context, floor int64) error {
	left, next := r.s.lanesScan, int64(0)
	for _, g := range r.s.from(floor) {
		if last := g.lastID(); last < floor || last == 0 {
			continue
		}
		err := r.s.read(ctx, g, func(c *connection) (err error) {
			if next == 0 {
				next, err = c.unrecordedIn(floor, &left, func(e *hook.Event, t hook.Target) {
					if l := r.lane(t.Endpoint); l.Fresh.IsZero() {
						l.Fresh = e.ID
					}
				})
			}
			if err != nil || next == 0 {
				return err
			}
			return c.eachLane(func(e hook.EndpointNum, _ int64) error {
				if l := r.lane(e); l.Fresh.IsZero() {
					l.Fresh = hook.EventIDFrom(next, 0)
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	if next != 0 {
		r.s.log.Warn("little is known of which deliveries were made: those from before the last stop are looked for while new ones are made", "from", hook.EventIDFrom(next, 0).Time())
	}
	return nil
}

// unrecorded visits the deliveries to be made of events at from and above that
// nothing is recorded of.
func (c *connection) unrecorded(from int64, visit func(e *hook.Event, t hook.Target)) error {
	all := math.MaxInt
	_, err := c.unrecordedIn(from, &all, visit)
	return err
}

// unrecordedIn is unrecorded for as many events as left says, which it counts
// down. It returns the first event that it did not look at, 0 if there is none.
// It is a merge of the events, the attempts and the rows of deliveries, all three
// in the order of delivery numbers.
func (c *connection) unrecordedIn(from int64, left *int, visit func(e *hook.Event, t hook.Target)) (next int64, err error) {
	first, err := c.int(`SELECT number FROM events WHERE id >= ? ORDER BY id LIMIT 1`, from)
	if err != nil || first == 0 {
		return 0, err
	}
	attempts, err := c.numbers(`SELECT id >> 16 FROM attempts WHERE id > ? ORDER BY id`, first<<attemptBits)
	if err != nil {
		return 0, err
	}
	defer attempts.st.Reset()
	rows, err := c.numbers(`SELECT number FROM deliveries WHERE number >= ? ORDER BY number`, first)
	if err != nil {
		return 0, err
	}
	defer rows.st.Reset()
	var bad error
	err = c.query(`SELECT id, tail, tenant, type, number, targets FROM events WHERE id >= ? ORDER BY id`, []any{from}, func(st *sqlite3.Stmt) bool {
		if *left == 0 {
			next = st.ColumnInt64(0)
			return false
		}
		*left--
		var e *hook.Event
		if e, bad = scanOutline(st); bad != nil {
			return false
		}
		for i, t := range e.Targets {
			number := e.Number + int64(i)
			recorded := attempts.has(number)
			if !rows.has(number) && !recorded && t.Disposition == hook.Deliver {
				visit(e, t)
			}
		}
		return true
	})
	return next, cmp.Or(err, bad, wrap(attempts.st.Err()), wrap(rows.st.Err()))
}

// cursor is a query's ascending numbers, to be asked in ascending order.
type cursor struct {
	st *sqlite3.Stmt
	at int64
}

func (c *connection) numbers(sql string, from int64) (*cursor, error) {
	st, err := c.stmt(sql)
	if err != nil {
		return nil, err
	}
	return &cursor{st: st, at: -1}, wrap(st.BindInt64(1, from))
}

func (n *cursor) has(number int64) bool {
	for n.at < number {
		if !n.st.Step() {
			n.at = math.MaxInt64
			break
		}
		n.at = n.st.ColumnInt64(0)
	}
	return n.at == number
}

// count finds when each lane's first pending row in a segment is due, and about
// how much waits there. first is the first event that any lane may have something
// fresh of.
func (r *laneLister) count(ctx context.Context, g *segment, first int64) error {
	g.mu.RLock()
	endpoints, fresh := sortedKeys(g.pending), g.last >= first
	oldest, last := g.oldest, g.last
	g.mu.RUnlock()
	if len(endpoints) == 0 && !fresh {
		return nil
	}
	return r.s.read(ctx, g, func(c *connection) error {
		pending := map[hook.EndpointNum]int64{}
		for _, e := range endpoints {
			n, err := r.countPending(c, e)
			if err != nil {
				return err
			}
			if fresh {
				pending[e] = n
			} else if n > 0 {
				r.lanes[e].Waiting += n
			}
		}
		if !fresh {
			return nil
		}
		return r.countFresh(c, pending, oldest, last)
	})
}

// countPending notes when a lane's first pending row is due, and counts them.
func (r *laneLister) countPending(c *connection, e hook.EndpointNum) (n int64, err error) {
	l := r.lanes[e]
	if l == nil { // it came while lanes were listed
		return 0, nil
	}
	err = c.query(`SELECT next_at FROM deliveries WHERE state = 1 AND endpoint = ? ORDER BY next_at LIMIT ?`,
		[]any{int64(e), pendingCounted}, func(st *sqlite3.Stmt) bool {
			if at := codec.ToTime(st.ColumnInt64(0)); n == 0 {
				if l.NextAt.IsZero() || at.Before(l.NextAt) {
					l.NextAt = at
				}
			}
			n++
			return true
		})
	return n, err
}

// countFresh adds what may wait of a segment with events from oldest to last: all
// from a lane's first fresh delivery on, and pending ones.
func (r *laneLister) countFresh(c *connection, pending map[hook.EndpointNum]int64, oldest, last int64) error {
	left := r.ordered
	return c.eachLane(func(e hook.EndpointNum, all int64) (err error) {
		for len(left) > 0 && left[0].Endpoint < e { // both are in order: a look-up of each would take seconds
			left = left[1:]
		}
		if len(left) == 0 || left[0].Endpoint != e {
			return nil
		}
		l := left[0]
		fresh := int64(0)
		switch from := l.Fresh.Seq(); {
		case l.Fresh.IsZero() || from > last:
		case from <= oldest:
			fresh = all
		default:
			fresh, err = c.countFrom(e, from)
		}
		l.Waiting += min(fresh+pending[e], all)
		return err
	})
}
