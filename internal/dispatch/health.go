package dispatch

import (
	"cmp"
	"context"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// When an endpoint that takes nothing is told of, and how often at the least an
// attempt must have failed for it.
const (
	warnAfter    = 10 * time.Minute
	fewestFailed = 3
)

// ailment is what an endpoint's attempts tell of it while all of them fail. It goes
// by time, for an endpoint that gets much fails often in a minute (counts say
// nothing), and by attempts, for one that gets little has not failed while nobody
// asked it.
type ailment struct {
	since   time.Time // when the first of them began; zero: the last one did not fail
	failed  int       // how many, as far as this process knows
	warned  int       // how often it was told of
	telling bool      // it is being told of
	over    bool      // an attempt has succeeded meanwhile
}

// mostAilments is of how many endpoints without work it is remembered that they
// failed.
const mostAilments = 1 << 16

// keepsAilment remembers how an endpoint fared whose lane goes for want of work.
func (d *Dispatcher) keepsAilment(l *lane) {
	if l.ailment.since.IsZero() || l.ailment.telling || len(d.ailments) >= mostAilments {
		return
	}
	if d.ailments == nil {
		d.ailments = map[hook.EndpointNum]ailment{}
	}
	d.ailments[l.num] = l.ailment
}

// takesAilment is what keepsAilment remembered.
func (d *Dispatcher) takesAilment(num hook.EndpointNum) ailment {
	t := d.ailments[num]
	delete(d.ailments, num)
	return t
}

// examine takes in what an attempt tells of the endpoint's health. Each attempt
// goes one step at most: so there is a warning before an endpoint is disabled.
func (d *Dispatcher) examine(l *lane, dl *delivery, e *effect, now time.Time) {
	a := dl.outcome.Attempt
	if e.givenBack || a == nil || l.mode != sending || e.act != dialect.None || a.Reason == excuse {
		return
	}
	t := &l.ailment
	if a.State == hook.Delivered {
		d.recovers(l)
		return
	}
	if t.since.IsZero() {
		t.since = dl.begun
	}
	t.failed++
	lasted := now.Sub(t.since)
	switch {
	case t.telling || t.failed < fewestFailed && t.warned == 0:
	case t.warned == 0 && lasted >= l.warnAfter(), t.warned == 1 && l.disableAfter > 0 && lasted >= l.disableAfter*3/4:
		d.warns(l, cmp.Or(e.reason, a.Reason))
	case t.warned > 0 && l.disableAfter > 0 && lasted >= l.disableAfter:
		e.act = dialect.Disable
		e.reason = "all attempts failed since " + t.since.UTC().Format(time.RFC3339) + ", for longer than disable_after; the last one: " + cmp.Or(e.reason, a.Reason)
	}
}

// warnAfter is for how long all attempts must have failed until it is told.
func (l *lane) warnAfter() time.Duration {
	if l.disableAfter > 0 {
		return min(warnAfter, l.disableAfter/2)
	}
	return warnAfter
}

// recovers notes that an attempt has succeeded.
func (d *Dispatcher) recovers(l *lane) {
	t := &l.ailment
	switch {
	case t.since.IsZero():
	case t.telling:
		t.over = true
	case t.warned == 0 && !d.toldFailing(l):
		*t = ailment{}
	default:
		since := t.since
		*t = ailment{since: since, warned: t.warned}
		d.tells(l, func(ctx context.Context) error { return d.Manager.EndpointRecovered(ctx, l.num) }, func() { *t = ailment{} })
	}
}

// toldFailing reports whether an earlier process has told of the endpoint.
func (d *Dispatcher) toldFailing(l *lane) bool {
	e, ok := d.Directory.Endpoint(l.num)
	return ok && !e.FailingSince.IsZero()
}

// warns tells that all attempts have failed, the last one for a reason.
func (d *Dispatcher) warns(l *lane, reason string) {
	t := &l.ailment
	since, warning := t.since, t.warned+1
	d.tells(l, func(ctx context.Context) error { return d.Manager.EndpointFailing(ctx, l.num, since, warning, reason) }, func() {
		if !t.since.Equal(since) {
			return // it began anew meanwhile
		}
		if t.warned = warning; t.over {
			d.recovers(l)
		}
	})
}

// tells has something told of an endpoint's health, and then done. What cannot be
// told is tried again with the next attempt. A worker is running, so Stop is not
// waiting yet.
func (d *Dispatcher) tells(l *lane, tell func(ctx context.Context) error, then func()) {
	l.ailment.telling = true
	d.upkeep.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(d.run), flushLimit)
		defer cancel()
		err := tell(ctx)
		if err != nil {
			d.Logger.Error("an endpoint's health could not be noted", "endpoint_num", int64(l.num), "error", err)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if l.ailment.telling = false; err == nil {
			then()
		}
	})
}
