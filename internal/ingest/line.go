package ingest

import (
	"context"
	"sync"
	"time"

	"grapnel/internal/fair"
	"grapnel/internal/hook"
)

// How much waits for the committer, and how much it takes at once. A group of
// some hundred events costs the least for each; more only makes everybody
// wait. While several parties wait, a group holds less, so that none of them
// waits for much of another's.
const (
	lineLength = 1 << 16 // submissions; their bytes are bounded by who takes them in
	leastLine  = 64      // submissions that any party may have in the line

	groupCost = 512 // of a group, in the unit of (*submission).cost
	leastCost = 128 // of a group while several parties wait
	quantum   = 64  // of a party's turn

	// groupExtra is how much longer than the shortest ones a commit should take
	// while several parties wait.
	groupExtra = 4 * time.Millisecond
	// sharedFor is how long after the last submission of another party the line
	// counts as shared.
	sharedFor = time.Second
)

// costBytes and costTargets are as much work for the store as one event of
// usual size.
const (
	costBytes   = 8 << 10
	costTargets = 64
)

// line is where submissions wait for the committer: those of one party in the
// order in which they came, the parties by turns.
type line struct {
	mu      sync.Mutex
	waiting *fair.Queue[*submission]
	closed  bool
	wake    chan struct{} // holds one when there is something new to see
	pace    pace
	last    string    // party of the last submission taken
	shared  time.Time // until when the line counts as shared
	limit   int       // cost of a group while it is
}

// paceFalls is how many times as fast as lately a group is after which the committer
// is soon taken for that fast.
const paceFalls = 16

// pace is how fast the committer is.
type pace struct {
	since time.Time     // when the group at work was taken; zero: none is
	cost  int           // its cost
	group time.Duration // that a group takes lately
	least time.Duration // that one takes at least lately
}

func newLine() *line {
	return &line{waiting: fair.NewQueue[*submission](quantum), wake: make(chan struct{}, 1), limit: groupCost}
}

// join puts a submission into the line, unless it cannot be stored before ctx
// ends.
func (l *line) join(ctx context.Context, s *submission) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errStopping()
	}
	party, cost := s.party(), s.cost()
	length, ahead := l.waiting.Of(party)
	// A party may have as much of the line as it leaves free (Choudhury and Hahne,
	// 1998), so that there is room for the next one however many ask for a lot.
	if length >= max(leastLine, lineLength-l.waiting.Len()) {
		return &hook.Error{Code: hook.CodeRateLimited, RetryAfter: l.expect(ahead),
			Message: "too much is being published at once here, and nothing of this was stored: send the request again later"}
	}
	if until, ok := ctx.Deadline(); ok && l.busy() {
		if wait := l.expect(ahead + cost); wait > time.Until(until) {
			return &hook.Error{Code: hook.CodeUnavailable, RetryAfter: wait,
				Message: "the server's storage is too slow just now for all that is published, and nothing of this was stored: send the request again later"}
		}
	}
	s.place = l.waiting.Add(party, cost, s)
	l.stir()
	return nil
}

// busy reports whether anything waits or is being stored. Where nothing is, how long
// that took before says nothing: the store may have been away, and is found to be back
// only by who tries.
func (l *line) busy() bool { return l.waiting.Len() > 0 || !l.pace.since.IsZero() }

func errStopping() error {
	return hook.Errorf(hook.CodeUnavailable, "the server is stopping: send the request again in a moment")
}

// expect is about how long what stands behind so much of its party's will wait
// until it is stored.
func (l *line) expect(ahead int) time.Duration {
	ahead = min(ahead*max(1, l.waiting.Parties()), l.waiting.Cost()+ahead)
	groups := 1 + ahead/l.most(time.Now())
	wait := time.Duration(groups) * l.pace.group
	if !l.pace.since.IsZero() {
		// What has taken longer than usual is likely to take as long again.
		wait += max(l.pace.group, time.Since(l.pace.since))
	}
	return wait
}

// most is the cost of a group.
func (l *line) most(now time.Time) int {
	if now.Before(l.shared) || l.waiting.Parties() > 1 {
		return l.limit
	}
	return groupCost
}

func (l *line) stir() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// leave takes a submission out of the line. It is false once the committer has
// it.
func (l *line) leave(s *submission) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting.Remove(s.place)
}

func (l *line) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.stir()
}

// length is how much waits, and whether nothing more will come.
func (l *line) length() (cost int, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting.Cost(), l.closed
}

// next takes the next group out of the line: one turn of each party after the
// other, until it costs enough.
func (l *line) next(group []*submission) []*submission {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	limit, cost := l.most(now), 0
	for most := lineLength * groupCost; cost < limit; most = limit - cost {
		s, party, c, ok := l.waiting.Take(most) // the first may cost whatever it does
		if !ok {
			break
		}
		if party != l.last {
			if l.last != "" {
				l.shared = now.Add(sharedFor)
			}
			l.last = party
		}
		group, cost = append(group, s), cost+c
	}
	l.pace.since, l.pace.cost = now, cost
	return group
}

// done notes how long a group took; of one that failed, or that the store was in doubt
// about, nothing: how long it was away is no pace.
func (l *line) done(failed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if failed {
		l.pace.since = time.Time{}
		return
	}
	now := time.Now()
	took := now.Sub(l.pace.since)
	p := &l.pace
	p.since = time.Time{}
	if p.group == 0 {
		p.group, p.least = took, took
		return
	}
	if p.group += (took - p.group) / 8; took < p.group/paceFalls {
		p.group /= 2 // the store was away, and is back
	}
	p.least = min(took, p.least+p.least/64+1)
	if !now.Before(l.shared) {
		return
	}
	switch {
	case p.cost > leastCost/2 && took > p.least+groupExtra:
		l.limit = max(leastCost, l.limit*3/4)
	case p.cost > l.limit/2:
		l.limit = min(groupCost, l.limit*9/8)
	}
}

// party is who waits with a submission: the tenant whose events it holds, or
// else who asks.
func (s *submission) party() string {
	if len(s.Items) == 0 {
		return "scope " + s.Scope
	}
	tenant := s.Items[0].Tenant
	for i := range s.Items {
		if s.Items[i].Tenant != tenant {
			return "scope " + s.Scope
		}
	}
	return tenant // which has no space in it
}

// cost is about how much work a submission is for the store, in events of
// usual size.
func (s *submission) cost() int {
	bytes, targets := 0, 0
	for i := range s.Items {
		bytes += len(s.Items[i].Data) + len(s.Items[i].Previous) + len(s.Items[i].Metadata)
	}
	for _, e := range s.events {
		if e != nil {
			targets += len(e.Targets)
		}
	}
	return len(s.Items) + bytes/costBytes + targets/costTargets
}
