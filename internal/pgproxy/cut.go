package pgproxy

import "strings"

// Moment is when a connection is cut.
type Moment int

// The moments of a statement.
const (
	Unsent   Moment = iota // the server never gets it
	Sent                   // the server gets it, and the connection is cut at once
	Answered               // the server has done it, and its answer is dropped
	Late                   // the client's side is cut, and the server gets it when Deliver is called
)

// cut is a cut that is still to come.
type cut struct {
	sql  string
	at   Moment
	done chan struct{}
}

// Cut cuts the connection of the next statement whose text contains sql, at a moment
// of it. The channel is closed when that has happened.
func (p *Proxy) Cut(sql string, at Moment) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &cut{sql: sql, at: at, done: make(chan struct{})}
	p.cuts = append(p.cuts, c)
	return c.done
}

// CallOff takes cuts back that have not happened, and says how many those were.
func (p *Proxy) CallOff() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.cuts)
	p.cuts = nil
	return n
}

// Deliver sends the server what was cut Late.
func (p *Proxy) Deliver() {
	p.mu.Lock()
	late := p.late
	p.late = nil
	p.mu.Unlock()
	for _, c := range late {
		close(c.deliver)
	}
}

// match takes the cut for a statement, if there is one.
func (p *Proxy) match(sql string) *cut {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, c := range p.cuts {
		if strings.Contains(sql, c.sql) {
			p.cuts = append(p.cuts[:i:i], p.cuts[i+1:]...)
			return c
		}
	}
	return nil
}

// postpone notes a connection whose statement waits for Deliver.
func (p *Proxy) postpone(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.deliver = make(chan struct{})
	p.late = append(p.late, c)
}
