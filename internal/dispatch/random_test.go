package dispatch_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Whatever endpoints, operators, the store and the machine do: progress is
// never ahead (the queue checks), attempts come in order (so does it), and when
// all is well again everything ends, with no more repeated requests than were
// running or unrecorded at crashes (I1, I4, I5, I6, I8).
func TestAnythingCanHappen(t *testing.T) {
	t.Parallel()
	steps := rapid.SliceOfN(rapid.SampledFrom([]string{
		"publish", "publish", "publish", "sleep", "behave", "pause", "resume", "crash", "restart", "redeliver", "fault", "refuse",
	}), 1, 30)
	rapid.Check(t, func(rt *rapid.T) {
		seed, todo := rapid.Uint64().Draw(rt, "seed"), steps.Draw(rt, "steps")
		var problems []string
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 12)
			w.t = collector{t, &problems}
			w.queue.t = w.t
			w.random(seed, todo)
		})
		if len(problems) > 0 {
			rt.Fatal(problems)
		}
	})
}

// collector keeps failures for rapid, which tries smaller cases then.
type collector struct {
	testing.TB
	problems *[]string
}

func (c collector) Errorf(format string, args ...any) {
	*c.problems = append(*c.problems, fmt.Sprintf(format, args...))
}

func (w *world) random(seed uint64, steps []string) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	w.tune = func(c *dispatch.Config) {
		c.MaxInFlight = 4 + int(seed%64)
		if seed%3 > 0 {
			c.Memory = 8<<10 + int(seed%100)<<10
		}
	}
	w.make()
	w.queue.readDelay = time.Duration(seed%7) * 3 * time.Millisecond
	w.queue.recordDelay = time.Duration(seed%5) * 2 * time.Millisecond
	w.queue.recordLag = time.Duration(seed%3) * 2 * time.Millisecond
	w.start()
	var may atomic.Int64
	for _, step := range steps {
		num := hook.EndpointNum(rnd.IntN(12) + 1)
		switch step {
		case "publish":
			for range rnd.IntN(200) {
				w.publish(num, num%12+1)
				if rnd.IntN(4) == 0 {
					time.Sleep(time.Duration(rnd.IntN(3000)) * time.Microsecond)
				}
			}
		case "redeliver":
			w.redeliverOne(rnd)
		case "refuse":
			w.refuseSome(rnd, &may)
		default:
			may.Add(int64(w.step(step, num, rnd)))
		}
	}
	w.heal()
	time.Sleep(24 * time.Hour)
	w.redeliverHeld()
	time.Sleep(time.Minute)
	if c := w.queue.count(); c[0]+c[hook.Pending]+c[hook.Held] != 0 {
		w.t.Errorf("in the end the deliveries are %v", c)
	}
	if extra := len(w.seen(0)) - len(w.queue.tried()); int64(extra) > may.Load() {
		w.t.Errorf("%d requests were repeated, %d could be", extra, may.Load())
	}
	w.stop()
	if w.queue.behind() != 0 {
		w.t.Errorf("%d lanes are still behind", w.queue.behind())
	}
}

// step does one of the things that any test may do to an endpoint and to all.
// It returns how many requests may be repeated because of it.
func (w *world) step(step string, num hook.EndpointNum, rnd *rand.Rand) (may int) {
	switch step {
	case "sleep":
		time.Sleep(time.Duration(rnd.Int64N(int64(2 * time.Minute))))
	case "behave":
		w.answers(num, behaviours[rnd.IntN(len(behaviours))])
	case "pause":
		w.change(num, func(e *hook.Endpoint) { e.State = hook.EndpointPaused })
	case "resume":
		w.change(num, func(e *hook.Endpoint) { e.State = hook.EndpointActive })
	case "crash":
		may += w.crash()
		w.start()
	case "restart":
		over, cancel := context.WithTimeout(context.Background(), time.Duration(rnd.IntN(3000))*time.Millisecond)
		if err := w.d.Stop(over); err != nil {
			w.t.Errorf("stop: %v", err)
		}
		cancel()
		w.make()
		w.start()
	case "fault":
		w.breakStore(rnd)
	}
	return may
}

var behaviours = []func(context.Context, int) *egress.Result{
	nil,
	always(50*time.Millisecond, 200),
	always(time.Millisecond, 500),
	always(5*time.Millisecond, 429),
	hangs,
	func(context.Context, int) *egress.Result { return failure(egress.ClassRefused) },
	func(ctx context.Context, n int) *egress.Result {
		return after(ctx, time.Duration(n%50)*time.Millisecond, status(200+300*(n%2)))
	},
}

func (w *world) redeliverOne(rnd *rand.Rand) {
	if len(w.queue.events) == 0 {
		return
	}
	e := w.queue.events[rnd.IntN(len(w.queue.events))]
	key := hook.DeliveryKey{Event: e.ID, Endpoint: e.Targets[0].Endpoint}
	_ = w.queue.Redeliver(context.Background(), hook.AllTenants, key, time.Now())
	if rnd.IntN(2) == 0 {
		time.Sleep(time.Duration(rnd.IntN(10)) * time.Millisecond)
	}
	w.d.Wake(key)
}

// breakStore lets some of the next calls fail.
func (w *world) breakStore(rnd *rand.Rand) {
	w.queue.mu.Lock()
	defer w.queue.mu.Unlock()
	faults := rnd.IntN(4)
	w.queue.recordFault = func([]*store.Outcome) error {
		if faults--; faults >= 0 {
			return store.ErrUnavailable
		}
		return nil
	}
	w.queue.readFault = func() error {
		w.queue.mu.Lock()
		defer w.queue.mu.Unlock()
		if faults--; faults >= 0 {
			return store.ErrUnavailable
		}
		return nil
	}
}

// refuseSome lets the store refuse outcomes of one endpoint for good, some of
// them altogether. What was sent then may be sent again.
func (w *world) refuseSome(rnd *rand.Rand, may *atomic.Int64) {
	num, rest := hook.EndpointNum(rnd.IntN(12)+1), rnd.IntN(20)
	w.queue.mu.Lock()
	defer w.queue.mu.Unlock()
	w.queue.recordFault = func(outcomes []*store.Outcome) error {
		i := slices.IndexFunc(outcomes, func(o *store.Outcome) bool { return o.Key.Endpoint == num })
		if i < 0 || rest < 0 {
			return nil
		}
		if len(outcomes) == 1 {
			rest--
			if outcomes[i].Attempt != nil {
				may.Add(1)
			}
		}
		return errNever
	}
}

func (w *world) redeliverHeld() {
	for _, e := range w.queue.events {
		for _, t := range e.Targets {
			if key := (hook.DeliveryKey{Event: e.ID, Endpoint: t.Endpoint}); w.queue.state(key) == hook.Held {
				_ = w.queue.Redeliver(context.Background(), hook.AllTenants, key, time.Now())
				w.d.Wake(key)
			}
		}
	}
}

func (w *world) heal() { w.healAll(12) }

func (w *world) healAll(endpoints int) {
	w.refuse(nil)
	for num := range hook.EndpointNum(endpoints) {
		w.answers(num+1, nil)
		w.change(num+1, func(e *hook.Endpoint) { e.State = hook.EndpointActive })
	}
}
