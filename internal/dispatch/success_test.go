package dispatch_test

import (
	"context"
	"testing"
	"time"

	"grapnel/internal/egress"
	"grapnel/internal/hook"
)

// Where a contract asks what an answer's body says, a status alone does not
// deliver.
func TestTheBodyAcknowledges(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.change(1, func(e *hook.Endpoint) { e.Dialect = "asks" })
		w.answers(1, func(_ context.Context, n int) *egress.Result {
			r := status(200)
			r.Body = []byte([]string{"", `{"error":"busy"}`, `{"ok":"taken"}`}[min(n, 3)-1])
			return r
		})
		w.start()
		w.publish(1)
		time.Sleep(time.Hour)
		if n := len(w.seen(1)); n != 3 {
			t.Errorf("%d attempts, want 3", n)
		}
		if got := w.queue.count(); got[hook.Delivered] != 1 {
			t.Errorf("the delivery is %v, want delivered", got)
		}
		w.stop()
	})
}
