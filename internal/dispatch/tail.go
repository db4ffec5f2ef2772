package dispatch

import (
	"cmp"
	"context"
	"slices"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Where several nodes store events, a node learns of the others' from the log: it
// follows its end. What it stored itself is there, too, but was offered at once.
// That may be ahead of what it has read: then events come out of order, which
// matters to nobody but to lanes with an order, and these wait for what lies
// between (see align).
//
// Whatever is offered twice is met here: an event up to seen is not offered by
// who stored it, and one that was offered ahead is passed over when it is read.
// So each event is handed to its lanes once, by whoever comes first.

const (
	tailLeast = 5 * time.Millisecond  // between two looks, when something came
	tailMost  = 25 * time.Millisecond // when nothing comes
	tailLimit = 512                   // events in a look
)

// tail is how far the log was followed. The dispatcher's mutex guards it.
type tail struct {
	of     store.Follower // nil: whoever stores events offers them all
	seen   int64          // all events up to here were handed to their lanes
	ahead  []int64        // later ones that were, ascending
	hint   chan struct{}  // something may have arrived
	barred map[*lane]bool // ordered lanes that wait for what was not read yet
}

func newTail(q store.Queue) tail {
	t := tail{hint: make(chan struct{}, 1), barred: map[*lane]bool{}}
	t.of, _ = q.(store.Follower)
	return t
}

// last is the last event that was stored, or offered where nobody else stores any.
func (t *tail) last(ctx context.Context, offered int64) (int64, error) {
	if t.of == nil {
		return offered, nil
	}
	id, err := t.of.LastEvent(ctx)
	return max(id.Seq(), 1), err
}

// took reports whether an event was handed to its lanes.
func (t *tail) took(seq int64) bool {
	if seq <= t.seen {
		return true
	}
	_, found := slices.BinarySearch(t.ahead, seq)
	return found
}

// moveTo says that all events up to seq were handed out, or need not be.
func (t *tail) moveTo(seq int64) {
	t.seen = max(t.seen, seq)
	n, _ := slices.BinarySearch(t.ahead, t.seen+1)
	t.ahead = slices.Delete(t.ahead, 0, n)
}

// toCome reports whether a lane will get an event's delivery yet, so that a page
// which has it leaves it.
func (d *Dispatcher) toCome(seq int64, l *lane) bool {
	return d.tail.of != nil && seq >= d.tenure.parts[l.part].first && d.unoffered(seq, l.num)
}

// horizon is the first event that a lane may not have got yet, while it has later
// ones: ordered lanes send nothing of those, and marks are not beyond it. 0: all
// come in order.
func (d *Dispatcher) horizon() int64 {
	if d.tail.of == nil {
		return 0
	}
	at := d.tail.seen + 1
	for _, w := range d.wides {
		at = min(at, w.seq)
	}
	return at
}

// Hint says that other nodes may have stored events. Without it they are found a
// few milliseconds later.
func (d *Dispatcher) Hint() { signal(d.tail.hint) }

// runTail follows the log, until quit.
func (d *Dispatcher) runTail() {
	wait := tailMost
	clock := time.NewTimer(wait)
	defer clock.Stop()
	for {
		select {
		case <-d.quit:
			return
		case <-d.tail.hint:
		case <-clock.C:
		}
		for n := tailLimit; n == tailLimit; {
			n, wait = d.follow(wait)
		}
		clock.Reset(wait)
	}
}

// follow takes in what arrived, and says how much that was and how long to wait
// then.
func (d *Dispatcher) follow(wait time.Duration) (n int, then time.Duration) {
	d.mu.Lock()
	l, after := d.tenure.lease, d.tail.seen
	idle := d.phase != started || d.tenure.joined == 0
	d.mu.Unlock()
	if idle {
		return 0, tailMost
	}
	a, err := d.tail.of.Arrived(d.run, l, hook.EventIDFrom(after, ^uint64(0)), tailLimit)
	switch {
	case err != nil:
		if d.run.Err() == nil {
			d.Logger.Warn("what other nodes stored could not be read; trying again", "error", err)
		}
		return 0, min(max(2*wait, minBackoff), maxBackoff)
	case len(a.Events) > 0:
		then = tailLeast
	default:
		then = min(2*wait, tailMost)
	}
	if !d.arrived(l.Partitions, &a) {
		return tailLimit, then
	}
	return len(a.Events), then
}

// arrived hands out events that were read of partitions, but for those that were offered.
// It reports whether that was all there is to read: partitions may have come since they
// were asked for, and of those what lies beyond their listing would be missing. Then it
// is to be read again.
func (d *Dispatcher) arrived(partitions uint64, a *store.Arrivals) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.phase != started {
		return true
	}
	if d.tenure.lease.Partitions&^partitions != 0 {
		return false
	}
	now := time.Now()
	n := 0
	for _, e := range a.Events {
		d.thinOut(now)
		seq := e.ID.Seq()
		if !d.tail.took(seq) {
			d.handOut(e, seq, now)
		}
		d.tail.moveTo(seq)
		if n += len(e.Targets); n >= offerChunk {
			n = 0
			d.kick(now)
			d.mu.Unlock()
			d.mu.Lock()
		}
	}
	if seen := a.Seen.Seq(); seen > d.tail.seen || len(a.Events) > 0 {
		d.tail.moveTo(seen)
		d.stir()
	}
	if len(d.early) > 0 {
		d.forgetEarly()
	}
	d.unbar(now)
	d.kick(now)
	return true
}

// unbar lets ordered lanes go on as far as they have got all.
func (d *Dispatcher) unbar(now time.Time) {
	if len(d.tail.barred) == 0 {
		return
	}
	lanes := make([]*lane, 0, len(d.tail.barred))
	for l := range d.tail.barred {
		lanes = append(lanes, l)
	}
	clear(d.tail.barred)
	slices.SortFunc(lanes, func(a, b *lane) int { return cmp.Compare(a.num, b.num) })
	for _, l := range lanes {
		d.settle(l, now)
	}
}
