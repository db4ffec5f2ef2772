package dispatch

import (
	"math/bits"
	"sync"
	"time"

	"grapnel/internal/store"
)

// Standing is how a node's lease is.
type Standing struct {
	Held    int       // partitions
	Renewed time.Time // when the store last said what is held
	Ends    time.Time // when the lease is over unless it is renewed; zero: never
	Gained  int64     // partitions that were got, since the start
	Lost    int64     // partitions that others took without having been given them, since the start
}

// Over reports whether the lease is over, so that nothing is sent.
func (s *Standing) Over(now time.Time) bool { return !s.Ends.IsZero() && !now.Before(s.Ends) }

// Standing tells how the lease is. It does not wait for the store.
func (k *Keeper) Standing() Standing {
	k.tally.mu.Lock()
	defer k.tally.mu.Unlock()
	return k.tally.standing
}

// tally keeps the standing for whoever asks, however long the store takes.
type tally struct {
	mu       sync.Mutex
	standing Standing
}

// renewed takes in that the store has said what is held.
func (t *tally) renewed(l *store.Lease, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.standing.Renewed = now
	t.standing.Held, t.standing.Ends = bits.OnesCount64(l.Partitions), l.Expires
}

// holds takes in what is held.
func (t *tally) holds(l *store.Lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.standing.Held = bits.OnesCount64(l.Partitions)
	if !l.Expires.IsZero() {
		t.standing.Ends = l.Expires
	}
}

// changed counts partitions that were got or lost.
func (t *tally) changed(gained, lost int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.standing.Gained += int64(gained)
	t.standing.Lost += int64(lost)
}

// trouble is what of a lease that is not renewed has been told.
type trouble uint8

const (
	settled trouble = iota
	failing         // it could not be renewed
	ended           // and has ended
)

// failed writes down that the lease was not renewed: once when that begins, and once
// when it has ended.
func (k *Keeper) failed(err error) {
	left := time.Until(k.lease.Expires)
	switch {
	case k.run.Err() != nil:
	case left <= 0 && k.trouble != ended:
		k.trouble = ended
		k.Logger.Error("the lease has ended, for it could not be renewed: this server sends nothing until it can, and tries again all the time; other servers that reach the store take over", "error", err)
	case left > 0 && k.trouble == settled:
		k.trouble = failing
		k.Logger.Warn("the lease could not be renewed; trying again", "ends_in", left.String(), "error", err)
	}
}

// succeeded writes down that it was renewed again.
func (k *Keeper) succeeded() {
	switch k.trouble {
	case ended:
		k.Logger.Info("there is a lease again: this server sends again")
	case failing:
		k.Logger.Info("the lease is renewed again")
	}
	k.trouble = settled
}
