package bench

import "context"

const (
	fanOutEndpoints = 10_000
	fanOuts         = 4  // in a window's time: few enough that one is over when the next comes
	fanOutOthers    = 50 // events a second
	fanOutTenants   = 5  // which these are of
	fanOutType      = "bench.fan"
)

// fanOut measures a pair on one server: a few tenants by themselves, and while
// another one publishes events that go to thousands of endpoints each.
func fanOut(ctx context.Context, r *run) error {
	endpoints, d := r.endpoints(fanOutEndpoints), 2*r.Duration
	x, err := r.startSite(ctx, sitePlan{
		endpoints: endpoints, hows: []string{"ok/1"}, groups: 2, slot: slotOf(d), env: manyEndpoints(endpoints),
		seed: &seedPlan{tenants: 1, oneType: fanOutType},
	})
	if err != nil {
		return err
	}
	defer x.end()
	if err := x.oneTenantEach(ctx, "other-", fanOutTenants, 0); err != nil {
		return err
	}
	others := Stream{
		Tenant: "other-", Tenants: fanOutTenants, Types: eventTypes(1), Size: r.Size, Connections: r.Connections,
		Rate: orDefault(r.Rate, fanOutOthers),
	}
	fan := Stream{Tenant: seededTenants + "0", Types: []string{fanOutType}, Size: r.Size, Connections: 1, Rate: fanOuts / d.Seconds()}
	copies := func(t string) int64 {
		if t == fanOutType {
			return int64(endpoints)
		}
		return 1
	}
	var with, without *window
	err = r.inTurn(func() (err error) {
		r.progress.note("fan-out: without")
		without, err = r.measure(ctx, x, loadPlan{streams: []Stream{others}, duration: d, copies: copies})
		return err
	}, func() (err error) {
		r.progress.note("fan-out: with")
		with, err = r.measure(ctx, x, loadPlan{streams: []Stream{others, fan}, duration: d, copies: copies})
		return err
	})
	if err != nil {
		return err
	}
	published := with.load.Streams[1]
	r.add("events to many", "", float64(published.accepted()))
	r.add("endpoints of each", "", float64(endpoints))
	r.quantiles("accepted after", published.Publish, 0.5, 1)
	last := with.age(1).quantile(1)
	r.quantiles("due to arrived at all", with.age(1), 0.5, 1)
	r.add("deliveries of one event, the slowest", "1/s", float64(endpoints)/last.Seconds())
	r.quantiles("others without", without.age(0), 0.5, 0.99, 1)
	r.quantiles("others with", with.age(0), 0.5, 0.99, 1)
	r.compare("others, ", with.age(0), without.age(0))
	with.costs(r.figures)
	with.faults(r.figures)
	without.faults(r.figures)
	r.overTime("others without", without, 0)
	r.overTime("others with", with, 0)
	r.overTime("to many", with, 1)
	return nil
}
