package bench

import (
	"context"
	"fmt"
	"time"

	"grapnel/internal/child"
)

const (
	backlogEndpoints = 1000 // of ten tenants together
	backlogTenants   = 10
	backlogSize      = 100 // bytes of data
	drainLong        = 12  // Durations of the first drain: two minutes by default
	drainShort       = 2   // of further ones
)

func backlogTime(o Options) time.Duration {
	const seedRate = 150_000 // events a second, a guess for the progress bar
	windows := drainLong + drainShort*(o.Runs-1) + 2*o.Runs
	return time.Duration(float64(o.Pending)/seedRate)*time.Second + time.Duration(windows)*o.Duration
}

// backlog seeds deliveries that wait, then takes pairs: a start and a stretch of
// draining, and fresh events of the same size on an empty store.
func backlog(ctx context.Context, r *run) error {
	each := max(r.endpoints(backlogEndpoints)/backlogTenants, 1)
	x, err := r.newSite(ctx, sitePlan{endpoints: each, seed: &seedPlan{tenants: backlogTenants, events: r.Pending, size: backlogSize}})
	if err != nil {
		return err
	}
	defer x.end()
	_, bytes := x.files()
	r.add("pending", "deliveries", float64(r.Pending))
	r.add("data folder", "MiB", mebibytes(bytes))
	for n := range r.Runs {
		drained, fresh := 0.0, 0.0
		long := time.Duration(drainShort)
		if n == 0 {
			long = drainLong
		}
		err := r.inTurn(func() (err error) {
			r.progress.note("backlog: fresh events, pair %d of %d", n+1, r.Runs)
			fresh, err = r.freshSmall(ctx, each)
			return err
		}, func() (err error) {
			r.progress.note("backlog: drain %d of %d", n+1, r.Runs)
			drained, err = r.drain(ctx, x, long*r.Duration)
			return err
		})
		if err != nil {
			return err
		}
		r.add("fresh events, delivered", "events/s", fresh)
		if drained == 0 {
			return nil // there was nothing left
		}
		r.add("drained", "events/s", drained)
		r.add("drained ÷ fresh", "", drained/fresh)
	}
	return nil
}

// freshSmall is how many events of the size are delivered a second that are
// published in batches to as many endpoints.
func (r *run) freshSmall(ctx context.Context, each int) (float64, error) {
	x, err := r.startSite(ctx, sitePlan{endpoints: each, seed: &seedPlan{tenants: backlogTenants}})
	if err != nil {
		return 0, err
	}
	defer x.end()
	streams := r.stream(each, r.Batch, 0)
	streams[0].Tenant, streams[0].Tenants, streams[0].Size = seededTenants, backlogTenants, backlogSize
	w, err := r.measure(ctx, x, loadPlan{streams: streams, duration: r.Duration})
	if err != nil {
		return 0, err
	}
	w.faults(r.figures)
	return w.perSecond(), nil
}

// drain starts the server and lets it send for a while, or until nothing is left,
// and stops it. It returns the deliveries a second.
func (r *run) drain(ctx context.Context, x *site, long time.Duration) (float64, error) {
	before, err := x.reset(ctx)
	if err != nil || before.Unique >= r.Pending {
		return 0, err
	}
	ready, err := x.start(ctx, longPatience)
	if err != nil {
		return 0, err
	}
	memory := sampleMemory(ctx, x.server.PID(), min(time.Second, max(long/20, 10*time.Millisecond)))
	defer memory.end()
	r.add("ready", "s", ready.Seconds())
	if rss, err := child.ReadMemory(x.server.PID()); err == nil {
		r.add("server memory when ready", "MiB", mebibytes(rss))
	}
	begun, usage := x.server.Started(), child.Usage{}
	s, err := r.watchDrain(ctx, x, begun.Add(ready+long))
	if err != nil {
		return 0, err
	}
	if s.First == 0 {
		return 0, fmt.Errorf("bench: nothing was delivered in %s: %s", time.Since(begun), x.logTail())
	}
	sent := s.Unique - before.Unique
	if usage, err = child.ReadUsage(x.server.PID()); err == nil {
		r.add("server CPU, start included", "µs/event", float64(usage.CPU.Microseconds())/float64(sent))
		r.add("server memory over the drain, highest of all samples", "MiB", mebibytes(memory.end()))
		r.add("server memory, peak", "MiB", mebibytes(usage.PeakRSS))
		r.add("server memory, at the end", "MiB", mebibytes(usage.RSS))
	}
	r.add("first delivery after the start", "s", time.Unix(0, s.First).Sub(begun).Seconds())
	r.add("drained for", "s", time.Duration(s.Last-s.First).Seconds())
	r.add("left", "deliveries", float64(r.Pending-s.Unique))
	stopping, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	if err := x.server.Stop(stopping); err != nil {
		return 0, fmt.Errorf("bench: stop the server: %w: %s", err, x.logTail())
	}
	r.add("duplicates", "requests", float64(s.Requests-before.Requests-sent))
	return float64(sent) / time.Duration(s.Last-s.First).Seconds(), nil
}

// watchDrain looks on until a time, or until all has arrived.
func (r *run) watchDrain(ctx context.Context, x *site, until time.Time) (*receiverStats, error) {
	for {
		s, err := x.stats(ctx, false)
		if err != nil || s.Unique >= r.Pending || !time.Now().Before(until) {
			return s, err
		}
		select {
		case <-x.server.Done():
			return nil, fmt.Errorf("bench: the server ended: %s", x.logTail())
		default:
		}
		pause(ctx, 50*time.Millisecond)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}
