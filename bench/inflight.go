package bench

import (
	"context"
	"fmt"
	"math"
	"time"
)

const (
	inFlightEach = 4                // attempts under way to one slow endpoint, fewer than any limit begins with
	inFlightWait = 18 * time.Second // until a slow endpoint answers: the contract's timeout is 20 s
	inFlightLong = 12 * time.Second // what a window may take, so that they are under way all the time
	inFlightRoom = 1.6              // the server's limit is that many times what is asked for
	inFlightFast = 10               // endpoints that answer at once
	inFlightRate = 300              // events a second to these
	inFlightRise = time.Minute      // until the attempts are under way, at most
	slowType     = "bench.slow"
)

// inFlight measures a pair on fresh servers: fast endpoints by themselves, and
// while thousands of attempts to slow ones are under way.
func inFlight(ctx context.Context, r *run) error {
	if need := uint64(float64(r.InFlight)*inFlightRoom) + 1000; openFiles() < need {
		return fmt.Errorf("--in-flight %d needs %d open files, and this process may have %d: raise the limit (ulimit -n) or ask for fewer", r.InFlight, need, openFiles())
	}
	var with, without *inFlightWindow
	err := r.inTurn(func() (err error) {
		without, err = r.slowed(ctx, 0)
		return err
	}, func() (err error) {
		with, err = r.slowed(ctx, r.InFlight)
		return err
	})
	if err != nil {
		return err
	}
	r.add("attempts under way, at least", "", float64(with.least))
	r.add("attempts under way, at most", "", float64(with.most))
	r.add("until they were under way", "s", with.rise.Seconds())
	r.add("server memory with, peak", "MiB", mebibytes(with.peakRSS))
	r.add("server memory with, at the end", "MiB", mebibytes(with.rss))
	r.add("server memory without, peak", "MiB", mebibytes(without.peakRSS))
	r.quantiles("fast ones without", without.age(0), 0.5, 0.99, 1)
	r.quantiles("fast ones with", with.age(0), 0.5, 0.99, 1)
	r.compare("fast ones, ", with.age(0), without.age(0))
	r.add("server CPU for a fast event without", "µs/event", without.cost())
	r.add("lost of the fast ones", "events", float64(with.lostFast+without.lostFast))
	r.add("duplicates", "requests", float64(with.again+without.again))
	r.overTime("fast ones without", without.window, 0)
	r.overTime("fast ones with", with.window, 0)
	return nil
}

// inFlightWindow is a window and the attempts to slow endpoints during it.
type inFlightWindow struct {
	*window
	least, most int64
	rise        time.Duration
	lostFast    int64
}

// slowed measures fast endpoints while so many attempts to slow ones are under
// way.
func (r *run) slowed(ctx context.Context, attempts int) (*inFlightWindow, error) {
	slow := max(attempts/inFlightEach, 1)
	x, err := r.startSite(ctx, sitePlan{
		endpoints: slow, hows: []string{fmt.Sprintf("slow/%d/1", inFlightWait.Milliseconds())}, groups: 2, slot: slotOf(min(r.Duration, inFlightLong)),
		env:  append(manyEndpoints(slow), fmt.Sprintf("GRAPNEL_MAX_IN_FLIGHT=%.0f", max(float64(r.InFlight)*inFlightRoom, 1024))),
		seed: &seedPlan{tenants: 1, oneType: slowType, events: int64(attempts), size: 64},
	})
	if err != nil {
		return nil, err
	}
	defer x.end()
	if err := x.oneTenantEach(ctx, "fast-", inFlightFast, 0); err != nil {
		return nil, err
	}
	w := &inFlightWindow{least: math.MaxInt64}
	if w.rise, err = x.awaitSlow(ctx, int64(attempts)); err != nil {
		return nil, err
	}
	r.progress.note("in-flight: %d", attempts)
	stream := Stream{
		Tenant: "fast-", Tenants: inFlightFast, Types: eventTypes(1), Size: r.Size, Connections: r.Connections,
		Rate: orDefault(r.Rate, inFlightRate),
	}
	d := min(r.Duration, inFlightLong)
	u, err := r.begin(ctx, x, loadPlan{streams: []Stream{stream}, duration: d, unfinished: true})
	if err != nil {
		return nil, err
	}
	until := time.Now().Add(d)
	for time.Now().Before(until) && ctx.Err() == nil {
		s, err := x.stats(ctx, false)
		if err != nil {
			return nil, err
		}
		w.least, w.most = min(w.least, s.Waiting), max(w.most, s.Waiting)
		pause(ctx, 200*time.Millisecond)
	}
	if w.window, err = u.end(ctx); err != nil {
		return nil, err
	}
	// The slow ones go on; the last fast deliveries are awaited by themselves.
	if err := u.awaitGroup(ctx, 0); err != nil {
		return nil, err
	}
	w.lostFast = w.expected - w.groups[0]
	return w, nil
}

// awaitSlow waits until so many requests wait at slow endpoints.
func (x *site) awaitSlow(ctx context.Context, attempts int64) (time.Duration, error) {
	for begun := time.Now(); ; {
		s, err := x.stats(ctx, false)
		if err != nil {
			return 0, err
		}
		if s.Waiting >= attempts {
			return time.Since(x.server.Started()), nil
		}
		if time.Since(begun) > inFlightRise {
			return 0, fmt.Errorf("bench: %d attempts are under way after %s, not %d: %s", s.Waiting, inFlightRise, attempts, x.logTail())
		}
		pause(ctx, 20*time.Millisecond)
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
}
