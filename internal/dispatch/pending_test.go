package dispatch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/hook"
)

// What waits is counted wherever it waits, and not when it is over.
func TestPending(t *testing.T) {
	for name, tune := range map[string]func(*dispatch.Config){"large memory": nil, "small memory": smallMemory} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 20, func(w *world) {
				w.tune = tune
				w.make()
				w.answers(1, func(context.Context, int) *egress.Result { return failure(egress.ClassRefused) })
				w.answers(12, always(time.Millisecond, 503))
				w.store(1) // nobody counts it before the start
				w.start()
				want := func(when string, first, second int64) {
					t.Helper()
					synctest.Wait()
					a, all := w.d.Pending(tenantOf(1))
					b, _ := w.d.Pending(tenantOf(12))
					if a != first || b != second || all != first+second {
						t.Errorf("%s: %d and %d of %d are pending, want %d and %d", when, a, b, all, first, second)
					}
				}
				for range 500 {
					w.publish(1, 2)
				}
				for range 20 {
					w.publish(12)
				}
				time.Sleep(5 * time.Second)
				want("while two endpoints do not take anything", 501, 20)
				w.answers(12, nil)
				w.change(1, func(e *hook.Endpoint) { e.Deleted = true })
				time.Sleep(time.Minute)
				want("when one takes everything and the other is gone", 0, 0)
				time.Sleep(10 * time.Minute)
				want("when nobody has work", 0, 0)
				if g := w.d.Gauges(); g.Pending != 0 {
					t.Errorf("the gauge is %d", g.Pending)
				}
				w.stop()
				if w.queue.count()[hook.Pending] != 0 {
					t.Errorf("the store has %v", w.queue.count())
				}
			})
		})
	}
}

// What was offered before the start is counted once, whether it goes to few or to
// many endpoints.
func TestPendingFromBeforeTheStart(t *testing.T) {
	inBubble(t, 3, func(w *world) {
		for num := range hook.EndpointNum(3) {
			w.answers(num+1, always(time.Millisecond, 503))
		}
		for range 5 {
			w.publish(1)
			w.publish(1, 2, 3)
		}
		w.start()
		w.publish(2)
		time.Sleep(3 * time.Second)
		if n, all := w.d.Pending(1); n != 21 || all != 21 {
			t.Errorf("%d of %d are pending, want 21", n, all)
		}
		w.stop()
	})
}

// A redelivery counts again.
func TestPendingOfRedeliveries(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.start()
		e := w.publish(1)
		time.Sleep(time.Second)
		w.answers(1, always(time.Minute, 200))
		key := hook.DeliveryKey{Event: e.ID, Endpoint: 1}
		if err := w.queue.Redeliver(t.Context(), hook.AllTenants, key, time.Now()); err != nil {
			t.Fatal(err)
		}
		w.d.Wake(key)
		time.Sleep(time.Second)
		if n, _ := w.d.Pending(1); n != 1 {
			t.Errorf("%d are pending", n)
		}
		time.Sleep(2 * time.Minute)
		if n, all := w.d.Pending(1); n != 0 || all != 0 {
			t.Errorf("in the end %d of %d are pending", n, all)
		}
		w.stop()
	})
}
