package dispatch

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"strings"
	"time"

	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// When our own way out is broken, every attempt fails, and none of them says
// anything of its endpoint (case 61). It is taken to be broken when attempts to
// outageHosts hosts in a row, each of which had answered within provenFor, end
// without a byte from the host, no host has answered since outageAfter, and of
// those that did meanwhile there are no more than one for localShare that
// failed: they may stand on this side of what is broken. So neither dead
// endpoints among others can look like it, nor one host with many endpoints,
// nor an installation with few of them.
//
// Until a host answers again only probes go out, to one lane after the other;
// what fails counts neither against an endpoint nor against a delivery's
// schedule. Then what has waited goes out at an even rate.
const (
	outageHosts = 10
	outageAfter = 3 * time.Second
	provenFor   = 10 * time.Minute
	localShare  = 20
	// forgetFailing is how long hosts that fail are kept in mind while nobody else does.
	forgetFailing = time.Minute

	probeEvery = time.Second
	mostProbes = 32 // at once; a probe may take as long as an endpoint's timeout

	// spreadFrom and spreadOver say when a delivery is due again whose attempt
	// failed by an outage of ours. Nothing goes out before that is over.
	spreadFrom = time.Second
	spreadOver = 10 * time.Second

	// catchUp is how long what has waited takes to go out, if there is room.
	catchUp = 10 * time.Second
	// leastRate is below what catching up is not slowed, in deliveries per second.
	leastRate = 50
	// recheck is the shortest time after which somebody looks again who may not
	// send yet.
	recheck = 5 * time.Millisecond
)

// excuse is the reason of an attempt that failed by an outage of our own.
const excuse = "no host could be reached: taken for an outage of this server's own network; the attempt does not count"

// reach is what an attempt tells of our own way out.
type reach uint8

const (
	nothing   reach = iota // no request was made, or it was broken off
	reached                // something came back from the host
	unreached              // it failed without a byte from the host
)

// reachOf says what came of a request's way to its host.
func reachOf(r *egress.Result) reach {
	if r.Status != 0 || r.Timing.Wait > 0 {
		return reached
	}
	switch r.Class {
	case egress.ClassDNS, egress.ClassRefused, egress.ClassConnect, egress.ClassTimeoutConnect:
		return unreached
	case egress.ClassTimeoutHeader, egress.ClassTimeoutWrite, egress.ClassReset:
		if r.Reused || r.Timing.Connect == 0 {
			return unreached // the connection was from before
		}
		return reached
	case egress.ClassTLS, egress.ClassTimeoutTLS, egress.ClassTimeoutBody, egress.ClassProtocol:
		return reached
	}
	return nothing
}

// outage finds out whether our own way out is broken, and says what may be sent
// while it is, and right after. The dispatcher's mutex guards it. All steps are
// O(1) but for the two ends of an outage.
type outage struct {
	hosts     []host    // a sample of the hosts that answered lately
	run       uint32    // counts rows of failures
	failing   int       // hosts that failed in this row
	answering int       // hosts that answered meanwhile
	begin     time.Time // of the row: nobody has answered since
	latest    time.Time // failure in this row
	answered  time.Time // by any host

	down      bool
	since     time.Time // when it was found to be down, or when the last time ended
	probes    int       // running
	nextProbe time.Time

	rate    float64 // of catching up, per second; 0: nobody catches up
	pace    pacer
	until   time.Time // when catching up is over
	alarmed bool      // somebody will look again
}

// host is a place for what is known of a host: its address is a hash, and a
// host takes the place of another one that has not answered for a while.
type host struct {
	hash            uint64
	answered        time.Time
	failedIn, wasIn uint32 // the last rows in which it failed and answered
}

const (
	hostPlaces = 1 << 12
	hostStays  = time.Minute
)

func newOutage() outage { return outage{hosts: make([]host, hostPlaces), run: 1} }

// hostHash stands for the host and port of a URL.
func hostHash(url string) uint64 {
	if at := strings.Index(url, "://"); at >= 0 {
		url = url[at+len("://"):]
	}
	if at := strings.IndexAny(url, "/?#"); at >= 0 {
		url = url[:at]
	}
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h := uint64(offset)
	for i := range len(url) {
		h = (h ^ uint64(url[i])) * prime
	}
	return h ^ h>>29
}

var urlSeed = maphash.MakeSeed()

// urlHash stands for a URL, within this process. It is never 0.
func urlHash(url string) uint64 { return maphash.String(urlSeed, url) | 1 }

// place is a host's place; mine reports whether it has it, or takes it now.
func (o *outage) place(hash uint64, now time.Time, take bool) (p *host, mine bool) {
	p = &o.hosts[hash%hostPlaces]
	switch {
	case p.hash == hash && !p.answered.IsZero():
		return p, true
	case take && now.Sub(p.answered) > hostStays:
		*p = host{hash: hash}
		return p, true
	}
	return p, false
}

// came tells that something came back from a host. It reports whether that ends
// an outage.
func (o *outage) came(hash uint64, now time.Time) (over bool) {
	o.answered = now
	p, mine := o.place(hash, now, true)
	if mine {
		p.answered = now
	}
	switch {
	case o.down:
		return !mine || p.wasIn != o.run
	case o.failing == 0 || mine && p.wasIn == o.run:
		return false
	}
	if mine {
		p.wasIn = o.run
	}
	o.answering++
	if o.answering > 2 && o.failing < localShare*o.answering {
		o.newRow()
	}
	return false
}

func (o *outage) newRow() {
	o.run++
	o.failing, o.answering = 0, 0
}

// failed tells that a request which began at begun did not reach its host. It
// reports whether by this we are down.
func (o *outage) failed(hash uint64, begun, now time.Time) (down bool) {
	if o.down {
		return false
	}
	p, mine := o.place(hash, now, false)
	if !mine || now.Sub(p.answered) > provenFor {
		return false
	}
	if o.failing > 0 && now.Sub(o.latest) > forgetFailing {
		o.newRow()
	}
	if o.failing == 0 {
		o.begin = latest(begun, o.answered)
	}
	if p.failedIn != o.run {
		p.failedIn = o.run
		o.failing++
	}
	o.latest = now
	return o.failing >= outageHosts && o.failing >= localShare*o.answering && now.Sub(o.begin) >= outageAfter
}

// admits reports whether a request may begin now for all that is known of our
// way out. If not, at is when to ask again; zero: when a probe ends.
func (o *outage) admits(now time.Time) (ok bool, at time.Time) {
	switch {
	case o.down:
		if o.probes >= mostProbes {
			return false, at
		}
		return !now.Before(o.nextProbe), o.nextProbe
	case o.rate == 0:
		return true, at
	case !now.Before(o.until):
		o.rate = 0
		return true, at
	}
	wait := o.pace.wait(o.rate, now)
	return wait == 0, now.Add(max(wait, recheck))
}

// begins counts a request that begins now, and reports whether it is a probe.
func (o *outage) begins(now time.Time) (probe bool) {
	if !o.down {
		o.pace.spend(o.rate, now)
		return false
	}
	o.probes++
	o.nextProbe = now.Add(probeEvery)
	return true
}

// weigh takes what an attempt tells of our own way out, before what it tells of
// its endpoint is used. The mutex is held.
func (d *Dispatcher) weigh(dl *delivery, e *effect, now time.Time) {
	o := &d.outage
	if dl.probe {
		dl.probe = false
		o.probes--
	}
	switch e.reach {
	case reached:
		if o.came(dl.lane.host, now) {
			d.wayIsBack(now)
		}
	case unreached:
		if o.failed(dl.lane.host, dl.begun, now) {
			d.wayIsLost(now)
		}
		if o.down || dl.begun.Before(o.since) {
			d.excuse(dl, e, now)
		}
	}
}

// excuse makes an attempt that failed by an outage of ours one that counts
// neither against its endpoint nor against its schedule.
func (d *Dispatcher) excuse(dl *delivery, e *effect, now time.Time) {
	a := dl.outcome.Attempt
	if a == nil || a.State == hook.Delivered {
		return
	}
	e.health, e.wait = unknown, 0
	a.State, a.Reason = hook.Pending, excuse
	a.NextAt = now.Add(spreadFrom + rand.N(spreadOver))
	o := store.Outcome{Key: a.Key, Attempt: a, At: now, State: a.State, Reason: a.Reason, NextAt: a.NextAt, FirstAt: dl.firstAt, Base: dl.base + 1}
	if !dl.kept {
		o.Body = dl.body
	}
	dl.outcome = o
}

// wayIsLost begins an outage of our own. What endpoints seem to have done since
// the last answer is forgotten. A worker is running, so Stop is not waiting yet.
func (d *Dispatcher) wayIsLost(now time.Time) {
	o := &d.outage
	failing, since := o.failing, o.begin
	o.down, o.since, o.rate, o.nextProbe = true, now, 0, now.Add(probeEvery)
	d.upkeep.Go(func() {
		d.Logger.Error("no endpoint can be reached: taken for an outage of this server's own network; deliveries wait, and one is tried each second",
			"hosts", failing, "since", since.UTC())
		d.forgive(since.Add(-hostStays))
	})
}

// wayIsBack ends an outage of our own: what has waited goes out at an even rate.
func (d *Dispatcher) wayIsBack(now time.Time) {
	o := &d.outage
	lasted := now.Sub(o.begin)
	o.down, o.since = false, now
	o.newRow()
	due := d.sendable()
	o.rate = max(leastRate, float64(due)/catchUp.Seconds())
	o.until, o.pace = now.Add(catchUp+spreadFrom+spreadOver), pacer{}
	d.upkeep.Go(func() {
		d.Logger.Info("endpoints can be reached again", "outage", lasted.Round(time.Millisecond).String(), "waiting", due,
			"rate", fmt.Sprintf("%.0f/s", o.rate))
	})
}

// sendable is about how many deliveries wait for nothing but us.
func (d *Dispatcher) sendable() (n int64) {
	for _, l := range d.lanes {
		if l.mode == sending && !l.breaker.open {
			n += l.pending
		}
	}
	return n
}

// forgiveChunk is how many lanes are forgiven in one hold of the mutex.
const forgiveChunk = 512

// forgive takes back what was held against endpoints that have not answered
// since a time after before.
func (d *Dispatcher) forgive(before time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	lanes := make([]*lane, 0, len(d.lanes))
	for _, l := range d.lanes {
		lanes = append(lanes, l)
	}
	for i, l := range lanes {
		if i%forgiveChunk == forgiveChunk-1 {
			d.mu.Unlock()
			d.mu.Lock()
		}
		if l.downSince.After(before) && d.lanes[l.num] == l {
			l.isUp()
			l.breaker = breaker{}
			l.limit.restart()
			d.settle(l, time.Now())
		}
	}
}

// held reports whether nothing may begin now. If so, somebody will look again
// in time.
func (d *Dispatcher) held(now time.Time) bool {
	ok, at := d.outage.admits(now)
	if ok || at.IsZero() || d.outage.alarmed {
		return !ok
	}
	d.outage.alarmed = true
	time.AfterFunc(at.Sub(now), func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.outage.alarmed = false
		d.kick(time.Now())
	})
	return true
}

// Unreachable reports whether deliveries wait because no endpoint can be
// reached, and since when that is so.
func (d *Dispatcher) Unreachable() (since time.Time, down bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.outage.begin, d.outage.down
}
