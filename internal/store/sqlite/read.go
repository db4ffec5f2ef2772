package sqlite

import (
	"bytes"
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
	if err == nil && (e == nil || e.ID != id || tenant != hook.AllTenants && e.Tenant != tenant) {
		e, err = nil, store.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", id, err)
	}
	return e, nil
}

// bounds is what of the log a listing covers and has still to look at: from low
// up to high, both included; downwards unless up is set.
type bounds struct {
	low, high int64
	up        bool
}

func boundsOf(since, until time.Time, before, after hook.EventID, up bool) bounds {
	b := bounds{low: after.Seq(), high: math.MaxInt64 - 1, up: up}
	if !since.IsZero() {
		b.low = max(b.low, hook.FirstEventID(since).Seq())
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
func (b *bounds) misses(g *segment) bool {
	last := g.lastID()
	return last == 0 || last < b.low || g.first > b.high
}

// next is the id to go on from.
func (b *bounds) next() int64 {
	if b.up {
		return b.low
	}
	return b.high
}

// beyond reports whether an id lies past the end of what is covered.
func (b *bounds) beyond(id int64) bool { return b.up && id > b.high || !b.up && id < b.low }

// done reports whether an id was looked at already.
func (b *bounds) done(id int64) bool { return b.up && id < b.low || !b.up && id > b.high }

// pass leaves an id behind.
func (b *bounds) pass(id int64) {
	if b.up {
		b.low = id + 1
	} else {
		b.high = id - 1
	}
}

// segmentsFor lists the segments in the order of a listing.
func (s *Store) segmentsFor(up bool) []*segment {
	if up {
		return s.list()
	}
	return s.newest()
}

// Events lists events.
func (s *Store) Events(ctx context.Context, q store.EventQuery) (store.EventPage, error) {
	if err := s.enter(ctx); err != nil {
		return store.EventPage{}, err
	}
	defer s.leave()
	s.mu.Lock()
	last := s.last // before the list of segments is taken: all up to it are in them
	s.mu.Unlock()
	l := &eventList{q: q, bounds: boundsOf(q.Since, q.Until, q.Before, q.After, q.Oldest), left: listScan}
	for _, g := range s.segmentsFor(q.Oldest) {
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
	if q.Oldest {
		l.page.Seen = later(q.After, l.seen)
		if l.page.Next.IsZero() {
			l.page.Seen = later(l.page.Seen, last)
		}
	}
	return l.page, nil
}

// later is the higher of two ids.
func later(a, b hook.EventID) hook.EventID {
	if string(a[:]) < string(b[:]) {
		return b
	}
	return a
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
		ids, err := c.ofTenant(l.q.Tenant, l.next(), !l.up, chunk)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if l.beyond(id) {
				return nil
			}
			if len(l.page.Events) >= l.q.Limit || l.left == 0 {
				l.page.Next = l.seen
				return nil
			}
			l.left--
			l.pass(id)
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
	if err != nil || o == nil { // nil: it came after the snapshot, and is not seen
		return err
	}
	if !l.q.Before.IsZero() && string(o.ID[:]) >= string(l.q.Before[:]) || string(o.ID[:]) <= string(l.q.After[:]) {
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

// Deliveries lists deliveries.
func (s *Store) Deliveries(ctx context.Context, q store.DeliveryQuery) (store.DeliveryPage, error) {
	if err := s.enter(ctx); err != nil {
		return store.DeliveryPage{}, err
	}
	defer s.leave()
	l := newDeliveryList(q)
	for _, g := range s.segmentsFor(q.Oldest) {
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
	l := &deliveryList{q: q, bounds: boundsOf(q.Since, q.Until, q.Before.Event, q.After.Event, q.Oldest), left: listScan}
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
	return len(l.q.States) > 0 && (l.q.Endpoint != 0 || l.q.Tenant != hook.AllTenants)
}

// in adds what a segment has. Candidates are events; of each, its targets in
// the order of the listing.
func (l *deliveryList) in(c *connection, g *segment) error {
	for {
		ids, err := l.candidates(c, g)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if l.beyond(id) {
				return nil
			}
			if l.done(id) {
				continue // seen already, by another delivery of it
			}
			if more, err := l.event(c, id); err != nil || !more {
				return err
			}
			l.pass(id)
		}
		if len(ids) < chunk {
			return nil
		}
	}
}

// candidates lists events that may have deliveries to show, in the order of the
// listing. An event may stand in the list more than once.
func (l *deliveryList) candidates(c *connection, g *segment) (out []int64, err error) {
	switch {
	case l.low == l.high:
		return []int64{l.low}, nil
	case l.stopped():
		return l.stoppedIn(c)
	case l.q.Endpoint != 0:
		list, err := c.ofEndpoint(l.q.Endpoint, l.next(), !l.up, chunk)
		for _, d := range list {
			out = append(out, d.event)
		}
		return out, err
	}
	return c.ofTenant(l.q.Tenant, l.next(), !l.up, chunk)
}

// stoppedIn lists the events of held and failed deliveries, of an endpoint or
// else of a tenant, each by its index.
func (l *deliveryList) stoppedIn(c *connection) (out []int64, err error) {
	column, of := "endpoint", int64(l.q.Endpoint)
	if of == 0 {
		column, of = "tenant", int64(l.q.Tenant)
	}
	sql, from := `number < ? ORDER BY number DESC`, l.high+1
	if l.up {
		sql, from = `number >= ? ORDER BY number`, l.low
	}
	number, err := c.numberFrom(from)
	if err != nil {
		return nil, err
	}
	err = c.query(`SELECT event FROM deliveries WHERE state IN (2, 4) AND `+column+` = ? AND `+sql+` LIMIT ?`,
		[]any{of, number, chunk}, func(st *sqlite3.Stmt) bool {
			out = append(out, st.ColumnInt64(0))
			return true
		})
	return out, err
}

// numberFrom is the number of the first delivery of events at seq and above.
func (c *connection) numberFrom(seq int64) (int64, error) {
	n, err := c.int(`SELECT number FROM events WHERE id >= ? ORDER BY id LIMIT 1`, seq)
	if err == nil && n == 0 {
		n = math.MaxInt64
	}
	return n, err
}

// event adds an event's deliveries; false when the page is complete.
func (l *deliveryList) event(c *connection, id int64) (more bool, err error) {
	e, err := c.outline(id)
	if err != nil || e == nil { // nil: it came after the snapshot, and is not seen
		return err == nil, err
	}
	if l.q.Tenant != hook.AllTenants && e.Tenant != l.q.Tenant || l.q.Type != "" && e.Type != l.q.Type || !l.q.Event.IsZero() && e.ID != l.q.Event {
		return l.look(l.afterAll(e.ID)), nil
	}
	for n := range e.Targets {
		i := len(e.Targets) - 1 - n
		if l.up {
			i = n
		}
		key := hook.DeliveryKey{Event: e.ID, Endpoint: e.Targets[i].Endpoint}
		if l.q.Endpoint != 0 && key.Endpoint != l.q.Endpoint || !inOrder(key, l.q.Before, -1) || !inOrder(key, l.q.After, +1) {
			continue
		}
		if len(l.page.Deliveries) >= l.q.Limit {
			l.page.Next = l.seen
			return false, nil
		}
		if !l.look(key) {
			return false, nil
		}
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

// look counts a candidate; false when there were enough for one call.
func (l *deliveryList) look(key hook.DeliveryKey) bool {
	if l.left == 0 {
		l.page.Next = l.seen
		return false
	}
	l.left--
	l.seen = key
	return true
}

// afterAll is a place in the list that nothing of an event follows.
func (l *deliveryList) afterAll(id hook.EventID) hook.DeliveryKey {
	if l.up {
		return hook.DeliveryKey{Event: id, Endpoint: math.MaxInt64}
	}
	return hook.DeliveryKey{Event: id, Endpoint: 1}
}

// inOrder reports whether a delivery stands on one side of a bound: below it
// (side -1) or above it (+1). A zero bound is none; one without an endpoint lets
// all of its event's deliveries in.
func inOrder(k, bound hook.DeliveryKey, side int) bool {
	if bound.Event.IsZero() {
		return true
	}
	if k.Event != bound.Event {
		return bytes.Compare(k.Event[:], bound.Event[:]) == side
	}
	return bound.Endpoint == 0 || cmp.Compare(k.Endpoint, bound.Endpoint) == side
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
			d.NextAt = codec.ToTime(row.nextAt)
		}
	}
	err = c.query(`SELECT id, at, status, class FROM attempts WHERE id > ? AND id < ? ORDER BY id DESC LIMIT 1`,
		[]any{d.Number << attemptBits, (d.Number + 1) << attemptBits}, func(st *sqlite3.Stmt) bool {
			if row == nil {
				d.State, d.Attempts = hook.Delivered, int(st.ColumnInt64(0)&maxAttempts)
			}
			d.LastAt, d.Status, d.Class = codec.ToTime(st.ColumnInt64(1)), st.ColumnInt(2), st.ColumnText(3)
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
		if tenant == hook.AllTenants || e.Tenant == tenant {
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
func (s *Store) Attempts(ctx context.Context, tenant hook.TenantNum, key hook.DeliveryKey) ([]*hook.Attempt, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	var out []*hook.Attempt
	err := s.withDelivery(ctx, key, func(c *connection, e *hook.Event, i int) (err error) {
		if tenant == hook.AllTenants || e.Tenant == tenant {
			out, err = c.attempts(key, e.Number+int64(i))
		}
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
				Key: key, N: int(st.ColumnInt64(0) & maxAttempts), At: codec.ToTime(st.ColumnInt64(1)),
				State: hook.DeliveryState(st.ColumnInt64(2)), Status: st.ColumnInt(3), Class: st.ColumnText(4),
			}
			if bad = codec.ParseDetail(st.ColumnRawBlob(5), a); bad != nil {
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
