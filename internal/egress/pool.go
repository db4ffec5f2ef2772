package egress

import (
	"slices"
	"sync"
	"time"
)

// poolKey is what two requests must have in common to go over one connection.
type poolKey struct {
	addr  string // host:port of the target
	https bool
	http1 bool     // with https: nothing else was offered in the handshake
	as    [32]byte // Identity.ID; zeros: none
}

// pool keeps the HTTP/1.1 connections that no request is using, the one that
// was used last to be taken first. It never waits and never dials, and nobody
// watches what it keeps: that the other side has closed a connection shows when
// it is taken, or it goes with the timeout.
type pool struct {
	perKey, all int // how many are kept
	timeout     time.Duration

	mu             sync.Mutex
	closed         bool
	idle           map[poolKey][]*conn // without empty lists; the newest last
	oldest, newest *conn               // of all, by the time since when they are unused
	size           int
	sweeper        *time.Timer // runs while a connection is kept
}

func newPool(perKey, all int, timeout time.Duration) *pool {
	return &pool{perKey: perKey, all: all, timeout: timeout, idle: make(map[poolKey][]*conn)}
}

// take gives a connection, or nil. It may have ended in the meantime.
func (p *pool) take(key poolKey) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.idle[key]
	if len(list) == 0 {
		return nil
	}
	c := list[len(list)-1]
	p.remove(c)
	return c
}

// put keeps a connection, or closes it if there are enough of its kind. When
// there are too many in all, the one that was unused for longest goes.
func (p *pool) put(c *conn, now time.Time) {
	if surplus := p.keep(c, now); surplus != nil {
		surplus.stream.Close()
	}
}

// keep returns the connection that there is no room for, or nil.
func (p *pool) keep(c *conn, now time.Time) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.idle[c.key]
	if p.closed || len(list) >= p.perKey {
		return c
	}
	p.idle[c.key] = append(list, c)
	p.link(c, now)
	if p.sweeper == nil {
		p.sweeper = time.AfterFunc(p.timeout, p.sweep)
	}
	if p.size <= p.all {
		return nil
	}
	surplus := p.oldest
	p.remove(surplus)
	return surplus
}

// link makes c the newest. p.mu is held.
func (p *pool) link(c *conn, now time.Time) {
	c.since, c.older = now, p.newest
	if p.newest != nil {
		p.newest.newer = c
	} else {
		p.oldest = c
	}
	p.newest = c
	p.size++
}

// remove takes c out. p.mu is held.
func (p *pool) remove(c *conn) {
	list := p.idle[c.key]
	if len(list) == 1 {
		delete(p.idle, c.key)
	} else {
		i := len(list) - 1 // almost always
		if list[i] != c {
			i = slices.Index(list, c)
		}
		p.idle[c.key] = slices.Delete(list, i, i+1)
	}
	if c.older != nil {
		c.older.newer = c.newer
	} else {
		p.oldest = c.newer
	}
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		p.newest = c.older
	}
	c.older, c.newer = nil, nil
	p.size--
}

// sweep closes what was unused for too long, and comes again when the next
// connection is due.
func (p *pool) sweep() {
	for _, c := range p.expired(time.Now()) {
		c.stream.Close()
	}
}

func (p *pool) expired(now time.Time) []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	var due []*conn
	for c := p.oldest; c != nil; c = p.oldest {
		if left := p.timeout - now.Sub(c.since); left > 0 {
			p.sweeper.Reset(left)
			return due
		}
		p.remove(c)
		due = append(due, c)
	}
	p.sweeper = nil
	return due
}

// close closes what is kept, and keeps nothing any more.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	var all []*conn
	for p.oldest != nil {
		all = append(all, p.oldest)
		p.remove(p.oldest)
	}
	if p.sweeper != nil {
		p.sweeper.Stop()
	}
	p.mu.Unlock()
	for _, c := range all {
		c.stream.Close()
	}
}
