package fair

import (
	"sync"
	"time"
)

// Costly remembers whose work has lately shown to be costly, so that the like of it
// may be done apart from everybody else's. One costly piece of work alone says
// nothing: whatever else the machine does makes it wait now and then.
type Costly struct {
	after, most, parties int
	keep                 time.Duration

	mu     sync.Mutex
	recent map[string]strikes
}

// strikes are a party's costly pieces of work, less those that were not.
type strikes struct {
	n     int
	until time.Time // when they are forgotten
}

// NewCostly makes a memory in which a party is costly from after strikes on. At most
// most of them are remembered, for keep after the last one, of so many parties.
func NewCostly(after, most, parties int, keep time.Duration) *Costly {
	return &Costly{after: after, most: most, parties: parties, keep: keep, recent: map[string]strikes{}}
}

// Is reports whether a party is costly.
func (c *Costly) Is(party string, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.recent[party]
	return s.n >= c.after && now.Before(s.until)
}

// Note takes in that a piece of work was costly, or not.
func (c *Costly) Note(party string, costly bool, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, known := c.recent[party]
	switch {
	case !costly && !known:
		return
	case !now.Before(s.until):
		s.n = 0
	}
	if costly {
		s.n, s.until = min(s.n+1, c.most), now.Add(c.keep)
	} else {
		s.n--
	}
	if s.n <= 0 {
		delete(c.recent, party)
		return
	}
	for other := range c.recent { // any: a map begins anywhere
		if known || len(c.recent) < c.parties {
			break
		}
		delete(c.recent, other)
	}
	c.recent[party] = s
}
