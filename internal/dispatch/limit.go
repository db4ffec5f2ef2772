package dispatch

import (
	"math"
	"time"
)

// What the adaptive limit starts from and how it gives way.
const (
	defaultMaxInFlight = 128 // of an endpoint that does not say
	startLimit         = 8   // requests at once to an endpoint not known yet
	collapseAfter      = 3   // strains in a row until one probe is left
)

// limiter says how many requests an endpoint may have running: additive
// increase, multiplicative decrease. It doubles with each round of answers
// until the limit under which it was last strained, then grows by one a round.
type limiter struct {
	limit     float32
	threshold float32   // below it the limit grows fast
	strains   int       // in a row
	cut       time.Time // the last decrease; strains of earlier requests belong to it
}

func newLimiter() limiter { return limiter{limit: startLimit, threshold: math.MaxFloat32} }

// allowed is the present limit under the endpoint's own maximum.
func (l *limiter) allowed(most int) int { return max(1, min(int(l.limit), most)) }

// succeeded tells of an answer that the dialect takes for good, with how many
// requests were running then. A limit that is not used does not grow.
func (l *limiter) succeeded(inFlight, most int) {
	l.strains = 0
	if float32(2*inFlight) < l.limit {
		return
	}
	if l.limit < l.threshold {
		l.limit++
	} else {
		l.limit += 1 / l.limit
	}
	l.limit = min(l.limit, float32(most))
}

// strained tells that a request which began at begun was throttled or got no
// answer.
func (l *limiter) strained(begun, now time.Time) {
	l.strains++
	if l.strains >= collapseAfter {
		l.limit, l.cut = 1, now
		return
	}
	if begun.Before(l.cut) {
		return
	}
	l.limit = max(l.limit/2, 1)
	l.threshold, l.cut = max(l.limit, startLimit), now
}

// restart begins slowly after an outage (case 60).
func (l *limiter) restart() {
	l.strains, l.limit = 0, 1
}

// When the breaker opens and for how long.
const (
	breakAfter = 5 // requests in a row that got no answer or were throttled
	minPause   = time.Second
	maxPause   = 30 * time.Second
)

// breaker stops sending to an endpoint that does not answer. Open, it lets one
// probe through after each pause; the pauses double up to maxPause.
type breaker struct {
	open     bool
	failures int
	pause    time.Duration
	opened   time.Time // when it opened, or the last probe failed
	until    time.Time // when the next probe may go
}

// allows reports whether a request may begin, given how many are running.
func (b *breaker) allows(now time.Time, inFlight int) bool {
	return !b.open || inFlight == 0 && !now.Before(b.until)
}

// answered tells that the endpoint is there. It reports whether this closed
// the breaker.
func (b *breaker) answered() (closed bool) {
	closed = b.open
	*b = breaker{}
	return closed
}

// failed tells of a request that began at begun and got no answer, or was
// throttled with the wish to be left alone for wait. random in [0,1) spreads
// the probes. It reports whether this opened the breaker.
func (b *breaker) failed(begun, now time.Time, wait time.Duration, random float64) (opened bool) {
	b.failures++
	if b.open {
		if begun.Before(b.opened) {
			return false // it ran since before; the pause has counted it
		}
		b.pause = min(2*b.pause, maxPause)
	} else {
		if b.failures < breakAfter {
			return false
		}
		b.open, b.pause, opened = true, minPause, true
	}
	b.opened = now
	pause := max(b.pause, min(wait, maxPause))
	b.until = now.Add(pause + time.Duration(random*float64(pause)/8))
	return opened
}

// pacer holds an endpoint to a rate: the generic cell rate algorithm, with a
// burst of a tenth of a second, so that no second sees more than 1.1 × the
// rate (case 60).
type pacer struct {
	next time.Time // when the next request would be due at exactly the rate
}

// wait is how long the next request has to wait at a rate per second; a rate
// of 0 is none.
func (p *pacer) wait(rate float64, now time.Time) time.Duration {
	if rate <= 0 || !p.next.After(now) {
		return 0
	}
	return max(0, p.next.Sub(now)-pacerSlack(rate))
}

// spend counts a request that begins now.
func (p *pacer) spend(rate float64, now time.Time) {
	if rate <= 0 {
		return
	}
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(float64(time.Second) / rate))
}

// pacerSlack is how far ahead of its rate an endpoint may be: a tenth of a
// second less the request that is asked for.
func pacerSlack(rate float64) time.Duration {
	return max(0, time.Second/10-time.Duration(float64(time.Second)/rate))
}
