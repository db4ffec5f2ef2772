package bench

import (
	"context"
	"time"

	"grapnel/internal/child"
)

// Growth's windows are longer than others, so that segments are sealed inside.
const (
	growthFactor = 3 // Durations for one window
	fillBatch    = 100
	fillConns    = 8
	fillRate     = 12_000 // events a second, a guess for the progress bar
)

func growthTime(o Options) time.Duration {
	return time.Duration(float64(o.Events)/fillRate)*time.Second + time.Duration(2*growthFactor*o.Runs)*o.Duration
}

// growth fills one store, then takes windows on it and on empty stores in
// turn, and compares each pair.
func growth(ctx context.Context, r *run) error {
	endpoints := r.endpoints(1)
	full, err := r.startSite(ctx, sitePlan{endpoints: endpoints})
	if err != nil {
		return err
	}
	defer full.end()
	r.progress.note("growth: storing %d events", r.Events)
	if _, err := r.store(ctx, full, r.Events, ""); err != nil {
		return err
	}
	for i := range r.Runs {
		r.progress.note("growth: pair %d of %d", i+1, r.Runs)
		if err := r.growthPair(ctx, full, endpoints); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) growthPair(ctx context.Context, full *site, endpoints int) error {
	var empty, w *window
	streams := r.stream(endpoints, 1, 0)
	err := r.inTurn(func() (err error) {
		empty, err = r.freshWindow(ctx, sitePlan{endpoints: endpoints}, streams, growthFactor*r.Duration)
		return err
	}, func() (err error) {
		before, _ := full.files()
		w, err = r.measure(ctx, full, loadPlan{streams: streams, duration: growthFactor * r.Duration})
		after, _ := full.files()
		r.add("database files added in the full store", "", float64(after-before))
		return err
	})
	if err != nil {
		return err
	}
	r.add("delivered, empty store", "events/s", empty.perSecond())
	r.add("delivered, full store", "events/s", w.perSecond())
	r.add("full ÷ empty", "", w.perSecond()/empty.perSecond())
	w.costs(r.figures)
	w.faults(r.figures)
	return nil
}

// store publishes so many events in batches to a site with nothing in it yet, and
// adds what that cost. It ends when the folder has become as small as it gets.
func (r *run) store(ctx context.Context, x *site, events int64, what string) (*window, error) {
	fill := r.stream(r.endpoints(1), fillBatch, 0)
	fill[0].Connections = fillConns
	before, usageErr := child.ReadUsage(x.server.PID())
	w, err := r.measure(ctx, x, loadPlan{streams: fill, duration: 24 * time.Hour, events: events})
	if err != nil {
		return nil, err
	}
	r.progress.note("waiting until all is sealed")
	bytes, err := x.settled(ctx, min(r.Duration/2, 3*time.Second))
	if err != nil {
		return nil, err
	}
	r.add(what+"stored before", "events", float64(w.expected))
	r.add(what+"delivered while storing", "events/s", w.perSecond())
	r.add(what+"on disk", "B/event", float64(bytes)/float64(w.expected))
	if after, err := child.ReadUsage(x.server.PID()); err == nil && usageErr == nil {
		r.add(what+"written to disk, seals included", "B/event", float64(after.Written-before.Written)/float64(w.unique))
		r.add(what+"server CPU, seals included", "µs/event", float64((after.CPU-before.CPU).Microseconds())/float64(w.unique))
	}
	w.faults(r.figures)
	return w, nil
}

// settled waits until the data folder has had the same size for a while, and
// returns it.
func (s *server) settled(ctx context.Context, still time.Duration) (int64, error) {
	const patience = 2 * time.Minute
	_, bytes := s.files()
	for begun, since := time.Now(), time.Now(); time.Since(since) < still && time.Since(begun) < patience; {
		pause(ctx, max(still/10, 10*time.Millisecond))
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if _, now := s.files(); now != bytes {
			bytes, since = now, time.Now()
		}
	}
	return bytes, nil
}
