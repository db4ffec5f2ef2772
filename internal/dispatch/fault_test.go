package dispatch_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// crash ends the dispatcher as a kill does: nothing that it has in memory gets
// to the store any more. It returns how many attempts had begun and were not
// recorded.
func (w *world) crash() int {
	w.t.Helper()
	w.queue.restart()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	_ = w.d.Stop(over)
	open := len(w.seen(0)) - len(w.queue.tried())
	w.make()
	return open
}

// A new process delivers exactly what is missing; only attempts that were
// running, or not recorded yet, may be repeated (I1, I5; cases 1 and 7).
func TestCrashAndRestart(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, 25, func(w *world) {
				rnd := rand.New(rand.NewPCG(seed, 1))
				if seed%2 == 0 {
					w.tune = smallMemory
					w.make()
				}
				w.queue.recordDelay = 5 * time.Millisecond
				w.answers(3, always(200*time.Millisecond, 200))
				w.answers(4, hangs)
				w.start()
				may := 0
				for range 4 {
					for range 200 + rnd.IntN(300) {
						w.publish(hook.EndpointNum(1+rnd.IntN(10)), hook.EndpointNum(11+rnd.IntN(10)))
						time.Sleep(time.Duration(rnd.IntN(2000)) * time.Microsecond)
					}
					if rnd.IntN(2) == 0 {
						time.Sleep(time.Duration(rnd.IntN(5000)) * time.Millisecond)
					}
					may += w.crash()
					w.start()
				}
				begin := time.Now()
				w.publish(1)
				synctest.Wait()
				if seen := w.seen(1); seen[len(seen)-1].at.Sub(begin) > time.Second {
					t.Error("the first delivery came late")
				}
				w.answers(4, nil)
				time.Sleep(24 * time.Hour)
				if c := w.queue.count(); c[hook.Delivered] != 2*len(w.queue.events)-1 {
					t.Errorf("after the crashes the deliveries are %v", c)
				}
				extra := len(w.seen(0)) - len(w.queue.tried())
				if extra > may {
					t.Errorf("%d requests were repeated, %d were running or unrecorded at the crashes", extra, may)
				}
				w.stop()
			})
		})
	}
}

// Stop lets requests finish, and breaks off those that do not in time: they
// are due at once at the next start, and do not count against the schedule.
func TestStopFinishesOrGivesBack(t *testing.T) {
	inBubble(t, 2, func(w *world) {
		w.answers(1, always(2*time.Second, 200))
		w.answers(2, hangs)
		w.start()
		w.publish(1, 2)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		if err := w.d.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 3*time.Second+10*time.Millisecond {
			t.Errorf("stopping took %s", took)
		}
		if diff := cmp.Diff(map[hook.DeliveryState]int{hook.Delivered: 1, hook.Pending: 1}, w.queue.count()); diff != "" {
			t.Error(diff)
		}
		last := lastOf(w.queue.tried())
		if last.Class != egress.ClassCanceled || !strings.Contains(last.Reason, "interrupted") {
			t.Errorf("the attempt that was broken off is %+v", last)
		}
		w.answers(2, nil)
		w.make()
		w.start()
		synctest.Wait()
		if got := len(w.seen(2)); got != 2 {
			t.Errorf("%d requests to the second endpoint, want 2", got)
		}
		w.stop()
		if len(w.seen(1)) != 1 {
			t.Error("the finished delivery was sent again") // case 12
		}
	})
}

// An orderly restart under load loses nothing and repeats nothing (case 12).
func TestOrderlyRestarts(t *testing.T) {
	inBubble(t, 20, func(w *world) {
		w.tune = smallMemory
		w.make()
		w.start()
		rnd := rand.New(rand.NewPCG(1, 2))
		for range 10 {
			for range 300 {
				w.publish(hook.EndpointNum(1 + rnd.IntN(20)))
				time.Sleep(time.Duration(rnd.IntN(300)) * time.Microsecond)
			}
			w.stop()
			w.store(hook.EndpointNum(1 + rnd.IntN(20))) // accepted, and nobody was told
			w.make()
			w.publish(hook.EndpointNum(1 + rnd.IntN(20))) // told before the start
			w.start()
		}
		time.Sleep(time.Minute)
		w.once()
		w.stop()
	})
}

func TestLostLeaseStopsSending(t *testing.T) { // I10
	inBubble(t, 1, func(w *world) {
		w.start()
		w.publish(1)
		time.Sleep(time.Second)
		w.queue.restart()
		w.publish(1)
		synctest.Wait()
		<-w.d.Lost()
		before := len(w.seen(0))
		for range 10 {
			w.publish(1)
		}
		time.Sleep(time.Minute)
		if got := len(w.seen(0)) - before; got != 0 {
			t.Errorf("%d requests without a lease", got)
		}
		if err := w.d.Stop(context.Background()); err == nil {
			t.Error("Stop does not tell that the lease was lost")
		}
	})
}

// While the store takes no outcomes nothing begins, and nothing is lost
// (cases 17, 18).
func TestStoreFaults(t *testing.T) {
	for name, fault := range map[string]error{"full": store.ErrFull, "unavailable": store.ErrUnavailable, "unknown": store.ErrUnknown} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 3, func(w *world) {
				w.start()
				broken := true
				w.queue.recordFault = func(outcomes []*store.Outcome) error {
					if broken && name == "unknown" {
						for _, o := range outcomes {
							w.queue.recordOne(o) // it took place after all
						}
					}
					if broken {
						return fmt.Errorf("record: %w", fault)
					}
					return nil
				}
				w.publish(1)
				time.Sleep(10 * time.Millisecond)
				for range 500 {
					w.publish(1, 2, 3)
				}
				time.Sleep(time.Minute)
				if got := len(w.seen(0)); got > 1 {
					t.Errorf("%d requests while nothing could be recorded", got)
				}
				w.queue.mu.Lock()
				broken = false
				w.queue.mu.Unlock()
				time.Sleep(time.Minute)
				w.once()
				if c := w.queue.count(); c[hook.Delivered] != 1501 {
					t.Errorf("the deliveries are %v", c)
				}
				w.stop()
			})
		})
	}
}

func TestReadFaultsAreRetried(t *testing.T) {
	inBubble(t, 2, func(w *world) {
		w.tune = smallMemory
		w.make()
		rnd := rand.New(rand.NewPCG(5, 6))
		w.queue.readFault = func() error {
			w.queue.mu.Lock()
			defer w.queue.mu.Unlock()
			if rnd.IntN(2) == 0 {
				return store.ErrUnavailable
			}
			return nil
		}
		w.answers(1, func(_ context.Context, n int) *egress.Result {
			return status(200 + 300*(n%4/3))
		})
		w.start()
		for range 500 {
			w.publish(1, 2)
		}
		time.Sleep(100 * time.Hour)
		if c := w.queue.count(); c[hook.Delivered] < 995 || c[0]+c[hook.Pending] != 0 {
			t.Errorf("the deliveries are %v", c)
		}
		w.stop()
	})
}

// One delivery panics on every attempt; it is given up in the end, and no other
// one notices (case 10).
func TestPanicIsolation(t *testing.T) {
	inBubble(t, 2, func(w *world) {
		w.answers(1, func(context.Context, int) *egress.Result { panic("poison") })
		w.start()
		e := w.publish(1, 2)
		time.Sleep(24 * time.Hour)
		if got := w.queue.state(hook.DeliveryKey{Event: e.ID, Endpoint: 1}); got != hook.Failed {
			t.Errorf("the delivery that panics is %v", got)
		}
		if got := w.queue.state(hook.DeliveryKey{Event: e.ID, Endpoint: 2}); got != hook.Delivered {
			t.Errorf("the other delivery is %v", got)
		}
		for _, a := range w.queue.tried() {
			if a.Key.Endpoint == 1 && (a.Class != "panic" || strings.Contains(a.Detail+a.Reason, "poison")) {
				t.Errorf("the attempt is %+v", a)
			}
		}
		if got := len(w.seen(1)); got != 6 {
			t.Errorf("%d attempts, want 6", got)
		}
		w.answers(1, nil)
		w.publish(1)
		synctest.Wait()
		w.stop()
		if c := w.queue.count(); c[hook.Delivered] != 2 {
			t.Errorf("the lane did not go on: %v", c)
		}
	})
}

// Whoever watches cannot harm a delivery.
func TestPanicInObserver(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		n := 0
		w.tune = func(c *dispatch.Config) {
			c.Observe = func(*hook.Attempt) {
				if n++; n == 1 {
					panic("observer")
				}
			}
		}
		w.make()
		w.start()
		w.publish(1)
		time.Sleep(time.Hour)
		w.once()
		w.stop()
	})
}

// What cannot be signed waits with the reason, is not sent, and goes on by
// itself when that is mended; nothing of it counts against the schedule.
func TestWaitsUntilMended(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world, e *hook.Endpoint)
		reason string
	}{
		"sealed for another": {func(w *world, e *hook.Endpoint) {
			e.Secrets = []hook.EndpointSecret{{Sealed: w.seal(&hook.Endpoint{Tenant: "other", ID: "x"}, "s")}}
		}, "cannot be opened"},
		"no secret": {func(_ *world, e *hook.Endpoint) { e.Secrets = []hook.EndpointSecret{} }, "no secret"},
		"expired": {func(_ *world, e *hook.Endpoint) {
			e.Secrets = []hook.EndpointSecret{{Sealed: e.Secrets[0].Sealed, ExpiresAt: time.Now()}}
		}, "no secret"},
		"no dialect": {func(_ *world, e *hook.Endpoint) { e.Dialect = "gone" }, `no dialect "gone"`},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, func(w *world) {
				var log bytes.Buffer
				w.tune = func(d *dispatch.Config) { d.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
				w.make()
				good, _ := w.book.Endpoint(1)
				w.change(1, func(e *hook.Endpoint) { c.change(w, e) })
				w.start()
				e := w.publish(1)
				for range 50 {
					w.publish(1)
				}
				time.Sleep(time.Hour)
				key := hook.DeliveryKey{Event: e.ID, Endpoint: 1}
				if state, reason := w.queue.state(key), w.queue.reason(key); state != hook.Pending || !strings.Contains(reason, c.reason) || len(w.seen(0)) != 0 {
					t.Errorf("the delivery is %v, %q, after %d requests", state, reason, len(w.seen(0)))
				}
				w.change(1, func(e *hook.Endpoint) { *e = *good })
				time.Sleep(10 * time.Minute)
				if diff := cmp.Diff(map[hook.DeliveryState]int{hook.Delivered: 51}, w.queue.count()); diff != "" {
					t.Error(diff)
				}
				w.stop()
				w.once()
				if n := strings.Count(log.String(), "level=ERROR"); n < 5 || n > 15 {
					t.Errorf("%d complaints in an hour", n)
				}
			})
		})
	}
}

// A body that cannot be made is held with the reason: no time mends that.
func TestHeldWithReason(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.start()
		e := w.queue.append(1, "", 1)
		w.d.Offer([]*hook.Event{e})
		time.Sleep(time.Hour)
		key := hook.DeliveryKey{Event: e.ID, Endpoint: 1}
		if state, reason := w.queue.state(key), w.queue.reason(key); state != hook.Held || !strings.Contains(reason, "no data") || len(w.seen(0)) != 0 {
			t.Errorf("the delivery is %v, %q, after %d requests", state, reason, len(w.seen(0)))
		}
		w.stop()
	})
}

// During a rotation both secrets sign; the old one ends with its grace, to the
// second and without a change of the endpoint (I9).
func TestRotationEndsInTime(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		end := time.Now().Add(time.Minute)
		w.change(1, func(e *hook.Endpoint) {
			e.Secrets = []hook.EndpointSecret{{Sealed: w.seal(e, "the new secret of it")}, {Sealed: e.Secrets[0].Sealed, ExpiresAt: end}}
		})
		w.start()
		w.publish(1)
		time.Sleep(time.Minute - time.Second)
		w.publish(1)
		time.Sleep(time.Second)
		w.publish(1)
		synctest.Wait()
		var signatures []int
		for _, r := range w.seen(1) {
			signatures = append(signatures, len(strings.Fields(r.sig)))
		}
		if diff := cmp.Diff([]int{2, 2, 1}, signatures); diff != "" {
			t.Error(diff)
		}
		w.stop()
	})
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	if _, err := dispatch.New(dispatch.Config{}); err == nil {
		t.Error("an empty configuration is taken")
	}
	w := newWorld(t, 0)
	if err := w.d.Stop(context.Background()); err != nil {
		t.Errorf("Stop before Start: %v", err)
	}
	if err := w.d.Start(context.Background()); err == nil {
		t.Error("Start after Stop is taken")
	}
}

// What is read from the store while the dispatcher stops is not given up: the
// recorder has ended, and the last progress would not be told.
func TestStopWhileGivingUp(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.change(1, func(e *hook.Endpoint) { e.Schedule = []time.Duration{time.Minute} })
		w.answers(1, func(context.Context, int) *egress.Result { return failure(egress.ClassRefused) })
		w.start()
		for range 3 * 1500 { // several pages
			w.publish(1)
		}
		reading := make(chan struct{}, 1)
		w.queue.mu.Lock()
		w.queue.readFault = func() error {
			select {
			case reading <- struct{}{}:
			default:
			}
			time.Sleep(100 * time.Millisecond) // whatever becomes of the context
			return nil
		}
		w.queue.mu.Unlock()
		for given := 0; given < 100; { // a page of them, not a probe
			before := w.queue.count()[hook.Failed]
			<-reading
			time.Sleep(50 * time.Millisecond)
			given = w.queue.count()[hook.Failed] - before
		}
		w.stop()
		if c := w.queue.count(); c[0] == 0 {
			t.Errorf("nothing was left to give up: %v", c)
		}
	})
}
