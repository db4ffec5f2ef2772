package dispatch

import (
	"context"
	"math"
	"time"

	"grapnel/internal/store"
)

const (
	pagers    = 4
	minPage   = 8
	maxPage   = 256
	pageBytes = 1 << 20
	pageRetry = time.Second // after an error
	// horizon is how far ahead a retry may be due to wait in memory.
	horizon = time.Minute
	// maxRetries is how many retries of a lane wait in memory.
	maxRetries = 64
)

// forever is a time that no retry is due after: the last that a count of
// nanoseconds can say.
var forever = time.Unix(0, math.MaxInt64)

// pageSize is how many deliveries a lane reads at once: what it can send in a
// few rounds, within what is free of the memory budget.
func (l *lane) pageSize(free int) int {
	n := 4 * l.limit.allowed(l.most)
	if l.mode == cancelling {
		n = maxPage
	}
	n = min(max(n, minPage), maxPage, pageBytes/l.meanSize)
	return max(min(n, free/l.meanSize), 1)
}

// wantsPage reports whether it is time to read from the store for a lane.
func (l *lane) wantsPage(now time.Time, free int) bool {
	if !l.storeHas() || l.reading || l.page.in != nil {
		return false
	}
	if l.mode == holding || l.acting || now.Before(l.pageAfter) {
		return false
	}
	if l.givesUp() {
		return true
	}
	if l.mode == sending && !l.breaker.allows(now, l.inFlight) {
		return false
	}
	if free <= 0 && l.inFlight > 0 {
		return false // it goes on by itself, one by one
	}
	size := l.pageSize(free)
	return l.wantsFresh(size, free) || l.wantsRetries(now, size, free)
}

func (l *lane) wantsFresh(size, free int) bool {
	if l.order != nil {
		return l.order.wantsFresh(l, size, free)
	}
	return l.from != 0 && l.backlog.n < (size+1)/2
}

func (l *lane) wantsRetries(now time.Time, size, free int) bool {
	if l.order != nil {
		return l.order.wantsPending(l, free)
	}
	return l.storedDue(now) && (len(l.retries) < (size+1)/2 || l.retryDue(now) == nil)
}

// page is a read from the store on its way.
type page struct {
	lane       *lane
	generation int
	givesUp    bool

	fresh  store.FreshQuery // Limit 0: none
	bound  int64            // its Before
	result store.FreshPage

	until  time.Time
	limit  int       // 0: no retries
	stored time.Time // the lane's storedAt before
	due    []*store.Work
	next   time.Time

	pendingFrom int64 // of an ordered lane: what is pending is read from here on, whenever due; 0: it is not
	pending     store.FreshPage
}

// runPager reads pages for lanes that want one, until quit.
func (d *Dispatcher) runPager() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		for d.phase == started && (d.pages.n == 0 || d.barred) {
			d.paging.Wait()
		}
		if d.phase != started {
			return
		}
		l := d.pages.first.of
		l.page.leave()
		p := d.begin(l, time.Now())
		if p == nil {
			continue
		}
		d.mu.Unlock()
		err := p.read(d.run, d.Queue)
		d.mu.Lock()
		d.take(p, err, time.Now())
	}
}

// begin decides what to read for a lane.
func (d *Dispatcher) begin(l *lane, now time.Time) *page {
	free := d.Memory - d.bytes
	if !l.wantsPage(now, free) {
		return nil
	}
	p := &page{lane: l, generation: l.generation}
	l.reading = true
	clear(l.retired)
	if l.givesUp() {
		l.giveUpPage(p, d.first(l), now)
		return p
	}
	size := l.pageSize(free)
	if l.wantsFresh(size, free) {
		p.bound = l.bound(d.first(l))
		// The range may hold deliveries that are in memory already.
		p.fresh = store.FreshQuery{Endpoint: l.num, From: idAt(l.from), Before: idAt(p.bound), Limit: size}
	}
	switch {
	case !l.wantsRetries(now, size, free):
	case l.order != nil:
		l.order.pendingPage(p, size)
	default:
		p.limit, p.until = size+l.retrying.n, now
		if l.mode == cancelling {
			p.until = forever
		}
		p.stored, l.storedAt = l.storedAt, time.Time{}
	}
	return p
}

// bound is where the lane's range ends: what comes later is offered. first is
// the first event that was; 0 for none, and then there is no bound.
func (l *lane) bound(first int64) int64 {
	if l.to == 0 {
		return first
	}
	return l.to
}

func (p *page) read(ctx context.Context, q store.Queue) (err error) {
	if p.fresh.Limit > 0 {
		if p.result, err = q.Fresh(ctx, p.fresh); err != nil {
			return err
		}
	}
	switch {
	case p.pendingFrom != 0:
		p.pending, err = q.Pending(ctx, p.lane.num, idAt(p.pendingFrom), p.limit)
	case p.limit > 0:
		p.due, p.next, err = q.Retries(ctx, p.lane.num, p.until, p.limit)
	}
	return err
}

// take puts what was read into the lane.
func (d *Dispatcher) take(p *page, err error, now time.Time) {
	l := p.lane
	l.reading = false
	if l.order != nil {
		l.order.reading = 0
	}
	if err != nil || p.generation != l.generation || d.phase != started { // the recorder may have ended
		if !p.stored.IsZero() {
			l.stores(1, p.stored)
		}
		if p.pendingFrom != 0 {
			l.stores(p.pendingFrom, now)
		}
		if err != nil && d.phase == started {
			d.Logger.Warn("deliveries could not be read; trying again", "endpoint_num", int64(l.num), "error", err)
			l.pageAfter = now.Add(pageRetry)
		}
		d.settle(l, now)
		d.kick(now)
		return
	}
	if p.givesUp {
		d.giveUp(p, now)
		if d.backed >= maxBacked {
			l.pageAfter = now.Add(pageRetry)
			d.timers.arm(l, l.pageAfter)
		}
	} else {
		if p.fresh.Limit > 0 {
			d.takeFresh(p, now)
		}
		switch {
		case p.pendingFrom != 0:
			d.takePending(p)
		case p.limit > 0:
			d.takeRetries(p)
		}
	}
	clear(l.retired)
	d.settle(l, now)
	d.kick(now)
}

func (d *Dispatcher) takeFresh(p *page, now time.Time) {
	l := p.lane
	have := l.inMemory(p.result.Work, &l.live, &l.paged)
	for _, w := range p.result.Work {
		seq := w.Event.ID.Seq()
		l.seen = max(l.seen, seq)
		if d.toCome(seq, l) || l.covers(seq, have[seq]) {
			continue
		}
		dl := newWork(l, w)
		dl.offered = now
		d.took(dl)
		dl.join(&l.paged)
		d.await(dl)
		l.apart++
		d.waiting++
	}
	l.meanSize = meanSize(p.result.Work, l.meanSize)
	l.advance(p, d.first(l))
	d.toTell(l)
}

// covers reports whether a fresh delivery that was read is to be left alone: it
// is in memory as dl, or it was recorded while the page was read. What stands in
// for it while it is cancelled takes the place of the lane's range.
func (l *lane) covers(seq int64, dl *delivery) bool {
	switch {
	case l.retired[seq]:
		return true
	case dl == nil:
		return false
	case !dl.fresh:
		dl.fresh = true
		l.apart++
	}
	return true
}

// advance moves the beginning of the lane's range past what a page covers.
// first is the first event that was offered; 0: none was.
func (l *lane) advance(p *page, first int64) {
	last, end := p.result.Next.IsZero(), l.bound(first)
	switch {
	case !last:
		l.from = p.result.Next.Seq()
	case p.bound != 0:
		l.from = p.bound
	default:
		l.from = max(l.seen+1, first)
	}
	if end != 0 && l.from >= end || end == 0 && last && p.bound == 0 {
		l.from, l.to = 0, 0
	}
}

func (d *Dispatcher) takeRetries(p *page) {
	l := p.lane
	have := l.inMemory(p.due, &l.live, &l.paged, &l.retrying)
	for _, w := range p.due {
		if d.knows(l, w, have[w.Event.ID.Seq()]) {
			continue
		}
		dl := newWork(l, w)
		dl.fresh = false
		d.took(dl)
		l.retrying.push(&dl.home)
		d.await(dl)
	}
	l.meanSize = meanSize(p.due, l.meanSize)
	if !p.next.IsZero() {
		l.stored(p.next)
	}
}

// knows reports whether a retry that was read is to be left alone: it is in
// memory as dl, or it was recorded while the page was read. If the store has
// another one by now, for a redelivery was asked for, it is read again when
// what is in memory is over.
func (d *Dispatcher) knows(l *lane, w *store.Work, dl *delivery) bool {
	switch {
	case l.retired[w.Event.ID.Seq()]:
		l.stores(w.Event.ID.Seq(), w.NextAt)
	case dl == nil:
		return false
	case w.Base <= dl.base:
	case dl.waits() || dl.aside:
		d.forget(dl) // what is in memory is out of date
		return false
	default:
		dl.again = true
	}
	return true
}

// inMemory are the deliveries of a page that are in the lists, by event.
func (l *lane) inMemory(works []*store.Work, lists ...*list[*delivery]) map[int64]*delivery {
	if len(works) == 0 {
		return nil
	}
	have := make(map[int64]*delivery, len(works))
	for _, w := range works {
		have[w.Event.ID.Seq()] = nil
	}
	for _, in := range lists {
		for n := in.first; n != nil; n = n.next {
			if _, asked := have[n.of.seq]; asked {
				have[n.of.seq] = n.of
			}
		}
	}
	return have
}

// meanSize is what a delivery of a page costs in memory; before, if the page
// is empty.
func meanSize(works []*store.Work, before int) int {
	if len(works) == 0 {
		return before
	}
	sum := 0
	for _, w := range works {
		sum += deliverySize + eventSize(w.Event) + len(w.Body)
	}
	return sum / len(works)
}
