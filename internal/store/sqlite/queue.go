package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// freshScan is how many candidates a call of Fresh looks at.
const freshScan = 2000

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
	p, err := s.progress(ctx)
	if err != nil {
		return nil, fmt.Errorf("list lanes: %w", err)
	}
	lanes := map[hook.EndpointNum]*store.Lane{}
	lane := func(e hook.EndpointNum) *store.Lane {
		if lanes[e] == nil {
			lanes[e] = &store.Lane{Endpoint: e}
		}
		return lanes[e]
	}
	for _, m := range p.Behind {
		lane(m.Endpoint).Fresh = m.From
	}
	for _, g := range s.list() {
		if err := s.freshLanes(ctx, g, p.Floor.Seq(), lane); err != nil {
			return nil, fmt.Errorf("list lanes: %w", err)
		}
		if err := s.pendingLanes(ctx, g, lane); err != nil {
			return nil, fmt.Errorf("list lanes: %w", err)
		}
	}
	var out []store.Lane
	for _, e := range sortedKeys(lanes) {
		if a := lanes[e]; l.Holds(e) && (!a.Fresh.IsZero() || !a.NextAt.IsZero()) {
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

// freshLanes finds each lane's first unrecorded delivery of events at from and
// above.
func (s *Store) freshLanes(ctx context.Context, g *segment, from int64, lane func(hook.EndpointNum) *store.Lane) error {
	if g.lastID() < from || g.lastID() == 0 {
		return nil
	}
	return s.read(ctx, g, func(c *connection) error {
		return c.unrecorded(from, func(e *hook.Event, t hook.Target) {
			if l := lane(t.Endpoint); l.Fresh.IsZero() {
				l.Fresh = e.ID
			}
		})
	})
}

// unrecorded visits the deliveries to be made of events at from and above that
// nothing is recorded of: a merge of the events, the attempts and the rows of
// deliveries, all three in the order of delivery numbers.
func (c *connection) unrecorded(from int64, visit func(e *hook.Event, t hook.Target)) error {
	first, err := c.int(`SELECT number FROM events WHERE id >= ? ORDER BY id LIMIT 1`, from)
	if err != nil || first == 0 {
		return err
	}
	attempts, err := c.numbers(`SELECT id >> 16 FROM attempts WHERE id > ? ORDER BY id`, first<<attemptBits)
	if err != nil {
		return err
	}
	defer attempts.st.Reset()
	rows, err := c.numbers(`SELECT number FROM deliveries WHERE number >= ? ORDER BY number`, first)
	if err != nil {
		return err
	}
	defer rows.st.Reset()
	var bad error
	err = c.query(`SELECT id, tail, tenant, type, number, targets FROM events WHERE id >= ? ORDER BY id`, []any{from}, func(st *sqlite3.Stmt) bool {
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
	return cmp.Or(err, bad, wrap(attempts.st.Err()), wrap(rows.st.Err()))
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

// pendingLanes finds when each lane's first pending row is due.
func (s *Store) pendingLanes(ctx context.Context, g *segment, lane func(hook.EndpointNum) *store.Lane) error {
	g.mu.RLock()
	endpoints := sortedKeys(g.pending)
	g.mu.RUnlock()
	if len(endpoints) == 0 {
		return nil
	}
	return s.read(ctx, g, func(c *connection) error {
		for _, e := range endpoints {
			at, err := c.int(`SELECT next_at FROM deliveries WHERE state = 1 AND endpoint = ? ORDER BY next_at LIMIT 1`, int64(e))
			if err != nil {
				return err
			}
			if l := lane(e); at != 0 && (l.NextAt.IsZero() || toTime(at).Before(l.NextAt)) {
				l.NextAt = toTime(at)
			}
		}
		return nil
	})
}

// Fresh returns fresh deliveries of a lane.
func (s *Store) Fresh(ctx context.Context, q store.FreshQuery) (store.FreshPage, error) {
	if err := s.enter(ctx); err != nil {
		return store.FreshPage{}, err
	}
	defer s.leave()
	var page store.FreshPage
	left := freshScan
	for _, g := range s.list() {
		before := q.Before.Seq()
		if q.Before.IsZero() {
			before = math.MaxInt64
		}
		if g.lastID() < q.From.Seq() || g.first > before || g.lastID() == 0 || !g.mayHave(q.Endpoint) {
			continue
		}
		err := s.read(ctx, g, func(c *connection) error { return s.freshIn(c, g, q, &page, &left) })
		if err != nil {
			return store.FreshPage{}, fmt.Errorf("read fresh deliveries of endpoint %d: %w", q.Endpoint, err)
		}
		if !page.Next.IsZero() {
			break
		}
	}
	return page, nil
}

// freshIn adds a segment's fresh deliveries. It sets Next when there is no room
// for more, or enough was looked at.
func (s *Store) freshIn(c *connection, g *segment, q store.FreshQuery, page *store.FreshPage, left *int) error {
	from := max(q.From.Seq(), g.first)
	for {
		n := min(*left, 200) + 1
		list, err := c.ofEndpoint(q.Endpoint, from, false, n)
		if err != nil {
			return err
		}
		for _, d := range list {
			if *left == 0 || len(page.Work) >= q.Limit {
				page.Next = hook.EventIDFrom(d.event, 0)
				if d.event == q.From.Seq() {
					page.Next = q.From
				}
				return nil
			}
			*left--
			w, missing, err := c.fresh(d, q)
			if err != nil {
				return err
			}
			if missing { // it came after the snapshot
				page.Next = hook.EventIDFrom(d.event, 0)
				return nil
			}
			if w != nil && !q.Before.IsZero() && string(w.Event.ID[:]) >= string(q.Before[:]) {
				return nil
			}
			if w != nil && string(w.Event.ID[:]) >= string(q.From[:]) {
				page.Work = append(page.Work, w)
			}
			from = d.event + 1
			if !q.Before.IsZero() && from > q.Before.Seq() {
				return nil
			}
		}
		if len(list) < n {
			return nil
		}
	}
}

// fresh loads a delivery if nothing is recorded of it and it is to be sent.
// missing says that its event is not there.
func (c *connection) fresh(d delivery, q store.FreshQuery) (w *store.Work, missing bool, err error) {
	recorded, err := c.recorded(d.number)
	if err != nil || recorded {
		return nil, false, err
	}
	e, err := c.event(d.event)
	if err != nil || e == nil {
		return nil, err == nil, err
	}
	if t, ok := e.Target(q.Endpoint); !ok || t.Disposition != hook.Deliver {
		return nil, false, nil
	}
	return &store.Work{Event: e, Endpoint: q.Endpoint}, false, nil
}

// recorded reports whether anything is recorded of a delivery.
func (c *connection) recorded(number int64) (bool, error) {
	n, err := c.int(`SELECT EXISTS (SELECT 1 FROM attempts WHERE id > ?1 AND id < ?2) OR EXISTS (SELECT 1 FROM deliveries WHERE number = ?3)`,
		number<<attemptBits, (number+1)<<attemptBits, number)
	return n != 0, err
}

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
	bound := fromTime(until)
	// Only segments in which something may be due are read: a lane that fails for
	// long has pending rows in many.
	var all []due
	later := int64(math.MaxInt64)
	for _, g := range s.list() {
		p, ok := g.pendingOf(endpoint)
		if !ok {
			continue
		}
		if p.next > bound {
			later = min(later, p.next)
			continue
		}
		found, err := s.pendingIn(ctx, g, endpoint, p, limit+1)
		if err != nil {
			return nil, time.Time{}, err
		}
		all = append(all, found...)
	}
	slices.SortStableFunc(all, func(a, b due) int { return cmp.Compare(a.nextAt, b.nextAt) })
	n := 0
	for n < len(all) && n < limit && all[n].nextAt <= bound {
		n++
	}
	if n < len(all) {
		later = min(later, all[n].nextAt)
	}
	var next time.Time
	if later != math.MaxInt64 {
		next = toTime(later)
	}
	works := make([]*store.Work, n)
	for _, g := range s.list() {
		if err := s.loadWork(ctx, g, all[:n], works); err != nil {
			return nil, time.Time{}, err
		}
	}
	return slices.DeleteFunc(works, func(w *store.Work) bool { return w == nil }), next, nil
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
		FirstAt: toTime(d.firstAt), NextAt: toTime(d.nextAt),
	}
	if d.manual {
		w.Trigger = hook.Manual
	}
	err = c.query(`SELECT body FROM bodies WHERE number = ?`, []any{number}, func(st *sqlite3.Stmt) bool {
		w.Body = blob(st, 0)
		return false
	})
	return w, err
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
