package dispatch

import "time"

// An attempt takes the processor until its request is out, and again when its
// answer is there; fast endpoints answer at once. With as many of them at it as
// there are places for requests, all else would wait behind them for a
// processor: other tenants' deliveries, and whoever publishes (cases 56, 62). So
// only some may be at it at once. One counts until it ends, or until its request
// has been out for a while without an answer; then the next one is picked, in its
// turn.

// awhile is how long an endpoint may take to answer and still count as fast.
const awhile = time.Millisecond

// sharedFor is how long after two tenants have sent in turn they count as sharing
// the processor: then half as many attempts may take it, so that none of them
// waits long for it because of the others.
const sharedFor = time.Second

// processor knows the attempts that take the processor, which are busy.
type processor struct {
	n     int
	sent  list[*delivery] // those whose request is out, in that order
	last  *tenant         // whose attempt began last
	until time.Time       // until when tenants count as sharing
	alarm *time.Timer     // looks for those that have been out for a while; nil: none is set
}

// starts counts an attempt as busy. Called with mu held.
func (d *Dispatcher) starts(dl *delivery, now time.Time) {
	p := &d.processor
	dl.busy = true
	p.n++
	if t := dl.lane.tenant; t != p.last {
		if p.last != nil {
			p.until = now.Add(sharedFor)
		}
		p.last = t
	}
}

// rests ends that, if it has not ended before. Called with mu held.
func (d *Dispatcher) rests(dl *delivery) {
	if dl.busy {
		dl.busy = false
		d.processor.n--
		dl.out.leave()
	}
}

// most is how many may be busy.
func (p *processor) most(limit int, now time.Time) int {
	if now.Before(p.until) {
		return max(1, limit/2)
	}
	return limit
}

// waits is told that an attempt has nothing to do but wait; for long, if it is
// for more than a fast answer. It may be told so several times.
func (d *Dispatcher) waits(dl *delivery, long bool) {
	if d.Busy == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	switch {
	case !dl.busy:
		return
	case long:
		d.rests(dl)
	case dl.out.in == nil:
		dl.sent = now
		d.processor.sent.push(&dl.out)
	}
	if !d.rings.empty() {
		d.kick(now)
	}
}

// mayStart reports whether another attempt may begin. If not, it sees to it that
// one will. Called with mu held.
func (d *Dispatcher) mayStart(now time.Time) bool {
	p := &d.processor
	most := p.most(d.Busy, now)
	if d.Busy == 0 || p.n < most {
		return true
	}
	for p.sent.first != nil {
		dl := p.sent.first.of
		if left := awhile - now.Sub(dl.sent); left > 0 {
			d.lookAgain(left)
			break
		}
		d.rests(dl)
	}
	return p.n < most
}

func (d *Dispatcher) lookAgain(in time.Duration) {
	p := &d.processor
	if p.alarm != nil {
		return
	}
	p.alarm = time.AfterFunc(in, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		p.alarm = nil
		if !d.rings.empty() {
			d.kick(time.Now())
		}
	})
}
