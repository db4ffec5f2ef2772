package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

const (
	checkpointEvery = time.Second
	// slowAfter is how long a delivery may hold the floor back until its lane
	// is declared behind instead.
	slowAfter = 3 * time.Second
	// tellChunk is how many lanes are told in one hold of the mutex.
	tellChunk = 512
	// unsure stands for a mark of which it is not known what the store has.
	unsure = -1
)

// progress is what Checkpoint tells the store.
//
// Every fresh delivery in memory is either in front, or it is counted in its
// lane's apart, and that lane is behind. So all deliveries of events before
// the first one in front are recorded, but for lanes that are behind, and each
// of these has a mark.
type progress struct {
	front       list[*delivery] // in the order of events
	first, last int64           // events offered
	base        int64           // what the store told at the start
	told        int64           // the floor that the store knows
	dirty       []*lane         // whose mark may have moved
}

func (p *progress) floor() int64 {
	switch {
	case p.front.first != nil:
		return p.front.first.of.seq
	case p.last != 0:
		return max(p.last+1, p.base)
	}
	return p.base
}

// fellBehind makes a lane one that is behind.
func (d *Dispatcher) fellBehind(l *lane) {
	l.behind = true
	d.toTell(l)
}

func (d *Dispatcher) toTell(l *lane) {
	if !l.dirty && !l.gone.Load() {
		l.dirty = true
		d.stir()
		d.progress.dirty = append(d.progress.dirty, l)
	}
}

// unstick declares the lanes behind that hold the floor back too long.
func (d *Dispatcher) unstick(now time.Time) {
	limit := now.Add(-slowAfter)
	for first := d.progress.front.first; first != nil && first.of.lane != nil && first.of.offered.Before(limit); first = d.progress.front.first {
		l := first.of.lane
		for n := l.live.first; n != nil; n = n.next {
			if n.of.front.leave() {
				l.apart++
			}
		}
		d.fellBehind(l)
	}
}

// floor is before what all deliveries are recorded, but for lanes that are behind.
// It is not beyond what is known of what was stored.
func (d *Dispatcher) floor() int64 {
	if d.tail.of == nil {
		return d.progress.floor()
	}
	floor := d.tail.seen + 1
	if first := d.progress.front.first; first != nil {
		floor = min(floor, first.of.seq)
	}
	return floor
}

// gather collects what the store does not know yet of the partitions that have
// joined, with a lease over them. The floor is read first: a lane that falls
// behind later is behind from a later event on, so the chunks need not be of one
// moment. Lanes whose partition joins later are told with a floor of theirs.
func (d *Dispatcher) gather() (l store.Lease, p store.Progress, lanes []*lane) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l = d.tenure.lease.Only(d.tenure.joined)
	d.unstick(time.Now())
	floor := d.floor()
	dirty := d.progress.dirty
	if l.Partitions == 0 || floor == d.progress.told && len(dirty) == 0 {
		return l, p, nil
	}
	d.progress.dirty = nil
	d.progress.told = floor
	p.Floor = idAt(floor)
	for i, one := range dirty {
		if i%tellChunk == tellChunk-1 {
			d.mu.Unlock()
			d.mu.Lock()
		}
		switch {
		case one.gone.Load():
		case l.Partitions>>one.part&1 == 0:
			d.progress.dirty = append(d.progress.dirty, one)
		case d.tell(one, &p):
			lanes = append(lanes, one)
		}
	}
	return l, p, lanes
}

// tell adds a lane to what the store is told, if that is news.
func (d *Dispatcher) tell(l *lane, p *store.Progress) bool {
	l.dirty = false
	if l.from == 0 && l.apart == 0 {
		l.behind = false
		if l.told == 0 {
			return false
		}
		l.told = 0
		p.CaughtUp = append(p.CaughtUp, l.num)
		return true
	}
	m := l.mark()
	if at := d.horizon(); at != 0 {
		m = min(m, at) // it may have been offered ahead
	}
	if m == l.told {
		return false
	}
	l.told = m
	p.Behind = append(p.Behind, store.LaneMark{Endpoint: l.num, From: idAt(m)})
	return true
}

// checkpoint tells the store how far dispatch is, if that has changed.
func (d *Dispatcher) checkpoint(ctx context.Context) error {
	d.telling.lock()
	defer d.telling.unlock()
	lease, p, lanes := d.gather()
	if p.Floor.IsZero() {
		d.untold(lanes)
		return nil
	}
	if err := d.Queue.Checkpoint(ctx, lease, p); err != nil {
		if errors.Is(err, store.ErrLeaseLost) {
			d.doubt()
		}
		d.untold(lanes)
		return fmt.Errorf("checkpoint the progress: %w", err)
	}
	return nil
}

// untold takes back that the store was told.
func (d *Dispatcher) untold(lanes []*lane) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.progress.told = unsure
	for _, l := range lanes {
		l.told, l.behind = unsure, true
		d.toTell(l)
	}
}

// stir wakes the janitor, if it sleeps.
func (d *Dispatcher) stir() {
	if d.awake {
		return
	}
	d.awake = true
	select {
	case d.stirred <- struct{}{}:
	default:
	}
}

// runJanitor keeps progress and ends workers that have nothing to do. It works
// once a second while there is any of that, so that an idle server sleeps.
func (d *Dispatcher) runJanitor() {
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for {
		tick.Stop()
		select {
		case <-d.quit:
			return
		case <-d.stirred:
			tick.Reset(checkpointEvery)
		}
		for busy := true; busy; {
			select {
			case <-d.quit:
				return
			case now := <-tick.C:
				busy = d.tidy(now)
			}
		}
	}
}

// tidy is the janitor's round. It reports whether there will be more to do.
func (d *Dispatcher) tidy(now time.Time) bool {
	d.mu.Lock()
	d.dismiss(now.Add(-idleWorker))
	barred := d.barred
	d.mu.Unlock()
	if !barred {
		if err := d.checkpoint(d.run); err != nil && d.run.Err() == nil {
			d.Logger.Warn("progress was not stored; a restart would look further back", "error", err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.awake = len(d.idle)+d.progress.front.n+len(d.progress.dirty) > 0 || d.progress.told != d.floor()
	return d.awake
}

// idAt is the lowest id with a sequence number, the zero id for none.
func idAt(seq int64) hook.EventID {
	if seq == 0 {
		return hook.EventID{}
	}
	return hook.EventIDFrom(seq, 0)
}
