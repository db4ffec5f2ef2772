package bench

import (
	"context"
	"fmt"
	"time"
)

const (
	floodTenants = 50
	floodRate    = 10 // events a second of each
	flooder      = "flooder-"
)

// flood measures pairs on one server: many tenants that publish a little, by
// themselves, and while one more publishes batches as fast as it is let. First
// with a quota for each tenant, then without.
func flood(ctx context.Context, r *run) error {
	quota := []string{fmt.Sprintf("GRAPNEL_TENANT_RATE=%d/s", r.Quota)}
	r.add("quota of a tenant, where there is one", "events/s", float64(r.Quota))
	if err := r.floodPair(ctx, fmt.Sprintf("quota %d/s: ", r.Quota), quota); err != nil {
		return err
	}
	return r.floodPair(ctx, "no quota: ", nil)
}

func (r *run) floodPair(ctx context.Context, what string, env []string) error {
	x, err := r.startSite(ctx, sitePlan{groups: 2, slot: slotOf(r.Duration), env: env})
	if err != nil {
		return err
	}
	defer x.end()
	tenants := orDefault(r.Tenants, floodTenants)
	if err := x.oneTenantEach(ctx, "calm-", tenants, 0); err != nil {
		return err
	}
	if err := x.oneTenantEach(ctx, flooder, 1, 1); err != nil {
		return err
	}
	calm := Stream{
		Tenant: "calm-", Tenants: tenants, Types: eventTypes(1), Size: r.Size, Connections: r.Connections,
		Rate: orDefault(r.Rate, floodRate*float64(tenants)),
	}
	wild := Stream{Tenant: flooder, Tenants: 1, Types: eventTypes(1), Size: r.Size, Connections: defaultConnections, Batch: r.Batch}
	var with, without *window
	err = r.inTurn(func() (err error) {
		r.progress.note("flood: %sidle", what)
		without, err = r.measure(ctx, x, loadPlan{streams: []Stream{calm}, duration: r.Duration})
		return err
	}, func() (err error) {
		r.progress.note("flood: %sflooding", what)
		with, err = r.measure(ctx, x, loadPlan{streams: []Stream{calm, wild}, duration: r.Duration})
		return err
	})
	if err != nil {
		return err
	}
	r.quantiles(what+"others, idle", without.age(0), 0.5, 0.99, 1)
	r.quantiles(what+"others, flooded", with.age(0), 0.5, 0.99, 1)
	r.compare(what, with.age(0), without.age(0))
	r.quantiles(what+"others' publishes, flooded", with.load.Streams[0].Publish, 0.5, 0.99)
	r.add(what+"others' publishes told to wait", "", float64(with.load.Streams[0].Throttled))
	f := with.load.Streams[1]
	spent := time.Duration(with.load.Last - with.load.First).Seconds()
	r.add(what+"flooder, accepted", "events/s", float64(f.accepted())/spent)
	r.add(what+"flooder, delivered", "events/s", with.groupPerSecond(1))
	r.add(what+"flooder, answers 429 and 503", "", float64(f.Throttled))
	with.faults(r.figures)
	without.faults(r.figures)
	r.overTime(what+"idle", without, 0)
	r.overTime(what+"flooded", with, 0)
	return nil
}
