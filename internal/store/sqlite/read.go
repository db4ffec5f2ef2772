package sqlite

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// listScan is how many candidates one call of a listing looks at.
const listScan = 20_000

// chunk is how many candidates are listed at once.
const chunk = 200

// Event returns one event.
func (s *Store) Event(ctx context.Context, tenant hook.TenantNum, id hook.EventID) (*hook.Event, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	return s.event(ctx, tenant, id)
}

func (s *Store) event(ctx context.Context, tenant hook.TenantNum, id hook.EventID) (e *hook.Event, err error) {
	if g := s.find(id.Seq()); g != nil {
		err = s.read(ctx, g, func(c *connection) (err error) {
			e, err = c.event(id.Seq())
			return err
		})
	}
	if err == nil && (e == nil || e.ID != id || tenant != 0 && e.Tenant != tenant) {
		e, err = nil, store.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", id, err)
	}
	return e, nil
}

// bounds is what of the log a listing covers: from low up to high, both
// included.
type bounds struct{ low, high int64 }

func boundsOf(since, until time.Time, before hook.EventID) bounds {
	b := bounds{0, math.MaxInt64 - 1}
	if !since.IsZero() {
		b.low = hook.FirstEventID(since).Seq()
	}
	if !until.IsZero() {
		b.high = hook.FirstEventID(until).Seq() - 1
	}
	if !before.IsZero() {
		b.high = min(b.high, before.Seq())
	}
	return b
}

// misses reports whether a segment has nothing inside the bounds.
func (b bounds) misses(g *segment) bool {
	last := g.lastID()
	return last == 0 || last < b.low || g.first > b.high
}

// Events lists events, newest first.
func (s *Store) Events(ctx context.Context, q store.EventQuery) (store.EventPage, error) {
	if err := s.enter(ctx); err != nil {
		return store.EventPage{}, err
	}
	defer s.leave()
	l := &eventList{q: q, bounds: boundsOf(q.Since, q.Until, q.Before), left: listScan}
	for _, g := range s.newest() {
		if l.misses(g) {
			continue
		}
		if err := s.readFor(ctx, people, g, func(c *connection) error { return l.in(c, g) }); err != nil {
			return store.EventPage{}, fmt.Errorf("list events: %w", err)
		}
		if !l.page.Next.IsZero() {
			break
		}
	}
	return l.page, nil
}

// eventList gathers a page of events.
type eventList struct {
	bounds
	q    store.EventQuery
	page store.EventPage
	left int
	seen hook.EventID // the last candidate that was looked at
}

func (l *eventList) in(c *connection, g *segment) error {
	for {
		ids, err := g.ofTenant(c, l.q.Tenant, l.high, chunk)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if id < l.low {
				return nil
			}
			if len(l.page.Events) >= l.q.Limit || l.left == 0 {
				l.page.Next = l.seen
				return nil
			}
			l.left--
			l.high = id - 1
			if err := l.add(c, id); err != nil {
				return err
			}
		}
		if len(ids) < chunk {
			return nil
		}
	}
}

func (l *eventList) add(c *connection, id int64) error {
	o, err := c.outline(id)
	if err != nil || o == nil {
		return err
	}
	if !l.q.Before.IsZero() && string(o.ID[:]) >= string(l.q.Before[:]) {
		return nil
	}
	l.seen = o.ID
	if l.q.Type != "" && o.Type != l.q.Type {
		return nil
	}
	e, err := c.event(id)
	if err == nil {
		l.page.Events = append(l.page.Events, e)
	}
	return err
}

// Deliveries lists deliveries, those of the newest events first.
func (s *Store) Deliveries(ctx context.Context, q store.DeliveryQuery) (store.DeliveryPage, error) {
	if err := s.enter(ctx); err != nil {
		return store.DeliveryPage{}, err
	}
	defer s.leave()
	l := newDeliveryList(q)
	for _, g := range s.newest() {
		if l.misses(g) || q.Endpoint != 0 && !g.mayHave(q.Endpoint) {
			continue
		}
		if err := s.readFor(ctx, people, g, func(c *connection) error { return l.in(c, g) }); err != nil {
			return store.DeliveryPage{}, fmt.Errorf("list deliveries: %w", err)
		}
		if !l.page.Next.Event.IsZero() {
			break
		}
	}
	return l.page, nil
}

// deliveryList gathers a page of deliveries.
type deliveryList struct {
	bounds
	q    store.DeliveryQuery
	page store.DeliveryPage
	left int
	seen hook.DeliveryKey // the last candidate that was looked at
}

func newDeliveryList(q store.DeliveryQuery) *deliveryList {
	l := &deliveryList{q: q, bounds: boundsOf(q.Since, q.Until, q.Before.Event), left: listScan}
	if !q.Event.IsZero() {
		l.low, l.high = max(l.low, q.Event.Seq()), min(l.high, q.Event.Seq())
	}
	return l
}

// stopped reports whether only states are asked for that always have a row and
// an index.
func (l *deliveryList) stopped() bool {
	for _, st := range l.q.States {
		if st != hook.Held && st != hook.Failed {
			return false
		}
	}
	return len(l.q.States) > 0 && (l.q.Endpoint != 0 || l.q.Tenant != 0)
}

// in adds what a segment has. Candidates are events; of each, its targets from
// the highest endpoint number down.
func (l *deliveryList) in(c *connection, g *segment) error {
	for {
		ids, err := l.candidates(c, g)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if id < l.low {
				return nil
			}
			if id > l.high {
				continue // seen already, by another delivery of it
			}
			if more, err := l.event(c, id); err != nil || !more {
				return err
			}
			l.high = id - 1
		}
		if len(ids) < chunk {
			return nil
		}
	}
}

// candidates lists events that may have deliveries to show, newest first. An
// event may stand in the list more than once.
func (l *deliveryList) candidates(c *connection, g *segment) (out []int64, err error) {
	add := func(st *sqlite3.Stmt) bool {
		out = append(out, st.ColumnInt64(0))
		return true
	}
	switch {
	case l.low == l.high:
		return []int64{l.low}, nil
	case l.stopped() && l.q.Endpoint != 0:
		high, err := c.numberAfter(l.high)
		if err != nil {
			return nil, err
		}
		err = c.query(`SELECT event FROM deliveries WHERE state IN (2, 4) AND endpoint = ? AND number < ? ORDER BY number DESC LIMIT ?`,
			[]any{int64(l.q.Endpoint), high, chunk}, add)
		return out, err
	case l.stopped():
		high, err := c.numberAfter(l.high)
		if err != nil {
			return nil, err
		}
		err = c.query(`SELECT event FROM deliveries WHERE state IN (2, 4) AND tenant = ? AND number < ? ORDER BY number DESC LIMIT ?`,
			[]any{int64(l.q.Tenant), high, chunk}, add)
		return out, err
	case l.q.Endpoint != 0:
		list, err := g.ofEndpoint(c, l.q.Endpoint, l.high, true, chunk)
		for _, d := range list {
			out = append(out, d.event)
		}
		return out, err
	}
	return g.ofTenant(c, l.q.Tenant, l.high, chunk)
}

// numberAfter is the number that the first delivery after an event has.
func (c *connection) numberAfter(seq int64) (int64, error) {
	n, err := c.int(`SELECT number FROM events WHERE id > ? ORDER BY id LIMIT 1`, seq)
	if err == nil && n == 0 {
		n = math.MaxInt64
	}
	return n, err
}

// event adds an event's deliveries; false when the page is complete.
func (l *deliveryList) event(c *connection, id int64) (more bool, err error) {
	e, err := c.outline(id)
	if err != nil || e == nil {
		return err == nil, err
	}
	if l.q.Tenant != 0 && e.Tenant != l.q.Tenant || l.q.Type != "" && e.Type != l.q.Type || !l.q.Event.IsZero() && e.ID != l.q.Event {
		if l.left == 0 {
			l.page.Next = l.seen
			return false, nil
		}
		l.left--
		l.seen = hook.DeliveryKey{Event: e.ID, Endpoint: 1} // nothing of this event follows it
		return true, nil
	}
	for i := len(e.Targets) - 1; i >= 0; i-- {
		key := hook.DeliveryKey{Event: e.ID, Endpoint: e.Targets[i].Endpoint}
		if l.q.Endpoint != 0 && key.Endpoint != l.q.Endpoint || !follows(key, l.q.Before) {
			continue
		}
		if len(l.page.Deliveries) >= l.q.Limit || l.left == 0 {
			l.page.Next = l.seen
			return false, nil
		}
		l.left--
		l.seen = key
		d, err := c.delivery(e, i)
		if err != nil {
			return false, err
		}
		if len(l.q.States) == 0 || slices.Contains(l.q.States, d.State) {
			l.page.Deliveries = append(l.page.Deliveries, d)
		}
	}
	return true, nil
}

// follows reports whether a delivery comes after another one in the order of
// listings. Everything follows the zero key.
func follows(k, before hook.DeliveryKey) bool {
	if before.Event.IsZero() {
		return true
	}
	if k.Event != before.Event {
		return string(k.Event[:]) < string(before.Event[:])
	}
	return before.Endpoint == 0 || k.Endpoint < before.Endpoint
}

// delivery says what became of an event's i-th delivery.
func (c *connection) delivery(e *hook.Event, i int) (*hook.Delivery, error) {
	t := e.Targets[i]
	d := &hook.Delivery{
		Key: hook.DeliveryKey{Event: e.ID, Endpoint: t.Endpoint}, Tenant: e.Tenant, Type: e.Type, Number: e.Number + int64(i),
	}
	row, err := c.stand(d.Number)
	if err != nil {
		return nil, err
	}
	if row != nil {
		d.State, d.Reason, d.Attempts = row.state, row.reason, row.attempts
		if row.state == hook.Pending {
			d.NextAt = toTime(row.nextAt)
		}
	}
	err = c.query(`SELECT id, at, status, class FROM attempts WHERE id > ? AND id < ? ORDER BY id DESC LIMIT 1`,
		[]any{d.Number << attemptBits, (d.Number + 1) << attemptBits}, func(st *sqlite3.Stmt) bool {
			if row == nil {
				d.State, d.Attempts = hook.Delivered, int(st.ColumnInt64(0)&maxAttempts)
			}
			d.LastAt, d.Status, d.Class = toTime(st.ColumnInt64(1)), st.ColumnInt(2), st.ColumnText(3)
			return false
		})
	if err == nil && d.State == 0 {
		d.State, d.Reason = unrecordedState(t.Disposition)
	}
	return d, err
}

// unrecordedState is the state of a delivery that nothing is recorded of.
func unrecordedState(d hook.Disposition) (hook.DeliveryState, string) {
	switch d {
	case hook.Deliver:
		return hook.Pending, ""
	case hook.Inactive:
		return hook.Cancelled, "the endpoint was inactive when the event came"
	case hook.Suppressed:
		return hook.Cancelled, "suppressed by the publisher"
	}
	return hook.Cancelled, "not to be sent"
}

// Delivery returns one delivery.
func (s *Store) Delivery(ctx context.Context, tenant hook.TenantNum, key hook.DeliveryKey) (*hook.Delivery, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	var d *hook.Delivery
	err := s.withDelivery(ctx, key, func(c *connection, e *hook.Event, i int) (err error) {
		if tenant == 0 || e.Tenant == tenant {
			d, err = c.delivery(e, i)
		}
		return err
	})
	if err == nil && d == nil {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("delivery %s: %w", key, err)
	}
	return d, nil
}

// withDelivery calls fn for a delivery if there is such an event and target.
func (s *Store) withDelivery(ctx context.Context, key hook.DeliveryKey, fn func(c *connection, e *hook.Event, i int) error) error {
	g := s.find(key.Event.Seq())
	if g == nil {
		return nil
	}
	return s.read(ctx, g, func(c *connection) error {
		e, err := c.outline(key.Event.Seq())
		if err != nil || e == nil || e.ID != key.Event {
			return err
		}
		for i, t := range e.Targets {
			if t.Endpoint == key.Endpoint {
				return fn(c, e, i)
			}
		}
		return nil
	})
}

// Attempts lists a delivery's attempts, oldest first.
func (s *Store) Attempts(ctx context.Context, key hook.DeliveryKey) ([]*hook.Attempt, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	var out []*hook.Attempt
	err := s.withDelivery(ctx, key, func(c *connection, e *hook.Event, i int) (err error) {
		out, err = c.attempts(key, e.Number+int64(i))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("attempts of %s: %w", key, err)
	}
	return out, nil
}

func (c *connection) attempts(key hook.DeliveryKey, number int64) (out []*hook.Attempt, err error) {
	var bad error
	err = c.query(`SELECT id, at, state, status, class, detail FROM attempts WHERE id > ? AND id < ? ORDER BY id`,
		[]any{number << attemptBits, (number + 1) << attemptBits}, func(st *sqlite3.Stmt) bool {
			a := &hook.Attempt{
				Key: key, N: int(st.ColumnInt64(0) & maxAttempts), At: toTime(st.ColumnInt64(1)),
				State: hook.DeliveryState(st.ColumnInt64(2)), Status: st.ColumnInt(3), Class: st.ColumnText(4),
			}
			if bad = parseDetail(st.ColumnRawBlob(5), a); bad != nil {
				return false
			}
			out = append(out, a)
			return true
		})
	if err == nil {
		err = bad
	}
	return out, err
}
