package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// op is a call that waits for the commit of its part in a segment.
type op struct {
	g     *segment // where; nil: the active one
	apply func(t *tx) error
	first int64 // id of the first event to append, 0: none
	end   bool  // end the active segment g, and nothing else
	err   error
	done  chan struct{}
}

func newOp(g *segment, apply func(t *tx) error) *op {
	return &op{g: g, apply: apply, done: make(chan struct{})}
}

// finish answers the caller.
func (o *op) finish(err error) {
	o.err = err
	close(o.done)
}

// tx is a transaction on a segment with what it will change in memory.
type tx struct {
	g          *segment
	c          *connection
	last       hook.EventID // of the whole store
	nextNumber int64
	entries    []entry
	number     int64 // of the first delivery of entries
	request    int64 // rowid of the first of requests
	requests   []uint64
	requestAt  int64
	bytes      int64
	delivered  []delivered // attempts that are not written yet
	hashes     []uint64    // of the keys of the events of an append
	scratch    []byte
	coder      codec.Details
	pack       codec.Packer
	pending    map[hook.EndpointNum]int64 // when the first is due
	exceptions map[hook.EndpointNum]struct{}
}

func (t *tx) exceptional(e hook.EndpointNum) bool {
	if _, ok := t.exceptions[e]; ok {
		return true
	}
	return t.g.exceptional(e)
}

func (t *tx) except(e hook.EndpointNum) {
	if t.exceptions == nil {
		t.exceptions = map[hook.EndpointNum]struct{}{}
	}
	t.exceptions[e] = struct{}{}
}

func (t *tx) setPending(e hook.EndpointNum, next int64) {
	if t.pending == nil {
		t.pending = map[hook.EndpointNum]int64{}
	}
	if had, ok := t.pending[e]; ok {
		next = min(next, had)
	}
	t.pending[e] = next
}

// transact commits ops together and answers them. One that fails by itself
// takes no other with it.
func (g *segment) transact(ops []*op) {
	g.writing.Lock()
	defer g.writing.Unlock()
	g.run(ops)
	g.move()
}

func (g *segment) run(ops []*op) {
	if g.removed {
		finish(ops, nil) // its events are not there any more
		return
	}
	err := g.try(ops)
	if err == nil || isStorage(err) || len(ops) == 1 {
		finish(ops, err)
		return
	}
	for _, o := range ops {
		o.finish(g.try([]*op{o}))
	}
}

func finish(ops []*op, err error) {
	for _, o := range ops {
		o.finish(err)
	}
}

// try commits ops in one transaction, or nothing of them.
func (g *segment) try(ops []*op) (err error) {
	committing := false
	defer func() {
		if r := recover(); r != nil { // the driver panics when its memory is used up
			g.suspect = true
			err = fmt.Errorf("sqlite: %v", r)
			if committing {
				err = errors.Join(store.ErrUnknown, err)
			}
			err = &storageError{err: err}
			g.report(err)
		}
	}()
	if err := g.writer(); err != nil {
		g.report(err)
		return err
	}
	t := g.s.begin(g)
	if err := g.fill(t, ops); err != nil {
		g.w.rollback()
		if isStorage(err) {
			g.suspect = true
			g.report(err)
		}
		return err
	}
	committing = true
	if err := g.commit(); err != nil {
		g.report(err)
		return err
	}
	g.report(nil)
	g.publish(t)
	return nil
}

// fill writes ops into a new transaction.
func (g *segment) fill(t *tx, ops []*op) error {
	if err := g.w.begin(); err != nil {
		return err
	}
	for _, o := range ops {
		if err := o.apply(t); err != nil {
			return err
		}
	}
	if err := t.writeIndex(); err != nil {
		return err
	}
	return g.w.exec(`UPDATE meta SET value = ? WHERE name = 'commits'`, g.commits+1)
}

// commit commits. When that fails it finds out what became of the transaction:
// nil if it was stored after all, store.ErrUnknown if that cannot be told.
func (g *segment) commit() error {
	err := g.w.commit()
	if err == nil {
		g.commits++
		return nil
	}
	g.w.rollback()
	g.suspect = true
	stored, verr := g.verify()
	switch {
	case verr == nil && stored:
		return nil
	case verr == nil || errors.Is(err, sqlite3.FULL):
		return err // full: the mark of the commit, which comes last, was not written
	}
	return &storageError{err: fmt.Errorf("%w: %w (and then: %w)", store.ErrUnknown, err, verr)}
}

// report tells the store's health. Only the active segment's counts: it is what
// new events need.
func (g *segment) report(err error) {
	if err == nil || g == g.s.active() {
		g.s.health.set(g, err)
	}
}

// writer makes sure of a writing connection that may be trusted.
func (g *segment) writer() error {
	g.used = g.s.ticks.Load()
	if g.w != nil && !g.suspect {
		return nil
	}
	if g.suspect {
		stored, err := g.verify()
		if err == nil && stored { // answered with ErrUnknown: the memory lacks it
			return g.reload()
		}
		return err
	}
	c, err := g.openWriter()
	if err != nil {
		return err
	}
	g.w = c
	return nil
}

// openWriter opens a connection to write with. If that made the log's file, its
// name has to be durable before the first commit is.
func (g *segment) openWriter() (*connection, error) {
	l := g.s.list()
	active := len(l) == 0 || g.first >= l[len(l)-1].first
	checkpoint := lateCheckpoint
	if active {
		checkpoint = neverCheckpoint
	}
	c, err := g.s.open(g.path, role{cache: writerCache, checkpoint: checkpoint})
	if err != nil {
		return nil, err
	}
	if _, err = c.int(`SELECT value FROM meta WHERE name = 'commits'`); err == nil {
		err = wrapOS(g.s.syncDir(filepath.Dir(g.path)))
	}
	if err != nil {
		c.close()
		return nil, err
	}
	if active {
		g.watch(c)
	}
	return c, nil
}

// verify replaces the writing connection after an error. A transaction of its
// own is committed over what the failed one may have left in the log, so that
// no crash can bring that back. The old connection stays open until then: with
// the last one gone, the log would be read anew and the leftovers believed.
func (g *segment) verify() (stored bool, err error) {
	c, err := g.openWriter()
	if err != nil {
		return false, err
	}
	var commits int64
	err = c.write(func() error {
		if commits, err = c.int(`SELECT value FROM meta WHERE name = 'commits'`); err != nil {
			return err
		}
		return c.exec(`UPDATE meta SET value = ? WHERE name = 'commits'`, commits+1)
	})
	if err != nil {
		c.close()
		return false, err
	}
	g.w.close()
	g.w, g.suspect = c, false
	stored = commits > g.commits
	g.commits = commits + 1
	return stored, nil
}

// reload takes the memory from the file again.
func (g *segment) reload() error {
	if err := g.load(g.w); err != nil {
		g.suspect = true
		return err
	}
	g.s.adopt(g)
	return nil
}

// publish makes a committed transaction known in memory.
func (g *segment) publish(t *tx) {
	g.mu.Lock()
	if x := g.index; x != nil && (len(t.entries) > 0 || len(t.requests) > 0) {
		x.mu.Lock()
		number := t.number
		for i := range t.entries {
			x.add(&t.entries[i], number)
			number += int64(len(t.entries[i].targets))
		}
		for i, h := range t.requests {
			x.requests.add(h, t.request+int64(i))
		}
		x.mu.Unlock()
		g.events, g.deliveries = int64(len(x.ids)), int64(x.count)
		g.lastRequest = max(g.lastRequest, t.requestAt)
	}
	if len(t.entries) > 0 {
		if g.oldest == 0 {
			g.oldest = t.entries[0].id
		}
		g.last, g.lastTail, g.nextNumber = t.last.Seq(), int64(t.last.Tail()), t.nextNumber
	}
	g.bytes += t.bytes
	for e, next := range t.pending {
		g.setPending(e, next)
	}
	for e := range t.exceptions {
		if g.exceptions != nil {
			g.exceptions[e] = struct{}{}
		}
	}
	g.mu.Unlock()
	if len(t.entries) > 0 {
		g.s.adopt(g)
	}
}
