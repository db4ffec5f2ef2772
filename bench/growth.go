package bench

import (
	"context"
	"time"
)

// Growth's windows are longer than others, so that segments are sealed inside.
const (
	growthWindows = 3
	growthFactor  = 3 // Durations for one window
	fillBatch     = 100
	fillConns     = 8
)

func growthTime(o Options) time.Duration {
	const fillRate = 12_000 // events a second, a guess for the progress bar
	return time.Duration(float64(o.Events)/fillRate)*time.Second + 2*growthWindows*growthFactor*o.Duration
}

// growth fills one store, then takes windows on it and on empty stores in
// turn, and compares each pair. It is one run, whatever the number of runs.
func growth(ctx context.Context, r *run) error {
	full, err := r.startSite(ctx, r.Endpoints, nil)
	if err != nil {
		return err
	}
	defer full.end()
	r.progress.note("growth: storing %d events", r.Events)
	fill := r.stream(r.Endpoints, fillBatch, 0)
	fill[0].Connections = fillConns
	filled, err := r.measure(ctx, full.server, full.target, fill, 24*time.Hour, r.Events, nil)
	if err != nil {
		return err
	}
	r.add("stored before", "events", float64(filled.expected))
	r.add("delivered while storing", "events/s", filled.perSecond())
	filled.faults(r.figures)
	for i := range growthWindows {
		r.progress.note("growth: pair %d of %d", i+1, growthWindows)
		empty, err := r.emptyWindow(ctx)
		if err != nil {
			return err
		}
		files := full.files()
		w, err := r.measure(ctx, full.server, full.target, r.stream(r.Endpoints, 1, 0), growthFactor*r.Duration, 0, nil)
		if err != nil {
			return err
		}
		r.add("delivered, empty store", "events/s", empty.perSecond())
		r.add("delivered, full store", "events/s", w.perSecond())
		r.add("full ÷ empty", "", w.perSecond()/empty.perSecond())
		r.add("database files added in the full store", "", float64(full.files()-files))
		w.costs(r.figures)
		w.faults(r.figures)
	}
	return nil
}

func (r *run) emptyWindow(ctx context.Context) (*window, error) {
	x, err := r.startSite(ctx, r.Endpoints, nil)
	if err != nil {
		return nil, err
	}
	defer x.end()
	return r.measure(ctx, x.server, x.target, r.stream(r.Endpoints, 1, 0), growthFactor*r.Duration, 0, nil)
}
