package sqlite

import (
	"context"
	"fmt"
	"math"
	"sort"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

const (
	// freshScan is how many candidates a call of Fresh looks at.
	freshScan = 2000
	// freshSegments is how many segments it reads. A lane that has little in each
	// of many gets short pages, and lanes that read one after the other find open
	// what the one before has opened.
	freshSegments = 4
)

// Fresh returns fresh deliveries of a lane.
func (s *Store) Fresh(ctx context.Context, q store.FreshQuery) (store.FreshPage, error) {
	if err := s.enter(ctx); err != nil {
		return store.FreshPage{}, err
	}
	defer s.leave()
	r := &freshReader{s: s, q: q, before: math.MaxInt64, left: freshScan}
	if !q.Before.IsZero() {
		r.before = q.Before.Seq()
	}
	segments := 0
	for _, g := range s.from(q.From.Seq()) {
		if g.first > r.before {
			break
		}
		if last := g.lastID(); last < q.From.Seq() || last == 0 || !g.mayHave(q.Endpoint) {
			continue
		}
		if segments == freshSegments || len(r.page.Work) >= q.Limit && segments > 0 || r.left == 0 {
			r.page.Next = hook.EventIDFrom(g.first, 0)
			break
		}
		segments++
		if err := s.read(ctx, g, func(c *connection) error { return r.read(c, g) }); err != nil {
			return store.FreshPage{}, fmt.Errorf("read fresh deliveries of endpoint %d: %w", q.Endpoint, err)
		}
		if !r.page.Next.IsZero() {
			break
		}
	}
	return r.page, nil
}

// from lists the segments that may have events at seq and above.
func (s *Store) from(seq int64) []*segment {
	l := s.list()
	i := sort.Search(len(l), func(i int) bool { return l[i].first > seq })
	return l[max(i-1, 0):]
}

// freshReader is a call of Fresh.
type freshReader struct {
	s      *Store
	q      store.FreshQuery
	before int64 // no event after this is asked for
	left   int   // candidates that may still be looked at
	page   store.FreshPage

	// Of the segment that is read.
	c                          *connection
	events, attempts, recorded *follower
	last                       int64 // number of the candidate before
}

// read adds a segment's fresh deliveries. It sets Next when there is no room
// for more, or enough was looked at.
func (r *freshReader) read(c *connection, g *segment) (err error) {
	r.c, r.last = c, math.MinInt64/2
	if r.events, err = c.follow(`SELECT `+eventColumns+` FROM events WHERE id >= ? ORDER BY id`, 0); err != nil {
		return err
	}
	defer r.events.reset()
	if r.attempts, err = c.follow(`SELECT id FROM attempts WHERE id >= ? ORDER BY id`, attemptBits); err != nil {
		return err
	}
	defer r.attempts.reset()
	if r.recorded, err = c.follow(`SELECT number FROM deliveries WHERE number >= ? ORDER BY number`, 0); err != nil {
		return err
	}
	defer r.recorded.reset()
	for from := max(r.q.From.Seq(), g.first); ; {
		n := min(r.left, max(r.q.Limit-len(r.page.Work), 64)) + 1
		list, err := c.ofEndpoint(r.q.Endpoint, from, false, n)
		if err != nil {
			return err
		}
		for _, d := range list {
			if more, err := r.take(d); err != nil || !more {
				return err
			}
		}
		if len(list) < n {
			return nil
		}
		from = list[n-1].event + 1
	}
}

// take looks at a candidate. It returns false when the page ends before it.
func (r *freshReader) take(d delivery) (more bool, err error) {
	if d.event > r.before {
		return false, nil
	}
	if r.left == 0 || len(r.page.Work) >= r.q.Limit {
		r.page.Next = hook.EventIDFrom(d.event, 0)
		if d.event == r.q.From.Seq() {
			r.page.Next = r.q.From
		}
		return false, nil
	}
	r.left--
	e, missing, err := r.fresh(d)
	if err != nil {
		return false, err
	}
	if missing && r.c.index == nil { // nothing comes into a sealed segment: to read on from here would never end
		return false, fmt.Errorf("%w: event %d is listed but not there", codec.ErrFormat, d.event)
	}
	if missing { // it came after the snapshot
		r.page.Next = hook.EventIDFrom(d.event, 0)
		return false, nil
	}
	if e == nil || string(e.ID[:]) < string(r.q.From[:]) {
		return true, nil
	}
	if !r.q.Before.IsZero() && string(e.ID[:]) >= string(r.q.Before[:]) {
		return false, nil
	}
	r.page.Work = append(r.page.Work, &store.Work{Event: e, Endpoint: r.q.Endpoint})
	return true, nil
}

// fresh loads a delivery's event if nothing is recorded of it and it is to be
// sent; nil if not. missing says that its event is not there.
func (r *freshReader) fresh(d delivery) (e *hook.Event, missing bool, err error) {
	gap := d.number - r.last
	r.last = d.number
	done, err := r.attempts.reach(d.number, gap)
	if err != nil || done {
		return nil, false, err
	}
	if done, err = r.recorded.reach(d.number, gap); err != nil || done {
		return nil, false, err
	}
	if e = r.s.shared.get(d.event); e == nil {
		there, err := r.events.reach(d.event, gap)
		if err != nil || !there {
			return nil, err == nil, err
		}
		if e, err = scanEvent(r.events.st); err != nil {
			return nil, false, err
		}
		r.s.shared.put(e)
	}
	if t, ok := e.Target(r.q.Endpoint); !ok || t.Disposition != hook.Deliver {
		return nil, false, nil
	}
	return e, false, nil
}
