package dispatch

import (
	"math/rand/v2"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// Limits on outcomes that wait for the store. Beyond them nothing new begins:
// what is not recorded would be sent again after a crash.
const (
	maxBacked      = 2048
	maxBackedBytes = 32 << 20
)

// flyingFactor is how many times Config.Memory the requests that are running may
// hold, so that large events to slow endpoints stay within bounds.
const flyingFactor = 8

// idleWorker is how long a worker waits for work until it ends.
const idleWorker = 10 * time.Second

// health is what an attempt tells of its endpoint.
type health uint8

const (
	unknown  health = iota // no request was made, or it tells nothing
	good                   // an answer that the dialect takes for good
	answered               // another answer
	strained               // no answer, or a request to slow down
)

// effect is what an attempt means to its lane. What it means to the delivery
// is in the delivery's outcome.
type effect struct {
	givenBack bool // there is no outcome: the endpoint takes nothing now
	health    health
	wait      time.Duration // how long the endpoint wants to be left alone
	act       dialect.Action
	reach     reach
	reason    string // for act
}

// worker is a goroutine that makes attempts, one after the other. It lives on
// between them, so that its stack stays grown.
type worker struct {
	work  chan *delivery // holds one; nil ends the worker
	since time.Time      // parked
}

func (d *Dispatcher) runWorker(w *worker, dl *delivery) {
	for dl != nil {
		e := d.send(d.run, dl)
		next := d.finish(w, dl, &e)
		if !e.givenBack {
			d.tellOf(dl)
			d.record.add(dl)
		}
		if next == nil {
			next = <-w.work
		}
		dl = next
	}
}

// finish ends an attempt and picks the worker's next delivery. Without one the
// worker is parked.
func (d *Dispatcher) finish(w *worker, dl *delivery, e *effect) *delivery {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	l := dl.lane
	d.holds(l, -1)
	d.inFlight[dl.class]--
	d.flying[dl.class] -= dl.load
	d.rests(dl)
	d.weigh(dl, e, now)
	if l.gone.Load() {
		e.givenBack = true // what became of it changes nothing
	} else {
		d.takeIn(dl, e, now)
	}
	next := d.pick(now)
	if next == nil {
		w.since = now
		d.idle = append(d.idle, w)
		d.stir()
		if d.phase == stopping && d.inFlight == [classes]int{} {
			close(d.drained)
		}
		return nil
	}
	d.kick(now)
	return next
}

// takeIn takes in what an attempt of a lane of ours has brought.
func (d *Dispatcher) takeIn(dl *delivery, e *effect, now time.Time) {
	l := dl.lane
	dl.endInstead(e, now)
	if e.givenBack {
		d.giveBack(dl)
	} else {
		if dl.again {
			dl.startOver(now)
		}
		if a := dl.outcome.Attempt; a != nil {
			l.excerpt(a, now)
		}
		d.backs(dl)
	}
	if l.learn(dl.begun, now, *e) {
		d.evict(l)
	}
	if e.health == strained {
		d.hopeless(l, now)
	}
	d.examine(l, dl, e, now)
	if e.act != dialect.None && !l.acting {
		l.acting = true
		d.upkeep.Add(1) // the worker is running, so Stop is not waiting yet
		go d.act(l, *e)
	}
	d.settle(l, now)
}

// startOver makes the outcome of an attempt during which a redelivery was asked
// for: what did not succeed is due again, with a schedule from the beginning.
func (dl *delivery) startOver(now time.Time) {
	o := &dl.outcome
	if o.State == hook.Delivered || o.Attempt == nil {
		return
	}
	if o.Body == nil && !dl.kept {
		o.Body = dl.body
	}
	o.State, o.NextAt, o.FirstAt, o.Base = hook.Pending, now, time.Time{}, o.Attempt.N
}

// learn takes what an attempt tells of the endpoint. It reports whether the
// breaker opened by it: what waits then need not stay in memory.
func (l *lane) learn(begun, now time.Time, e effect) (opened bool) {
	switch e.health {
	case good:
		l.known = true
		l.isUp()
		if l.breaker.answered() {
			l.limit.restart()
		}
		l.limit.succeeded(l.inFlight+1, l.most)
	case answered:
		l.isUp()
		if l.breaker.answered() {
			l.limit.restart()
		}
	case strained:
		if l.downSince.IsZero() {
			l.downSince = begun
		}
		l.limit.strained(begun, now)
		opened = l.breaker.failed(begun, now, e.wait, rand.Float64())
		if l.limit.strains >= collapseAfter {
			l.known = false
		}
	}
	return opened
}

// pick takes the next delivery whose turn it is and counts it as in flight.
func (d *Dispatcher) pick(now time.Time) *delivery {
	if d.phase != started || d.barred || d.backed >= maxBacked || d.backedBy >= maxBackedBytes {
		return nil
	}
	if d.rings.empty() || d.tenure.over(now) || d.held(now) || !d.mayStart(now) {
		return nil
	}
	places, weight := d.MaxInFlight, flyingFactor*d.Memory
	if d.outage.down {
		places += mostProbes // what hangs by the outage must not keep its end from being seen
	}
	if d.inFlight[proven]+d.inFlight[unproven] >= places || d.flying[proven]+d.flying[unproven] >= weight {
		return nil
	}
	var open [classes]bool
	for c := range open {
		open[c] = d.inFlight[c] < places-places/4 && d.flying[c] < weight-weight/4
	}
	s := d.shares(places)
	for {
		l := d.rings.next(open, &s)
		if l == nil {
			return nil
		}
		dl := l.take(now)
		if dl == nil {
			d.settle(l, now)
			continue
		}
		if dl.heapPos < 0 && dl.fresh {
			d.waiting--
		}
		if dl.turn != nil {
			d.pickedUp(dl)
		}
		dl.class, dl.begun = l.class(), now
		dl.probe = d.outage.begins(now)
		d.holds(l, 1)
		d.inFlight[dl.class]++
		d.starts(dl, now)
		dl.load = dl.weight()
		d.flying[dl.class] += dl.load
		if l.mode == sending {
			l.pacer.spend(l.rate, now)
		}
		d.settle(l, now)
		return dl
	}
}

// kick hands out all deliveries that can be sent now.
func (d *Dispatcher) kick(now time.Time) {
	for dl := d.pick(now); dl != nil; dl = d.pick(now) {
		if n := len(d.idle); n > 0 {
			w := d.idle[n-1]
			d.idle[n-1] = nil
			d.idle = d.idle[:n-1]
			w.work <- dl // it has room: the worker is parked
			continue
		}
		w := &worker{work: make(chan *delivery, 1)}
		d.working.Add(1)
		go func() {
			defer d.working.Done()
			d.runWorker(w, dl)
		}()
	}
}

// dismiss ends workers that have been parked since before a time.
func (d *Dispatcher) dismiss(before time.Time) {
	n := 0
	for n < len(d.idle) && d.idle[n].since.Before(before) {
		d.idle[n].work <- nil
		n++
	}
	d.idle = append(d.idle[:0], d.idle[n:]...)
	clear(d.idle[len(d.idle):cap(d.idle)])
}

// giveBack leaves a delivery to the store, as it was before it was picked.
func (d *Dispatcher) giveBack(dl *delivery) {
	l := dl.lane
	if dl.fresh {
		l.skip(dl.seq, d.first(l))
		l.generation++
		d.fellBehind(l)
	} else {
		l.stores(dl.seq, dl.due)
	}
	fresh := dl.fresh
	d.forget(dl)
	if fresh && l.order != nil {
		d.evict(l) // what comes after it is read after it
	}
}

// settle brings a lane to where it belongs after something has changed: into
// the ring or out of it, to the pagers, to the timers.
func (d *Dispatcher) settle(l *lane, now time.Time) {
	if d.phase != started || l.gone.Load() {
		return
	}
	if l.mode == holding {
		d.evict(l)
	}
	if l.order != nil {
		d.align(l)
	}
	if l.wantsPage(now, d.Memory-d.bytes) {
		d.pages.push(&l.page)
		d.paging.Signal()
	}
	ready, wake := l.ready(now)
	if ready {
		d.rings.add(l)
		return
	}
	d.rings.remove(l)
	if wake.IsZero() && l.idle() {
		wake = d.retire(l, now)
	}
	if !wake.IsZero() {
		d.timers.arm(l, wake)
	}
}

// evict gives what waits in a lane's memory back to the store.
func (d *Dispatcher) evict(l *lane) {
	if l.order != nil {
		d.evictBlocked(l)
	}
	if l.window.n+l.backlog.n+len(l.retries) == 0 {
		return
	}
	l.generation++
	for _, q := range []*list[*delivery]{&l.window, &l.backlog} {
		for q.first != nil {
			dl := q.first.of
			l.skip(dl.seq, d.first(l))
			d.forget(dl)
		}
	}
	if l.from != 0 {
		d.fellBehind(l)
	}
	for len(l.retries) > 0 {
		dl := l.retries[0]
		l.stores(dl.seq, dl.due)
		d.forget(dl)
	}
}

// How long a lane without work stays in memory, for what it has learned of its
// endpoint: shorter when there are very many. Where there are many it lets go of
// its opened secrets, which are several times as large as the lane itself, and
// opens them anew for its next delivery.
const (
	idleLane      = time.Minute
	idleFew       = time.Second
	manyLanes     = 1 << 12
	veryManyLanes = 1 << 14
)

// retire says when a lane without work may go, or lets it go now.
func (d *Dispatcher) retire(l *lane, now time.Time) time.Time {
	d.count(l, -l.pending)
	keep := idleLane
	if len(d.lanes) > manyLanes {
		l.keys.Store(nil)
	}
	if len(d.lanes) > veryManyLanes {
		keep = idleFew
	}
	if l.idleSince.IsZero() {
		l.idleSince = now
	}
	if gone := l.idleSince.Add(keep); gone.After(now) {
		return gone
	}
	d.keepsAilment(l)
	d.remove(l, now)
	return time.Time{}
}

// remove takes a lane out of what is known of lanes.
func (d *Dispatcher) remove(l *lane, now time.Time) {
	d.timers.drop(l)
	delete(d.lanes, l.num)
	d.spent.keep(l.num, l.allowance, now)
	if l.tenant.lanes--; l.tenant.lanes == 0 {
		delete(d.tenants, l.tenant.num)
		d.counted.Delete(l.tenant.num)
	}
}
