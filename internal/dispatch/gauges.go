package dispatch

import (
	"time"

	"grapnel/internal/telemetry"
)

// gaugeChunk is how many lanes are looked at in one hold of the mutex.
const gaugeChunk = 512

// Gauges tells how the queue is. It looks through all lanes, in pieces, so
// that many of them do not hold up who sends.
func (d *Dispatcher) Gauges() telemetry.QueueGauges {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := telemetry.QueueGauges{
		Pending: d.pending.Load(), Due: d.waiting, InFlight: d.inFlight[proven] + d.inFlight[unproven], Lanes: len(d.lanes), Outcomes: d.backed, Barred: d.barred || d.tenure.over(time.Now()), Unreached: d.outage.down,
	}
	lanes := make([]*lane, 0, len(d.lanes))
	for _, l := range d.lanes {
		lanes = append(lanes, l)
	}
	now := time.Now()
	var oldest time.Time
	for i, l := range lanes {
		if i%gaugeChunk == gaugeChunk-1 {
			d.mu.Unlock()
			d.mu.Lock()
		}
		switch {
		case l.mode != sending:
			continue
		case l.breaker.open:
			g.Broken++
			continue
		case l.from != 0:
			g.Behind++
		}
		if due := l.dueSince(); !due.IsZero() && due.Before(now) && (oldest.IsZero() || due.Before(oldest)) {
			oldest = due
		}
	}
	if !oldest.IsZero() {
		g.OldestAge = now.Sub(oldest)
	}
	return g
}

// dueSince is since when the delivery of the lane is due that waits longest,
// or when the next one will be; zero: none waits.
func (l *lane) dueSince() (since time.Time) {
	sooner := func(t time.Time) {
		if since.IsZero() || t.Before(since) {
			since = t
		}
	}
	for _, q := range []*list[*delivery]{&l.window, &l.backlog} {
		if q.first != nil {
			sooner(q.first.of.dueAt())
		}
	}
	if l.from != 0 {
		sooner(acceptedAt(l.from))
	}
	if len(l.retries) > 0 {
		sooner(l.retries[0].due)
	}
	if !l.storedAt.IsZero() {
		sooner(l.storedAt)
	}
	return since
}
