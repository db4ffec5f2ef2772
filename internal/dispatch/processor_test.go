package dispatch_test

import (
	"context"
	"testing"
	"time"

	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/hook"
)

// telling is a network that tells when a request is out, as egress does.
type telling struct {
	*world
	long bool // it waits for more than an answer
}

func (n *telling) Do(ctx context.Context, r *egress.Request) *egress.Result {
	r.Waits(n.long)
	return n.world.Do(ctx, r)
}

func busyWorld(w *world, busy int, long bool) {
	n := &telling{world: w, long: long}
	w.tune = func(c *dispatch.Config) { c.Busy, c.Egress = busy, n }
	w.make()
}

// However few attempts may take the processor, slow endpoints do not hold it:
// each counts for no longer than a moment, so that all go out soon, and nothing
// is sent by a timer after the stop.
func TestBusyIsNotHeldBySlowEndpoints(t *testing.T) {
	for name, long := range map[string]bool{"sent": false, "waits for long": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 60, func(w *world) {
				busyWorld(w, 2, long)
				w.start()
				for num := range hook.EndpointNum(60) {
					w.answers(num+1, always(time.Second, 200))
				}
				for num := range hook.EndpointNum(50) {
					w.answers(num+1, hangs)
				}
				begin := time.Now()
				for num := range hook.EndpointNum(60) {
					w.publish(num + 1)
				}
				time.Sleep(500 * time.Millisecond)
				seen := w.seen(0)
				if len(seen) != 60 {
					t.Fatalf("%d requests are out", len(seen))
				}
				// Tenants share, so one at a time takes the processor for a millisecond.
				if took := lastOf(seen).at.Sub(begin); took > 61*time.Millisecond || long && took > 0 {
					t.Errorf("the last request was out after %v", took)
				}
				time.Sleep(time.Minute)
				for num := range hook.EndpointNum(50) {
					w.answers(num+1, nil)
				}
				time.Sleep(time.Hour)
				if c := w.queue.count(); c[hook.Delivered] != 60 {
					t.Errorf("in the end the deliveries are %v", c)
				}
				for num := range hook.EndpointNum(60) {
					w.publish(num + 1)
				}
				w.stop()
				n := len(w.seen(0))
				time.Sleep(time.Second)
				if more := len(w.seen(0)) - n; more > 0 {
					t.Errorf("%d requests after the stop", more)
				}
			})
		})
	}
}

// Every way in which an attempt ends lets the next one begin: without a request,
// given back, put off, broken by a panic, cancelled, or failed with no word that
// it waits; and so do probes of an outage.
func TestBusyIsReleasedOnEveryPath(t *testing.T) {
	ways := map[string]func(w *world){
		"panic": func(w *world) {
			w.answers(1, func(context.Context, int) *egress.Result { panic("broken") })
		},
		"no request left": func(w *world) {
			w.answers(1, func(context.Context, int) *egress.Result { return failure(egress.ClassBlocked) })
		},
		"refused": func(w *world) {
			w.answers(1, func(context.Context, int) *egress.Result { return failure(egress.ClassRefused) })
		},
		"endpoint deleted":   func(w *world) { w.change(1, func(e *hook.Endpoint) { e.Deleted = true }) },
		"no such contract":   func(w *world) { w.change(1, func(e *hook.Endpoint) { e.Dialect = "unknown" }) },
		"asks to be removed": func(w *world) { w.answers(1, always(0, 410)) },
		"paused meanwhile": func(w *world) {
			w.answers(1, func(ctx context.Context, _ int) *egress.Result {
				w.change(1, func(e *hook.Endpoint) { e.State = hook.EndpointPaused })
				return after(ctx, time.Millisecond, status(500))
			})
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 3, func(w *world) {
				w.tune = func(c *dispatch.Config) { c.Busy = 1 } // nobody tells that it waits
				w.make()
				w.start()
				way(w)
				for range 20 {
					w.publish(1)
					w.publish(2)
				}
				time.Sleep(5 * time.Second)
				if n := len(w.seen(2)); n != 20 {
					t.Errorf("%d of 20 requests to the endpoint that works", n)
				}
				w.stop()
			})
		})
	}
}
