package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// purgeAtOnce is how many events are purged in a transaction.
const purgeAtOnce = 100

// Purge overwrites events, and writes their segments anew. The active segment is ended
// first, so that nobody who publishes has to wait for that. A backup waits until it is
// over, for it would copy files that change.
func (s *Store) Purge(ctx context.Context, q store.PurgeQuery) (out store.Purged, err error) {
	if err := s.enter(ctx); err != nil {
		return out, err
	}
	defer s.leave()
	s.removing.Lock()
	defer s.removing.Unlock()
	if err := s.submit(&op{g: s.active(), end: true, done: make(chan struct{})}); err != nil {
		return out, fmt.Errorf("purge: end the active segment: %w", err)
	}
	of := map[*segment][]hook.EventID{}
	for _, id := range q.Events {
		if g := s.find(id.Seq()); g != nil {
			of[g] = append(of[g], id)
		}
	}
	for _, g := range s.list() {
		if len(of[g]) == 0 && q.Scope == "" || g == s.active() {
			continue
		}
		n, err := s.purgeSegment(ctx, g, of[g], q.Scope, &out)
		if err == nil && n > 0 {
			out.Files++
			err = s.rewrite(ctx, g)
		}
		if err != nil {
			return out, fmt.Errorf("purge %s: %w", filepath.Base(g.path), err)
		}
	}
	if err := s.control.rewrite(ctx); err != nil {
		return out, fmt.Errorf("purge %s: %w", controlName, err)
	}
	return out, nil
}

// purgeSegment overwrites events of a segment, and returns how much it touched, what an earlier
// call had overwritten included: its file may still have to be written anew.
func (s *Store) purgeSegment(ctx context.Context, g *segment, ids []hook.EventID, scope string, out *store.Purged) (touched int64, err error) {
	for len(ids) > 0 || scope != "" {
		if err := ctx.Err(); err != nil {
			return touched, err
		}
		some := ids[:min(purgeAtOnce, len(ids))]
		ids = ids[len(some):]
		var done store.Purged
		err := s.submit(newOp(g, func(t *tx) error {
			done = store.Purged{}
			touched += int64(len(some))
			if scope != "" {
				if err := t.c.exec(`DELETE FROM requests WHERE scope = ?`, scope); err != nil {
					return err
				}
				done.Requests = t.c.db.Changes()
				touched += done.Requests
			}
			for _, id := range some {
				if err := t.purge(id.Seq(), &done); err != nil {
					return err
				}
			}
			return nil
		}))
		if err != nil {
			return touched, err
		}
		scope = ""
		out.Events += done.Events
		out.Attempts += done.Attempts
		out.Bodies += done.Bodies
		out.Requests += done.Requests
	}
	return touched, nil
}

// purge overwrites an event, unless that was done.
func (t *tx) purge(seq int64, out *store.Purged) error {
	e, err := t.c.event(seq)
	if err != nil || e == nil || e.Purged() {
		return err
	}
	err = t.c.exec(`UPDATE events SET data = ?, previous = NULL, metadata = NULL, key = NULL, fingerprint = NULL, ordering = NULL WHERE id = ?`, []byte(hook.PurgedData), seq)
	if err != nil {
		return err
	}
	out.Events++
	for i := range e.Targets {
		number := e.Number + int64(i)
		if err := t.c.exec(`DELETE FROM bodies WHERE number = ?`, number); err != nil {
			return err
		}
		out.Bodies += t.c.db.Changes()
		n, err := t.purgeAttempts(number)
		if err != nil {
			return err
		}
		out.Attempts += n
	}
	return nil
}

// purgeAttempts blanks the details of a delivery's attempts.
func (t *tx) purgeAttempts(number int64) (int64, error) {
	var ids []int64
	var blank []*hook.Attempt
	var bad error
	err := t.c.query(`SELECT id, detail FROM attempts WHERE id >= ? AND id < ?`, []any{number << attemptBits, (number + 1) << attemptBits}, func(st *sqlite3.Stmt) bool {
		a := &hook.Attempt{}
		bad = codec.ParseDetail(st.ColumnRawBlob(1), a)
		ids, blank = append(ids, st.ColumnInt64(0)), append(blank, hook.BlankAttempt(a))
		return bad == nil
	})
	if err = errors.Join(err, bad); err != nil {
		return 0, err
	}
	for i, a := range blank {
		coder, pack := codec.Details{}, codec.Packer{}
		if err := t.c.exec(`UPDATE attempts SET detail = ? WHERE id = ?`, coder.Append(nil, a, &pack), ids[i]); err != nil {
			return 0, err
		}
	}
	return int64(len(ids)), nil
}

// rewrite writes a segment's file anew, without what lies in pages that are not used
// any more, and empties its log. Its outcomes wait meanwhile.
func (s *Store) rewrite(ctx context.Context, g *segment) error {
	g.writing.Lock()
	defer g.writing.Unlock()
	if g.removed {
		return nil
	}
	if err := g.writer(); err != nil { // what is in doubt is settled first
		return err
	}
	c, err := s.open(g.path, role{cache: writerCache, checkpoint: neverCheckpoint})
	if err != nil {
		return err
	}
	defer c.close()
	return c.rewrite(ctx)
}

// rewrite writes control.db anew.
func (k *control) rewrite(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, err := k.s.open(filepath.Join(k.s.dir, controlName), role{cache: writerCache, checkpoint: neverCheckpoint})
	if err != nil {
		return err
	}
	defer c.close()
	return c.rewrite(ctx)
}

// truncateWait is how long the end of those who read the log is waited for at once.
const truncateWait = 10 * time.Millisecond

// rewrite writes a database anew and empties its log, once those who read it have
// ended.
func (c *connection) rewrite(ctx context.Context) error {
	// What is sorted on the way may be more than a connection's memory.
	if err := wrap(c.db.Exec(`PRAGMA temp_store=FILE; PRAGMA secure_delete=ON; VACUUM`)); err != nil {
		return err
	}
	for {
		_, _, err := c.db.WALCheckpoint("", sqlite3.CHECKPOINT_TRUNCATE)
		if err == nil || !errors.Is(err, sqlite3.BUSY) {
			return wrap(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(truncateWait):
		}
	}
}
