package bench

import (
	"context"
	"fmt"
	"time"
)

const (
	recoveryRate      = 1000 // events a second
	recoveryEndpoints = 10
	recoveryKills     = 3
)

// recovery kills the server under load, again and again, and starts it on the
// same folder. Publishes that got no answer are repeated under the same ids, so
// that every event is accounted for.
func recovery(ctx context.Context, r *run) error {
	endpoints := r.endpoints(recoveryEndpoints)
	x, err := r.startSite(ctx, sitePlan{endpoints: endpoints})
	if err != nil {
		return err
	}
	defer x.end()
	for n := range recoveryKills {
		r.progress.note("recovery: kill %d of %d", n+1, recoveryKills)
		if err := r.killOnce(ctx, x, endpoints, n); err != nil {
			return err
		}
	}
	return nil
}

// killOnce kills the server in the middle of a window, and awaits all that was
// accepted before and after.
func (r *run) killOnce(ctx context.Context, x *site, endpoints, n int) error {
	streams := r.stream(endpoints, 1, orDefault(r.Rate, recoveryRate))
	streams[0].Keyed = true
	ctx, stop := context.WithCancel(ctx)
	defer stop() // nothing posts to a server that could not be started
	d := 2 * r.Duration / recoveryKills
	u, err := r.begin(ctx, x, loadPlan{streams: streams, duration: d, from: int64(n) * 1_000_000_000})
	if err != nil {
		return err
	}
	pause(ctx, d/2)
	ready, first, err := r.restart(ctx, x)
	if err != nil {
		return err
	}
	w, err := u.end(ctx)
	if err != nil {
		return err
	}
	r.add("ready after the restart", "ms", milliseconds(ready))
	r.add("first delivery after the restart", "ms", milliseconds(first))
	r.add("accepted", "events", float64(w.load.all().accepted()))
	r.add("posts repeated for want of an answer", "", float64(interrupted(w.load.all())))
	w.faults(r.figures)
	return nil
}

// interrupted counts posts that got no answer.
func interrupted(s *streamResult) (n int64) {
	for what, times := range s.Answers {
		if len(what) > 3 { // not a status
			n += times
		}
	}
	return n
}

// restart kills the server and starts it on what it left. first is from the start
// to the first delivery that is not a repetition.
func (r *rig) restart(ctx context.Context, x *site) (ready, first time.Duration, err error) {
	x.server.Kill()
	pause(ctx, 50*time.Millisecond) // what was on its way has arrived
	before, err := x.stats(ctx, false)
	if err != nil {
		return 0, 0, err
	}
	if ready, err = x.start(ctx, startPatience); err != nil {
		return 0, 0, err
	}
	started := x.server.Started()
	for time.Since(started) < startPatience && ctx.Err() == nil {
		s, err := x.stats(ctx, false)
		if err != nil {
			return 0, 0, err
		}
		if s.Unique > before.Unique {
			return ready, time.Since(started), nil
		}
		pause(ctx, 5*time.Millisecond)
	}
	if ctx.Err() != nil {
		return 0, 0, ctx.Err()
	}
	return 0, 0, fmt.Errorf("bench: nothing arrived within %s of the restart: %s", startPatience, x.logTail())
}
