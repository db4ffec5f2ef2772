package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// eventColumns are those that eventRow reads, of events AS e.
const eventColumns = `e.seq, e.tail, e.tenant, e.number, e.time, e.revision, e.type, e.targets, e.data, e.key, e.fingerprint, e.previous, e.metadata, e.ordering`

// eventRow is a row of events as it is read.
type eventRow struct {
	seq, tail, tenant, number, time, revision      int64
	kind                                           string
	targets, data, fingerprint, previous, metadata []byte
	key, ordering                                  *string
}

// into are the places for eventColumns.
func (r *eventRow) into() []any {
	return []any{&r.seq, &r.tail, &r.tenant, &r.number, &r.time, &r.revision, &r.kind, &r.targets, &r.data, &r.key, &r.fingerprint, &r.previous, &r.metadata, &r.ordering}
}

// event makes the event of what was read.
func (r *eventRow) event() (*hook.Event, error) {
	e := &hook.Event{
		ID: hook.EventIDFrom(r.seq, uint64(r.tail)), Tenant: hook.TenantNum(r.tenant), Number: r.number,
		Type: r.kind, Time: codec.ToTime(r.time), Revision: r.revision,
	}
	if r.key != nil {
		e.Key = *r.key
		copy(e.Fingerprint[:], r.fingerprint)
	}
	if r.ordering != nil {
		e.OrderingKey = *r.ordering
	}
	var err error
	if e.Targets, err = codec.ParseTargets(r.targets); err != nil {
		return nil, err
	}
	for _, v := range []struct {
		to   *[]byte
		from []byte
	}{{&e.Data, r.data}, {&e.Previous, r.previous}, {&e.Metadata, r.metadata}} {
		if v.from == nil {
			continue
		}
		if *v.to, err = codec.Unpack(v.from); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// events reads the events of a query for eventColumns.
func (s *Store) events(ctx context.Context, sql string, args ...any) (out []*hook.Event, err error) {
	rows, err := s.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, mapped(err)
	}
	var r eventRow
	_, err = pgx.ForEachRow(rows, r.into(), func() error {
		e, err := r.event()
		out = append(out, e)
		return err
	})
	return out, mapped(err)
}

// event reads an event; store.ErrNotFound if it is not there or another tenant's.
func (s *Store) event(ctx context.Context, tenant hook.TenantNum, id hook.EventID) (*hook.Event, error) {
	var r eventRow
	err := s.pool.QueryRow(ctx, `SELECT `+eventColumns+` FROM grapnel.events AS e WHERE e.seq = $1`, id.Seq()).Scan(r.into()...)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && (r.tail != int64(id.Tail()) || tenant != hook.AllTenants && r.tenant != int64(tenant)) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, mapped(err)
	}
	return r.event()
}
