package dispatch_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/egress"
	"grapnel/internal/hook"
)

// A paused endpoint gets nothing and loses nothing; when it is resumed, what
// waited goes on at once, retries included.
func TestPauseAndResume(t *testing.T) {
	inBubble(t, 2, func(w *world) {
		w.answers(1, always(time.Millisecond, 500))
		w.start()
		for range 20 {
			w.publish(1, 2)
		}
		synctest.Wait()
		w.change(1, func(e *hook.Endpoint) { e.State = hook.EndpointPaused })
		time.Sleep(10 * time.Millisecond)
		before := len(w.seen(1))
		for range 20 {
			w.publish(1, 2)
		}
		time.Sleep(time.Hour)
		if got := len(w.seen(1)); got != before {
			t.Errorf("%d requests while paused", got-before)
		}
		if got := w.queue.count(); got[hook.Delivered] != 40 {
			t.Errorf("the other endpoint was held up: %v", got)
		}
		w.answers(1, nil)
		resumed := time.Now()
		w.change(1, func(e *hook.Endpoint) { e.State = hook.EndpointActive })
		time.Sleep(2 * time.Second)
		w.stop()
		if diff := cmp.Diff(map[hook.DeliveryState]int{hook.Delivered: 80}, w.queue.count()); diff != "" {
			t.Error(diff)
		}
		if first := w.seen(1)[before].at; first != resumed {
			t.Errorf("the first request after the resumption came %s late", first.Sub(resumed))
		}
	})
}

// A pause survives a restart.
func TestPausedAcrossRestart(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.change(1, func(e *hook.Endpoint) { e.State = hook.EndpointPaused })
		w.start()
		for range 10 {
			w.publish(1)
		}
		time.Sleep(5 * time.Second)
		w.stop()
		w.make()
		w.start()
		time.Sleep(time.Minute)
		if len(w.seen(0)) != 0 {
			t.Error("requests while paused")
		}
		w.change(1, func(e *hook.Endpoint) { e.State = hook.EndpointActive })
		time.Sleep(time.Second)
		w.once()
		w.stop()
	})
}

// Deletion ends what waits, in memory, in the store and in far retries, without
// a request.
func TestDeletionCancels(t *testing.T) {
	for name, change := range map[string]func(e *hook.Endpoint){
		"deleted":                            func(e *hook.Endpoint) { e.Deleted = true },
		"disabled where the dialect cancels": func(e *hook.Endpoint) { e.State = hook.EndpointDisabled },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, func(w *world) {
				w.change(1, func(e *hook.Endpoint) { e.Dialect = "cancels" })
				w.tune = smallMemory
				w.make()
				w.answers(1, func(ctx context.Context, n int) *egress.Result {
					if n <= 10 {
						return after(ctx, time.Millisecond, status(500))
					}
					return hangs(ctx, n)
				})
				w.start()
				for range 10 {
					w.publish(1)
					time.Sleep(5 * time.Millisecond)
				}
				for range 1500 {
					w.publish(1)
				}
				time.Sleep(5 * time.Second)
				before := len(w.seen(0))
				w.change(1, change)
				time.Sleep(time.Minute)
				c := w.queue.count()
				if c[0]+c[hook.Pending] != 0 || c[hook.Cancelled] < 1400 {
					t.Errorf("after the deletion the deliveries are %v", c)
				}
				if got := len(w.seen(0)); got != before {
					t.Errorf("%d requests after the deletion", got-before)
				}
				if r := w.queue.reason(hook.DeliveryKey{Event: w.queue.events[1000].ID, Endpoint: 1}); r != "endpoint deleted" && r != "endpoint disabled" {
					t.Errorf("the reason is %q", r)
				}
				w.stop()
			})
		})
	}
}

// 410 disables the endpoint; the dialect holds what waits (case 51).
func TestGoneDisables(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.answers(1, always(time.Millisecond, 410))
		w.start()
		w.publish(1)
		time.Sleep(time.Second)
		for range 10 {
			w.publish(1)
		}
		time.Sleep(time.Hour)
		if got := len(w.seen(1)); got != 1 {
			t.Errorf("%d requests to an endpoint that is gone", got)
		}
		if diff := cmp.Diff([]string{"disable 1"}, w.acted()); diff != "" {
			t.Error(diff)
		}
		w.answers(1, nil)
		w.change(1, func(e *hook.Endpoint) { e.State = hook.EndpointActive })
		time.Sleep(2 * time.Second)
		if diff := cmp.Diff(map[hook.DeliveryState]int{hook.Delivered: 11}, w.queue.count()); diff != "" {
			t.Error(diff)
		}
		w.stop()
	})
}

// A redelivery goes out at once, whatever had become of the delivery.
func TestRedeliver(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.answers(1, always(time.Millisecond, 500))
		w.start()
		redeliver := func(e *hook.Event) {
			key := hook.DeliveryKey{Event: e.ID, Endpoint: 1}
			if err := w.queue.Redeliver(t.Context(), hook.AllTenants, key, time.Now()); err != nil {
				t.Fatal(err)
			}
			w.d.Wake(key)
		}
		failed := w.publish(1)
		time.Sleep(24 * time.Hour)
		pending := w.publish(1)
		time.Sleep(30 * time.Second) // its third attempt is due in a while, and in memory
		before := len(w.seen(1))
		w.answers(1, nil)
		redeliver(failed)
		redeliver(pending)
		time.Sleep(100 * time.Millisecond)
		if got := len(w.seen(1)) - before; got != 2 {
			t.Errorf("%d requests for two redeliveries", got)
		}
		if diff := cmp.Diff(map[hook.DeliveryState]int{hook.Delivered: 2}, w.queue.count()); diff != "" {
			t.Error(diff)
		}
		redeliver(failed)
		time.Sleep(24 * time.Hour)
		if got := len(w.seen(1)) - before; got != 3 {
			t.Errorf("%d requests for three redeliveries", got)
		}
		if last := lastOf(w.queue.tried()); last.Trigger != hook.Manual || last.N != 8 {
			t.Errorf("the last attempt is %+v", last)
		}
		w.stop()
	})
}

// A redelivery that is asked for during the attempt that would be the last.
func TestRedeliverWhileRunning(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.answers(1, func(ctx context.Context, n int) *egress.Result {
			if n < 6 {
				return status(500)
			}
			return after(ctx, time.Second, status(500+n%2-300*(n/8)))
		})
		w.start()
		e := w.publish(1)
		for len(w.seen(1)) < 6 {
			time.Sleep(500 * time.Millisecond)
		}
		w.d.Wake(hook.DeliveryKey{Event: e.ID, Endpoint: 1})
		time.Sleep(time.Hour)
		w.stop()
		if diff := cmp.Diff(map[hook.DeliveryState]int{hook.Delivered: 1}, w.queue.count()); diff != "" {
			t.Error(diff)
		}
	})
}

// A corrected URL, and a resumption, are tried at once, however long the
// breaker's pause would last.
func TestChangeStartsAnew(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.answers(1, func(context.Context, int) *egress.Result { return failure(egress.ClassRefused) })
		w.start()
		for range 100 {
			w.publish(1)
		}
		time.Sleep(10 * time.Minute)
		before := len(w.seen(1))
		w.change(1, func(e *hook.Endpoint) { e.State = hook.EndpointPaused })
		w.answers(1, nil)
		w.change(1, func(e *hook.Endpoint) { e.State = hook.EndpointActive })
		time.Sleep(100 * time.Millisecond)
		if got := len(w.seen(1)) - before; got < 50 {
			t.Errorf("%d requests right after the resumption", got)
		}
		w.stop()
	})
}

// An event for an endpoint that the directory does not know yet waits for it.
func TestUnknownEndpointIsNotForgotten(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.start()
		w.publish(1, 2)
		time.Sleep(10 * time.Second)
		w.stop()
		w.make()
		w.start()
		time.Sleep(time.Second)
		w.put(&hook.Endpoint{Num: 2, TenantNum: 1, Dialect: "holds", State: hook.EndpointActive})
		w.change(2, func(*hook.Endpoint) {})
		time.Sleep(time.Second)
		w.once()
		w.stop()
	})
}

// A redelivery that is asked for while the outcome of the last attempt is on
// its way to the store is not lost, and neither is a second one.
func TestRedeliverWhileRecording(t *testing.T) {
	const ms = time.Millisecond
	for name, schedule := range map[string][]time.Duration{"of the first attempt": {}, "of the second attempt": {time.Second}} {
		for _, when := range []struct{ ask, wake time.Duration }{ // the commit comes after 50 ms, the answer to it after 100
			{20 * ms, 20 * ms}, {20 * ms, 70 * ms}, {70 * ms, 70 * ms}, {70 * ms, 120 * ms}, {120 * ms, 120 * ms},
		} {
			t.Run(fmt.Sprint(name, when), func(t *testing.T) {
				inBubble(t, 1, func(w *world) {
					w.change(1, func(e *hook.Endpoint) { e.Schedule = schedule })
					w.queue.recordDelay, w.queue.recordLag = 50*ms, 50*ms
					final := len(schedule) + 1 // requests until it fails for good
					over := make(chan struct{}, 1)
					w.answers(1, func(_ context.Context, n int) *egress.Result {
						if n%final == 0 {
							over <- struct{}{}
						}
						return status(500 - 300*(n/(2*final+1)))
					})
					w.start()
					key := hook.DeliveryKey{Event: w.publish(1).ID, Endpoint: 1}
					for range 2 {
						select {
						case <-over:
						case <-time.After(time.Hour):
							t.Fatal("a redelivery is lost")
						}
						time.Sleep(when.ask)
						if err := w.queue.Redeliver(t.Context(), hook.AllTenants, key, time.Now()); err != nil {
							t.Error(err)
						}
						time.Sleep(when.wake - when.ask)
						w.d.Wake(key)
					}
					time.Sleep(time.Hour)
					w.stop()
					if got, state := len(w.seen(1)), w.queue.state(key); got != 2*final+1 || state != hook.Delivered {
						t.Errorf("after %d requests, want %d, the delivery is %v", got, 2*final+1, state)
					}
				})
			})
		}
	}
}

// A redelivery that is asked for while the row from before it is being read is
// not lost, however long the attempt of that row takes.
func TestRedeliverWhileReading(t *testing.T) {
	for _, took := range []time.Duration{0, 60 * time.Millisecond, time.Minute} {
		t.Run(took.String(), func(t *testing.T) {
			inBubble(t, 1, func(w *world) {
				w.change(1, func(e *hook.Endpoint) { e.Schedule = []time.Duration{time.Hour}; e.Timeout = time.Hour })
				w.queue.readDelay = 50 * time.Millisecond
				w.answers(1, func(ctx context.Context, n int) *egress.Result {
					if n == 3 {
						return status(200)
					}
					return after(ctx, time.Duration(n-1)*took, status(500))
				})
				w.start()
				key := hook.DeliveryKey{Event: w.publish(1).ID, Endpoint: 1}
				time.Sleep(time.Hour + 20*time.Millisecond) // the retry is being read
				if err := w.queue.Redeliver(t.Context(), hook.AllTenants, key, time.Now()); err != nil {
					t.Error(err)
				}
				w.d.Wake(key)
				time.Sleep(30 * time.Minute)
				w.stop()
				if got, state := len(w.seen(1)), w.queue.state(key); got != 3 || state != hook.Delivered {
					t.Errorf("after %d requests the delivery is %v", got, state)
				}
				if w.queue.reads > 10 {
					t.Errorf("%d reads of one row", w.queue.reads)
				}
			})
		})
	}
}
