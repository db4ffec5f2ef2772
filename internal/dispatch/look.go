package dispatch

import (
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/why"
)

// Look tells of a delivery that waits. It costs a walk along the endpoint's queue in
// memory.
func (d *Dispatcher) Look(key hook.DeliveryKey) why.Place {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	p := why.Place{Here: d.tenure.lease.Holds(key.Endpoint), Unsent: d.tenure.over(now), NoWayOut: d.outage.down, Ahead: -1}
	if d.phase != started || d.tenure.leaving>>store.PartitionOf(key.Endpoint)&1 == 1 {
		p.Here = false
	}
	l := d.lanes[key.Endpoint]
	if !p.Here || l == nil {
		return p
	}
	p.InFlight, p.Most = l.inFlight, l.limit.allowed(l.most)
	p.Broken, p.Failed, p.ProbeAt = l.breaker.open, l.breaker.failures, l.breaker.until
	p.RateWait = l.pacer.wait(l.rate, now)
	dl := l.find(key.Event)
	if dl == nil {
		return p
	}
	p.Aside = dl.aside
	p.UnderWay = !dl.waits() && !dl.aside
	switch {
	case dl.queue.in == &l.window || dl.queue.in == &l.backlog:
		p.Ahead = 0
		for n := dl.queue.prev; n != nil; n = n.prev {
			p.Ahead++
		}
	case dl.heapPos >= 0:
		p.Ahead = 0
		for _, other := range l.retries {
			if other.due.Before(dl.due) {
				p.Ahead++
			}
		}
	}
	return p
}
