package ingest

import (
	"context"
	"errors"
	"runtime"
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
	costlyMatch = 2 * time.Millisecond // of work for one event, beyond which it is costly
	costlyAfter = 3                    // such events, less those that are not, for a tenant to be
	costlyMost  = 8                    // of them are remembered
	costlyFor   = 10 * time.Second     // after the last one
	oneTurn     = 5 * time.Millisecond // of work, after which it is another's
	maxCostly   = 10_000               // tenants with any that are remembered
	// sharedWait bounds how long events of several tenants, which were published
	// together, wait for the turn of one of them.
	sharedWait = time.Second
)

// errNoTurn says that a turn did not come in time.
var errNoTurn = errors.New("no turn to match in")

// costs knows whose events are costly to match.
type costs struct {
	*fair.Costly
	turns *fair.Turns
}

func newCosts() *costs {
	return &costs{fair.NewCostly(costlyAfter, costlyMost, maxCostly, costlyFor), fair.NewTurns(max(1, runtime.GOMAXPROCS(0)/4))}
}

// stint is the matching of one submission. A nil one takes no turns: whoever has
// it bounds what is matched.
type stint struct {
	*costs
	ctx    context.Context
	shared bool // several tenants wait for it

	tenant string        // whose event is matched now
	worked time.Duration // on it, up to mark
	mark   time.Time
	turn   bool      // it has a place,
	since  time.Time // since then
	late   bool      // it has waited long enough, and goes on without one
}

// begin is called before an event is matched, and end after it.
func (s *stint) begin(tenant string) error {
	if s == nil {
		return nil
	}
	s.tenant, s.worked, s.mark = tenant, 0, time.Now()
	if !s.turn && s.Is(tenant, s.mark) {
		return s.take()
	}
	return s.rest(s.mark)
}

func (s *stint) end() {
	if s == nil {
		return
	}
	now := time.Now()
	s.Note(s.tenant, s.worked+now.Sub(s.mark) > costlyMatch, now)
}

// rest is called now and then while an event is matched. The error says that the caller
// does not wait any more.
func (s *stint) rest(now time.Time) error {
	if s == nil {
		return nil
	}
	s.worked, s.mark = s.worked+now.Sub(s.mark), now
	switch {
	case !s.turn && s.worked > costlyMatch:
		return s.take()
	case s.turn && now.Sub(s.since) > oneTurn:
		s.give(now)
		return s.take()
	}
	return nil
}

// take waits for a place.
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
	err := s.turns.Take(ctx, s.tenant)
	s.mark = time.Now()
	switch {
	case err == nil:
		s.turn, s.since = true, s.mark
	case s.shared && s.ctx.Err() == nil:
		s.late = true
	default:
		return &hook.Error{Code: hook.CodeUnavailable, RetryAfter: slowRetry, Err: errNoTurn,
			Message: "the filters of the tenant's endpoints take so long that its events wait for each other, and nothing of this was stored: send the request again later, and see whether the filters can be simpler or fewer"}
	}
	return nil
}

// give gives the place back once it has rested.
func (s *stint) give(now time.Time) {
	s.turn = false
	time.AfterFunc(now.Sub(s.since), s.turns.Give)
}

// over ends the stint.
func (s *stint) over() {
	if s.turn {
		s.give(time.Now())
	}
}
