package ingest

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"grapnel/internal/fair"
	"grapnel/internal/hook"
)

// Customers write filters, and thousands of them can make one event take longer to match
// than thousands of events of others. So whose events have shown to be costly takes
// turns with the like of it, at a few places for the whole machine that rest as long as
// they have worked: all of them together take half of a quarter of the processors, and
// nobody else waits.
const (
	costlyMatch = time.Millisecond     // for one event, from which on its tenant is costly
	costlyFor   = 10 * time.Second     // after the last such event
	oneTurn     = 5 * time.Millisecond // of matching, after which it is another's
	maxCostly   = 10_000               // tenants that are known to be
	// sharedWait bounds how long events of several tenants, which were published
	// together, wait for the turn of one of them.
	sharedWait = time.Second
)

// errNoTurn says that a turn did not come in time.
var errNoTurn = errors.New("no turn to match in")

// costs knows whose events are costly to match.
type costs struct {
	turns *fair.Turns

	mu     sync.Mutex
	costly map[string]time.Time // until when, by tenant
}

func newCosts() *costs {
	return &costs{turns: fair.NewTurns(max(1, runtime.GOMAXPROCS(0)/4)), costly: map[string]time.Time{}}
}

func (c *costs) known(tenant string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	until, ok := c.costly[tenant]
	if ok && now.After(until) {
		delete(c.costly, tenant)
		ok = false
	}
	return ok
}

func (c *costs) note(tenant string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for other := range c.costly { // any: a map begins anywhere
		if len(c.costly) < maxCostly {
			break
		}
		delete(c.costly, other)
	}
	c.costly[tenant] = now.Add(costlyFor)
}

// stint is the matching of one submission. A nil one takes no turns: whoever has
// it bounds what is matched.
type stint struct {
	*costs
	ctx    context.Context
	shared bool // several tenants wait for it

	tenant string    // whose event is matched now
	since  time.Time // the event, or the turn, began
	turn   bool      // it has a place
	late   bool      // it has waited long enough, and goes on without one
}

// begin is called before an event is matched, and end after it.
func (s *stint) begin(tenant string) error {
	if s == nil {
		return nil
	}
	now := time.Now()
	s.tenant = tenant
	if s.turn {
		return s.rest(now)
	}
	s.since = now
	if s.known(tenant, now) {
		return s.take()
	}
	return nil
}

func (s *stint) end() {
	if s == nil {
		return
	}
	if now := time.Now(); !s.turn && now.Sub(s.since) > costlyMatch {
		s.note(s.tenant, now)
	}
}

// rest is called now and then while an event is matched. The error says that the caller
// does not wait any more.
func (s *stint) rest(now time.Time) error {
	switch {
	case s == nil || s.late:
		return nil
	case !s.turn && now.Sub(s.since) > costlyMatch:
		s.note(s.tenant, now)
		return s.take()
	case s.turn && now.Sub(s.since) > oneTurn:
		s.note(s.tenant, now)
		s.give(now)
		return s.take()
	}
	return nil
}

func (s *stint) take() error {
	if s.late {
		return nil
	}
	ctx := s.ctx
	if s.shared {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, sharedWait)
		defer cancel()
	}
	if err := s.turns.Take(ctx, s.tenant); err != nil {
		if s.shared && s.ctx.Err() == nil {
			s.late = true
			return nil
		}
		return &hook.Error{Code: hook.CodeUnavailable, RetryAfter: slowRetry, Err: errNoTurn,
			Message: "the filters of the tenant's endpoints take so long that its events wait for each other, and nothing of this was stored: send the request again later, and see whether the filters can be simpler or fewer"}
	}
	s.turn, s.since = true, time.Now()
	return nil
}

// give gives the place back once it has rested.
func (s *stint) give(now time.Time) {
	s.turn = false
	time.AfterFunc(now.Sub(s.since), s.turns.Give)
}

// over ends the stint.
func (s *stint) over() {
	if s != nil && s.turn {
		s.give(time.Now())
	}
}
