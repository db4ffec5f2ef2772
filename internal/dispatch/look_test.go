package dispatch_test

import (
	"testing"
	"time"

	"grapnel/internal/hook"
)

// What keeps a delivery waiting is told: its place behind others, the rate, the breaker,
// or that it is being sent.
func TestLook(t *testing.T) {
	inBubble(t, 4, func(w *world) {
		w.make()
		w.change(1, func(e *hook.Endpoint) { e.MaxInFlight = 1 })
		w.change(2, func(e *hook.Endpoint) { e.RateLimit = 0.5 })
		w.answers(1, always(time.Minute, 200))
		w.answers(3, hangs)
		at := func(e *hook.Event, num hook.EndpointNum) hook.DeliveryKey {
			return hook.DeliveryKey{Event: e.ID, Endpoint: num}
		}
		if p := w.d.Look(hook.DeliveryKey{Endpoint: 1}); p.Here {
			t.Errorf("before the start: %+v", p)
		}
		w.start()
		slow := []*hook.Event{w.publish(1), w.publish(1), w.publish(1)}
		paced := []*hook.Event{w.publish(2), w.publish(2)}
		for range 20 {
			w.publish(3)
		}
		time.Sleep(time.Second)
		if p := w.d.Look(at(slow[0], 1)); !p.Here || !p.UnderWay || p.InFlight != 1 || p.Most != 1 {
			t.Errorf("being sent: %+v", p)
		}
		if p := w.d.Look(at(slow[2], 1)); p.UnderWay || p.Ahead != 1 || p.Broken || p.RateWait != 0 {
			t.Errorf("behind another one: %+v", p)
		}
		if p := w.d.Look(at(paced[1], 2)); p.Ahead != 0 || p.RateWait != time.Second {
			t.Errorf("at its rate: %+v", p)
		}
		time.Sleep(5 * time.Minute)
		if p := w.d.Look(at(w.publish(3), 3)); !p.Broken || p.Failed < 5 || p.ProbeAt.IsZero() {
			t.Errorf("an endpoint that does not answer: %+v", p)
		}
		if p := w.d.Look(at(slow[0], 1)); p.UnderWay || p.Ahead != -1 {
			t.Errorf("over: %+v", p)
		}
		w.stop()
	})
}
