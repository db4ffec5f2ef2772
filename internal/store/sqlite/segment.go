package sqlite

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
)

// segment is one file of the log. It holds the events with ids from first up to
// the first of the next segment.
type segment struct {
	s     *Store
	first int64
	path  string
	old   bool // when it was opened, there were so many newer ones that its keys' filter is not kept

	// writing is held by whoever uses the writing connection.
	writing sync.Mutex
	w       *connection
	used    int64 // the keeper's tick at which w was last used
	commits int64 // transactions that are known to be committed
	removed bool  // by retention
	suspect bool  // w has failed: verify before the next use
	mover   mover

	mu          sync.RWMutex
	index       *index // nil when sealed
	oldest      int64  // lowest event id, 0 without events
	last        int64  // highest event id, 0 without events
	lastTail    int64  // its tail
	nextNumber  int64  // after the segment's last delivery, 0 without events
	lastRequest int64  // when the newest request was made
	events      int64
	deliveries  int64
	bytes       int64 // about what was written since the segment was begun
	filters     map[string]bloom
	pending     map[hook.EndpointNum]lanePending // lanes that may have pending rows
	change      uint64
	exceptions  map[hook.EndpointNum]struct{} // endpoints with rows in deliveries; only while there is an index

	// Guarded by the store's pool.
	readers []*connection // idle ones
	gone    bool          // removed by retention
	reads   sync.WaitGroup
}

// Names of a segment's Bloom filters.
const (
	filterKeys      = "keys"
	filterEndpoints = "endpoints"
)

const segmentDir = "segments"

// segmentPath names the file of the segment that begins at first.
func (s *Store) segmentPath(first int64) string {
	return filepath.Join(s.dir, segmentDir, fmt.Sprintf("seg-%016d.db", first))
}

// preparedPath names the file that will be the next segment.
func (s *Store) preparedPath() string { return filepath.Join(s.dir, segmentDir, "next.db") }

// parseSegmentName reads the first id out of a file's name.
func parseSegmentName(name string) (first int64, ok bool) {
	digits, ok := strings.CutPrefix(name, "seg-")
	if !ok {
		return 0, false
	}
	digits, ok = strings.CutSuffix(digits, ".db")
	if !ok {
		return 0, false
	}
	first, err := strconv.ParseInt(digits, 10, 64)
	return first, err == nil
}

// memory returns the segment's index, nil when it is sealed.
func (g *segment) memory() *index {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.index
}

// lastID is the segment's highest event id, 0 without events.
func (g *segment) lastID() int64 {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.last
}

// load fills the memory from the file, when it is opened or was in doubt.
func (g *segment) load(c *connection) error {
	meta, err := c.meta()
	if err != nil {
		return err
	}
	fresh := &segment{s: g.s, first: g.first, old: g.old, filters: map[string]bloom{}, pending: map[hook.EndpointNum]lanePending{}}
	if err := fresh.loadLast(c); err != nil {
		return err
	}
	if meta["sealed"] == 1 {
		fresh.events, fresh.deliveries = meta["events"], meta["deliveries"]
		err = fresh.loadFilters(c)
	} else {
		err = fresh.loadIndex(c)
	}
	if err != nil {
		return err
	}
	if err := fresh.loadPending(c); err != nil {
		return err
	}
	pages, err := c.int(`PRAGMA page_count`)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.commits = meta["commits"]
	g.index, g.nextNumber, g.lastRequest = fresh.index, fresh.nextNumber, fresh.lastRequest
	g.oldest, g.last, g.lastTail = fresh.oldest, fresh.last, fresh.lastTail
	g.events, g.deliveries, g.bytes = fresh.events, fresh.deliveries, pages*4096
	g.filters, g.exceptions = fresh.filters, fresh.exceptions
	for e := range fresh.pending {
		g.change++
		g.pending[e] = lanePending{change: g.change, next: fresh.pending[e].next}
	}
	return nil
}

// meta reads the whole table meta.
func (c *connection) meta() (map[string]int64, error) {
	out := map[string]int64{}
	err := c.query(`SELECT name, value FROM meta`, nil, func(st *sqlite3.Stmt) bool {
		out[st.ColumnText(0)] = st.ColumnInt64(1)
		return true
	})
	return out, err
}

func (g *segment) loadLast(c *connection) error {
	var bad error
	err := c.query(`SELECT id, tail, number, targets FROM events ORDER BY id DESC LIMIT 1`, nil, func(st *sqlite3.Stmt) bool {
		g.last, g.lastTail = st.ColumnInt64(0), st.ColumnInt64(1)
		var targets []hook.Target
		targets, bad = codec.ParseTargets(st.ColumnRawBlob(3))
		g.nextNumber = st.ColumnInt64(2) + int64(len(targets))
		return false
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return err
	}
	if g.oldest, err = c.int(`SELECT id FROM events ORDER BY id LIMIT 1`); err != nil {
		return err
	}
	g.lastRequest, err = c.int(`SELECT at FROM requests ORDER BY id DESC LIMIT 1`)
	return err
}

// loadFilters reads the filters; that of keys only of a segment that is not old.
func (g *segment) loadFilters(c *connection) error {
	names := []any{filterEndpoints, filterKeys}
	if g.old {
		names[1] = filterEndpoints
	}
	return c.query(`SELECT name, bits FROM filters WHERE name IN (?, ?)`, names, func(st *sqlite3.Stmt) bool {
		g.filters[st.ColumnText(0)] = blob(st, 1)
		return true
	})
}

// loadIndex rebuilds the memory of a segment that is not sealed.
func (g *segment) loadIndex(c *connection) error {
	g.index = newIndex()
	var bad error
	err := c.query(`SELECT entries FROM ix ORDER BY id`, nil, func(st *sqlite3.Stmt) bool {
		bad = g.index.load(st.ColumnRawBlob(0))
		return bad == nil
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return fmt.Errorf("rebuild the index of %s: %w", filepath.Base(g.path), err)
	}
	g.events, g.deliveries = int64(len(g.index.ids)), int64(g.index.count)
	if g.events > 0 && g.index.ids[g.events-1] != g.last || g.events == 0 && g.last != 0 {
		return fmt.Errorf("rebuild the index of %s: %w: it does not end with the last event", filepath.Base(g.path), codec.ErrFormat)
	}
	g.exceptions = map[hook.EndpointNum]struct{}{}
	return c.query(`SELECT DISTINCT endpoint FROM deliveries`, nil, func(st *sqlite3.Stmt) bool {
		g.exceptions[hook.EndpointNum(st.ColumnInt64(0))] = struct{}{}
		return true
	})
}

// lanePending is what is known in memory of a lane's pending rows in a segment.
type lanePending struct {
	next   int64  // none is due before
	change uint64 // that said so
}

// loadPending finds the lanes with pending rows, from one lane to the next, so
// that the number of rows does not matter.
func (g *segment) loadPending(c *connection) error {
	for at, more := int64(0), true; more; {
		more = false
		rows := 0 // of the lane that was found last
		err := c.query(`SELECT endpoint, next_at FROM deliveries INDEXED BY pending WHERE state = 1 AND endpoint > ? ORDER BY endpoint, next_at`,
			[]any{at}, func(st *sqlite3.Stmt) bool {
				if e := st.ColumnInt64(0); e != at {
					at, rows = e, 0
					g.pending[hook.EndpointNum(e)] = lanePending{next: st.ColumnInt64(1)}
				}
				rows++
				more = rows > nearRows // a look-up is faster
				return !more
			})
		if err != nil {
			return err
		}
	}
	return nil
}

// pendingOf tells what is known of a lane's pending rows; false if there are
// none.
func (g *segment) pendingOf(e hook.EndpointNum) (lanePending, bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	p, ok := g.pending[e]
	return p, ok
}

// setPending notes a lane's pending row. Called with mu held.
func (g *segment) setPending(e hook.EndpointNum, next int64) {
	g.change++
	if p, ok := g.pending[e]; ok {
		next = min(next, p.next)
	}
	g.pending[e] = lanePending{next: next, change: g.change}
}

// foundPending takes over what a query found: when a lane's first row is due, 0
// if it has none. If something changed since it began, it says nothing.
func (g *segment) foundPending(e hook.EndpointNum, asked lanePending, next int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.pending[e] != asked:
	case next == 0:
		delete(g.pending, e)
	default:
		g.pending[e] = lanePending{next: next, change: asked.change}
	}
}

// exceptional reports whether an endpoint may have rows in deliveries here.
func (g *segment) exceptional(e hook.EndpointNum) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.index == nil {
		return true
	}
	_, ok := g.exceptions[e]
	return ok
}
