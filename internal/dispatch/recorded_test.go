package dispatch_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/dispatch"
	"grapnel/internal/hook"
)

// Whoever watches is told of each attempt once it is in the store, and not
// before, and of a redelivery.
func TestRecordedIsToldAfterTheCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		var told []string
		w.tune = func(c *dispatch.Config) {
			c.Recorded = func(tenant hook.TenantNum, key hook.DeliveryKey, eventType string, a *hook.Attempt) {
				n := 0
				if a != nil {
					n = a.N
				}
				told = append(told, fmt.Sprint(tenant, " ", key.Endpoint, " ", eventType, " attempt ", n, " stored ", w.queue.count()))
			}
		}
		w.make()
		w.answers(1, always(0, 500))
		w.start()
		e := w.publish(1)
		time.Sleep(5 * time.Second)
		key := hook.DeliveryKey{Event: e.ID, Endpoint: 1}
		if err := w.queue.Redeliver(context.Background(), key, time.Now()); err != nil {
			t.Fatal(err)
		}
		w.answers(1, always(0, 200))
		w.d.Wake(key)
		time.Sleep(time.Second)
		w.stop()
		want := []string{
			"1 1 " + e.Type + " attempt 1 stored map[pending:1]",
			"1 1 " + e.Type + " attempt 2 stored map[pending:1]",
			"1 1  attempt 0 stored map[pending:1]",
			"1 1 " + e.Type + " attempt 3 stored map[delivered:1]",
		}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Error(diff)
		}
	})
}

// What is shown in place of an attempt is what the attempt sends.
func TestComposeIsWhatIsSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.start()
		e := w.publish(1)
		synctest.Wait()
		endpoint, _ := w.book.Endpoint(1)
		tenant, _ := w.book.TenantByNum(1)
		c := dispatch.Composer{Dialects: registry(t), Ring: w.ring}
		m, err := c.Compose(e, endpoint, tenant, nil, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		got := request{}
		for _, h := range m.Header {
			switch h.Name {
			case "webhook-id":
				got.id = h.Value
			case "signature":
				got.sig = h.Value
			}
		}
		if sent := w.seen(1)[0]; sent.id != got.id || sent.sig != got.sig || got.sig == "" {
			t.Errorf("composed %+v, sent %+v", got, sent)
		}
		w.stop()
	})
}
