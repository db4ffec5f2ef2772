package dispatch

import (
	"sync/atomic"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// mode is what a lane's endpoint allows.
type mode uint8

const (
	sending    mode = iota // deliveries are sent
	holding                // inactive: deliveries stay in the store until it is active again
	cancelling             // gone, or inactive under a dialect that cancels then: deliveries end without a request
)

// cancelLimit is how many deliveries of a lane are cancelled at once.
const cancelLimit = 32

// lane is an endpoint's queue. Everything but num, part, tenant, keys, gone and
// complained is guarded by the dispatcher's mutex.
//
// Its fresh deliveries are in memory (live: as they were offered; paged: read
// back from the store) or lie in the store alone. The latter all are of events
// from ≤ seq < to; in that range there may be recorded ones, and ones in
// memory, too. Its retries are in memory (retrying) or in the store alone; of
// the latter none is due before storedAt.
type lane struct {
	num    hook.EndpointNum
	part   uint8 // its partition
	tenant *tenant
	keys   atomic.Pointer[keyset]
	gone   atomic.Bool // its partition is not ours any more; it is in no list, and another one may be in its place

	complained atomic.Int64 // Unix time of the last complaint that it cannot send

	host         uint64 // stands for the endpoint's host
	url          uint64 // stands for the endpoint's URL, as it was when it was configured; 0: not known
	ordering     hook.Ordering
	stays        bool // no delivery may be skipped
	mode         mode
	disableAfter time.Duration // for how long all attempts may fail; 0: for ever
	acting       bool          // its endpoint is being disabled or removed because of an answer
	most         int           // the endpoint's own limit of requests at once
	rate         float64
	known        bool // it answered lately
	turn         uint8
	inFlight     int
	limit        limiter
	breaker      breaker
	pacer        pacer
	allowance    allowance
	bytes        int   // of its deliveries in memory
	pending      int64 // deliveries that are not over
	idleSince    time.Time
	ailment      ailment
	downSince    time.Time // the first of the last requests that got no answer, if the last got none
	giveUpAt     time.Time // not before
	cutoff       int64     // events before it are being given up; 0: none are

	window  list[*delivery] // live ones that wait
	backlog list[*delivery] // paged ones that wait
	retries retryHeap       // retrying ones that wait

	live, paged, retrying list[*delivery]

	order *order // nil: they wait for no other

	from, to int64     // from 0: none; to 0: no bound yet
	seen     int64     // fresh deliveries up to here have been read from the store
	storedAt time.Time // zero: none

	reading    bool           // a page is being read
	generation int            // counts what makes a page that is being read useless
	retired    map[int64]bool // deliveries that were recorded while the page was read
	meanSize   int            // of the deliveries in the last page
	pageAfter  time.Time      // not before, after an error

	aside  int   // deliveries that are put aside
	apart  int   // fresh deliveries in memory that are not in the dispatcher's front
	behind bool  // told, or to be told, to the store as behind
	dirty  bool  // in the dispatcher's list of lanes to tell
	told   int64 // the mark that the store knows; 0: none

	ring   node[*lane] // in the tenant's ready
	page   node[*lane] // in the dispatcher's pages
	timer  int         // place in the timers' heap, -1 if it is not there
	wakeAt time.Time
}

func newLane(num hook.EndpointNum, t *tenant) *lane {
	l := &lane{num: num, part: uint8(store.PartitionOf(num)), tenant: t, limit: newLimiter(), timer: -1, meanSize: 4 << 10}
	l.ring.of, l.page.of = l, l
	return l
}

func (l *lane) class() class {
	if l.known {
		return proven
	}
	return unproven
}

// startAnew forgets what was learned of the endpoint.
func (l *lane) startAnew() {
	l.limit, l.breaker, l.known, l.ailment = newLimiter(), breaker{}, false, ailment{}
	l.isUp()
}

// room reports whether a fresh delivery of a size may wait in memory, given
// how much is free of the budget. A lane may take a quarter of what is free,
// so that one lane can use much and a thousand still leave some.
func (l *lane) room(size, free int) bool {
	if l.mode != sending || l.acting || l.breaker.open || size > free || l.order != nil && !l.order.room(l) {
		return false
	}
	if l.limit.limit < 2 && l.window.n >= 2*startLimit {
		return false // it is being probed only
	}
	n := l.window.n
	if l.order != nil {
		n = l.order.ahead(l)
	}
	return n < startLimit || l.bytes+size <= free/4 && l.tenant.fits(size, free)
}

// places is how many more requests may begin now, for what mode it is in.
func (l *lane) places(now time.Time) int {
	switch {
	case l.mode == holding || l.acting:
		return 0
	case l.mode == cancelling:
		return cancelLimit - l.inFlight
	case l.breaker.open:
		if l.breaker.allows(now, l.inFlight) {
			return 1
		}
		return 0
	}
	return l.limit.allowed(l.most) - l.inFlight
}

// retryDue is a retry that may be made now. One that is to be cancelled need
// not wait.
func (l *lane) retryDue(now time.Time) *delivery {
	if l.mode == cancelling && len(l.retries) > 0 {
		return l.retries[0]
	}
	return l.retries.due(now)
}

// storedDue reports whether the store has retries to read now.
func (l *lane) storedDue(now time.Time) bool {
	return !l.storedAt.IsZero() && (l.mode == cancelling || !l.storedAt.After(now))
}

// ready reports whether a request may begin now. If not, wake is when that may
// change by time alone; zero: it does not.
func (l *lane) ready(now time.Time) (ok bool, wake time.Time) {
	if l.mode == holding || l.acting {
		return false, wake
	}
	waiting := l.window.n+l.backlog.n > 0 || l.retryDue(now) != nil
	if !waiting {
		return false, l.nextWake(now)
	}
	if l.places(now) <= 0 {
		if l.breaker.open && l.mode == sending && l.inFlight == 0 {
			return false, l.breaker.until
		}
		return false, wake // the end of a request changes it
	}
	if l.mode == sending {
		if wait := l.pacer.wait(l.rate, now); wait > 0 {
			return false, now.Add(wait)
		}
	}
	return true, wake
}

// nextWake is when a lane in which nothing waits has work again by time alone;
// zero if it has not.
func (l *lane) nextWake(now time.Time) time.Time {
	var next time.Time
	sooner := func(t time.Time) {
		if l.mode == sending && l.breaker.open && t.Before(l.breaker.until) {
			t = l.breaker.until
		}
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if !l.reading && (l.from != 0 || l.order != nil && l.order.pendingFrom != 0) {
		sooner(l.pageAfter)
	}
	if !l.storedAt.IsZero() {
		sooner(latest(l.storedAt, l.pageAfter))
	}
	if len(l.retries) > 0 {
		sooner(l.retries[0].due)
	}
	return next
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// take removes the next delivery from its queue. Live ones alternate with all
// others, and among the others paged ones with retries, so that neither a
// backlog nor retries can starve what is new (case 60).
func (l *lane) take(now time.Time) *delivery {
	retry := l.retryDue(now)
	l.turn++
	old := l.backlog.n > 0 || retry != nil
	if l.window.n > 0 && (!old || l.turn%2 == 0) {
		return unqueue(&l.window)
	}
	if retry == nil || l.backlog.n > 0 && l.turn%4 < 2 {
		if l.backlog.n == 0 {
			return nil
		}
		return unqueue(&l.backlog)
	}
	l.retries.take(retry)
	return retry
}

func unqueue(q *list[*delivery]) *delivery {
	dl := q.first.of
	dl.queue.leave()
	return dl
}

// find is the delivery of an event in memory, nil if it is not there.
func (l *lane) find(id hook.EventID) *delivery {
	for _, home := range []*list[*delivery]{&l.retrying, &l.live, &l.paged} {
		for n := home.first; n != nil; n = n.next {
			if n.of.event.ID == id {
				return n.of
			}
		}
	}
	return nil
}

// mark is the first event that a fresh delivery of the lane may be unrecorded
// of; 0 if there is none.
func (l *lane) mark() int64 {
	m := l.from
	for _, home := range []*list[*delivery]{&l.live, &l.paged} {
		if home.first != nil && (m == 0 || home.first.of.seq < m) {
			m = home.first.of.seq
		}
	}
	return m
}

// skip says that the store alone has a fresh delivery. first is the first
// event that was ever offered; 0: none was.
func (l *lane) skip(seq, first int64) {
	switch {
	case l.from == 0:
		l.from, l.to = seq, seq+1
		return
	case l.to == 0:
		l.to = first // all that lies before was in the store at the start
	}
	l.from = min(l.from, seq)
	if l.to != 0 {
		l.to = max(l.to, seq+1)
	}
}

// hasAfter reports whether a fresh delivery of a later event is in memory.
func (l *lane) hasAfter(seq int64) bool {
	for _, home := range []*list[*delivery]{&l.live, &l.paged} {
		if home.last != nil && home.last.of.seq > seq {
			return true
		}
	}
	return false
}

// stored says that the store alone has a retry, due at a time.
func (l *lane) stored(due time.Time) {
	if l.storedAt.IsZero() || due.Before(l.storedAt) {
		l.storedAt = due
	}
}

// idle reports whether nothing of the lane is in memory or in the store.
func (l *lane) idle() bool {
	return l.inFlight == 0 && !l.storeHas() && l.live.n+l.paged.n+l.retrying.n == 0 &&
		!l.reading && l.page.in == nil && !l.dirty && !l.acting
}
