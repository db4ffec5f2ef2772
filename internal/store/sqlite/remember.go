package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"

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
		err := c.exec(`DELETE FROM requests WHERE (scope, key) IN (SELECT scope, key FROM requests WHERE at < ? ORDER BY at LIMIT ?)`,
			fromTime(since), forgetAtOnce)
		if err != nil {
			return err
		}
		known, err := c.remembered(r.RequestKey, since)
		if err != nil {
			return err
		}
		if known != nil {
			return fmt.Errorf("%w: Idempotency-Key %q", store.ErrKeyTaken, r.Key)
		}
		err = c.exec(`INSERT OR REPLACE INTO requests (scope, key, at, fingerprint, answer) VALUES (?, ?, ?, ?, ?)`,
			r.Scope, r.Key, fromTime(r.At), r.Fingerprint[:], r.Answer)
		if err != nil {
			return err
		}
	}
	return nil
}

// Remembered finds a request that Configure stored.
func (s *Store) Remembered(ctx context.Context, key store.RequestKey, since time.Time) (*store.Request, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	var out *store.Request
	err := s.control.read(ctx, func(c *connection) (err error) {
		out, err = c.remembered(key, since)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look up Idempotency-Key %q: %w", key.Key, err)
	}
	return out, nil
}

func (c *connection) remembered(key store.RequestKey, since time.Time) (out *store.Request, err error) {
	err = c.query(`SELECT at, fingerprint, answer FROM requests WHERE scope = ? AND key = ? AND at >= ?`,
		[]any{key.Scope, key.Key, fromTime(since)}, func(st *sqlite3.Stmt) bool {
			out = &store.Request{RequestKey: key, At: toTime(st.ColumnInt64(0)), Answer: blob(st, 2)}
			copy(out.Fingerprint[:], st.ColumnRawBlob(1))
			return false
		})
	return out, err
}
