package sqlite

import (
	"cmp"
	"time"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// outline reads an event without what it carries; nil if there is none.
func (c *connection) outline(seq int64) (e *hook.Event, err error) {
	var bad error
	err = c.query(`SELECT id, tail, tenant, type, number, targets FROM events WHERE id = ?`, []any{seq}, func(st *sqlite3.Stmt) bool {
		e, bad = scanOutline(st)
		return false
	})
	if err == nil {
		err = bad
	}
	return e, err
}

func scanOutline(st *sqlite3.Stmt) (*hook.Event, error) {
	targets, err := codec.ParseTargets(st.ColumnRawBlob(5))
	return &hook.Event{
		ID: hook.EventIDFrom(st.ColumnInt64(0), uint64(st.ColumnInt64(1))), Tenant: hook.TenantNum(st.ColumnInt64(2)),
		Type: st.ColumnText(3), Number: st.ColumnInt64(4), Targets: targets,
	}, err
}

// eventColumns are those that scanEvent reads, the first ones those of
// scanOutline.
const eventColumns = `id, tail, tenant, type, number, targets, key, fingerprint, time, revision, data, previous, metadata, ordering`

// event reads a whole event; nil if there is none.
func (c *connection) event(seq int64) (e *hook.Event, err error) {
	var bad error
	err = c.query(`SELECT `+eventColumns+` FROM events WHERE id = ?`, []any{seq}, func(st *sqlite3.Stmt) bool {
		e, bad = scanEvent(st)
		return false
	})
	if err == nil {
		err = bad
	}
	return e, err
}

func scanEvent(st *sqlite3.Stmt) (*hook.Event, error) {
	e, err := scanOutline(st)
	e.Key = st.ColumnText(6)
	copy(e.Fingerprint[:], st.ColumnRawBlob(7))
	e.Time, e.Revision = codec.ToTime(st.ColumnInt64(8)), st.ColumnInt64(9)
	for i, v := range [...]*[]byte{&e.Data, &e.Previous, &e.Metadata} {
		if err == nil {
			*v, err = value(st, 10+i)
		}
	}
	e.OrderingKey = st.ColumnText(13)
	return e, err
}

// knownEvent checks that an event has a key and was accepted at or after since.
func (c *connection) knownEvent(seq int64, k store.EventKey, since time.Time) (found *store.KnownEvent, err error) {
	var bad error
	err = c.query(`SELECT tail, tenant, key, fingerprint, targets FROM events WHERE id = ?`, []any{seq}, func(st *sqlite3.Stmt) bool {
		id := hook.EventIDFrom(seq, uint64(st.ColumnInt64(0)))
		if hook.TenantNum(st.ColumnInt64(1)) != k.Tenant || st.ColumnText(2) != k.Key || seq < hook.FirstEventID(since).Seq() {
			return false
		}
		found = &store.KnownEvent{ID: id}
		copy(found.Fingerprint[:], st.ColumnRawBlob(3))
		found.Targets, bad = codec.ParseTargets(st.ColumnRawBlob(4))
		return false
	})
	return found, cmp.Or(err, bad)
}

// knownRequest checks that a request has a key and was made at or after since.
func (c *connection) knownRequest(id int64, k store.RequestKey, since time.Time) (found *store.Request, err error) {
	err = c.query(`SELECT at, scope, key, fingerprint, answer FROM requests WHERE id = ?`, []any{id}, func(st *sqlite3.Stmt) bool {
		at := codec.ToTime(st.ColumnInt64(0))
		if st.ColumnText(1) != k.Scope || st.ColumnText(2) != k.Key || at.Before(since) {
			return false
		}
		found = &store.Request{RequestKey: k, At: at, Answer: blob(st, 4)}
		copy(found.Fingerprint[:], st.ColumnRawBlob(3))
		return false
	})
	return found, err
}
