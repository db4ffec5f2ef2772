package bench

import "context"

const latencyRate = 100 // events a second

// latency measures two timetables: one that leaves the server idle most of the
// time, and half of what it can.
func latency(ctx context.Context, r *run) error {
	rate := orDefault(r.Rate, latencyRate)
	_, bare, err := r.bareWindow(ctx, rate, 1)
	if err != nil {
		return err
	}
	w, err := r.timetable(ctx, rate)
	if err != nil {
		return err
	}
	r.quantiles("due to arrived", w.age(), 0.5, 0.95, 0.99, 1)
	r.quantiles("a bare post at that rate", bare.Groups[0].Age, 0.5, 0.99)
	r.quantiles("publish", w.load.all().Publish, 0.5, 0.99)
	r.quantiles("generator late", w.load.all().Late, 0.99)
	w.costs(r.figures)
	w.faults(r.figures)
	r.overTime(number(rate)+" events/s", w, 0)

	half, err := r.half(ctx, r.endpoints(1))
	if err != nil {
		return err
	}
	if w, err = r.timetable(ctx, half); err != nil {
		return err
	}
	r.add("maximum", "events/s", 2*half)
	r.quantiles("due to arrived, at half of the maximum", w.age(), 0.5, 0.95, 0.99, 1)
	r.quantiles("generator late, at half of the maximum", w.load.all().Late, 0.99)
	w.faults(r.figures)
	r.overTime("half of the maximum", w, 0)
	return nil
}

func (r *run) timetable(ctx context.Context, rate float64) (*window, error) {
	r.progress.note("latency: %.0f events/s", rate)
	endpoints := r.endpoints(1)
	p := sitePlan{endpoints: endpoints, slot: slotOf(r.Duration)}
	return r.freshWindow(ctx, p, r.stream(endpoints, 1, rate), r.Duration)
}
