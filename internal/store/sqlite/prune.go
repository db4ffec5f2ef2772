package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/codec"
	"grapnel/internal/crashpoint"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// truncateStep is how much of a removed file is given back at once, so that the
// file system is not busy for long while the writer waits for it.
const truncateStep = 64 << 20

// Prune removes sealed segments whose events are all old enough, or which are too
// much, and which hold nothing that can still be sent. If the events of the active
// one are old as well, it is ended, so that it can be sealed and a later call can
// remove it.
func (s *Store) Prune(ctx context.Context, q store.PruneQuery) (store.Pruned, error) {
	if err := s.enter(ctx); err != nil {
		return store.Pruned{}, err
	}
	defer s.leave()
	out := store.Pruned{Expired: map[hook.EndpointNum]int64{}}
	before := int64(0)
	if !q.Before.IsZero() {
		before = hook.FirstEventID(q.Before).Seq()
	}
	if q.DryRun {
		return out, s.wouldPrune(ctx, before, q, &out)
	}
	if err := s.forgetReplays(q.Before); err != nil {
		return out, err
	}
	if q.Requests.IsZero() {
		q.Requests = q.Before
	}
	if err := s.forgetRequests(ctx, q.Requests); err != nil {
		return out, err
	}
	if err := s.forgetAudit(ctx, q.Audit); err != nil {
		return out, err
	}
	if last := s.active().lastID(); last != 0 && last < before {
		if err := s.submit(&op{g: s.active(), end: true, done: make(chan struct{})}); err != nil {
			return out, fmt.Errorf("end the active segment: %w", err)
		}
	}
	if !s.removing.TryLock() {
		return out, nil // a backup reads the files: the next call finds them
	}
	defer s.removing.Unlock()
	err := s.pruneList(before, q, &out, func(g *segment) (pinned bool, err error) {
		if pinned, err = s.pruneSegment(ctx, g, q, &out); err != nil {
			err = fmt.Errorf("remove %s: %w", filepath.Base(g.path), err)
		}
		return pinned, err
	})
	if err != nil {
		return out, err
	}
	if out.Units > 0 {
		if err := s.keepReserve(); err != nil {
			s.log.Warn("cannot make the reserve", "error", err)
		}
	}
	return out, nil
}

// pruneList removes segments that are too old, and the oldest while all are too
// large together. remove removes one, unless it is pinned.
func (s *Store) pruneList(before int64, q store.PruneQuery, out *store.Pruned, remove func(*segment) (pinned bool, err error)) error {
	list := s.list()
	sizes, total := make([]int64, len(list)), int64(0)
	for i, g := range list {
		sizes[i] = diskSize(g.path)
		total += sizes[i]
	}
	for i, g := range list {
		last, sealed := g.lastID(), g.memory() == nil
		old := last != 0 && last < before && (sealed || q.DryRun)
		much := q.Bytes > 0 && total > q.Bytes && sealed && i < len(list)-1
		if !old && !much {
			continue
		}
		pinned, err := remove(g)
		switch {
		case err != nil:
			return err
		case !pinned:
			total -= sizes[i]
		case much:
			out.Pinned++
		}
	}
	if q.Bytes > 0 {
		out.Over = max(0, total-q.Bytes)
	}
	return nil
}

// diskSize is what a database takes on the disk.
func diskSize(path string) (n int64) {
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(path + suffix); err == nil {
			n += info.Size()
		}
	}
	return n
}

// wouldPrune counts what a call, and a second one after the seal of what it ends,
// would remove.
func (s *Store) wouldPrune(ctx context.Context, before int64, q store.PruneQuery, out *store.Pruned) error {
	return s.pruneList(before, q, out, func(g *segment) (bool, error) {
		expired, pinned, err := s.expires(ctx, g, q)
		if err != nil {
			return false, fmt.Errorf("look at %s: %w", filepath.Base(g.path), err)
		}
		if !pinned {
			counted(out, g, expired)
		}
		return pinned, nil
	})
}

// expires counts what would end with a segment, unless it is pinned.
func (s *Store) expires(ctx context.Context, g *segment, q store.PruneQuery) (expired map[hook.EndpointNum]int64, pinned bool, err error) {
	expired, pinned, err = s.freshExpired(ctx, g, inactive(q))
	if err != nil || pinned {
		return nil, pinned, err
	}
	rows, pinned, err := s.rowsExpired(ctx, g, inactive(q))
	for e, n := range rows {
		expired[e] += n
	}
	return expired, pinned, err
}

// inactive is the query's function, or one that knows of no inactive endpoint.
func inactive(q store.PruneQuery) func(hook.EndpointNum) bool {
	if q.Inactive != nil {
		return q.Inactive
	}
	return func(hook.EndpointNum) bool { return false }
}

// forgetReplays removes tombstones of replays that ended before an instant.
func (s *Store) forgetReplays(before time.Time) error {
	const over = ` FROM replays WHERE deleted AND finished > 0 AND finished < ?`
	var n int64
	err := s.control.read(context.Background(), func(c *connection) (err error) {
		n, err = c.int(`SELECT count(*)`+over, codec.FromTime(before))
		return err
	})
	if err == nil && n > 0 {
		err = s.control.write(func(c *connection) error { return c.exec(`DELETE`+over, codec.FromTime(before)) })
	}
	if err != nil {
		return fmt.Errorf("forget replays that are over: %w", err)
	}
	return nil
}

// pruneSegment removes one segment, unless it is pinned. The long look for
// fresh deliveries is done first; then, with writing held, what a call can have
// changed meanwhile. The file goes when nobody waits for it any more.
func (s *Store) pruneSegment(ctx context.Context, g *segment, q store.PruneQuery, out *store.Pruned) (pinned bool, err error) {
	inactive := inactive(q)
	expired, pinned, err := s.freshExpired(ctx, g, inactive)
	if err != nil || pinned {
		return pinned, err
	}
	if _, pinned, err := s.rowsExpired(ctx, g, inactive); err != nil || pinned {
		return pinned, err
	}
	if pinned, err := s.takeOut(ctx, g, inactive, expired); err != nil || pinned {
		return pinned, err
	}
	crashpoint.Hit("mid-retention")
	if err := s.removeFile(g.first); err != nil {
		return false, err
	}
	counted(out, g, expired)
	return false, nil
}

// takeOut counts what ends with a segment and takes that out of the list, unless
// it is pinned by now.
func (s *Store) takeOut(ctx context.Context, g *segment, inactive func(hook.EndpointNum) bool, expired map[hook.EndpointNum]int64) (pinned bool, err error) {
	g.writing.Lock()
	defer g.writing.Unlock()
	rows, pinned, err := s.rowsExpired(ctx, g, inactive)
	if err != nil || pinned {
		return pinned, err
	}
	for e, n := range rows {
		expired[e] += n
	}
	if err := s.count(g, expired); err != nil {
		return false, err
	}
	g.removed = true
	s.forget(g)
	return false, nil
}

// counted adds a segment to what went.
func counted(out *store.Pruned, g *segment, expired map[hook.EndpointNum]int64) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	out.Units++
	out.Events += g.events
	for e, n := range expired {
		out.Expired[e] += n
	}
}

// freshExpired counts the fresh deliveries of inactive endpoints. One of an
// active endpoint pins the segment. Only what progress leaves open is looked at.
func (s *Store) freshExpired(ctx context.Context, g *segment, inactive func(hook.EndpointNum) bool) (expired map[hook.EndpointNum]int64, pinned bool, err error) {
	expired = map[hook.EndpointNum]int64{}
	p, err := s.progress(ctx)
	if err != nil {
		return nil, false, err
	}
	from := p.Floor.Seq()
	for _, m := range p.Behind {
		from = min(from, m.From.Seq())
	}
	if g.lastID() < from {
		return expired, false, nil
	}
	err = s.readFor(ctx, people, g, func(c *connection) error {
		return c.unrecorded(from, func(_ *hook.Event, t hook.Target) {
			if inactive(t.Endpoint) {
				expired[t.Endpoint]++
			} else {
				pinned = true
			}
		})
	})
	return expired, pinned, err
}

// rowsExpired counts the held deliveries, and the pending ones of inactive
// endpoints. A pending one of an active endpoint pins the segment.
func (s *Store) rowsExpired(ctx context.Context, g *segment, inactive func(hook.EndpointNum) bool) (expired map[hook.EndpointNum]int64, pinned bool, err error) {
	expired = map[hook.EndpointNum]int64{}
	err = s.readFor(ctx, people, g, func(c *connection) error {
		return c.query(`SELECT endpoint, state, count(*) FROM deliveries WHERE state IN (1, 2) GROUP BY endpoint, state`, nil, func(st *sqlite3.Stmt) bool {
			e := hook.EndpointNum(st.ColumnInt64(0))
			if hook.DeliveryState(st.ColumnInt64(1)) == hook.Pending && !inactive(e) {
				pinned = true
				return false
			}
			expired[e] += st.ColumnInt64(2)
			return true
		})
	})
	return expired, pinned, err
}

// count keeps what ends with a segment, in one transaction with the note that
// its file is to go: a crash after it counts nothing twice.
func (s *Store) count(g *segment, expired map[hook.EndpointNum]int64) error {
	g.mu.RLock()
	last, tail, next := g.last, g.lastTail, g.nextNumber
	g.mu.RUnlock()
	var total int64
	write := func(c *connection) error {
		total = 0
		for _, e := range sortedKeys(expired) {
			err := c.exec(`INSERT INTO expired (endpoint, count) VALUES (?, ?) ON CONFLICT (endpoint) DO UPDATE SET count = count + excluded.count`,
				int64(e), expired[e])
			if err != nil {
				return err
			}
			total += expired[e]
		}
		err := errors.Join(
			c.exec(`UPDATE meta SET value = value + ? WHERE name = 'expired'`, total),
			c.exec(`UPDATE meta SET value = max(value, ?) WHERE name = 'next_number'`, next))
		if err != nil {
			return err
		}
		known, err := c.int(`SELECT value FROM meta WHERE name = 'last_event'`)
		if err == nil && last > known {
			err = errors.Join(setMeta(c, "last_event", last), setMeta(c, "last_tail", tail))
		}
		if err != nil {
			return err
		}
		return c.exec(`INSERT OR IGNORE INTO removed (first) VALUES (?)`, g.first)
	}
	err := s.control.write(write)
	if errors.Is(err, store.ErrFull) { // removing makes room, so it may use the reserve (case 17)
		s.freeReserve()
		err = s.control.write(write)
	}
	if err == nil {
		s.expired.Add(total)
	}
	return err
}

// forget takes a segment out of the list.
func (s *Store) forget(g *segment) {
	s.change.Lock()
	list := slices.DeleteFunc(slices.Clone(s.list()), func(o *segment) bool { return o == g })
	s.segments.Store(&list)
	s.change.Unlock()
	s.pool.drop(g)
	g.w.close()
	g.w = nil
	s.health.set(g, nil)
}

// removeCounted removes the files of segments that were counted before a crash.
func (s *Store) removeCounted() error {
	var firsts []int64
	err := s.control.read(context.Background(), func(c *connection) error {
		return c.query(`SELECT first FROM removed`, nil, func(st *sqlite3.Stmt) bool {
			firsts = append(firsts, st.ColumnInt64(0))
			return true
		})
	})
	for _, first := range firsts {
		if err != nil {
			break
		}
		err = s.removeFile(first)
	}
	return err
}

// removeFile deletes a counted segment's files, the large one step by step, and
// the note about it.
func (s *Store) removeFile(first int64) error {
	path := s.segmentPath(first)
	if info, err := os.Stat(path); err == nil {
		for size := info.Size(); size > truncateStep; {
			size -= truncateStep
			if err := os.Truncate(path, size); err != nil {
				return err
			}
		}
	}
	if err := s.removeDatabase(path); err != nil {
		return err
	}
	if err := s.syncDir(filepath.Dir(path)); err != nil {
		return err
	}
	return s.control.write(func(c *connection) error { return c.exec(`DELETE FROM removed WHERE first = ?`, first) })
}

// reserveBytes is how much room is kept for removing things when there is none
// else.
const reserveBytes = 1 << 20

func (s *Store) reservePath() string { return filepath.Join(s.dir, "reserve") }

// keepReserve makes the reserve file if it is not there.
func (s *Store) keepReserve() error {
	if info, err := os.Stat(s.reservePath()); err == nil && info.Size() == reserveBytes {
		return nil
	}
	return os.WriteFile(s.reservePath(), make([]byte, reserveBytes), 0o600)
}

func (s *Store) freeReserve() {
	if err := os.Remove(s.reservePath()); err != nil && !os.IsNotExist(err) {
		s.log.Warn("cannot free the reserve", "error", err)
	}
}

// Stats tells how the store is.
func (s *Store) Stats(ctx context.Context) (store.Stats, error) {
	if err := s.enter(ctx); err != nil {
		return store.Stats{}, err
	}
	defer s.leave()
	out := store.Stats{
		Engine: "sqlite " + s.version, Durability: "write-ahead log, synced at every commit (synchronous=FULL)",
		Expired: s.expired.Load(), Problem: s.health.problem(),
	}
	out.Writable = out.Problem == ""
	list := s.list()
	out.Units = len(list)
	paths := []string{filepath.Join(s.dir, controlName)}
	for _, g := range list {
		g.mu.RLock()
		out.Events += g.events
		if out.Oldest.IsZero() && g.events > 0 {
			out.Oldest = hook.EventIDFrom(g.oldest, 0).Time()
		}
		g.mu.RUnlock()
		paths = append(paths, g.path)
	}
	for _, path := range paths {
		out.Bytes += diskSize(path)
	}
	return out, nil
}
