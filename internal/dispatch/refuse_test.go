package dispatch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

var errNever = errors.New("attempt number 70000 is not in 1 to 65535")

// refuse lets the queue refuse what f tells for good. It is lifted by f nil.
func (w *world) refuse(f func(o *store.Outcome) bool) {
	w.queue.mu.Lock()
	defer w.queue.mu.Unlock()
	w.queue.recordFault = func(outcomes []*store.Outcome) error {
		if f != nil && slices.ContainsFunc(outcomes, f) {
			return errNever
		}
		return nil
	}
}

// One outcome that the store can never take holds its own delivery and stops
// nobody (cases 10, 11).
func TestRefusedOutcomeIsHeld(t *testing.T) {
	inBubble(t, 3, func(w *world) {
		w.queue.recordDelay = 20 * time.Millisecond // so that many are in one batch
		w.start()
		var all []*hook.Event
		poison := map[hook.DeliveryKey]bool{}
		for i := range 500 {
			e := w.store(1, 2, 3)
			if i%100 == 42 {
				poison[hook.DeliveryKey{Event: e.ID, Endpoint: 2}] = true
			}
			all = append(all, e)
		}
		w.refuse(func(o *store.Outcome) bool { return poison[o.Key] && o.Attempt != nil })
		for _, e := range all {
			w.d.Offer([]*hook.Event{e})
		}
		time.Sleep(time.Hour)
		w.once()
		if diff := cmp.Diff(map[hook.DeliveryState]int{hook.Delivered: 1495, hook.Held: 5}, w.queue.count()); diff != "" {
			t.Error(diff)
		}
		for key := range poison {
			if r := w.queue.reason(key); !strings.Contains(r, "could not be recorded: "+errNever.Error()) {
				t.Errorf("the reason is %q", r)
			}
		}
		w.refuse(nil)
		for key := range poison {
			if err := w.queue.Redeliver(t.Context(), hook.AllTenants, key, time.Now()); err != nil {
				t.Error(err)
			}
			w.d.Wake(key)
		}
		time.Sleep(time.Second)
		w.stop()
		if diff := cmp.Diff(map[hook.DeliveryState]int{hook.Delivered: 1500}, w.queue.count()); diff != "" {
			t.Error(diff)
		}
	})
}

// A delivery of which the store takes nothing at all is left alone, and so is
// its row, until it is redelivered, its endpoint changes, or a new process
// begins. Progress never passes it (the queue checks).
func TestRefusedAltogetherIsLeftAlone(t *testing.T) {
	for name, again := range map[string]func(w *world, key hook.DeliveryKey){
		"redelivered": func(w *world, key hook.DeliveryKey) {
			_ = w.queue.Redeliver(context.Background(), hook.AllTenants, key, time.Now())
			w.d.Wake(key)
		},
		"changed": func(w *world, _ hook.DeliveryKey) { w.change(1, func(*hook.Endpoint) {}) },
		"restarted": func(w *world, _ hook.DeliveryKey) {
			w.stop()
			w.make()
			w.start()
		},
	} {
		for kind, recorded := range map[string]int{"fresh": 0, "retry": 2} {
			t.Run(kind+" "+name, func(t *testing.T) {
				inBubble(t, 2, func(w *world) {
					w.answers(1, func(_ context.Context, n int) *egress.Result {
						if n <= recorded {
							return status(500)
						}
						return status(200)
					})
					w.start()
					e := w.store(1)
					key := hook.DeliveryKey{Event: e.ID, Endpoint: 1}
					w.refuse(func(o *store.Outcome) bool {
						return o.Key == key && (o.Attempt == nil || o.Attempt.N > recorded)
					})
					w.d.Offer([]*hook.Event{e})
					for range 1000 {
						time.Sleep(20 * time.Millisecond)
						w.publish(2)
					}
					time.Sleep(24 * time.Hour)
					if got := len(w.seen(1)); got != recorded+1 {
						t.Errorf("%d requests of what cannot be recorded, want %d", got, recorded+1)
					}
					if got := len(w.seen(2)); got != 1000 {
						t.Errorf("%d requests of others, want 1000", got)
					}
					if s := w.queue.state(key); s.Terminal() || s == hook.Held {
						t.Errorf("the delivery is %v", s)
					}
					w.refuse(nil)
					again(w, key)
					time.Sleep(time.Minute)
					w.stop()
					if diff := cmp.Diff(map[hook.DeliveryState]int{hook.Delivered: 1001}, w.queue.count()); diff != "" {
						t.Error(diff)
					}
					if got := len(w.seen(1)); got != recorded+2 || w.queue.behind() != 0 {
						t.Errorf("%d requests in the end, want %d; %d lanes are behind", got, recorded+2, w.queue.behind())
					}
				})
			})
		}
	}
}

// What the store is short of comes before what it refuses: nothing is given up
// for it, and sending goes on when it is over, even if the first thing that the
// store says then is no.
func TestRefusedAfterOutage(t *testing.T) {
	inBubble(t, 2, func(w *world) {
		w.start()
		faults := 5
		poison := hook.DeliveryKey{Event: w.store(1).ID, Endpoint: 1}
		w.queue.recordFault = func(outcomes []*store.Outcome) error {
			if faults--; faults >= 0 {
				return errors.Join(errNever, store.ErrUnavailable)
			}
			if slices.ContainsFunc(outcomes, func(o *store.Outcome) bool { return o.Key == poison }) {
				return errNever
			}
			return nil
		}
		w.d.Offer(w.queue.events)
		time.Sleep(10 * time.Millisecond)
		for range 100 {
			w.publish(2)
		}
		time.Sleep(time.Minute)
		if diff := cmp.Diff(map[hook.DeliveryState]int{0: 1, hook.Delivered: 100}, w.queue.count()); diff != "" {
			t.Error(diff)
		}
		w.stop()
	})
}
