package postgres

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

const (
	// listScan is how many candidates one call of a listing looks at.
	listScan = 20_000
	// listChunk is how many of them are read at once, at most: a page begins with
	// little more than it has to show, and reads more and more where it finds little.
	listChunk = 500
)

// bounds is what of the log a listing covers and has still to look at: from low up
// to high, both included; downwards unless up is set.
type bounds struct {
	low, high int64
	up        bool
}

func boundsOf(since, until time.Time, before, after int64, up bool) bounds {
	b := bounds{low: after, high: math.MaxInt64 - 1, up: up}
	if !since.IsZero() {
		b.low = max(b.low, hook.FirstEventID(since).Seq())
	}
	if !until.IsZero() {
		b.high = hook.FirstEventID(until).Seq() - 1
	}
	if before > 0 {
		b.high = min(b.high, before)
	}
	return b
}

// order is how SQL sorts the events of a listing.
func (b *bounds) order() string {
	if b.up {
		return `ORDER BY e.seq`
	}
	return `ORDER BY e.seq DESC`
}

// pass leaves an event behind.
func (b *bounds) pass(seq int64) {
	if b.up {
		b.low = seq + 1
	} else {
		b.high = seq - 1
	}
}

// Events lists events.
func (s *Store) Events(ctx context.Context, q store.EventQuery) (store.EventPage, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return store.EventPage{}, err
	}
	defer leave()
	page, err := s.listEvents(ctx, q)
	if err != nil {
		return store.EventPage{}, fmt.Errorf("list events: %w", mapped(err))
	}
	return page, nil
}

// eventsFrom selects a tenant's events, or all, between two bounds.
const eventsFrom = ` FROM grapnel.events AS e WHERE e.seq BETWEEN $1 AND $2 AND ($3::bigint = -1 OR e.tenant = $3) `

func (s *Store) listEvents(ctx context.Context, q store.EventQuery) (page store.EventPage, err error) {
	last, err := s.last(ctx) // before anything is read: all up to it can be seen then
	if err != nil {
		return page, err
	}
	b := boundsOf(q.Since, q.Until, q.Before.Seq()-1, q.After.Seq()+1, q.Oldest)
	page.Events, err = s.events(ctx, `SELECT `+eventColumns+` FROM (SELECT *`+eventsFrom+b.order()+` LIMIT $4) AS e
		WHERE $5::text = '' OR e.type = $5 `+b.order()+` LIMIT $6`, b.low, b.high, int64(q.Tenant), listScan, q.Type, q.Limit+1)
	if err != nil {
		return page, err
	}
	if len(page.Events) > q.Limit {
		page.Events = page.Events[:q.Limit]
		page.Next = page.Events[q.Limit-1].ID
	} else if page.Next, err = s.scanned(ctx, b, q.Tenant); err != nil {
		return page, err
	}
	if q.Oldest {
		page.Seen = later(q.After, page.Next)
		if page.Next.IsZero() {
			page.Seen = later(page.Seen, last)
			if n := len(page.Events); n > 0 {
				page.Seen = later(page.Seen, page.Events[n-1].ID)
			}
		}
	}
	return page, nil
}

// scanned is the event that a listing which found too little has got to; zero if
// there was no more to look at.
func (s *Store) scanned(ctx context.Context, b bounds, tenant hook.TenantNum) (id hook.EventID, err error) {
	var seq, tail int64
	err = s.pool.QueryRow(ctx, `SELECT e.seq, e.tail`+eventsFrom+b.order()+` OFFSET $4 LIMIT 1`, b.low, b.high, int64(tenant), listScan-1).Scan(&seq, &tail)
	if errors.Is(err, pgx.ErrNoRows) {
		return id, nil
	}
	return hook.EventIDFrom(seq, uint64(tail)), err
}

// later is the higher of two ids.
func later(a, b hook.EventID) hook.EventID {
	if bytes.Compare(a[:], b[:]) < 0 {
		return b
	}
	return a
}

// Deliveries lists deliveries.
func (s *Store) Deliveries(ctx context.Context, q store.DeliveryQuery) (store.DeliveryPage, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return store.DeliveryPage{}, err
	}
	defer leave()
	l := &deliveryList{s: s, q: q, bounds: boundsOf(q.Since, q.Until, q.Before.Event.Seq(), q.After.Event.Seq(), q.Oldest), left: listScan, chunk: min(q.Limit+8, listChunk)}
	if !q.Event.IsZero() {
		l.low, l.high = max(l.low, q.Event.Seq()), min(l.high, q.Event.Seq())
	}
	if err := l.list(ctx); err != nil {
		return store.DeliveryPage{}, fmt.Errorf("list deliveries: %w", mapped(err))
	}
	return l.page, nil
}

// deliveryList gathers a page of deliveries.
type deliveryList struct {
	bounds
	s     *Store
	q     store.DeliveryQuery
	page  store.DeliveryPage
	left  int
	chunk int              // how many candidates are read at once now
	seen  hook.DeliveryKey // the last candidate that was looked at
	full  bool             // the page is complete
}

// candidate is a delivery that may be shown.
type candidate struct {
	of *outline
	i  int // place among its targets
}

func (c candidate) key() hook.DeliveryKey {
	return hook.DeliveryKey{Event: c.of.id, Endpoint: c.of.targets[c.i].Endpoint}
}

// list goes through events, and of each through its targets, in the order of the
// listing. What became of deliveries is read for many of them at once.
func (l *deliveryList) list(ctx context.Context) error {
	for !l.full {
		asked := l.chunk
		list, err := l.events(ctx)
		if err != nil {
			return err
		}
		var some []candidate
		for _, o := range list {
			if some = l.targets(some, o); len(some) >= l.chunk {
				if err := l.show(ctx, some); err != nil || l.full {
					return err
				}
				some = nil
			}
			l.pass(o.id.Seq())
			if l.left--; l.left <= 0 && !l.full { // events that nothing is shown of count too
				if err := l.show(ctx, some); err != nil || l.full {
					return err
				}
				l.page.Next = l.afterAll(o.id)
				return nil
			}
		}
		if err := l.show(ctx, some); err != nil || len(list) < asked {
			return err
		}
		l.chunk = min(4*l.chunk, listChunk)
	}
	return nil
}

// afterAll is a place in the list that nothing of an event follows.
func (l *deliveryList) afterAll(id hook.EventID) hook.DeliveryKey {
	if l.up {
		return hook.DeliveryKey{Event: id, Endpoint: math.MaxInt64}
	}
	return hook.DeliveryKey{Event: id, Endpoint: 1}
}

// recorded reports whether only states are asked for that an index tells of: those that
// have a row, and of one endpoint what was delivered, which has an attempt.
func (l *deliveryList) recorded() bool {
	for _, st := range l.q.States {
		if st != hook.Held && st != hook.Failed && (st != hook.Delivered || l.q.Endpoint == 0) {
			return false
		}
	}
	return len(l.q.States) > 0 && (l.q.Endpoint != 0 || l.q.Tenant != hook.AllTenants)
}

// events reads the next events that may have deliveries to show.
func (l *deliveryList) events(ctx context.Context) ([]*outline, error) {
	if !l.recorded() {
		return l.s.outlines(ctx, `SELECT `+outlineColumns+eventsFrom+l.order()+` LIMIT $4`, l.low, l.high, int64(l.q.Tenant), l.chunk)
	}
	column, of := `endpoint`, int64(l.q.Endpoint)
	if of == 0 {
		column, of = `tenant`, int64(l.q.Tenant)
	}
	order := `ORDER BY seq`
	if !l.up {
		order += ` DESC`
	}
	from := `(SELECT DISTINCT e.event AS seq FROM grapnel.deliveries AS e WHERE e.state IN (2, 4) AND e.` + column + ` = $3 AND e.event BETWEEN $1 AND $2 ` + order + ` LIMIT $4)`
	if slices.Contains(l.q.States, hook.Delivered) {
		from += ` UNION (SELECT DISTINCT e.event AS seq FROM grapnel.attempts AS e WHERE e.state = 3 AND e.endpoint = $3 AND e.event BETWEEN $1 AND $2 ` + order + ` LIMIT $4)`
	}
	return l.s.outlines(ctx, `SELECT `+outlineColumns+` FROM (
			SELECT e.seq FROM (`+from+`) AS e `+l.order()+` LIMIT $4
		) AS q JOIN grapnel.events AS e ON e.seq = q.seq `+l.order(), l.low, l.high, of, l.chunk)
}

// targets adds those of an event's deliveries that the query may select.
func (l *deliveryList) targets(some []candidate, o *outline) []candidate {
	q := &l.q
	if q.Tenant != hook.AllTenants && o.tenant != q.Tenant || q.Type != "" && o.kind != q.Type || !q.Event.IsZero() && o.id != q.Event {
		return some
	}
	for n := range o.targets {
		c := candidate{o, len(o.targets) - 1 - n}
		if l.up {
			c.i = n
		}
		if k := c.key(); (q.Endpoint == 0 || k.Endpoint == q.Endpoint) && inOrder(k, q.Before, -1) && inOrder(k, q.After, +1) {
			some = append(some, c)
		}
	}
	return some
}

// inOrder reports whether a delivery stands on one side of a bound: below it (side
// -1) or above it (+1). A zero bound is none; one without an endpoint lets all of its
// event's deliveries in.
func inOrder(k, bound hook.DeliveryKey, side int) bool {
	if bound.Event.IsZero() {
		return true
	}
	if k.Event != bound.Event {
		return bytes.Compare(k.Event[:], bound.Event[:]) == side
	}
	return bound.Endpoint == 0 || cmp.Compare(k.Endpoint, bound.Endpoint) == side
}

// show adds those of some candidates that are in a state that is asked for, until
// the page is full.
func (l *deliveryList) show(ctx context.Context, some []candidate) error {
	if len(some) == 0 {
		return nil
	}
	stands, err := l.s.stands(ctx, some)
	if err != nil {
		return err
	}
	for n, c := range some {
		d := stands[n].delivery(c)
		if len(l.q.States) > 0 && !slices.Contains(l.q.States, d.State) {
			l.seen = d.Key
			continue
		}
		if len(l.page.Deliveries) == l.q.Limit {
			l.page.Next, l.full = l.seen, true
			return nil
		}
		l.page.Deliveries = append(l.page.Deliveries, d)
		l.seen = d.Key
	}
	return nil
}

// stands reads what is recorded of deliveries.
func (s *Store) stands(ctx context.Context, of []candidate) ([]stand, error) {
	events, endpoints := make([]int64, len(of)), make([]int64, len(of))
	for i, c := range of {
		events[i], endpoints[i] = c.of.id.Seq(), int64(c.key().Endpoint)
	}
	rows, err := s.pool.Query(ctx, `SELECT q.place, `+standColumns+`
		FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS q (event, endpoint, place) `+standTables, events, endpoints, slices.Min(events), slices.Max(events))
	if err != nil {
		return nil, err
	}
	out := make([]stand, len(of))
	var place int
	var st stand
	_, err = pgx.ForEachRow(rows, append([]any{&place}, st.into()...), func() error {
		out[place-1] = st
		return nil
	})
	return out, err
}
