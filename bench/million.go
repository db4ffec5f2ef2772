package bench

import (
	"context"

	"grapnel/internal/child"
)

const (
	millionTenants = 100_000
	millionEach    = 10 // endpoints of a tenant
)

// million measures pairs: events to one of very many endpoints, tenants by the
// way, and to the only one there is. Both servers live through all pairs.
func million(ctx context.Context, r *run) error {
	tenants := orDefault(r.Tenants, millionTenants)
	each := r.endpoints(millionEach)
	r.progress.note("million-endpoints: %d tenants with %d each", tenants, each)
	many, err := r.startSite(ctx, sitePlan{endpoints: each, env: manyEndpoints(each), seed: &seedPlan{tenants: tenants}})
	if err != nil {
		return err
	}
	defer many.end()
	r.add("endpoints", "", float64(tenants*each))
	r.add("ready", "s", many.ready.Seconds())
	if rss, err := child.ReadMemory(many.server.PID()); err == nil {
		r.add("server memory when ready", "MiB", mebibytes(rss))
	}
	one, err := r.startSite(ctx, sitePlan{endpoints: 1, seed: &seedPlan{tenants: 1}})
	if err != nil {
		return err
	}
	defer one.end()
	to := func(tenants, endpoints int) []Stream {
		s := r.stream(endpoints, 1, orDefault(r.Rate, dialectRate))
		s[0].Tenant, s[0].Tenants = seededTenants, tenants
		return s
	}
	if err := r.warm(ctx, many, to(tenants, each)); err != nil {
		return err
	}
	if err := r.warm(ctx, one, to(1, 1)); err != nil {
		return err
	}
	for n := range r.Runs {
		r.progress.note("million-endpoints: pair %d of %d", n+1, r.Runs)
		if err := r.millionPair(ctx, many, one, to(tenants, each), to(1, 1)); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) millionPair(ctx context.Context, many, one *site, toMany, toOne []Stream) error {
	var a, b *window
	err := r.inTurn(func() (err error) {
		a, err = r.measure(ctx, many, loadPlan{streams: toMany, duration: r.Duration})
		return err
	}, func() (err error) {
		b, err = r.measure(ctx, one, loadPlan{streams: toOne, duration: r.Duration})
		return err
	})
	if err != nil {
		return err
	}
	r.add("offered", "events/s", toMany[0].Rate)
	r.add("server CPU, many", "µs/event", a.cost())
	r.add("server CPU, one", "µs/event", b.cost())
	r.add("server CPU, many ÷ one", "", a.cost()/b.cost())
	r.quantiles("publish, many", a.load.all().Publish, 0.5, 0.99)
	r.quantiles("publish, one", b.load.all().Publish, 0.5, 0.99)
	r.add("publish, p50, many ÷ one", "", float64(a.load.all().Publish.quantile(0.5))/float64(b.load.all().Publish.quantile(0.5)))
	r.quantiles("due to arrived, many", a.age(), 0.5, 0.99)
	r.quantiles("due to arrived, one", b.age(), 0.5, 0.99)
	r.add("server memory, many, after the window", "MiB", mebibytes(a.rss))
	r.add("server memory, many, peak", "MiB", mebibytes(a.peakRSS))
	r.add("server memory, one, after the window", "MiB", mebibytes(b.rss))
	a.faults(r.figures)
	b.faults(r.figures)
	return nil
}
