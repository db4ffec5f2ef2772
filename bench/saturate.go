package bench

import (
	"context"
	"time"
)

// limit measures the bare limit: deliveries a second of a plain client.
func (r *rig) limit(ctx context.Context) (float64, error) {
	result, s, err := r.bareWindow(ctx, 0, defaultConnections)
	if err != nil {
		return 0, err
	}
	return float64(s.Unique) / time.Duration(s.Last-result.First).Seconds(), nil
}

// bareWindow lets the bare client post for a window: as fast as it is answered, or
// at a rate.
func (r *rig) bareWindow(ctx context.Context, rate float64, connections int) (*bareResult, *receiverStats, error) {
	t, err := r.startReceiver(ctx, receiverConfig{Groups: 1})
	if err != nil {
		return nil, nil, err
	}
	defer t.end()
	orders := bareConfig{Addr: t.Addr, Size: r.Size, Connections: connections, Duration: r.Duration, Rate: rate}
	result, err := runWorker[bareResult](ctx, r, roleBare, orders)
	if err != nil {
		return nil, nil, err
	}
	s, err := t.stats(ctx, true)
	return result, s, err
}

func throughput(ctx context.Context, r *run) error { return r.saturate(ctx, 1) }

func batch(ctx context.Context, r *run) error { return r.saturate(ctx, r.Batch) }

// saturate publishes as fast as the server answers.
func (r *run) saturate(ctx context.Context, batch int) error {
	endpoints := r.endpoints(1)
	x, err := r.startSite(ctx, sitePlan{endpoints: endpoints})
	if err != nil {
		return err
	}
	defer x.end()
	w, err := r.measure(ctx, x, loadPlan{streams: r.stream(endpoints, batch, 0), duration: r.Duration})
	if err != nil {
		return err
	}
	r.add("delivered", "events/s", w.perSecond())
	r.add("bare limit", "posts/s", r.bare)
	r.add("delivered ÷ bare limit", "", w.perSecond()/r.bare)
	w.costs(r.figures)
	if r.stores == nil {
		_, bytes := x.files()
		r.add("on disk, not sealed yet", "B/event", float64(bytes)/float64(w.unique))
	}
	r.quantiles("publish", w.load.all().Publish, 0.5, 0.99)
	r.quantiles("due to arrived", w.age(), 0.5, 0.99)
	w.faults(r.figures)
	return nil
}
