package sqlite

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// class says whom a read is for. Each class has its own slots, so that people
// who search through the log do not keep events and deliveries waiting.
type class int

const (
	flow    class = iota // events and deliveries on their way
	people               // listings, and retention
	classes              // how many there are
)

// How many connections read at once for a class, and how many stay open for the
// next reader. Each costs about a megabyte and three files; one that has to be
// opened first costs as much as reading a hundred events.
const (
	maxReaders = 4
	maxIdle    = 32
)

// pool keeps reading connections of the segments that were read last.
type pool struct {
	slots  [classes]chan struct{}
	mu     sync.Mutex
	idle   []*segment // one entry for each idle connection, oldest first
	closed bool
}

func (p *pool) init() {
	for i := range p.slots {
		p.slots[i] = make(chan struct{}, maxReaders)
	}
}

// read runs fn on a reading connection of a segment, in the state of one
// moment. The context interrupts it. When retention has removed the segment, fn
// is not called: nothing is found there.
func (s *Store) read(ctx context.Context, g *segment, fn func(c *connection) error) (err error) {
	return s.readFor(ctx, flow, g, fn)
}

// readFor is read for a class.
func (s *Store) readFor(ctx context.Context, who class, g *segment, fn func(c *connection) error) (err error) {
	select {
	case s.pool.slots[who] <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.pool.slots[who] }()
	c, ok := s.pool.take(g)
	if !ok {
		return nil
	}
	defer g.reads.Done()
	if c == nil {
		if c, err = s.open(g.path, role{readOnly: true, cache: readerCache, checkpoint: neverCheckpoint}); err != nil {
			return err
		}
	}
	done := false
	defer func() {
		if r := recover(); r != nil { // the driver panics when its memory is used up
			err = &storageError{err: fmt.Errorf("sqlite: %v", r)}
		}
		if !done || isStorage(err) {
			c.close()
			return
		}
		s.pool.give(g, c)
	}()
	c.db.SetInterrupt(ctx)
	c.index = g.memory()
	if err = c.exec(`BEGIN`); err == nil {
		err = fn(c)
	}
	c.db.SetInterrupt(context.Background())
	c.rollback()
	c.index = nil
	done = true
	return interrupted(ctx, err)
}

// take gives an idle connection of a segment, nil if there is none; false if
// the segment is gone. Who takes calls g.reads.Done.
func (p *pool) take(g *segment) (*connection, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g.gone {
		return nil, false
	}
	g.reads.Add(1)
	n := len(g.readers)
	if n == 0 {
		return nil, true
	}
	c := g.readers[n-1]
	g.readers = g.readers[:n-1]
	i := len(p.idle) - 1
	for p.idle[i] != g {
		i--
	}
	p.idle = slices.Delete(p.idle, i, i+1)
	return c, true
}

// give puts a connection back, and closes the one that was idle longest if
// there are too many.
func (p *pool) give(g *segment, c *connection) {
	p.mu.Lock()
	if p.closed || g.gone {
		p.mu.Unlock()
		c.close()
		return
	}
	g.readers = append(g.readers, c)
	p.idle = append(p.idle, g)
	var old *connection
	if len(p.idle) > maxIdle {
		o := p.idle[0]
		p.idle = slices.Delete(p.idle, 0, 1)
		old = o.readers[0]
		o.readers = slices.Delete(o.readers, 0, 1)
	}
	p.mu.Unlock()
	old.close()
}

// drop lets nobody read a segment any more, waits for those who do, and closes
// its connections.
func (p *pool) drop(g *segment) {
	p.mu.Lock()
	readers := g.readers
	g.readers, g.gone = nil, true
	p.idle = slices.DeleteFunc(p.idle, func(o *segment) bool { return o == g })
	p.mu.Unlock()
	g.reads.Wait()
	for _, c := range readers {
		c.close()
	}
}

// close closes all idle connections.
func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	var all []*connection
	for _, g := range idle {
		all = append(all, g.readers...)
		g.readers = nil
	}
	p.mu.Unlock()
	for _, c := range all {
		c.close()
	}
}
