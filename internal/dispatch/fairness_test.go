package dispatch_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/hook"
)

// One endpoint of ten hangs; the others do not notice, and it holds few places,
// whether it was known before, not at all, or had many requests running
// (cases 57, 58).
func TestHangingEndpointDelaysNobody(t *testing.T) {
	for name, c := range map[string]struct{ places, before, took int }{
		"known": {64, 200, 1}, "unknown": {64, 0, 1}, "busy": {dispatch.DefaultMaxInFlight, 1000, 300},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 10, func(w *world) {
				w.tune = func(d *dispatch.Config) { d.MaxInFlight = c.places }
				w.make()
				w.queue.recordDelay = 5 * time.Millisecond
				w.answers(3, always(time.Duration(c.took)*time.Millisecond, 200))
				w.start()
				for range c.before {
					for num := range hook.EndpointNum(10) {
						w.publish(num + 1)
					}
					time.Sleep(time.Millisecond)
				}
				if peak := w.mostAtOnce(3); name == "busy" && peak < 64 {
					t.Errorf("it had %d requests at once only", peak)
				}
				w.answers(3, hangs)
				w.delaysOthers(3)
			})
		})
	}
}

// delaysOthers publishes 300 events a second to ten endpoints, one of which
// hangs, and fails the test if that shows at the others.
func (w *world) delaysOthers(hanging hook.EndpointNum) {
	w.t.Helper()
	published := map[string]time.Time{}
	for i := range 30_000 {
		e := w.publish(hook.EndpointNum(i%10 + 1))
		published[e.ID.String()] = time.Now()
		time.Sleep(time.Second / 300)
	}
	var worst time.Duration
	for _, r := range w.seen(0) {
		if at, ok := published[r.id]; ok && r.endpoint != hanging {
			worst = max(worst, r.at.Sub(at))
		}
	}
	if worst > 5*time.Millisecond {
		w.t.Errorf("a delivery to another endpoint began %s late", worst)
	}
	w.mu.Lock()
	held := w.running[hanging]
	w.mu.Unlock()
	if held > 1 {
		w.t.Errorf("the endpoint that hangs holds %d places", held)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.d.Stop(over); err != nil {
		w.t.Error(err)
	}
}

// A thousand endpoints that hang from the beginning leave room for one that
// works, even where there is room for hardly any of them.
func TestManyDeadEndpoints(t *testing.T) {
	inBubble(t, 1001, func(w *world) {
		w.tune = func(c *dispatch.Config) { c.MaxInFlight = 400 }
		w.make()
		for num := range hook.EndpointNum(1000) {
			w.answers(num+1, hangs)
		}
		w.start()
		w.publish(1001)
		time.Sleep(time.Second)
		for range 20 {
			for num := range hook.EndpointNum(1000) {
				w.publish(num + 1)
			}
		}
		begin := time.Now()
		for range 1000 {
			w.publish(1001)
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(begin); took > 11*time.Second {
			t.Errorf("publishing took %s", took)
		}
		synctest.Wait()
		if got := len(w.seen(1001)); got != 1001 {
			t.Errorf("%d of 1001 deliveries were made", got)
		}
		over, cancel := context.WithCancel(context.Background())
		cancel()
		if err := w.d.Stop(over); err != nil {
			t.Error(err)
		}
	})
}

// One tenant floods; another one's deliveries take every second turn, not the
// last (case 56).
func TestTenantsTakeTurns(t *testing.T) {
	inBubble(t, 30, func(w *world) {
		w.tune = func(c *dispatch.Config) { c.MaxInFlight = 4 }
		w.make()
		w.start()
		for i := range 4000 {
			w.publish(hook.EndpointNum(10 + i%10)) // tenant 2
		}
		begin := time.Now()
		for range 50 {
			w.publish(1) // tenant 1
		}
		time.Sleep(time.Minute)
		seen := w.seen(1)
		if took := seen[len(seen)-1].at.Sub(begin); took > 50*time.Millisecond {
			t.Errorf("the small tenant's deliveries took %s", took)
		}
		w.once()
		w.stop()
	})
}

// After an outage of an hour the endpoint is met slowly, its rate is kept, and
// fresh events go out one for one with the backlog (case 60).
func TestBackAfterOutage(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		const rate = 100
		w.change(1, func(e *hook.Endpoint) { e.RateLimit, e.MaxInFlight = rate, 20 })
		w.answers(1, func(context.Context, int) *egress.Result { return failure(egress.ClassRefused) })
		w.start()
		for range 10_000 {
			w.publish(1)
			time.Sleep(360 * time.Millisecond)
		}
		down := len(w.seen(1))
		if down > 3000 {
			t.Errorf("%d requests to a dead endpoint within an hour", down)
		}
		w.mostAtOnce(1)
		w.answers(1, always(20*time.Millisecond, 200))
		time.Sleep(40 * time.Second) // until the next probe, and a little
		up := time.Now()
		late := map[string]time.Time{}
		for range 1000 {
			e := w.publish(1)
			late[e.ID.String()] = time.Now()
			time.Sleep(50 * time.Millisecond) // 20/s beside a backlog of 100/s
		}
		var waits []time.Duration
		inSecond := map[int64]int{}
		for _, r := range w.seen(1)[down:] {
			if at, ok := late[r.id]; ok {
				waits = append(waits, r.at.Sub(at))
			}
			if !r.at.Before(up) {
				inSecond[r.at.Unix()]++
			}
		}
		slices.Sort(waits)
		if len(waits) < 990 || waits[len(waits)*99/100] > time.Second {
			t.Errorf("%d of 1000 fresh events went out, p99 after %s", len(waits), waits[len(waits)*99/100])
		}
		for s, n := range inSecond {
			if n > rate*11/10 {
				t.Errorf("%d requests in second %d", n, s)
			}
		}
		if peak := w.mostAtOnce(1); peak > 20 {
			t.Errorf("%d requests at once", peak)
		}
		time.Sleep(2 * time.Hour)
		if c := w.queue.count(); c[hook.Delivered] != 11_000 {
			t.Errorf("the deliveries are %v", c)
		}
		w.stop()
	})
}

// An endpoint that asks for less gets less, down to one at a time, and more
// again when it stops asking.
func TestThrottling(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.start()
		w.answers(1, always(10*time.Millisecond, 200))
		flood := func(n int) {
			for range n {
				w.publish(1)
			}
			time.Sleep(100 * time.Millisecond)
		}
		flood(2000)
		time.Sleep(time.Second)
		if peak := w.mostAtOnce(1); peak < 64 {
			t.Errorf("the limit grew to %d only", peak)
		}
		w.answers(1, always(10*time.Millisecond, 429))
		flood(500)
		time.Sleep(time.Second)
		w.mostAtOnce(1)
		time.Sleep(30 * time.Second)
		if peak := w.mostAtOnce(1); peak > 1 {
			t.Errorf("%d requests at once to an endpoint that throttles", peak)
		}
		w.answers(1, always(10*time.Millisecond, 200))
		time.Sleep(24 * time.Hour)
		if c := w.queue.count(); c[hook.Delivered]+c[hook.Failed] != 2500 {
			t.Errorf("the deliveries are %v", c)
		}
		w.stop()
	})
}

// Retries of a failing endpoint do not starve its fresh deliveries, nor the
// other way round.
func TestFreshAndRetriesInterleave(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.change(1, func(e *hook.Endpoint) {
			e.MaxInFlight = 1
			e.Schedule = slices.Repeat([]time.Duration{time.Millisecond}, 50)
		})
		w.answers(1, always(time.Millisecond, 500))
		w.start()
		for range 200 {
			w.publish(1)
		}
		time.Sleep(100 * time.Millisecond)
		first, again := map[string]bool{}, 0
		for _, r := range w.seen(1) {
			if first[r.id] {
				again++
			}
			first[r.id] = true
		}
		if len(first) < 40 || again < 40 {
			t.Errorf("%d fresh deliveries and %d retries", len(first), again)
		}
		w.change(1, func(e *hook.Endpoint) { e.Deleted = true })
		time.Sleep(time.Minute)
		w.stop()
	})
}

// One event to very many endpoints.
func TestFanOut(t *testing.T) {
	inBubble(t, 10_000, func(w *world) {
		w.start()
		var all []hook.EndpointNum
		for num := range hook.EndpointNum(10_000) {
			all = append(all, num+1)
		}
		w.publish(all...)
		time.Sleep(10 * time.Second)
		w.once()
		time.Sleep(2 * time.Minute)
		if g := w.d.Gauges(); g.Lanes != 0 || g.Due != 0 || g.InFlight != 0 {
			t.Errorf("after a while without work: %+v", g)
		}
		w.stop()
	})
}

// An endpoint that stays away for longer than a schedule lasts does not keep
// its deliveries for ever; a younger delivery still has its chance.
func TestGivesUpOnTheDead(t *testing.T) {
	for name, tune := range map[string]func(*dispatch.Config){"large memory": nil, "small memory": smallMemory} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, func(w *world) {
				w.tune = tune
				w.make()
				w.change(1, func(e *hook.Endpoint) { e.Schedule = []time.Duration{time.Minute} }) // with Retry-After, a day
				w.answers(1, hangs)
				w.start()
				for range 2500 {
					w.publish(1)
					time.Sleep(time.Second)
				}
				time.Sleep(22 * time.Hour)
				if c := w.queue.count(); c[0] < 1000 {
					t.Errorf("given up too early: %v", c)
				}
				time.Sleep(5 * time.Hour)
				if c := w.queue.count(); c[0]+c[hook.Pending] > 20 {
					t.Errorf("after the schedule's length the deliveries are %v", c)
				}
				w.publish(1)
				w.answers(1, nil)
				time.Sleep(time.Hour)
				if c := w.queue.count(); c[0]+c[hook.Pending] != 0 {
					t.Errorf("in the end the deliveries are %v", c)
				}
				last := w.queue.events[len(w.queue.events)-1]
				if got := w.queue.state(hook.DeliveryKey{Event: last.ID, Endpoint: 1}); got != hook.Delivered {
					t.Errorf("the youngest delivery is %v", got)
				}
				w.stop()
				if w.queue.behind() != 0 {
					t.Errorf("%d lanes are still behind", w.queue.behind())
				}
			})
		})
	}
}

// Three in ten of a thousand endpoints hang from one moment on, although they
// have answered until then; the others' deliveries go out as before, from the
// first second on (case 58).
func TestAThirdHangs(t *testing.T) {
	for name, rate := range map[string]int{"often used": 5000, "seldom used": 500} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1000, func(w *world) {
				w.tune = func(c *dispatch.Config) { c.MaxInFlight = 1024 }
				w.make()
				var hang atomic.Bool
				for num := range hook.EndpointNum(1000) {
					w.answers(num+1, func(ctx context.Context, n int) *egress.Result {
						if hang.Load() && num%10 < 3 {
							return hangs(ctx, n)
						}
						return after(ctx, 30*time.Millisecond, status(200))
					})
				}
				w.start()
				published := map[string]time.Time{}
				publish := func(seconds int) {
					for i := range seconds * rate {
						e := w.publish(hook.EndpointNum(i%1000 + 1))
						published[e.ID.String()] = time.Now()
						time.Sleep(time.Second / time.Duration(rate))
					}
				}
				publish(2)
				hang.Store(true)
				from, begin := len(w.seen(0)), time.Now()
				publish(8)
				late, other := 0, 0
				for _, r := range w.seen(0)[from:] {
					if at, ok := published[r.id]; ok && (r.endpoint-1)%10 >= 3 && at.After(begin) {
						other++
						if r.at.Sub(at) > 50*time.Millisecond {
							late++
						}
					}
				}
				if want := 8 * rate * 7 / 10; other < want*99/100 || late > want/100 {
					t.Errorf("%d of %d deliveries to the others were made, %d of them late", other, want, late)
				}
				over, cancel := context.WithCancel(context.Background())
				cancel()
				if err := w.d.Stop(over); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A tenant's endpoints answer, but slowly, and it floods them; another tenant's
// deliveries find a place at once, also if they come when all is full.
func TestSlowTenantLeavesPlaces(t *testing.T) {
	inBubble(t, 40, func(w *world) {
		w.tune = func(c *dispatch.Config) { c.MaxInFlight = 256 }
		w.make()
		for num := range hook.EndpointNum(10) {
			w.answers(num+10, always(5*time.Second, 200)) // tenant 2
		}
		w.start()
		for range 20 {
			w.publish(1) // tenant 1 is known
			time.Sleep(time.Millisecond)
		}
		for i := range 40_000 {
			w.publish(hook.EndpointNum(10 + i%10))
			if i%100 == 0 {
				time.Sleep(100 * time.Millisecond)
			}
		}
		w.publish(1)
		time.Sleep(10 * time.Millisecond)
		from, begin, most := len(w.seen(1)), time.Now(), 0
		for range 100 {
			w.publish(1)
			time.Sleep(10 * time.Millisecond)
			most = max(most, w.d.Gauges().InFlight) // fewer for a moment when many end at once
		}
		if seen := w.seen(1)[from:]; len(seen) != 100 || seen[99].at.Sub(begin) > time.Second {
			t.Errorf("%d of 100 deliveries were made beside a slow tenant", len(seen))
		}
		if most < 150 {
			t.Errorf("the slow tenant has at most %d places of 256 alone", most)
		}
		over, cancel := context.WithCancel(context.Background())
		cancel()
		if err := w.d.Stop(over); err != nil {
			t.Error(err)
		}
	})
}
