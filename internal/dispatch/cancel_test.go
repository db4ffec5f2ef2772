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

// cancel cancels an event's deliveries to endpoints.
func (w *world) cancel(e *hook.Event, endpoints ...hook.EndpointNum) int {
	w.t.Helper()
	var list []*hook.Delivery
	for _, num := range endpoints {
		d := &hook.Delivery{Key: hook.DeliveryKey{Event: e.ID, Endpoint: num}, Tenant: e.Tenant, Type: e.Type}
		if r, ok := w.queue.record(d.Key); ok {
			d.Attempts = r.attempts
		}
		list = append(list, d)
	}
	running, err := w.d.Cancel(context.Background(), list, hook.ByRequest)
	if err != nil {
		w.t.Error(err)
	}
	return running
}

func (m *memory) record(key hook.DeliveryKey) (record, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.records[key]; r != nil {
		return *r, true
	}
	return record{}, false
}

func (w *world) became(e *hook.Event, num hook.EndpointNum, state hook.DeliveryState, reason string) {
	w.t.Helper()
	if r, ok := w.queue.record(hook.DeliveryKey{Event: e.ID, Endpoint: num}); !ok || r.state != state || reason != "" && r.reason != reason {
		w.t.Errorf("delivery to %d: %v %q (recorded: %v), want %v %q", num, r.state, r.reason, ok, state, reason)
	}
}

// What waits is cancelled wherever it waits: in a lane's window, behind it in
// the store, for a retry near and far, for a paused endpoint.
func TestCancelWhatWaits(t *testing.T) {
	inBubble(t, 4, func(w *world) {
		w.start()
		w.answers(1, hangs)          // its window fills, and then the store holds the rest
		w.answers(2, always(0, 500)) // it retries after 1 s, 10 s, 1 min, 1 h
		w.change(3, func(e *hook.Endpoint) { e.State = hook.EndpointPaused })
		var events []*hook.Event
		for range 50 {
			events = append(events, w.publish(1))
		}
		retried, held := w.publish(2), w.publish(3)
		synctest.Wait()
		begun := len(w.seen(1))
		cancelled := events[begun:]
		for _, e := range cancelled {
			if n := w.cancel(e, 1); n != 0 {
				t.Errorf("%d are running of one that waits", n)
			}
			w.became(e, 1, hook.Cancelled, hook.ByRequest)
		}
		w.cancel(held, 3)
		w.cancel(retried, 2) // due in a second
		w.became(held, 3, hook.Cancelled, hook.ByRequest)
		w.became(retried, 2, hook.Cancelled, hook.ByRequest)
		far := w.publish(2)
		time.Sleep(2 * time.Minute) // its next attempt is an hour away, in the store alone
		before := len(w.seen(2))
		w.cancel(far, 2)
		w.answers(1, nil)
		w.answers(2, nil)
		w.change(3, func(e *hook.Endpoint) { e.State = hook.EndpointActive })
		time.Sleep(24 * time.Hour)
		w.became(far, 2, hook.Cancelled, hook.ByRequest)
		if n := len(w.seen(2)); n != before {
			t.Errorf("%d requests after it was cancelled", n-before)
		}
		if n := len(w.seen(3)); n != 0 {
			t.Errorf("%d requests for a held delivery that was cancelled", n)
		}
		sent := map[string]bool{}
		for _, r := range w.seen(1) {
			sent[r.id] = true
		}
		for i, e := range events {
			if sent[e.ID.String()] != (i < begun) {
				t.Errorf("event %d: sent %v", i, sent[e.ID.String()])
			}
		}
		w.stop()
	})
}

// An attempt that is running is not broken off: what it says stands, but it is
// not tried again.
func TestCancelWhileAnAttemptRuns(t *testing.T) {
	inBubble(t, 2, func(w *world) {
		w.start()
		w.answers(1, always(time.Second, 200))
		w.answers(2, always(time.Second, 500))
		e := w.publish(1, 2)
		synctest.Wait()
		if n := w.cancel(e, 1, 2); n != 2 {
			t.Errorf("%d are running, want 2", n)
		}
		time.Sleep(24 * time.Hour)
		w.became(e, 1, hook.Delivered, "")
		w.became(e, 2, hook.Cancelled, hook.ByRequest)
		if n := len(w.seen(0)); n != 2 {
			t.Errorf("%d requests", n)
		}
		a := w.queue.attempts[len(w.queue.attempts)-1]
		if a.State == hook.Pending || !a.NextAt.IsZero() {
			t.Errorf("the attempt says that the delivery goes on: %+v", a)
		}
		w.stop()
	})
}

// The outcome of the attempt is on its way to the store.
func TestCancelWhileAnOutcomeIsRecorded(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.start()
		w.answers(1, always(0, 500))
		w.queue.recordDelay = time.Second
		e := w.publish(1)
		time.Sleep(500 * time.Millisecond)
		w.cancel(e, 1)
		time.Sleep(24 * time.Hour)
		w.became(e, 1, hook.Cancelled, hook.ByRequest)
		if n := len(w.seen(1)); n != 1 {
			t.Errorf("%d requests", n)
		}
		w.stop()
	})
}

// While a page with it is being read, which comes before or after the cancelling
// is recorded.
func TestCancelWhileAPageIsRead(t *testing.T) {
	t.Parallel()
	for name, delay := range map[string]time.Duration{"recorded before": 0, "recorded behind": 2 * time.Second} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, func(w *world) {
				e := w.store(1)
				other := w.store(1)
				w.queue.readDelay, w.queue.recordDelay = time.Second, delay
				w.start()
				time.Sleep(500 * time.Millisecond) // the page was made, and is on its way
				w.cancel(e, 1)
				time.Sleep(time.Hour)
				w.became(e, 1, hook.Cancelled, hook.ByRequest)
				if seen := w.seen(1); len(seen) != 1 || seen[0].id != other.ID.String() {
					t.Errorf("%d requests, want the other event's alone", len(seen))
				}
				w.stop()
			})
		})
	}
}

// The event is stored and not offered yet.
func TestCancelBeforeTheOffer(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.start()
		w.publish(1)
		e, next := w.store(1), w.store(1)
		w.cancel(e, 1)
		w.d.Offer([]*hook.Event{e, next})
		time.Sleep(time.Hour)
		w.became(e, 1, hook.Cancelled, hook.ByRequest)
		if n := len(w.seen(1)); n != 2 {
			t.Errorf("%d requests, want two of the other events", n)
		}
		w.stop()
	})
}

// A redelivery after it brings the delivery back; many cancels are one.
func TestCancelAndRedeliver(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.start()
		w.answers(1, func(ctx context.Context, n int) *egress.Result {
			return after(ctx, time.Second, status(map[bool]int{true: 500, false: 200}[n == 1]))
		})
		e := w.publish(1)
		synctest.Wait()
		w.cancel(e, 1)
		w.cancel(e, 1)
		key := hook.DeliveryKey{Event: e.ID, Endpoint: 1}
		if err := w.queue.Redeliver(context.Background(), hook.AllTenants, key, time.Now()); err != nil {
			t.Fatal(err)
		}
		w.d.Wake(key)
		time.Sleep(time.Hour)
		w.became(e, 1, hook.Delivered, "")
		w.cancel(e, 1) // too late
		w.became(e, 1, hook.Delivered, "")
		w.stop()
		if _, err := w.d.Cancel(context.Background(), []*hook.Delivery{{Key: key}}, hook.ByRequest); err == nil {
			t.Error("cancelled although nothing is dispatched")
		}
	})
}

// Cancels and all else at once: what is cancelled is sent at most as often as
// it was before, and nothing else is lost.
func TestCancelAtRandomTimes(t *testing.T) {
	inBubble(t, 3, func(w *world) {
		w.tune = func(c *dispatch.Config) { c.Memory = 16 << 10 }
		w.make()
		w.start()
		for num := range hook.EndpointNum(3) {
			w.answers(num+1, func(ctx context.Context, n int) *egress.Result {
				return after(ctx, time.Duration(n%7)*time.Millisecond, status(map[bool]int{true: 500, false: 200}[n%3 == 0]))
			})
		}
		w.queue.recordDelay, w.queue.readDelay = 2*time.Millisecond, time.Millisecond
		cancelled := map[string]time.Time{}
		for i := range 300 {
			e := w.publish(1, 2, 3)
			if i%3 == 0 {
				time.Sleep(time.Duration(i%11) * time.Millisecond)
				w.cancel(e, 1, 2, 3)
				cancelled[e.ID.String()] = time.Now()
			}
		}
		time.Sleep(24 * time.Hour)
		for _, r := range w.seen(0) {
			if at, ok := cancelled[r.id]; ok && r.at.After(at) {
				t.Errorf("a request %s after it was cancelled", r.at.Sub(at))
			}
		}
		for _, e := range w.queue.events {
			_, was := cancelled[e.ID.String()]
			for num := range hook.EndpointNum(3) {
				r, ok := w.queue.record(hook.DeliveryKey{Event: e.ID, Endpoint: num + 1})
				if ok && !r.state.Terminal() || !was && ok && r.state == hook.Cancelled {
					t.Errorf("a delivery is %s, cancelled: %v", r.state, was)
				}
			}
		}
		w.stop()
	})
}
