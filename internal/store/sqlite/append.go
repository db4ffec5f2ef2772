package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/crashpoint"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Append stores events and requests in one transaction of the active segment.
func (s *Store) Append(ctx context.Context, b *store.Batch) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if len(b.Events) == 0 && len(b.Requests) == 0 {
		return nil
	}
	o := newOp(nil, func(t *tx) error {
		err := t.append(b)
		crashpoint.Hit("before-commit")
		return err
	})
	if len(b.Events) > 0 {
		o.first = b.Events[0].ID.Seq()
	}
	s.writes <- o
	<-o.done
	crashpoint.Hit("after-commit")
	if o.err != nil {
		return fmt.Errorf("append %d events: %w", len(b.Events), o.err)
	}
	return nil
}

// LastEvent is the highest event id ever stored.
func (s *Store) LastEvent(ctx context.Context) (hook.EventID, error) {
	if err := s.enter(ctx); err != nil {
		return hook.EventID{}, err
	}
	defer s.leave()
	if err := s.settle(); err != nil {
		return hook.EventID{}, fmt.Errorf("find the last event: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, nil
}

// settle finds out what became of a commit that ended in doubt, if there is
// one: the writer does before it writes anything else.
func (s *Store) settle() error {
	g := s.active()
	g.writing.Lock()
	doubt := g.suspect
	g.writing.Unlock()
	if !doubt {
		return nil
	}
	return s.submit(newOp(g, func(*tx) error { return nil }))
}

// append writes a batch.
func (t *tx) append(b *store.Batch) error {
	if b.Revision < t.g.s.revision.Load() {
		return store.ErrStale
	}
	if err := t.checkKeys(b); err != nil {
		return err
	}
	if len(t.entries) == 0 {
		t.number = t.nextNumber
	}
	for _, e := range b.Events {
		if err := t.appendEvent(e); err != nil {
			return err
		}
	}
	for _, r := range b.Requests {
		if err := t.appendRequest(r); err != nil {
			return err
		}
	}
	return nil
}

const insertEvent = `INSERT INTO events (id, tail, tenant, type, number, targets, key, fingerprint, time, revision, data, previous, metadata, ordering)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

func (t *tx) appendEvent(e *hook.Event) error {
	if string(e.ID[:]) <= string(t.last[:]) || e.ID.Seq() <= t.last.Seq() && !t.last.IsZero() {
		return fmt.Errorf("event id %s does not follow %s", e.ID, t.last)
	}
	if err := checkTargets(e.Targets); err != nil {
		return fmt.Errorf("event %s: %w", e.ID, err)
	}
	st, err := t.c.stmt(insertEvent)
	if err != nil {
		return err
	}
	e.Number = t.nextNumber
	targets := appendTargets(make([]byte, 0, 64), e.Targets)
	seq := e.ID.Seq()
	err = errors.Join(
		st.BindInt64(1, seq), st.BindInt64(2, int64(e.ID.Tail())), st.BindInt64(3, int64(e.Tenant)),
		st.BindText(4, e.Type), st.BindInt64(5, e.Number), st.BindBlob(6, targets),
		bindKey(st, e), st.BindInt64(9, fromTime(e.Time)), st.BindInt64(10, e.Revision),
		st.BindBlob(11, e.Data), bindBlob(st, 12, e.Previous), bindBlob(st, 13, e.Metadata),
		bindText(st, 14, e.OrderingKey), st.Exec())
	if err != nil {
		return wrap(err)
	}
	en := entry{id: seq, tenant: e.Tenant, targets: e.Targets}
	if e.Key != "" {
		en.keyed, en.hash = true, hashEventKey(t.g.s.seed, store.EventKey{Tenant: e.Tenant, Key: e.Key})
	}
	t.entries = append(t.entries, en)
	t.last, t.nextNumber = e.ID, t.nextNumber+int64(len(e.Targets))
	t.bytes += int64(len(e.Data) + len(e.Previous) + len(e.Metadata) + 128)
	return nil
}

// bindText binds a text, "" as null.
func bindText(st *sqlite3.Stmt, i int, text string) error {
	if text == "" {
		return st.BindNull(i)
	}
	return st.BindText(i, text)
}

func bindKey(st *sqlite3.Stmt, e *hook.Event) error {
	if e.Key == "" {
		return errors.Join(st.BindNull(7), st.BindNull(8))
	}
	return errors.Join(st.BindText(7, e.Key), st.BindBlob(8, e.Fingerprint[:]))
}

func (t *tx) appendRequest(r *store.Request) error {
	err := t.c.exec(`INSERT INTO requests (at, scope, key, fingerprint, answer) VALUES (?, ?, ?, ?, ?)`,
		fromTime(r.At), r.Scope, r.Key, r.Fingerprint[:], r.Answer)
	if err != nil {
		return err
	}
	if len(t.requests) == 0 {
		t.request = t.c.db.LastInsertRowID()
	}
	t.requests = append(t.requests, hashRequestKey(t.g.s.seed, r.RequestKey))
	t.requestAt = max(t.requestAt, fromTime(r.At))
	t.bytes += int64(len(r.Answer) + len(r.Key) + 64)
	return nil
}

// writeIndex keeps what the memory gets from this transaction.
func (t *tx) writeIndex() error {
	if len(t.entries) == 0 && len(t.requests) == 0 {
		return nil
	}
	b := appendEntries(make([]byte, 0, 32*len(t.entries)+16), t.number, t.entries, t.request, t.requests)
	return t.c.exec(`INSERT INTO ix (entries) VALUES (?)`, b)
}

// checkKeys refuses keys that came into use since they were looked up: twice in
// the batch itself, or in a segment that was not sealed yet. Sealed ones cannot
// have changed between a look-up and its append.
func (t *tx) checkKeys(b *store.Batch) error {
	var seen map[store.EventKey]struct{}
	for _, e := range b.Events {
		if e.Key == "" {
			continue
		}
		k := store.EventKey{Tenant: e.Tenant, Key: e.Key}
		if _, twice := seen[k]; twice {
			return fmt.Errorf("%w: event key %q of tenant %d twice in a batch", store.ErrKeyTaken, e.Key, e.Tenant)
		}
		if seen == nil {
			seen = make(map[store.EventKey]struct{}, len(b.Events))
		}
		seen[k] = struct{}{}
		since := e.ID.Time().Add(-t.g.s.window)
		if taken, err := t.keyTaken(k, since); err != nil || taken {
			return cmp.Or(err, fmt.Errorf("%w: event key %q of tenant %d", store.ErrKeyTaken, e.Key, e.Tenant))
		}
	}
	var asked map[store.RequestKey]struct{}
	for _, r := range b.Requests {
		if _, twice := asked[r.RequestKey]; twice {
			return fmt.Errorf("%w: Idempotency-Key %q twice in a batch", store.ErrKeyTaken, r.Key)
		}
		if asked == nil {
			asked = make(map[store.RequestKey]struct{}, len(b.Requests))
		}
		asked[r.RequestKey] = struct{}{}
		if taken, err := t.requestTaken(r.RequestKey, r.At.Add(-t.g.s.window)); err != nil || taken {
			return cmp.Or(err, fmt.Errorf("%w: Idempotency-Key %q", store.ErrKeyTaken, r.Key))
		}
	}
	return nil
}

// keyTaken looks a key up in memory.
func (t *tx) keyTaken(k store.EventKey, since time.Time) (bool, error) {
	hash := hashEventKey(t.g.s.seed, k)
	return t.inMemory(func(x *index) []int64 { return x.keys.get(hash) }, func(c *connection, id int64) (bool, error) {
		found, err := c.knownEvent(id, k, since)
		return found != nil, err
	})
}

func (t *tx) requestTaken(k store.RequestKey, since time.Time) (bool, error) {
	hash := hashRequestKey(t.g.s.seed, k)
	return t.inMemory(func(x *index) []int64 { return x.requests.get(hash) }, func(c *connection, id int64) (bool, error) {
		found, err := c.knownRequest(id, k, since)
		return found != nil, err
	})
}

// inMemory checks what the memory of segments that are not sealed has for a
// hash against the rows themselves.
func (t *tx) inMemory(places func(x *index) []int64, verify func(c *connection, id int64) (bool, error)) (found bool, err error) {
	for _, g := range t.g.s.list() {
		x := g.memory()
		if x == nil {
			continue
		}
		x.mu.RLock()
		ids := places(x)
		x.mu.RUnlock()
		for _, id := range ids {
			if g == t.g {
				found, err = verify(t.c, id)
			} else {
				err = t.g.s.read(context.Background(), g, func(c *connection) error {
					found, err = verify(c, id)
					return err
				})
			}
			if err != nil || found {
				return found, err
			}
		}
	}
	return false, nil
}
