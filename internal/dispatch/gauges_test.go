package dispatch_test

import (
	"testing"
	"time"

	"grapnel/internal/hook"
)

// The age of what waits longest grows although the store is told every few
// seconds how far everybody else is; endpoints that do not answer count apart.
func TestGauges(t *testing.T) {
	inBubble(t, 3, func(w *world) {
		w.tune = smallMemory
		w.make()
		w.change(1, func(e *hook.Endpoint) { e.MaxInFlight = 1 })
		w.answers(1, always(2*time.Minute, 200)) // slow: what waits behind it gets old
		w.start()
		if g := w.d.Gauges(); g.Due != 0 || g.InFlight != 0 || g.OldestAge != 0 || g.Barred {
			t.Errorf("an idle dispatcher: %+v", g)
		}
		for range 500 {
			w.publish(1)
		}
		time.Sleep(time.Minute)
		g := w.d.Gauges()
		if g.InFlight != 1 || g.Due == 0 || g.Behind != 1 || g.Broken != 0 || g.OldestAge < time.Minute-time.Second || g.OldestAge > time.Minute+time.Second {
			t.Errorf("behind a slow endpoint: %+v", g)
		}
		w.stop()
	})
}

func TestGaugesOfAnEndpointThatDoesNotAnswer(t *testing.T) {
	inBubble(t, 3, func(w *world) {
		w.answers(2, hangs)
		w.start()
		for range 500 {
			w.publish(2)
		}
		time.Sleep(5 * time.Minute)
		if g := w.d.Gauges(); g.Broken != 1 || g.OldestAge != 0 {
			t.Errorf("%+v", g)
		}
		w.answers(2, nil)
		time.Sleep(10 * time.Minute)
		if g := w.d.Gauges(); g.Broken != 0 || g.OldestAge != 0 || g.Due != 0 {
			t.Errorf("when it is there again: %+v", g)
		}
		w.stop()
	})
}
