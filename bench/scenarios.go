package bench

import (
	"context"
	"fmt"
	"time"
)

// scenario is one kind of measurement. measure does one run of it and adds the
// run's figures.
type scenario struct {
	Name    string
	About   string
	Default bool                        // runs when no scenario is named
	Bare    bool                        // its figures are held against the bare limit
	Windows func(Options) time.Duration // how long one run's load takes, for the progress
	Measure func(context.Context, *run) error
}

// run is one run of a scenario.
type run struct {
	*rig
	*figures
	bare float64 // deliveries a second of the bare client in this run
}

// The rates of the scenarios with a timetable.
const (
	latencyRate   = 100
	hangRate      = 300
	hangEndpoints = 10
	hanging       = 3 // the one of them that hangs
)

func scenarios() []scenario {
	once := func(o Options) time.Duration { return o.Duration }
	return []scenario{
		{"throughput", "single posts, as fast as they are answered", true, true, once, throughput},
		{"batch", "posts of many events, as fast as they are answered", true, true, once, batch},
		{"latency", fmt.Sprintf("single posts on a timetable, %d events/s", latencyRate), true, false, once, latency},
		{"hang", "one of ten endpoints never answers; the other nine, with and without it", true, false,
			func(o Options) time.Duration { return 4 * o.Duration }, hang},
		{"dialects", fmt.Sprintf("server CPU for an event in dialects against standard, in turns, %d events/s; needs --dialect", dialectRate), false, false,
			func(o Options) time.Duration { return 2 * o.Duration * time.Duration(len(o.Dialects)) }, dialects},
		{"growth", "throughput with many events stored, against an empty store", false, false, growthTime, growth},
	}
}

func find(name string) (scenario, bool) {
	for _, s := range scenarios() {
		if s.Name == name {
			return s, true
		}
	}
	return scenario{}, false
}

const tenant = "bench"

// eventType is the type that only the n-th endpoint gets.
func eventType(n int) string { return fmt.Sprintf("bench.event.%d", n) }

func eventTypes(n int) []string {
	types := make([]string, n)
	for i := range types {
		types[i] = eventType(i)
	}
	return types
}

// site is a server with a receiver, one tenant, and endpoints of which each
// gets a type of its own.
type site struct {
	*server
	*target
}

// startSite starts one. kind says how the n-th endpoint answers (nil: "ok").
func (r *rig) startSite(ctx context.Context, endpoints int, kind func(n int) string) (*site, error) {
	t, err := r.startReceiver(ctx, endpoints)
	if err != nil {
		return nil, err
	}
	s, err := r.startServer(ctx)
	if err != nil {
		t.end()
		return nil, err
	}
	x := &site{s, t}
	err = s.tenant(ctx, tenant)
	for n := 0; n < endpoints && err == nil; n++ {
		how := "ok"
		if kind != nil {
			how = kind(n)
		}
		err = s.endpoint(ctx, tenant, t.url(how, n), eventType(n))
	}
	if err != nil {
		x.end()
		return nil, fmt.Errorf("bench: set up: %w: %s", err, s.logTail())
	}
	return x, nil
}

func (x *site) end() {
	_ = x.server.end() // what cannot be removed goes with the rig's folder
	x.target.end()
}

func (r *rig) stream(endpoints, batch int, rate float64) []Stream {
	return []Stream{{Tenant: tenant, Types: eventTypes(endpoints), Size: r.Size, Connections: r.Connections, Batch: batch, Rate: rate}}
}

// limit measures the bare limit: deliveries a second of a plain client.
func (r *rig) limit(ctx context.Context) (float64, error) {
	t, err := r.startReceiver(ctx, 1)
	if err != nil {
		return 0, err
	}
	defer t.end()
	orders := bareConfig{Addr: t.Addr, Size: r.Size, Connections: defaultConnections, Duration: r.Duration}
	result, err := runWorker[bareResult](ctx, r, roleBare, orders)
	if err != nil {
		return 0, err
	}
	s, err := t.stats(ctx, false)
	if err != nil {
		return 0, err
	}
	return float64(s.Unique) / time.Duration(s.Last-result.First).Seconds(), nil
}

func throughput(ctx context.Context, r *run) error { return r.saturate(ctx, 1) }

func batch(ctx context.Context, r *run) error { return r.saturate(ctx, r.Batch) }

// saturate publishes as fast as the server answers.
func (r *run) saturate(ctx context.Context, batch int) error {
	x, err := r.startSite(ctx, r.Endpoints, nil)
	if err != nil {
		return err
	}
	defer x.end()
	w, err := r.measure(ctx, x.server, x.target, r.stream(r.Endpoints, batch, 0), r.Duration, 0, nil)
	if err != nil {
		return err
	}
	r.add("delivered", "events/s", w.perSecond())
	r.add("bare limit", "posts/s", r.bare)
	r.add("delivered ÷ bare limit", "", w.perSecond()/r.bare)
	w.costs(r.figures)
	r.quantiles("publish", w.load.Publish, 0.5, 0.99)
	r.quantiles("due to arrived", w.age(nil), 0.5, 0.99)
	w.faults(r.figures)
	return nil
}

func latency(ctx context.Context, r *run) error {
	x, err := r.startSite(ctx, r.Endpoints, nil)
	if err != nil {
		return err
	}
	defer x.end()
	rate := orDefault(r.Rate, latencyRate)
	w, err := r.measure(ctx, x.server, x.target, r.stream(r.Endpoints, 1, rate), r.Duration, 0, nil)
	if err != nil {
		return err
	}
	r.quantiles("due to arrived", w.age(nil), 0.5, 0.95, 0.99, 1)
	r.quantiles("publish", w.load.Publish, 0.5, 0.99)
	r.quantiles("generator late", w.load.Late, 0.99)
	w.costs(r.figures)
	w.faults(r.figures)
	return nil
}

// hang measures one pair: nine endpoints beside a tenth that answers, then
// beside one that hangs, on a fresh server each.
func hang(ctx context.Context, r *run) error {
	rate := orDefault(r.Rate, hangRate)
	var p99 [2]time.Duration
	for i, name := range []string{"without", "with"} {
		r.progress.note("hang: %s", name)
		kind := func(n int) string {
			if n == hanging && name == "with" {
				return "hang"
			}
			return "ok"
		}
		x, err := r.startSite(ctx, hangEndpoints, kind)
		if err != nil {
			return err
		}
		answers := func(t string) bool { return name == "without" || t != eventType(hanging) }
		w, err := r.measure(ctx, x.server, x.target, r.stream(hangEndpoints, 1, rate), 2*r.Duration, 0, answers)
		x.end()
		if err != nil {
			return err
		}
		nine := w.age(func(n int) bool { return n != hanging })
		r.quantiles("nine "+name+" it", nine, 0.5, 0.95, 0.99, 1)
		p99[i] = nine.quantile(0.99)
		if name == "with" {
			r.add("requests to it, begun", "", float64(w.stats.Hanging))
			w.costs(r.figures)
		}
		w.faults(r.figures)
	}
	r.add("p99 with ÷ without", "", float64(p99[1])/float64(p99[0]))
	r.add("p99 with − without", "ms", milliseconds(p99[1]-p99[0]))
	return nil
}
