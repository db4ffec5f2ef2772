package bench

import (
	"context"
	"fmt"
	"time"
)

// scenario is one kind of measurement. Measure does one run of it and adds the
// run's figures.
type scenario struct {
	Name      string
	About     string
	Default   bool                        // runs when no scenario is named
	Bare      bool                        // its figures are held against the bare limit
	Once      bool                        // it does all runs at once, for its preparation is long
	Timetable bool                        // it has latency over time
	Folder    bool                        // it writes a data folder itself, or looks into it
	Windows   func(Options) time.Duration // how long one run's load takes, for the progress
	Measure   func(context.Context, *run) error
}

// run is one run of a scenario.
type run struct {
	*rig
	*figures
	*round
}

// round is what the scenarios of one run share.
type round struct {
	bare    float64         // deliveries a second of the bare client
	maximum map[int]float64 // deliveries a second of the server, by the number of endpoints
}

func scenarios() []scenario {
	times := func(n float64) func(Options) time.Duration {
		return func(o Options) time.Duration { return time.Duration(n * float64(o.Duration)) }
	}
	return []scenario{
		{Name: "throughput", About: "single posts, as fast as they are answered", Default: true, Bare: true, Windows: times(1), Measure: throughput},
		{Name: "batch", About: "posts of many events, as fast as they are answered", Default: true, Bare: true, Windows: times(1), Measure: batch},
		{Name: "latency", About: fmt.Sprintf("single posts on a timetable: %d events/s, and half of the maximum", latencyRate),
			Default: true, Timetable: true, Windows: times(3.5), Measure: latency},
		{Name: "hang", About: fmt.Sprintf("one of %d endpoints never answers; the others with and without it, at %d events/s and at half of the maximum", hangEndpoints, hangRate),
			Default: true, Timetable: true, Windows: times(8.5), Measure: hang},
		{Name: "dead-30", About: fmt.Sprintf("30 %% of %d endpoints never answer; the others with and without them", deadEndpoints), Timetable: true, Windows: times(4), Measure: dead},
		{Name: "flood", About: fmt.Sprintf("%d tenants with %d events/s each while one more floods, with a quota and without", floodTenants, floodRate),
			Timetable: true, Windows: times(4), Measure: flood},
		{Name: "fan-out", About: fmt.Sprintf("one event to %d endpoints, again and again, while %d others go on", fanOutEndpoints, fanOutOthers), Timetable: true, Windows: times(4), Measure: fanOut},
		{Name: "in-flight", About: "attempts under way to endpoints that answer late, and what fast ones see of it", Timetable: true, Windows: times(3), Measure: inFlight},
		{Name: "recovery", About: fmt.Sprintf("killed under load %d times, and started again", recoveryKills), Windows: times(2), Measure: recovery},
		{Name: "tls", About: "single posts as fast as they are answered, to receivers of HTTPS against plain HTTP", Windows: times(3), Measure: secured},
		{Name: "dialects", About: fmt.Sprintf("server CPU for an event in dialects against standard, in turns, %d events/s; needs --dialect", dialectRate),
			Windows: func(o Options) time.Duration { return 2 * o.Duration * time.Duration(len(o.Dialects)) }, Measure: dialects},
		{Name: "million-endpoints", About: fmt.Sprintf("what an event costs with %d tenants of ten endpoints, against one endpoint", millionTenants), Once: true, Folder: true,
			Windows: func(o Options) time.Duration { return 3 * o.Duration * time.Duration(o.Runs) }, Measure: million},
		{Name: "backlog", About: "a start with many deliveries waiting, and how fast they go, against fresh events", Once: true, Folder: true, Windows: backlogTime, Measure: backlog},
		{Name: "growth", About: "throughput with many events stored, against an empty store", Once: true, Folder: true, Windows: growthTime, Measure: growth},
		{Name: "disk", About: "bytes on disk and bytes written for an event, plain and compressed", Once: true, Folder: true, Windows: diskTime, Measure: disk},
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

// stream is events for the endpoints of the tenant bench.
func (r *rig) stream(endpoints, batch int, rate float64) []Stream {
	return []Stream{{Tenant: tenant, Types: eventTypes(endpoints), Size: r.Size, Connections: r.Connections, Batch: batch, Rate: rate}}
}

// freshWindow takes one window on a site of its own.
func (r *rig) freshWindow(ctx context.Context, p sitePlan, streams []Stream, d time.Duration) (*window, error) {
	x, err := r.startSite(ctx, p)
	if err != nil {
		return nil, err
	}
	defer x.end()
	return r.measure(ctx, x, loadPlan{streams: streams, duration: d})
}

// half is half of what the server delivers at most, to so many endpoints, in this
// run: a short window as fast as it answers says what that is.
func (r *run) half(ctx context.Context, endpoints int) (float64, error) {
	if r.maximum[endpoints] == 0 {
		r.progress.note("the maximum")
		w, err := r.freshWindow(ctx, sitePlan{endpoints: endpoints}, r.stream(endpoints, 1, 0), r.Duration/2)
		if err != nil {
			return 0, err
		}
		r.maximum[endpoints] = w.perSecond()
	}
	return r.maximum[endpoints] / 2, nil
}

// warm takes a short window that is not measured: what a server does once is not
// what an event costs.
func (r *rig) warm(ctx context.Context, x *site, streams []Stream) error {
	_, err := r.measure(ctx, x, loadPlan{streams: streams, duration: max(r.Duration/5, 200*time.Millisecond)})
	return err
}

// compare adds p99 of two windows' groups, and what one is to the other.
func (f *figures) compare(what string, with, without *histogram) {
	a, b := with.quantile(0.99), without.quantile(0.99)
	f.add(what+"p99 with ÷ without", "", float64(a)/float64(b))
	f.add(what+"p99 with − without", "ms", milliseconds(a-b))
}
