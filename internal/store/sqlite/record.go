package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/codec"
	"grapnel/internal/crashpoint"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Record stores outcomes, in one transaction for each segment that they belong to.
func (s *Store) Record(ctx context.Context, l store.Lease, outcomes []*store.Outcome) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if err := s.checkLease(l); err != nil {
		return err
	}
	for _, o := range outcomes {
		if !l.Holds(o.Key.Endpoint) {
			return fmt.Errorf("%w: endpoint %d is not under it", store.ErrLeaseLost, o.Key.Endpoint)
		}
	}
	parts := map[*segment][]*store.Outcome{}
	for _, o := range outcomes {
		if g := s.find(o.Key.Event.Seq()); g != nil {
			parts[g] = append(parts[g], o)
		}
	}
	ops := make([]*op, 0, len(parts))
	for g, part := range parts {
		// In the order of events, so that rows are appended rather than inserted.
		slices.SortStableFunc(part, func(a, b *store.Outcome) int { return compare(a.Key.Event.Seq(), b.Key.Event.Seq()) })
		ops = append(ops, newOp(g, func(t *tx) error {
			for _, o := range part {
				if err := t.record(o); err != nil {
					return err
				}
			}
			err := t.writeDelivered()
			crashpoint.Hit("before-result-commit")
			return err
		}))
	}
	return s.submit(ops...)
}

// Redeliver makes a recorded delivery pending and due.
func (s *Store) Redeliver(ctx context.Context, tenant hook.TenantNum, key hook.DeliveryKey, now time.Time) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	g := s.find(key.Event.Seq())
	if g == nil {
		return fmt.Errorf("redeliver %s: %w", key, store.ErrNotFound)
	}
	found := false
	err := s.submit(newOp(g, func(t *tx) (err error) {
		found, err = t.redeliver(tenant, key, now)
		return err
	}))
	if err == nil && !found {
		err = store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("redeliver %s: %w", key, err)
	}
	return nil
}

// submit hands ops to the writers of their segments and waits for all.
func (s *Store) submit(ops ...*op) error {
	for _, o := range ops {
		if o.end || o.g == s.active() {
			s.writes <- o
		} else {
			s.late <- o
		}
	}
	var errs []error
	for _, o := range ops {
		<-o.done
		if o.err != nil {
			errs = append(errs, o.err)
		}
	}
	return errors.Join(errs...)
}

// attemptBits is how many bits of an attempt's rowid count the attempt.
const attemptBits = 16

// maxAttempts is how many attempts of a delivery can be kept.
const maxAttempts = 1<<attemptBits - 1

// stand is a row of deliveries.
type stand struct {
	number   int64
	event    int64
	endpoint hook.EndpointNum
	tenant   int64
	state    hook.DeliveryState
	reason   string
	attempts int
	base     int
	manual   bool
	firstAt  int64
	nextAt   int64
}

const selectStand = `SELECT number, event, endpoint, tenant, state, reason, attempts, base, manual, first_at, next_at FROM deliveries WHERE number = ?`

// stand reads where a delivery stands, nil if it has no row.
func (c *connection) stand(number int64) (*stand, error) {
	var d *stand
	err := c.query(selectStand, []any{number}, func(st *sqlite3.Stmt) bool {
		d = scanStand(st)
		return false
	})
	return d, err
}

func scanStand(st *sqlite3.Stmt) *stand {
	return &stand{
		number: st.ColumnInt64(0), event: st.ColumnInt64(1), endpoint: hook.EndpointNum(st.ColumnInt64(2)),
		tenant: st.ColumnInt64(3), state: hook.DeliveryState(st.ColumnInt64(4)), reason: st.ColumnText(5),
		attempts: st.ColumnInt(6), base: st.ColumnInt(7), manual: st.ColumnInt64(8) != 0,
		firstAt: st.ColumnInt64(9), nextAt: st.ColumnInt64(10),
	}
}

// lastAttempt is the number of a delivery's last attempt, 0 without one.
func (c *connection) lastAttempt(number int64) (int, error) {
	id, err := c.int(`SELECT id FROM attempts WHERE id > ? AND id < ? ORDER BY id DESC LIMIT 1`,
		number<<attemptBits, (number+1)<<attemptBits)
	return int(id & maxAttempts), err
}

// locate finds the number of a delivery. In memory it is found by the event's
// sequence number, in the file by the whole id.
func (t *tx) locate(key hook.DeliveryKey) (number int64, ok bool, err error) {
	if x := t.g.memory(); x != nil {
		number, ok = x.find(key.Event.Seq(), key.Endpoint)
		return number, ok, nil
	}
	e, err := t.c.outline(key.Event.Seq())
	if err != nil || e == nil || e.ID != key.Event {
		return 0, false, err
	}
	for i, target := range e.Targets {
		if target.Endpoint == key.Endpoint {
			return e.Number + int64(i), true, nil
		}
	}
	return 0, false, nil
}

// record writes an outcome, unless it comes too late to change anything.
func (t *tx) record(o *store.Outcome) error {
	if o.State < hook.Pending || o.State > hook.Cancelled {
		return fmt.Errorf("outcome of %s: state %d does not exist", o.Key, o.State)
	}
	if a := o.Attempt; a != nil && (a.N < 1 || a.N > maxAttempts) {
		return fmt.Errorf("outcome of %s: attempt number %d is not in 1 to %d", o.Key, a.N, maxAttempts)
	}
	number, ok, err := t.locate(o.Key)
	if err != nil || !ok {
		return err
	}
	var d *stand
	if t.exceptional(o.Key.Endpoint) {
		if d, err = t.c.stand(number); err != nil {
			return err
		}
	}
	if a := o.Attempt; d == nil && a != nil && a.N == 1 && o.State == hook.Delivered {
		t.delivered = append(t.delivered, delivered{number, a})
		return nil
	}
	if err := t.writeDelivered(); err != nil { // what follows may be of the same delivery
		return err
	}
	if d == nil {
		return t.recordFresh(number, o)
	}
	if d.state.Terminal() || o.Attempt != nil && o.Attempt.N <= d.attempts {
		return nil
	}
	stale := o.Base < d.base && o.State != hook.Delivered // from before a redelivery
	if stale && o.Attempt == nil {
		return nil
	}
	if o.Attempt != nil {
		if _, err := t.insertAttempt(number, o.Attempt); err != nil {
			return err
		}
		if stale {
			d.attempts, d.base = o.Attempt.N, o.Attempt.N
			return t.putStand(d)
		}
		d.attempts, d.manual = o.Attempt.N, false
	}
	return t.put(d, o)
}

// recordFresh writes the outcome of a delivery without a row. If there is an
// attempt of it nevertheless, it was delivered by that.
func (t *tx) recordFresh(number int64, o *store.Outcome) error {
	a := o.Attempt
	if a == nil || a.N > 1 {
		if n, err := t.c.lastAttempt(number); err != nil || n > 0 {
			return err
		}
	}
	if a != nil {
		if inserted, err := t.insertAttempt(number, a); err != nil || !inserted {
			return err
		}
	}
	tenant, err := t.c.int(`SELECT tenant FROM events WHERE id = ?`, o.Key.Event.Seq())
	if err != nil {
		return err
	}
	d := &stand{number: number, event: o.Key.Event.Seq(), endpoint: o.Key.Endpoint, tenant: tenant}
	if a != nil {
		d.attempts = a.N
	}
	return t.put(d, o)
}

// put writes a delivery's row as an outcome leaves it.
func (t *tx) put(d *stand, o *store.Outcome) error {
	d.state, d.reason, d.base = o.State, o.Reason, o.Base
	d.firstAt, d.nextAt = codec.FromTime(o.FirstAt), 0
	if o.State == hook.Pending {
		d.nextAt = codec.FromTime(o.NextAt)
		if d.nextAt == 0 {
			d.nextAt = codec.FromTime(o.At)
		}
	}
	if o.Body != nil {
		body := t.pack.Pack(o.Body)
		err := t.c.exec(`INSERT INTO bodies (number, body) VALUES (?, ?) ON CONFLICT (number) DO UPDATE SET body = excluded.body`, d.number, body)
		if err != nil {
			return err
		}
		t.bytes += int64(len(body))
		t.pack.Reset()
	}
	return t.putStand(d)
}

func (t *tx) putStand(d *stand) error {
	manual := int64(0)
	if d.manual {
		manual = 1
	}
	err := t.c.exec(`INSERT INTO deliveries (number, event, endpoint, tenant, state, reason, attempts, base, manual, first_at, next_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (number) DO UPDATE SET state = excluded.state, reason = excluded.reason, attempts = excluded.attempts,
			base = excluded.base, manual = excluded.manual, first_at = excluded.first_at, next_at = excluded.next_at`,
		d.number, d.event, int64(d.endpoint), d.tenant, int64(d.state), d.reason, d.attempts, d.base, manual, d.firstAt, d.nextAt)
	if err != nil {
		return err
	}
	t.except(d.endpoint)
	if d.state == hook.Pending {
		t.setPending(d.endpoint, d.nextAt)
	}
	t.bytes += int64(len(d.reason) + 64)
	return nil
}

const insertAttempts = `INSERT OR IGNORE INTO attempts (id, event, endpoint, at, state, status, class, detail)`

// delivered is a delivery that succeeded at its first attempt, which is all that
// is kept of it.
type delivered struct {
	number  int64
	attempt *hook.Attempt
}

// writeDelivered adds the attempts that wait for company. One whose number is
// taken came too late, and is left out.
func (t *tx) writeDelivered() error {
	if len(t.delivered) == 0 {
		return nil
	}
	list := t.delivered
	t.delivered = nil
	return t.c.newAttempts.write(t.c, rowSource{
		n:    len(list),
		size: func(i int) int { return len(list[i].attempt.ResponseBody) + len(list[i].attempt.ResponseHeader) },
		bind: func(p *params, i int) { t.bindAttempt(p, list[i].number, list[i].attempt) },
	})
}

// insertAttempt adds an attempt at once; false if its number is taken.
func (t *tx) insertAttempt(number int64, a *hook.Attempt) (bool, error) {
	err := t.c.newAttempts.write(t.c, rowSource{n: 1, bind: func(p *params, _ int) { t.bindAttempt(p, number, a) }})
	return err == nil && t.c.db.Changes() == 1, err
}

func (t *tx) bindAttempt(p *params, number int64, a *hook.Attempt) {
	p.int(number<<attemptBits | int64(a.N))
	p.int(a.Key.Event.Seq())
	p.int(int64(a.Key.Endpoint))
	p.int(codec.FromTime(a.At))
	p.int(int64(a.State))
	p.int(int64(a.Status))
	p.text(a.Class)
	t.scratch = t.coder.Append(t.scratch[:0], a, &t.pack)
	p.blob(t.scratch)
	t.bytes += int64(len(t.scratch) + 48)
}

// redeliver makes a delivery pending. One that has no record but will not be
// sent, for its target says so, is made pending too.
func (t *tx) redeliver(tenant hook.TenantNum, key hook.DeliveryKey, now time.Time) (found bool, err error) {
	e, err := t.c.outline(key.Event.Seq())
	if err != nil || e == nil || e.ID != key.Event || tenant != hook.AllTenants && e.Tenant != tenant {
		return false, err
	}
	i := slices.IndexFunc(e.Targets, func(tg hook.Target) bool { return tg.Endpoint == key.Endpoint })
	if i < 0 {
		return false, nil
	}
	number := e.Number + int64(i)
	d, err := t.c.stand(number)
	if err != nil {
		return false, err
	}
	if d == nil {
		n, err := t.c.lastAttempt(number)
		if err != nil {
			return false, err
		}
		if n == 0 && e.Targets[i].Disposition == hook.Deliver {
			return true, nil
		}
		d = &stand{number: number, event: key.Event.Seq(), endpoint: key.Endpoint, tenant: int64(e.Tenant), attempts: n}
	}
	d.state, d.reason, d.base, d.manual = hook.Pending, "", d.attempts, true
	d.firstAt, d.nextAt = 0, codec.FromTime(now)
	return true, t.putStand(d)
}
