package dispatch_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"grapnel/internal/convert"
	"grapnel/internal/dispatch"
	"grapnel/internal/hook"
)

// runner is a convert.Runner that does as the test says.
type runner func(ctx context.Context, data []byte) ([]byte, error)

func (f runner) Check(context.Context, []string) error { return nil }
func (f runner) Run(ctx context.Context, _ []string, data []byte) ([]byte, error) {
	return f(ctx, data)
}

// converting makes a world whose one tenant gets all data converted.
func converting(w *world, f runner) {
	every := types{"test.made": {Versions: []hook.TypeVersion{{Version: "1", Convert: "."}}}}
	w.tune = func(c *dispatch.Config) { c.Pins = &dispatch.Pins{Types: every, Converters: f} }
	w.book.tenants[1].APIVersion = "1"
	w.make()
	w.start()
}

// That no converter can run just now is no mistake of the data's: the delivery
// waits, and goes on by itself.
func TestWaitsForConverters(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		var can atomic.Bool
		converting(w, func(_ context.Context, data []byte) ([]byte, error) {
			if !can.Load() {
				return nil, convert.ErrUnavailable
			}
			return data, nil
		})
		key := hook.DeliveryKey{Event: w.publish(1).ID, Endpoint: 1}
		time.Sleep(time.Hour)
		if state, reason := w.queue.state(key), w.queue.reason(key); state != hook.Pending || !strings.Contains(reason, "converters cannot be run now") {
			t.Errorf("the delivery is %v, %q", state, reason)
		}
		can.Store(true)
		time.Sleep(10 * time.Minute)
		if state := w.queue.state(key); state != hook.Delivered {
			t.Errorf("the delivery is %v, %q", state, w.queue.reason(key))
		}
		w.stop()
	})
}

// A stop does not wait for converters for longer than it may, and what they
// did not make is sent by the next start.
func TestStopInterruptsConverters(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		converting(w, func(ctx context.Context, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		key := hook.DeliveryKey{Event: w.publish(1).ID, Endpoint: 1}
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = w.d.Stop(ctx) // it may say that it broke something off
		if state := w.queue.state(key); state == hook.Held || state.Terminal() {
			t.Errorf("the delivery is %v, %q", state, w.queue.reason(key))
		}
		w.tune = nil
		w.make()
		w.start()
		time.Sleep(time.Minute)
		if state := w.queue.state(key); state != hook.Delivered {
			t.Errorf("after the next start the delivery is %v, %q", state, w.queue.reason(key))
		}
		w.stop()
	})
}
