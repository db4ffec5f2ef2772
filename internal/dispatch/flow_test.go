package dispatch_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/egress"
	"grapnel/internal/hook"
)

func TestDeliversAtOnce(t *testing.T) {
	inBubble(t, 2, func(w *world) {
		w.start()
		begin := time.Now()
		e := w.publish(1, 2)
		synctest.Wait()
		for _, r := range w.seen(0) {
			if r.at != begin || r.id != e.ID.String() || r.sig == "" {
				t.Errorf("the request came %s late as %+v", r.at.Sub(begin), r)
			}
		}
		time.Sleep(time.Second)
		if diff := cmp.Diff(map[hook.DeliveryState]int{hook.Delivered: 2}, w.queue.count()); diff != "" {
			t.Error(diff)
		}
		w.stop()
		w.once()
		if want := e.ID.Seq() + 1; w.queue.floors[0] != want || w.queue.behind() != 0 {
			t.Errorf("the floor is %d, want %d; marks %v", w.queue.floors[0], want, w.queue.marks)
		}
	})
}

// The whole schedule: near retries from memory, far ones from the store, same
// body and id, fresh signature, then failed.
func TestRetrySchedule(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.answers(1, always(0, 500))
		w.start()
		begin := time.Now()
		e := w.publish(1)
		time.Sleep(24 * time.Hour)
		var offsets []time.Duration
		sigs := map[string]bool{}
		for _, r := range w.seen(1) {
			offsets = append(offsets, r.at.Sub(begin))
			sigs[r.sig] = true
			if r.body != w.seen(1)[0].body || r.id != e.ID.String() {
				t.Error("the bytes or the id changed between attempts")
			}
		}
		s, m, h := time.Second, time.Minute, time.Hour
		want := []time.Duration{0, s, 11 * s, m + 11*s, h + m + 11*s, 11*h + m + 11*s}
		if diff := cmp.Diff(want, offsets); diff != "" {
			t.Error(diff)
		}
		if len(sigs) != len(want) {
			t.Errorf("%d signatures for %d attempts", len(sigs), len(want))
		}
		if got := w.queue.count(); got[hook.Failed] != 1 {
			t.Errorf("the delivery is %v, want failed", got)
		}
		w.stop()
	})
}

// A retry that comes due while the server is down is not made when it is back
// too late (SM-R1): the delivery has failed, without a request. Sent again by
// hand, it begins anew.
func TestSMR1NoRetryPastTheDeadline(t *testing.T) {
	for name, c := range map[string]struct {
		dialect string
		down    time.Duration
		more    int // requests after the restart
	}{
		"too late":      {"ends", 25 * time.Hour, 0},
		"in time":       {"ends", 13 * time.Hour, 1},
		"no deadline":   {"holds", 25 * time.Hour, 2},
		"a short while": {"ends", time.Minute, 2},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, func(w *world) {
				w.change(1, func(e *hook.Endpoint) { e.Dialect = c.dialect })
				w.answers(1, always(0, 500))
				w.start()
				e := w.publish(1)
				key := hook.DeliveryKey{Event: e.ID, Endpoint: 1}
				time.Sleep(2 * time.Minute) // four attempts; the next is due after an hour
				w.stop()
				w.make()
				time.Sleep(c.down)
				w.start()
				time.Sleep(24 * time.Hour)
				if got := len(w.seen(1)) - 4; got != c.more || w.queue.state(key) != hook.Failed {
					t.Errorf("%d requests after the restart, then %s because of %q; want %d", got, w.queue.state(key), w.queue.reason(key), c.more)
				}
				if c.more == 0 && !strings.Contains(w.queue.reason(key), "no retry may begin later than 15h0m0s after the first attempt") {
					t.Errorf("it failed because of %q", w.queue.reason(key))
				}
				before := len(w.seen(1))
				if err := w.queue.Redeliver(t.Context(), hook.AllTenants, key, time.Now()); err != nil {
					t.Fatal(err)
				}
				w.d.Wake(key)
				time.Sleep(2 * time.Minute)
				if got := len(w.seen(1)) - before; got != 4 {
					t.Errorf("%d requests of a new schedule, want 4", got)
				}
				w.stop()
			})
		})
	}
}

// Retry-After prolongs the wait up to a day and never shortens it (case 50).
func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"0": time.Second, "-1": time.Second, "1e300": time.Second, "NaN": time.Second,
		"30": 30 * time.Second, "7200": 2 * time.Hour, "9999999999": 24 * time.Hour,
	} {
		t.Run(value, func(t *testing.T) {
			inBubble(t, 1, func(w *world) {
				w.answers(1, func(ctx context.Context, n int) *egress.Result {
					r := status(503)
					if n == 1 {
						r.Header.Set("Retry-After", value)
					} else {
						r = status(200)
					}
					return r
				})
				w.start()
				w.publish(1)
				time.Sleep(25 * time.Hour)
				seen := w.seen(1)
				if len(seen) != 2 || seen[1].at.Sub(seen[0].at) != want {
					t.Errorf("requests %v, want the second %s after the first", seen, want)
				}
				w.stop()
			})
		})
	}
}

// More events than memory takes: the rest is paged in, each is sent once, and
// progress is never ahead (the queue checks).
func TestBacklogBeyondMemory(t *testing.T) {
	inBubble(t, 3, func(w *world) {
		w.d = nil
		w.tune = smallMemory
		w.make()
		w.queue.readDelay, w.queue.recordDelay = 2*time.Millisecond, 3*time.Millisecond
		w.answers(2, always(20*time.Millisecond, 200))
		w.start()
		for range 3000 {
			w.publish(1, 2, 3)
			time.Sleep(300 * time.Microsecond)
		}
		time.Sleep(5 * time.Minute)
		if diff := cmp.Diff(map[hook.DeliveryState]int{hook.Delivered: 9000}, w.queue.count()); diff != "" {
			t.Error(diff)
		}
		w.once()
		w.stop()
		if w.queue.behind() != 0 {
			t.Errorf("%d lanes are still behind", w.queue.behind())
		}
	})
}

// One endpoint fails half of the time: retries, backlog and fresh deliveries
// are in memory and in the store at once, while pages get old on the way.
func TestPagesThatGetOld(t *testing.T) {
	inBubble(t, 2, func(w *world) {
		w.d = nil
		w.tune = smallMemory
		w.make()
		w.queue.readDelay, w.queue.recordDelay = 30*time.Millisecond, 20*time.Millisecond
		w.answers(1, func(ctx context.Context, n int) *egress.Result {
			if n%3 == 0 {
				return after(ctx, 5*time.Millisecond, status(500))
			}
			return after(ctx, 5*time.Millisecond, status(200))
		})
		w.start()
		for range 1000 {
			w.publish(1, 2)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(24 * time.Hour)
		if c := w.queue.count(); c[hook.Delivered]+c[hook.Failed] != 2000 {
			t.Errorf("the deliveries are %v", c)
		}
		if got, want := len(w.seen(0)), len(w.queue.tried()); got != want {
			t.Errorf("%d requests, %d attempts recorded", got, want) // I4
		}
		w.stop()
	})
}
