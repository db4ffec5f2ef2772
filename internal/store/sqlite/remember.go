package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/codec"
	"grapnel/internal/store"
)

// forgetAtOnce is how many old requests a change removes at most, so that the
// first one after a long rest does not take long.
const forgetAtOnce = 1000

// remember stores the requests of a change and forgets those that are older
// than the window.
func (s *Store) remember(c *connection, requests []*store.Request) error {
	for _, r := range requests {
		since := r.At.Add(-s.window)
		if err := c.forgetRequests(since); err != nil {
			return err
		}
		known, err := c.remembered(r.RequestKey, since)
		if err != nil {
			return err
		}
		if known != nil {
			return fmt.Errorf("%w: Idempotency-Key %q", store.ErrKeyTaken, r.Key)
		}
		if err := s.control.roomForRequest(c, r.Scope, since); err != nil {
			return err
		}
		s.control.room[r.Scope]--
		err = c.exec(`INSERT OR REPLACE INTO requests (scope, key, at, fingerprint, answer) VALUES (?, ?, ?, ?, ?)`,
			r.Scope, r.Key, codec.FromTime(r.At), r.Fingerprint[:], r.Answer)
		if err != nil {
			return err
		}
	}
	return nil
}

// forgetRequests removes the oldest of the requests from before an instant.
func (c *connection) forgetRequests(before time.Time) error {
	return c.exec(`DELETE FROM requests WHERE (scope, key) IN (SELECT scope, key FROM requests WHERE at < ? ORDER BY at LIMIT ?)`,
		codec.FromTime(before), forgetAtOnce)
}

// roomForRequest refuses one request more of a scope than may be remembered.
// Counting reads them all, so that it is done only once there may be no room.
func (k *control) roomForRequest(c *connection, scope string, since time.Time) error {
	if k.room[scope] > 0 {
		return nil
	}
	n, err := c.int(`SELECT count(*) FROM requests WHERE scope = ? AND at >= ?`, scope, codec.FromTime(since))
	if err != nil {
		return err
	}
	if n >= store.MaxRequests {
		return fmt.Errorf("%w: %d of %q", store.ErrTooManyKeys, n, scope)
	}
	if k.room == nil {
		k.room = map[string]int64{}
	}
	k.room[scope] = store.MaxRequests - n
	return nil
}

// forgetRequests removes all requests from before an instant, some at a time, so
// that others get their turn.
func (s *Store) forgetRequests(ctx context.Context, before time.Time) error {
	for old := true; old && ctx.Err() == nil; {
		err := s.control.read(ctx, func(c *connection) error {
			n, err := c.int(`SELECT EXISTS (SELECT 1 FROM requests WHERE at < ?)`, codec.FromTime(before))
			old = n > 0
			return err
		})
		if err == nil && old {
			err = s.control.write(func(c *connection) error { return c.forgetRequests(before) })
		}
		if err != nil {
			return fmt.Errorf("forget requests: %w", err)
		}
	}
	return ctx.Err()
}

// Remembered finds a request that Configure stored.
func (s *Store) Remembered(ctx context.Context, key store.RequestKey, since time.Time) (*store.Request, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	var out *store.Request
	err := s.control.read(ctx, func(c *connection) (err error) {
		if out, err = c.remembered(key, since); out == nil && err == nil {
			err = s.control.roomForRequest(c, key.Scope, since)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look up Idempotency-Key %q: %w", key.Key, err)
	}
	return out, nil
}

func (c *connection) remembered(key store.RequestKey, since time.Time) (out *store.Request, err error) {
	err = c.query(`SELECT at, fingerprint, answer FROM requests WHERE scope = ? AND key = ? AND at >= ?`,
		[]any{key.Scope, key.Key, codec.FromTime(since)}, func(st *sqlite3.Stmt) bool {
			out = &store.Request{RequestKey: key, At: codec.ToTime(st.ColumnInt64(0)), Answer: blob(st, 2)}
			copy(out.Fingerprint[:], st.ColumnRawBlob(1))
			return false
		})
	return out, err
}
