package bench

import (
	"context"
	"fmt"
)

const (
	deadEndpoints = 1000
	deadOf        = 10 // of so many endpoints
	deadIn        = 3  // these accept requests and never answer
	deadShare     = 0.8
)

// dead measures pairs on fresh servers: a crowd of endpoints of which 30 % hang
// from the start, and the same crowd where these answer as well. Those that answer
// in both are counted: as fast as publishes are answered, and at a rate that a
// server with healthy endpoints alone has shown to bear.
func dead(ctx context.Context, r *run) error {
	healthy, err := r.deadPair(ctx, "as fast as possible: ", 0)
	if err != nil {
		return err
	}
	rate := orDefault(r.Rate, deadShare*healthy/(1-float64(deadIn)/deadOf))
	_, err = r.deadPair(ctx, fmt.Sprintf("at %g × that: ", deadShare), rate)
	return err
}

// deadPair returns what the healthy endpoints got a second beside others that
// answer.
func (r *run) deadPair(ctx context.Context, what string, rate float64) (float64, error) {
	var with, without *window
	err := r.inTurn(func() (err error) {
		without, err = r.deadWindow(ctx, rate, "ok")
		return err
	}, func() (err error) {
		with, err = r.deadWindow(ctx, rate, "hang")
		return err
	})
	if err != nil {
		return 0, err
	}
	if rate > 0 {
		r.add(what+"offered", "events/s", rate)
	}
	r.add(what+"healthy without them", "events/s", without.groupPerSecond(0))
	r.add(what+"healthy with them", "events/s", with.groupPerSecond(0))
	r.add(what+"with ÷ without", "", with.groupPerSecond(0)/without.groupPerSecond(0))
	if rate > 0 {
		r.quantiles(what+"healthy without them", without.age(0), 0.5, 0.99)
		r.quantiles(what+"healthy with them", with.age(0), 0.5, 0.99)
		r.overTime("without them", without, 0)
		r.overTime("with them", with, 0)
	}
	r.add(what+"requests to them, begun", "", float64(with.stats.Hanging))
	if rate == 0 {
		with.costs(r.figures)
	}
	with.faults(r.figures)
	without.faults(r.figures)
	return without.groupPerSecond(0), nil
}

func (r *run) deadWindow(ctx context.Context, rate float64, kind string) (*window, error) {
	r.progress.note("dead-30: %.0f events/s, 30 %%: %s", rate, kind)
	p := sitePlan{endpoints: max(r.endpoints(deadEndpoints), deadOf), groups: 2, seed: &seedPlan{tenants: 1}}
	alive := map[string]bool{}
	for n := range deadOf {
		how := "ok/0"
		if n < deadIn {
			how = kind + "/1"
		}
		p.hows = append(p.hows, how)
	}
	for n := range p.endpoints {
		alive[eventType(n)] = kind == "ok" || n%deadOf >= deadIn
	}
	if rate > 0 {
		p.slot = slotOf(r.Duration)
	}
	x, err := r.startSite(ctx, p)
	if err != nil {
		return nil, err
	}
	defer x.end()
	streams := r.stream(p.endpoints, 1, rate)
	streams[0].Tenant = seededTenants + "0"
	w, err := r.measure(ctx, x, loadPlan{streams: streams, duration: r.Duration, copies: func(t string) int64 {
		if alive[t] {
			return 1
		}
		return 0
	}})
	if err != nil {
		return nil, fmt.Errorf("30 %%: %s: %w", kind, err)
	}
	return w, nil
}
