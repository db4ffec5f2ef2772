package sqlite

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Known looks keys up, in the newest segments first.
func (s *Store) Known(ctx context.Context, q store.KnownQuery) (store.Known, error) {
	if err := s.enter(ctx); err != nil {
		return store.Known{}, err
	}
	defer s.leave()
	out := store.Known{Events: make([]*store.KnownEvent, len(q.Events)), Requests: make([]*store.Request, len(q.Requests))}
	var err error
	for i, k := range q.Events {
		if out.Events[i], err = s.knownEvent(ctx, k, q.Since); err != nil {
			return store.Known{}, fmt.Errorf("look up event key %q: %w", k.Key, err)
		}
	}
	for i, k := range q.Requests {
		if out.Requests[i], err = s.knownRequest(ctx, k, q.Since); err != nil {
			return store.Known{}, fmt.Errorf("look up Idempotency-Key %q: %w", k.Key, err)
		}
	}
	return out, nil
}

func (s *Store) knownEvent(ctx context.Context, k store.EventKey, since time.Time) (found *store.KnownEvent, err error) {
	from := hook.FirstEventID(since).Seq()
	l := lookup{
		hash:   hashEventKey(s.seed, k),
		recent: func(g *segment) bool { return g.last >= from },
		memory: func(x *index) *hashes { return &x.keys },
		sealed: `SELECT first, entries FROM idem WHERE first <= ? ORDER BY first DESC LIMIT 1`,
	}
	err = s.look(ctx, l, func(c *connection, id int64) (bool, error) {
		found, err = c.knownEvent(id, k, since)
		return found != nil, err
	})
	return found, err
}

func (s *Store) knownRequest(ctx context.Context, k store.RequestKey, since time.Time) (found *store.Request, err error) {
	from := codec.FromTime(since)
	l := lookup{
		hash:   hashRequestKey(s.seed, k),
		recent: func(g *segment) bool { return g.lastRequest >= from },
		memory: func(x *index) *hashes { return &x.requests },
		sealed: `SELECT first, entries FROM idem_requests WHERE first <= ? ORDER BY first DESC LIMIT 1`,
	}
	err = s.look(ctx, l, func(c *connection, id int64) (bool, error) {
		found, err = c.knownRequest(id, k, since)
		return found != nil, err
	})
	return found, err
}

// lookup says where a hash is to be looked for.
type lookup struct {
	hash   uint64
	recent func(g *segment) bool // whether a segment is new enough; called with its mu held
	memory func(x *index) *hashes
	sealed string // query over a sealed segment
}

// look finds the places of a hash, newest first, and verifies each by its row,
// until one is right: equal hashes do not make equal keys.
func (s *Store) look(ctx context.Context, l lookup, verify func(c *connection, id int64) (bool, error)) error {
	for _, g := range s.newest() {
		g.mu.RLock()
		recent, x := l.recent(g), g.index
		g.mu.RUnlock()
		if !recent || x == nil && !g.mayKnow(l.hash) {
			continue
		}
		var places []int64
		if x != nil {
			x.mu.RLock()
			places = l.memory(x).get(l.hash)
			x.mu.RUnlock()
			if len(places) == 0 {
				continue
			}
		}
		found := false
		err := s.read(ctx, g, func(c *connection) (err error) {
			if x == nil {
				places, err = c.places(l.sealed, int64(l.hash))
			}
			for i := 0; i < len(places) && err == nil && !found; i++ {
				found, err = verify(c, places[i])
			}
			return err
		})
		if err != nil || found {
			return err
		}
	}
	return nil
}

// places lists the places of a hash in a sealed segment, newest first.
func (c *connection) places(sql string, hash int64) (out []int64, err error) {
	var bad error
	err = c.query(sql, []any{hash}, func(st *sqlite3.Stmt) bool {
		var pairs [][2]int64
		pairs, bad = parsePairs(st.ColumnRawBlob(1), st.ColumnInt64(0))
		for _, p := range slices.Backward(pairs) {
			if p[0] == hash {
				out = append(out, p[1])
			}
		}
		return false
	})
	if err == nil {
		err = bad
	}
	return out, err
}

// EventByKey finds an event by the caller's own id.
func (s *Store) EventByKey(ctx context.Context, key store.EventKey, since time.Time) (*hook.Event, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	known, err := s.knownEvent(ctx, key, since)
	if err == nil && known == nil {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("event with key %q: %w", key.Key, err)
	}
	return s.event(ctx, key.Tenant, known.ID)
}
