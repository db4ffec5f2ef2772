package dispatch

import (
	"cmp"
	"runtime"
	"slices"
	"time"

	"grapnel/internal/hook"
)

// An event for very many endpoints takes a while to be handed to their lanes:
// ten thousand of them a tenth of a second. Whoever publishes meanwhile, and
// other events' deliveries, do not wait for that (case 62): such an event is
// handed out by a goroutine of its own, a few targets at a time. Each lane
// still gets its deliveries in the order of events, for a later event's takes an
// earlier one along. The event's place in front keeps the floor where it is
// until all its lanes have it, so that nothing is missed after a crash.

// wideChunk is how many targets are handed out in one hold of the mutex.
const wideChunk = 32

// maxWides is how many such events may wait at once, for they are in memory and
// count in no limit. Who offers more of them helps to hand them out.
const maxWides = 64

// wide is an event that is being handed out.
type wide struct {
	event *hook.Event
	seq   int64
	at    int                       // targets before it have been handed out
	ahead map[hook.EndpointNum]bool // so have these behind it
	mark  delivery                  // stands for the event in front; it is no delivery
}

// thinOut helps to hand out wide events while too many wait. It lets go of the
// mutex then.
func (d *Dispatcher) thinOut(now time.Time) {
	for len(d.wides) >= maxWides {
		d.spreadSome(d.wides[0], now)
		d.kick(now)
		d.mu.Unlock()
		d.mu.Lock()
	}
}

// spread begins to hand out an event.
func (d *Dispatcher) spread(e *hook.Event, now time.Time) {
	w := &wide{event: e, seq: e.ID.Seq()}
	w.mark.seq, w.mark.offered, w.mark.front.of = w.seq, now, &w.mark
	d.standInFront(&w.mark, nil)
	d.wides = append(d.wides, w)
	d.spreading.Signal()
}

// runSpreader hands wide events out, until quit.
func (d *Dispatcher) runSpreader() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.phase == started {
		if len(d.wides) == 0 {
			d.spreading.Wait()
			continue
		}
		now := time.Now()
		d.spreadSome(d.wides[0], now)
		d.kick(now)
		d.mu.Unlock()
		runtime.Gosched()
		d.mu.Lock()
	}
}

// spreadSome hands the next targets of the first wide event out.
func (d *Dispatcher) spreadSome(w *wide, now time.Time) {
	targets := w.event.Targets
	for end := min(w.at+wideChunk, len(targets)); w.at < end; {
		t := targets[w.at]
		w.at++
		if !w.ahead[t.Endpoint] {
			d.offerOf(w, t, now)
		}
	}
	if w.at < len(targets) {
		return
	}
	w.mark.front.leave()
	d.wides = slices.Delete(d.wides, 0, 1)
	d.forgetEarly()
	d.unbar(now)
	d.stir()
}

func (d *Dispatcher) offerOf(w *wide, t hook.Target, now time.Time) {
	if t.Disposition == hook.Deliver && d.tenure.lease.Holds(t.Endpoint) {
		d.offer(w.event, w.seq, t.Endpoint, &w.mark, now)
	}
}

// catchUp hands a lane what wide events before have for it.
func (d *Dispatcher) catchUp(num hook.EndpointNum, now time.Time) {
	for _, w := range d.wides {
		i, ok := w.find(num)
		if !ok || w.ahead[num] {
			continue
		}
		if w.ahead == nil {
			w.ahead = map[hook.EndpointNum]bool{}
		}
		w.ahead[num] = true
		d.offerOf(w, w.event.Targets[i], now)
	}
}

// unoffered reports whether a delivery of an event that was stored is still to
// be offered, or may be.
func (d *Dispatcher) unoffered(seq int64, num hook.EndpointNum) bool {
	for _, w := range d.wides {
		if w.seq == seq {
			_, rest := w.find(num)
			return rest && !w.ahead[num]
		}
	}
	if d.tail.of != nil {
		return !d.tail.took(seq)
	}
	return seq > d.progress.last
}

// find is an endpoint's place among the targets that are still to be handed out.
func (w *wide) find(num hook.EndpointNum) (at int, ok bool) {
	at, ok = slices.BinarySearchFunc(w.event.Targets[w.at:], num, func(t hook.Target, num hook.EndpointNum) int { return cmp.Compare(t.Endpoint, num) })
	return w.at + at, ok
}
