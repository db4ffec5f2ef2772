package bench

import (
	"context"
	"fmt"
)

const (
	hangRate      = 300 // events a second
	hangEndpoints = 10
	hanging       = 3 // the one of them that hangs
)

// hang measures pairs: nine endpoints beside a tenth that answers, then beside
// one that hangs, on a fresh server each; at a low rate, and at half of the
// maximum.
func hang(ctx context.Context, r *run) error {
	if err := r.hangPair(ctx, "", orDefault(r.Rate, hangRate)); err != nil {
		return err
	}
	half, err := r.half(ctx, hangEndpoints)
	if err != nil {
		return err
	}
	r.add("half of the maximum", "events/s", half)
	return r.hangPair(ctx, "at half of the maximum: ", half)
}

func (r *run) hangPair(ctx context.Context, what string, rate float64) error {
	var with, without *window
	err := r.inTurn(func() (err error) {
		without, err = r.hangWindow(ctx, rate, "ok")
		return err
	}, func() (err error) {
		with, err = r.hangWindow(ctx, rate, "hang")
		return err
	})
	if err != nil {
		return err
	}
	r.quantiles(what+"nine without it", without.age(0), 0.5, 0.95, 0.99, 1)
	r.quantiles(what+"nine with it", with.age(0), 0.5, 0.95, 0.99, 1)
	r.compare(what, with.age(0), without.age(0))
	r.add(what+"requests to it, begun", "", float64(with.stats.Hanging))
	if what == "" {
		with.costs(r.figures)
	}
	with.faults(r.figures)
	without.faults(r.figures)
	r.overTime(what+"without it", without, 0)
	r.overTime(what+"with it", with, 0)
	return nil
}

// hangWindow takes a window in which one of ten endpoints answers as kind says.
// It is of group 1.
func (r *run) hangWindow(ctx context.Context, rate float64, kind string) (*window, error) {
	r.progress.note("hang: %.0f events/s, the tenth: %s", rate, kind)
	hows := make([]string, hangEndpoints)
	for n := range hows {
		hows[n] = "ok/0"
	}
	hows[hanging] = kind + "/1"
	x, err := r.startSite(ctx, sitePlan{endpoints: hangEndpoints, hows: hows, groups: 2, slot: slotOf(2 * r.Duration)})
	if err != nil {
		return nil, err
	}
	defer x.end()
	w, err := r.measure(ctx, x, loadPlan{streams: r.stream(hangEndpoints, 1, rate), duration: 2 * r.Duration, copies: func(t string) int64 {
		if kind == "hang" && t == eventType(hanging) {
			return 0
		}
		return 1
	}})
	if err != nil {
		return nil, fmt.Errorf("the tenth: %s: %w", kind, err)
	}
	return w, nil
}
