package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"grapnel/internal/codec"
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
	pack := s.packers.Get().(*codec.Packer)
	defer s.packers.Put(pack)
	defer pack.Reset()
	stored := pack.PackEvents(b.Events)
	o := newOp(nil, func(t *tx) error {
		err := t.append(b, stored)
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

// Resolve finds out whether a batch was stored. Its events are in one transaction.
func (s *Store) Resolve(ctx context.Context, b *store.Batch) (stored bool, err error) {
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.leave()
	if err := s.settle(); err != nil {
		return false, fmt.Errorf("find out about the last append: %w", err)
	}
	if len(b.Events) == 0 {
		return false, nil // its caller tries again, and finds the keys taken if it was
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last.Seq() >= b.Events[0].ID.Seq(), nil
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

// append writes a batch. stored is what its events carry.
func (t *tx) append(b *store.Batch, stored []codec.Packed) error {
	if b.Revision < t.g.s.revision.Load() {
		return store.ErrStale
	}
	if err := t.checkKeys(b); err != nil {
		return err
	}
	if len(t.entries) == 0 {
		t.number = t.nextNumber
	}
	if err := t.appendEvents(b.Events, stored); err != nil {
		return err
	}
	for _, r := range b.Requests {
		if err := t.appendRequest(r); err != nil {
			return err
		}
	}
	return nil
}

const insertEvents = `INSERT INTO events (id, tail, tenant, type, number, targets, key, fingerprint, time, revision, data, previous, metadata, ordering)`

// targetBytes is about what a target takes in a row of events.
const targetBytes = 3

func (t *tx) appendEvents(events []*hook.Event, stored []codec.Packed) error {
	for i, e := range events {
		if err := t.admit(e, t.hashes[i]); err != nil {
			return err
		}
		t.bytes += int64(stored[i].Size() + targetBytes*len(e.Targets) + 128)
	}
	return t.c.newEvents.write(t.c, rowSource{
		n:    len(events),
		size: func(i int) int { return stored[i].Size() + targetBytes*len(events[i].Targets) },
		bind: func(p *params, i int) { t.bindEvent(p, events[i], &stored[i]) },
	})
}

// admit checks that an event may come next, gives it its number and takes it
// into the transaction's memory. hash is that of its key, if it has one.
func (t *tx) admit(e *hook.Event, hash uint64) error {
	if string(e.ID[:]) <= string(t.last[:]) || e.ID.Seq() <= t.last.Seq() && !t.last.IsZero() {
		return fmt.Errorf("event id %s does not follow %s", e.ID, t.last)
	}
	if err := codec.CheckTargets(e.Targets); err != nil {
		return fmt.Errorf("event %s: %w", e.ID, err)
	}
	e.Number = t.nextNumber
	t.entries = append(t.entries, entry{id: e.ID.Seq(), tenant: e.Tenant, keyed: e.Key != "", hash: hash, targets: e.Targets})
	t.last, t.nextNumber = e.ID, t.nextNumber+int64(len(e.Targets))
	return nil
}

func (t *tx) bindEvent(p *params, e *hook.Event, stored *codec.Packed) {
	p.int(e.ID.Seq())
	p.int(int64(e.ID.Tail()))
	p.int(int64(e.Tenant))
	p.text(e.Type)
	p.int(e.Number)
	t.scratch = codec.AppendTargets(t.scratch[:0], e.Targets)
	p.blob(t.scratch)
	if e.Key == "" {
		p.null()
		p.null()
	} else {
		p.text(e.Key)
		p.blob(e.Fingerprint[:])
	}
	p.int(codec.FromTime(e.Time))
	p.int(e.Revision)
	p.blob(stored.Data)
	p.blobOrNull(stored.Previous)
	p.blobOrNull(stored.Metadata)
	p.textOrNull(e.OrderingKey)
}

func (t *tx) appendRequest(r *store.Request) error {
	err := t.c.exec(`INSERT INTO requests (at, scope, key, fingerprint, answer) VALUES (?, ?, ?, ?, ?)`,
		codec.FromTime(r.At), r.Scope, r.Key, r.Fingerprint[:], r.Answer)
	if err != nil {
		return err
	}
	if len(t.requests) == 0 {
		t.request = t.c.db.LastInsertRowID()
	}
	t.requests = append(t.requests, hashRequestKey(t.g.s.seed, r.RequestKey))
	t.requestAt = max(t.requestAt, codec.FromTime(r.At))
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
// the batch itself, by a call in the same transaction, or in a segment that was not
// sealed yet. Sealed ones cannot have changed between a look-up and its append. It
// leaves the keys' hashes in
// t.hashes, one for each event.
func (t *tx) checkKeys(b *store.Batch) error {
	t.hashes = t.hashes[:0]
	seen := make(map[uint64]struct{}, len(b.Events))
	for i, e := range b.Events {
		if e.Key == "" {
			t.hashes = append(t.hashes, 0)
			continue
		}
		k := store.EventKey{Tenant: e.Tenant, Key: e.Key}
		hash := hashEventKey(t.g.s.seed, k)
		t.hashes = append(t.hashes, hash)
		if _, twice := seen[hash]; twice && slices.ContainsFunc(b.Events[:i], func(o *hook.Event) bool { return o.Tenant == e.Tenant && o.Key == e.Key }) {
			return fmt.Errorf("%w: event key %q of tenant %d twice in a batch", store.ErrKeyTaken, e.Key, e.Tenant)
		}
		seen[hash] = struct{}{}
		since := e.ID.Time().Add(-t.g.s.window)
		if taken, err := t.keyTaken(k, hash, since); err != nil || taken {
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

// keyTaken looks a key up in what the transaction has and in memory.
func (t *tx) keyTaken(k store.EventKey, hash uint64, since time.Time) (bool, error) {
	for i := range t.entries {
		if e := &t.entries[i]; e.keyed && e.hash == hash {
			if found, err := t.c.knownEvent(e.id, k, since); err != nil || found != nil {
				return found != nil, err
			}
		}
	}
	return t.inMemory(func(x *index) []int64 { return x.keys.get(hash) }, func(c *connection, id int64) (bool, error) {
		found, err := c.knownEvent(id, k, since)
		return found != nil, err
	})
}

func (t *tx) requestTaken(k store.RequestKey, since time.Time) (bool, error) {
	hash := hashRequestKey(t.g.s.seed, k)
	for i, h := range t.requests {
		if h == hash {
			if found, err := t.c.knownRequest(t.request+int64(i), k, since); err != nil || found != nil {
				return found != nil, err
			}
		}
	}
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
