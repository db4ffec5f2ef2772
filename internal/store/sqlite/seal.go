package sqlite

import (
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/crashpoint"
	"grapnel/internal/hook"
)

const (
	// sealRows is how many index rows a transaction of the seal writes: some
	// milliseconds, which is what an outcome has to wait at most.
	sealRows = 500
	// tick is how often the keeper looks for idle connections.
	tick = 5 * time.Second
)

// errStopped says that the store is being closed.
var errStopped = errors.New("store is closing")

// keep works in the background: it prepares the next segment, seals full ones
// and closes idle connections.
func (s *Store) keep() {
	clock := time.NewTicker(tick)
	defer clock.Stop()
	for {
		if err := s.maintain(); err != nil && !errors.Is(err, errStopped) {
			s.log.Error("store upkeep failed; it will be tried again", "error", err)
		}
		select {
		case <-s.stop:
			return
		case <-s.upkeep:
		case <-clock.C:
			s.ticks.Add(1)
		}
	}
}

// maintain does what there is to do. One at a time does it.
func (s *Store) maintain() error {
	s.maintaining.Lock()
	defer s.maintaining.Unlock()
	err := wrapOS(s.prepare())
	s.forgetKeys()
	list := s.list()
	for _, g := range list[:len(list)-1] {
		if s.stopping() {
			return errStopped
		}
		if g.memory() != nil {
			err = errors.Join(err, g.seal())
		} else {
			g.rest()
		}
	}
	return err
}

// keptFilters is how many segments' key filters are kept in memory, at about
// 300 KB each.
const keptFilters = 64

// forgetKeys drops the key filters of segments that are older than the
// idempotency window, or too many. Keys are found there as well, only slower.
func (s *Store) forgetKeys() {
	s.mu.Lock()
	now := s.last.Time()
	s.mu.Unlock()
	from := hook.FirstEventID(now.Add(-s.window)).Seq()
	for i, g := range s.newest() {
		g.mu.Lock()
		if g.index == nil && (i > keptFilters || g.last < from) && g.filters[filterKeys] != nil {
			delete(g.filters, filterKeys)
		}
		g.mu.Unlock()
	}
}

func (s *Store) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// seal writes what a full segment has no index for yet, then drops the memory.
// What it writes is sorted, and ignored where it is there already, so that a
// seal that a crash cut short is simply done again.
func (g *segment) seal() error {
	x := g.memory()
	if err := g.sealIndexes(x); err != nil {
		return fmt.Errorf("seal %s: %w", filepath.Base(g.path), err)
	}
	crashpoint.Hit("mid-seal")
	filters := x.filters()
	if err := g.sealDone(x, filters); err != nil {
		return fmt.Errorf("seal %s: %w", filepath.Base(g.path), err)
	}
	if err := g.checkpoint(); err != nil {
		g.s.log.Warn("checkpoint after a seal failed", "segment", filepath.Base(g.path), "error", err)
	}
	g.s.log.Info("segment sealed", "segment", filepath.Base(g.path), "events", len(x.ids), "deliveries", x.count)
	return nil
}

// sealIndexes fills the four index tables. The memory of a segment that is not
// active any more does not change.
func (g *segment) sealIndexes(x *index) error {
	w := &sealer{g: g}
	w.next(`INSERT OR IGNORE INTO by_endpoint (endpoint, first, entries) VALUES (?, ?, ?)`)
	for _, e := range sortedKeys(x.endpoints) {
		for places := range slices.Chunk(x.endpoints[e], listed) {
			list := make([]delivery, len(places))
			for i, d := range places {
				list[i] = delivery{x.event(d), x.base + int64(d)}
			}
			w.add(int64(e), list[0].event, appendDeliveries(nil, list))
		}
	}
	w.next(`INSERT OR IGNORE INTO by_tenant (tenant, first, entries) VALUES (?, ?, ?)`)
	for _, t := range sortedKeys(x.tenants) {
		for places := range slices.Chunk(x.tenants[t], listed) {
			list := make([]int64, len(places))
			for i, place := range places {
				list[i] = x.ids[place]
			}
			w.add(int64(t), list[0], appendIDs(nil, list))
		}
	}
	w.next(`INSERT OR IGNORE INTO idem (first, entries) VALUES (?2, ?3)`)
	w.addPairs(&x.keys)
	w.next(`INSERT OR IGNORE INTO idem_requests (first, entries) VALUES (?2, ?3)`)
	w.addPairs(&x.requests)
	w.flush()
	return w.err
}

func (w *sealer) addPairs(h *hashes) {
	for pairs := range chunkPairs(h.pairs()) {
		w.add(0, pairs[0][0], appendPairs(nil, pairs))
	}
}

// chunkPairs cuts sorted pairs into rows. A row is told by its first hash, so
// equal ones stay together.
func chunkPairs(pairs [][2]int64) iter.Seq[[][2]int64] {
	return func(yield func([][2]int64) bool) {
		for len(pairs) > 0 {
			n := min(listed, len(pairs))
			for n < len(pairs) && pairs[n][0] == pairs[n-1][0] {
				n++
			}
			if !yield(pairs[:n]) {
				return
			}
			pairs = pairs[n:]
		}
	}
}

func sortedKeys[K ~int64, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// sealer writes rows of a table in short transactions. After an error it does
// nothing.
type sealer struct {
	g     *segment
	table string
	rows  []sealRow
	err   error
}

// sealRow is a row of an index table.
type sealRow struct {
	key, first int64
	entries    []byte
}

func (w *sealer) add(key, first int64, entries []byte) {
	if w.err != nil {
		return
	}
	if w.rows = append(w.rows, sealRow{key, first, entries}); len(w.rows) == sealRows {
		w.flush()
	}
}

// next ends one table and begins another.
func (w *sealer) next(table string) {
	w.flush()
	w.table = table
}

func (w *sealer) flush() {
	if w.err == nil && w.g.s.stopping() {
		w.err = errStopped
	}
	if w.err != nil || len(w.rows) == 0 {
		return
	}
	w.err = w.g.writeAside(func(c *connection) error {
		st, err := c.stmt(w.table)
		if err != nil {
			return err
		}
		for _, r := range w.rows {
			if err := errors.Join(st.BindInt64(1, r.key), st.BindInt64(2, r.first), st.BindBlob(3, r.entries), st.Exec()); err != nil {
				return wrap(err)
			}
		}
		return nil
	})
	w.rows = w.rows[:0]
}

// writeAside runs a transaction that changes nothing of what is kept in memory.
func (g *segment) writeAside(fn func(c *connection) error) error {
	g.writing.Lock()
	defer g.writing.Unlock()
	if err := g.writer(); err != nil {
		return err
	}
	err := g.w.write(func() error { return fn(g.w) })
	if isStorage(err) {
		g.suspect = true
	}
	return err
}

// filters builds the Bloom filters of what is in memory.
func (x *index) filters() map[string]bloom {
	keys := newBloom(len(x.keys.first) + len(x.requests.first))
	for h := range x.keys.first {
		keys.add(h)
	}
	for h := range x.requests.first {
		keys.add(h)
	}
	endpoints := newBloom(len(x.endpoints))
	for e := range x.endpoints {
		endpoints.add(spread(uint64(e)))
	}
	return map[string]bloom{filterKeys: keys, filterEndpoints: endpoints}
}

// sealDone says in one transaction that the indexes are complete, and forgets
// the memory.
func (g *segment) sealDone(x *index, filters map[string]bloom) error {
	err := g.writeAside(func(c *connection) error {
		for name, bits := range filters {
			if err := c.exec(`INSERT OR REPLACE INTO filters (name, bits) VALUES (?, ?)`, name, append([]byte{}, bits...)); err != nil {
				return err
			}
		}
		if err := c.exec(`INSERT OR REPLACE INTO filters (name, bits) VALUES (?, ?)`, laneCounts, x.counts()); err != nil {
			return err
		}
		err := c.exec(`INSERT OR REPLACE INTO meta (name, value) VALUES ('sealed', 1), ('events', ?), ('deliveries', ?)`,
			len(x.ids), int64(x.count))
		if err != nil {
			return err
		}
		return c.exec(`DELETE FROM ix`)
	})
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.filters = filters
	g.index, g.exceptions = nil, nil
	return nil
}

// checkpoint moves the log into the file: most of it while others write, the
// rest in a moment of its own. The connection is closed for its memory, which
// does not shrink.
func (g *segment) checkpoint() error {
	c, err := g.s.open(g.path, role{cache: readerCache, checkpoint: neverCheckpoint, moves: true})
	if err != nil {
		return err
	}
	_, _, err = c.db.WALCheckpoint("", sqlite3.CHECKPOINT_PASSIVE)
	c.close()
	g.writing.Lock()
	defer g.writing.Unlock()
	return errors.Join(wrap(err), g.letGo())
}

// letGo empties the log and closes the writing connection. Called with writing
// held.
func (g *segment) letGo() error {
	if g.w == nil || g.suspect {
		return nil
	}
	_ = g.w.db.BusyTimeout(0) // a reader may be in the log: then it is emptied later
	_, _, err := g.w.db.WALCheckpoint("", sqlite3.CHECKPOINT_TRUNCATE)
	if errors.Is(err, sqlite3.BUSY) {
		err = nil
	}
	g.w.close()
	g.w = nil
	return wrap(err)
}

// rest closes the writing connection of a sealed segment that was not used for
// a while.
func (g *segment) rest() {
	if !g.writing.TryLock() {
		return
	}
	defer g.writing.Unlock()
	if g.w == nil || g.s.ticks.Load() < g.used+2 {
		return
	}
	if err := g.letGo(); err != nil {
		g.s.log.Warn("checkpoint failed", "segment", filepath.Base(g.path), "error", err)
	}
}

// mayHave reports whether a segment may have deliveries of an endpoint.
func (g *segment) mayHave(e hook.EndpointNum) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.index != nil || g.filters[filterEndpoints].maybe(spread(uint64(e)))
}

// mayKnow reports whether a sealed segment may have a key of a hash.
func (g *segment) mayKnow(hash uint64) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	keys, kept := g.filters[filterKeys]
	return !kept || keys.maybe(hash)
}
