package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Event returns one event.
func (s *Store) Event(ctx context.Context, tenant hook.TenantNum, id hook.EventID) (*hook.Event, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	e, err := s.event(ctx, tenant, id)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", id, err)
	}
	return e, nil
}

// EventByKey finds an event by the caller's own id.
func (s *Store) EventByKey(ctx context.Context, key store.EventKey, since time.Time) (*hook.Event, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	known := make([]*store.KnownEvent, 1)
	err = s.knownEvents(ctx, []store.EventKey{key}, since, known)
	if err == nil && known[0] == nil {
		err = store.ErrNotFound
	}
	var e *hook.Event
	if err == nil {
		e, err = s.event(ctx, key.Tenant, known[0].ID)
	}
	if err != nil {
		return nil, fmt.Errorf("event with key %q: %w", key.Key, mapped(err))
	}
	return e, nil
}

// Delivery returns one delivery.
func (s *Store) Delivery(ctx context.Context, tenant hook.TenantNum, key hook.DeliveryKey) (*hook.Delivery, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	e, err := s.event(ctx, tenant, key.Event)
	var d *hook.Delivery
	if err == nil {
		d, err = s.delivery(ctx, e, key.Endpoint)
	}
	if err != nil {
		return nil, fmt.Errorf("delivery %s: %w", key, err)
	}
	return d, nil
}

// stand is what is recorded of a delivery: its row, if it has one, and its last
// attempt.
type stand struct {
	state, attempts *int32
	reason          *string
	nextAt          *int64
	last            *int32
	at              *int64
	status          *int32
	class           *string
}

// standColumns are what a stand is read of; standTables the tables, joined to a row
// with an event's seq and an endpoint in it. Of the log they open only the units between
// the arguments $3 and $4.
const (
	standColumns = `d.state::integer, d.attempts, d.reason, d.next_at, a.n::integer, a.at, a.status::integer, a.class`
	standTables  = `LEFT JOIN grapnel.deliveries AS d ON d.endpoint = q.endpoint AND d.event = q.event AND d.event BETWEEN $3 AND $4
		LEFT JOIN LATERAL (
			SELECT n, at, status, class FROM grapnel.attempts WHERE endpoint = q.endpoint AND event = q.event AND event BETWEEN $3 AND $4 ORDER BY n DESC LIMIT 1
		) AS a ON true`
)

func (st *stand) into() []any {
	return []any{&st.state, &st.attempts, &st.reason, &st.nextAt, &st.last, &st.at, &st.status, &st.class}
}

// delivery says what became of an event's delivery to an endpoint.
func (s *Store) delivery(ctx context.Context, e *hook.Event, endpoint hook.EndpointNum) (*hook.Delivery, error) {
	i := slices.IndexFunc(e.Targets, func(t hook.Target) bool { return t.Endpoint == endpoint })
	if i < 0 {
		return nil, store.ErrNotFound
	}
	c := candidate{&outline{id: e.ID, tenant: e.Tenant, kind: e.Type, number: e.Number, targets: e.Targets}, i}
	stands, err := s.stands(ctx, []candidate{c})
	if err != nil {
		return nil, mapped(err)
	}
	return stands[0].delivery(c), nil
}

// delivery puts a delivery together.
func (st *stand) delivery(c candidate) *hook.Delivery {
	d := &hook.Delivery{Key: c.key(), Tenant: c.of.tenant, Type: c.of.kind, Number: c.of.number + int64(c.i)}
	if st.last != nil {
		d.State, d.Attempts = hook.Delivered, int(*st.last)
		d.LastAt, d.Status, d.Class = codec.ToTime(*st.at), int(*st.status), *st.class
	}
	switch {
	case st.state != nil:
		d.State, d.Reason, d.Attempts = hook.DeliveryState(*st.state), *st.reason, int(*st.attempts)
		if d.State == hook.Pending {
			d.NextAt = codec.ToTime(*st.nextAt)
		}
	case st.last == nil:
		d.State, d.Reason = unrecordedState(c.of.targets[c.i].Disposition)
	}
	return d
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

// Attempts lists a delivery's attempts, oldest first.
func (s *Store) Attempts(ctx context.Context, tenant hook.TenantNum, key hook.DeliveryKey) ([]*hook.Attempt, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	out, err := s.attempts(ctx, tenant, key)
	if err != nil {
		return nil, fmt.Errorf("attempts of %s: %w", key, mapped(err))
	}
	return out, nil
}

func (s *Store) attempts(ctx context.Context, tenant hook.TenantNum, key hook.DeliveryKey) (out []*hook.Attempt, err error) {
	rows, err := s.pool.Query(ctx, `SELECT a.n::integer, a.at, a.state::integer, a.status::integer, a.class, a.detail
		FROM grapnel.attempts AS a JOIN grapnel.events AS e ON e.seq = a.event AND e.tail = $3 AND ($4::bigint = -1 OR e.tenant = $4)
		WHERE a.endpoint = $1 AND a.event = $2 ORDER BY a.n`, int64(key.Endpoint), key.Event.Seq(), int64(key.Event.Tail()), int64(tenant))
	if err != nil {
		return nil, err
	}
	var n, state, status int
	var at int64
	var class string
	var detail []byte
	_, err = pgx.ForEachRow(rows, []any{&n, &at, &state, &status, &class, &detail}, func() error {
		a := &hook.Attempt{Key: key, N: n, At: codec.ToTime(at), State: hook.DeliveryState(state), Status: status, Class: class}
		out = append(out, a)
		return codec.ParseDetail(detail, a)
	})
	return out, err
}
