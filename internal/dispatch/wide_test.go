package dispatch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/dispatch"
	"grapnel/internal/hook"
)

// many are the endpoints 1 to n.
func many(n int) (list []hook.EndpointNum) {
	for num := range hook.EndpointNum(n) {
		list = append(list, num+1)
	}
	return list
}

// What comes after wide events reaches each endpoint after them, in the order of
// events, though it is offered before they are handed out.
func TestWideEventsKeepOrder(t *testing.T) {
	inBubble(t, 500, func(w *world) {
		w.tune = func(c *dispatch.Config) { c.Wide = 100 }
		w.make()
		for num := range hook.EndpointNum(500) {
			w.change(num+1, func(e *hook.Endpoint) { e.Ordering = hook.OrderedStrict })
		}
		w.start()
		for range 3 {
			batch := []*hook.Event{w.store(many(500)...), w.store(500), w.store(many(500)...), w.store(499, 500), w.store(1)}
			w.d.Offer(batch)
		}
		time.Sleep(time.Minute)
		w.once()
		last := map[hook.EndpointNum]string{}
		for _, r := range w.seen(0) {
			if r.id < last[r.endpoint] {
				t.Fatalf("endpoint %d got %s after %s", r.endpoint, r.id, last[r.endpoint])
			}
			last[r.endpoint] = r.id
		}
		w.stop()
		if n := w.queue.behind(); n != 0 {
			t.Errorf("%d lanes are behind", n)
		}
	})
}

// No more than some wide events wait to be handed out: who offers more does it.
func TestWideEventsThatWaitAreBounded(t *testing.T) {
	inBubble(t, 3, func(w *world) {
		for range 70 { // before the start nobody else hands them out
			w.publish(1, 2, 3)
		}
		if _, all := w.d.Pending(1); all != 3*(70-64) {
			t.Errorf("%d deliveries have been handed out", all)
		}
		w.start()
		time.Sleep(time.Minute)
		w.once()
		w.stop()
	})
}

// A restart while wide events are handed out loses nothing and doubles nothing,
// whether they were offered before the start, after it, or during the stop.
func TestRestartAmidWideEvents(t *testing.T) {
	for name, tune := range map[string]func(*dispatch.Config){"large memory": nil, "small memory": smallMemory} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 2000, func(w *world) {
				w.tune = tune
				w.make()
				w.publish(many(2000)...)
				for range 5 {
					w.start()
					w.publish(many(2000)...)
					w.publish(1500, 2000)
					w.stop()
					w.make()
					w.publish(7, 8)
				}
				w.start()
				time.Sleep(time.Minute)
				w.once()
				w.stop()
				if n := w.queue.behind(); n != 0 {
					t.Errorf("%d lanes are behind", n)
				}
			})
		})
	}
}

// What is cancelled after it was stored and before it is offered is not sent,
// and the progress does not pass it before its end is recorded.
func TestCancelBeforeOffer(t *testing.T) {
	for name, wide := range map[string]int{"wide": 2, "narrow": 100} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 3, func(w *world) {
				w.tune = func(c *dispatch.Config) { c.Wide = wide }
				w.make()
				w.start()
				w.queue.recordDelay = 10 * time.Second // checkpoints come before the record
				e := w.store(1, 2, 3)
				go w.d.Cancel(context.Background(), []*hook.Delivery{{Key: hook.DeliveryKey{Event: e.ID, Endpoint: 2}, Tenant: e.Tenant}}, hook.ByRequest)
				synctest.Wait()
				w.d.Offer([]*hook.Event{e})
				time.Sleep(8 * time.Second)
				w.crash()
				w.queue.recordDelay = 0
				w.start()
				time.Sleep(time.Minute)
				w.queue.mu.Lock()
				for num := range hook.EndpointNum(3) {
					if r := w.queue.records[hook.DeliveryKey{Event: e.ID, Endpoint: num + 1}]; r == nil || !r.state.Terminal() {
						t.Errorf("the delivery to %d is lost: %v", num+1, r)
					}
				}
				w.queue.mu.Unlock()
				if _, all := w.d.Pending(1); all != 0 {
					t.Errorf("%d are pending", all)
				}
				w.stop()
			})
		})
	}
}

// Targets of a wide event may be cancelled at any time while it is handed out.
func TestCancelAmidWideEvent(t *testing.T) {
	inBubble(t, 5000, func(w *world) {
		w.start()
		e := w.publish(many(5000)...)
		running := w.cancel(e, 1, 2500, 5000)
		time.Sleep(time.Minute)
		if n := len(w.seen(0)); n != 5000-3+running {
			t.Errorf("%d requests, %d of those that are cancelled were running", n, running)
		}
		c := w.queue.count()
		if c[0]+c[hook.Pending] != 0 || c[hook.Cancelled] < 3-running {
			t.Errorf("in the end the deliveries are %v", c)
		}
		time.Sleep(10 * time.Minute)
		if g := w.d.Gauges(); g.Pending != 0 || g.Lanes != 0 {
			t.Errorf("%d are pending in %d lanes", g.Pending, g.Lanes)
		}
		w.stop()
	})
}

// What the store alone has and is being cancelled keeps the progress back when its
// lane has been read beyond it.
func TestCancelWhileReading(t *testing.T) {
	inBubble(t, 2, func(w *world) {
		e := w.store(1)
		w.store(2)
		w.queue.recordDelay, w.queue.readDelay = 10*time.Second, time.Second
		w.start()
		go w.d.Cancel(context.Background(), []*hook.Delivery{{Key: hook.DeliveryKey{Event: e.ID, Endpoint: 1}, Tenant: e.Tenant}}, hook.ByRequest)
		time.Sleep(8 * time.Second)
		w.crash()
		w.queue.recordDelay = 0
		w.start()
		time.Sleep(time.Minute)
		if s := w.queue.state(hook.DeliveryKey{Event: e.ID, Endpoint: 1}); !s.Terminal() {
			t.Errorf("the delivery is lost: %v", s)
		}
		w.stop()
	})
}
