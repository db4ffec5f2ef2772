package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// due is a pending row that may be returned as work.
type due struct {
	g      *segment
	number int64
	nextAt int64
}

// Retries returns recorded pending deliveries of a lane that are due.
func (s *Store) Retries(ctx context.Context, endpoint hook.EndpointNum, until time.Time, limit int) ([]*store.Work, time.Time, error) {
	if err := s.enter(ctx); err != nil {
		return nil, time.Time{}, err
	}
	defer s.leave()
	works, next, err := s.retries(ctx, endpoint, until, limit)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read retries of endpoint %d: %w", endpoint, err)
	}
	return works, next, nil
}

func (s *Store) retries(ctx context.Context, endpoint hook.EndpointNum, until time.Time, limit int) ([]*store.Work, time.Time, error) {
	limit = max(limit, 0)
	bound := codec.FromTime(until)
	// Only segments in which something may be due are read, and none in which all is
	// due later than what was found: a lane that fails for long has pending rows in
	// many.
	var all []due
	later := int64(math.MaxInt64)
	for _, a := range s.pendingSegments(endpoint) {
		if a.known.next > bound || len(all) > limit && all[limit].nextAt <= a.known.next {
			later = min(later, a.known.next)
			break
		}
		found, err := s.pendingIn(ctx, a.g, endpoint, a.known, limit+1)
		if err != nil {
			return nil, time.Time{}, err
		}
		all = append(all, found...)
		slices.SortStableFunc(all, func(a, b due) int { return cmp.Compare(a.nextAt, b.nextAt) })
		all = all[:min(len(all), limit+1)]
	}
	n := 0
	for n < len(all) && n < limit && all[n].nextAt <= bound {
		n++
	}
	if n < len(all) {
		later = min(later, all[n].nextAt)
	}
	var next time.Time
	if later != math.MaxInt64 {
		next = codec.ToTime(later)
	}
	works := make([]*store.Work, n)
	for _, g := range s.list() {
		if err := s.loadWork(ctx, g, all[:n], works); err != nil {
			return nil, time.Time{}, err
		}
	}
	return slices.DeleteFunc(works, func(w *store.Work) bool { return w == nil }), next, nil
}

// pendingSegment is a segment with what is known of a lane's pending rows there.
type pendingSegment struct {
	g     *segment
	known lanePending
}

// pendingSegments lists the segments in which a lane has pending rows, that with
// the earliest one first.
func (s *Store) pendingSegments(endpoint hook.EndpointNum) (out []pendingSegment) {
	for _, g := range s.list() {
		if p, ok := g.pendingOf(endpoint); ok {
			out = append(out, pendingSegment{g, p})
		}
	}
	slices.SortStableFunc(out, func(a, b pendingSegment) int { return cmp.Compare(a.known.next, b.known.next) })
	return out
}

// pendingIn lists a segment's first pending rows of a lane, of which p was known.
func (s *Store) pendingIn(ctx context.Context, g *segment, endpoint hook.EndpointNum, p lanePending, n int) (out []due, err error) {
	err = s.read(ctx, g, func(c *connection) error {
		return c.query(`SELECT number, next_at FROM deliveries WHERE state = 1 AND endpoint = ? ORDER BY next_at LIMIT ?`,
			[]any{int64(endpoint), n}, func(st *sqlite3.Stmt) bool {
				out = append(out, due{g, st.ColumnInt64(0), st.ColumnInt64(1)})
				return true
			})
	})
	if err != nil {
		return nil, err
	}
	first := int64(0)
	if len(out) > 0 {
		first = out[0].nextAt
	}
	g.foundPending(endpoint, p, first)
	return out, nil
}

// loadWork loads those of a list that lie in one segment.
func (s *Store) loadWork(ctx context.Context, g *segment, list []due, into []*store.Work) error {
	if !slices.ContainsFunc(list, func(d due) bool { return d.g == g }) {
		return nil
	}
	return s.read(ctx, g, func(c *connection) (err error) {
		for i, d := range list {
			if d.g != g {
				continue
			}
			if into[i], err = c.work(d.number); err != nil {
				return err
			}
		}
		return nil
	})
}

// work loads a pending delivery; nil if it is not pending any more.
func (c *connection) work(number int64) (*store.Work, error) {
	d, err := c.stand(number)
	if err != nil || d == nil || d.state != hook.Pending {
		return nil, err
	}
	e, err := c.event(d.event)
	if err != nil || e == nil {
		return nil, err
	}
	w := &store.Work{
		Event: e, Endpoint: d.endpoint, Attempts: d.attempts, Base: d.base,
		FirstAt: codec.ToTime(d.firstAt), NextAt: codec.ToTime(d.nextAt),
	}
	if d.manual {
		w.Trigger = hook.Manual
	}
	var bad error
	err = c.query(`SELECT body FROM bodies WHERE number = ?`, []any{number}, func(st *sqlite3.Stmt) bool {
		w.Body, bad = value(st, 0)
		return false
	})
	return w, cmp.Or(err, bad)
}

// Checkpoint keeps progress in control.db. Everything that it speaks of was
// committed before, in the segments.
func (s *Store) Checkpoint(ctx context.Context, l store.Lease, p store.Progress) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if err := s.checkLease(l); err != nil {
		return err
	}
	if err := s.control.write(func(c *connection) error { return putProgress(c, p) }); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

// putProgress writes progress into control.db.
func putProgress(c *connection, p store.Progress) error {
	if err := setMeta(c, "floor", p.Floor.Seq()); err != nil {
		return err
	}
	if err := setMeta(c, "floor_tail", int64(p.Floor.Tail())); err != nil {
		return err
	}
	for _, m := range p.Behind {
		err := c.exec(`INSERT OR REPLACE INTO lanes (endpoint, event, tail) VALUES (?, ?, ?)`,
			int64(m.Endpoint), m.From.Seq(), int64(m.From.Tail()))
		if err != nil {
			return err
		}
	}
	for _, e := range p.CaughtUp {
		if err := c.exec(`DELETE FROM lanes WHERE endpoint = ?`, int64(e)); err != nil {
			return err
		}
	}
	return nil
}
