package dispatch

import (
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// A breaker lets one request through at a time, so most deliveries to an
// endpoint that stays away would wait for ever and pin the log. They are given
// up when the endpoint has not answered for as long as a schedule lasts, and
// they have waited for as long: none of them could have been delivered.

// giveUpEvery is how often a lane is looked through.
const giveUpEvery = time.Hour

// hopeless starts giving up, if it is time to.
func (d *Dispatcher) hopeless(l *lane, now time.Time) {
	if !l.breaker.open || l.cutoff != 0 || l.downSince.IsZero() || now.Before(l.giveUpAt) {
		return
	}
	e, ok := d.Directory.Endpoint(l.num)
	if !ok || neverSkips(e) {
		return
	}
	c, ok := d.Dialects.Get(e.Dialect)
	if !ok {
		return
	}
	span := c.Schedule(e.Schedule).Span()
	if now.Sub(l.downSince) <= span {
		return
	}
	l.cutoff = hook.FirstEventID(now.Add(-span)).Seq()
	l.giveUpAt = now.Add(giveUpEvery)
}

// isUp ends giving up: the endpoint has answered.
func (l *lane) isUp() {
	l.downSince = time.Time{}
	if l.cutoff != 0 {
		l.cutoff = 0
		l.generation++ // a page may be on its way
	}
}

// givesUp reports whether there is something to look through for what to give
// up.
func (l *lane) givesUp() bool {
	return l.cutoff != 0 && l.mode == sending && !l.stays
}

// giveUpPage is what to read for it. The retries are read once each time; there
// are no more of them than there were probes.
func (l *lane) giveUpPage(p *page, first int64, now time.Time) {
	p.givesUp = true
	if bound := l.bound(first); l.from != 0 && l.from < l.cutoff {
		p.bound = l.cutoff
		if bound != 0 {
			p.bound = min(bound, l.cutoff)
		}
		p.fresh = store.FreshQuery{Endpoint: l.num, From: idAt(l.from), Before: idAt(p.bound), Limit: maxPage}
	}
	if (!l.storedAt.IsZero() || l.order != nil && l.order.pendingFrom != 0) && p.fresh.Limit == 0 {
		p.limit, p.until = maxPage, now
		p.stored, l.storedAt = l.storedAt, time.Time{}
	}
}

// giveUp ends what a page brought, so far as it is from before the cutoff.
func (d *Dispatcher) giveUp(p *page, now time.Time) {
	l := p.lane
	reason := "given up without a request: the endpoint has not answered since " + l.downSince.UTC().Format(time.RFC3339)
	end := func(dl *delivery) {
		dl.outcome = store.Outcome{Key: dl.key(), At: now, State: hook.Failed, Reason: reason, FirstAt: dl.firstAt, Base: dl.base}
		d.took(dl)
		d.lineUpEnding(dl)
		d.backs(dl)
		d.record.add(dl)
	}
	have := l.inMemory(p.result.Work, &l.live, &l.paged)
	for _, w := range p.result.Work {
		if dl := newWork(l, w); !d.toCome(dl.seq, l) && !l.covers(dl.seq, have[dl.seq]) {
			dl.join(&l.paged)
			l.apart++
			end(dl)
		}
	}
	if p.fresh.Limit > 0 {
		l.advance(p, d.first(l))
		d.toTell(l)
	}
	have = l.inMemory(p.due, &l.live, &l.paged, &l.retrying)
	for _, w := range p.due {
		dl := newWork(l, w)
		switch {
		case d.knows(l, w, have[dl.seq]):
		case dl.seq >= l.cutoff:
			l.stores(dl.seq, w.NextAt)
		default:
			dl.fresh = false
			l.retrying.push(&dl.home)
			end(dl)
		}
	}
	if !p.next.IsZero() && l.order == nil {
		l.stored(p.next)
	}
	if p.limit > 0 || l.storedAt.IsZero() && (l.from == 0 || l.from >= l.cutoff) {
		l.cutoff = 0 // that was the last page
	}
}
