package dispatch_test

import (
	"context"
	"fmt"
	"strings"
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
		if err := w.queue.Redeliver(context.Background(), hook.AllTenants, key, time.Now()); err != nil {
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

// case 104: the values of credentials are opened for the request alone; what is
// kept of it does not have them. A new value counts from the next attempt on.
func TestCredentialsAreOpenedForTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		give := func(value string) {
			w.change(1, func(e *hook.Endpoint) {
				headers, err := w.ring.SealHeaders([]hook.Header{{Name: "X-Team", Value: "blue"}, {Name: "X-Token", Value: value}}, e.Tenant, e.ID)
				if err != nil {
					t.Fatal(err)
				}
				e.Headers = headers
			})
		}
		give("canary1")
		w.start()
		e := w.publish(1)
		synctest.Wait()
		give("canary2")
		w.publish(1)
		synctest.Wait()
		endpoint, _ := w.book.Endpoint(1)
		tenant, _ := w.book.TenantByNum(1)
		c := dispatch.Composer{Dialects: registry(t), Ring: w.ring}
		m, err := c.Compose(e, endpoint, tenant, nil, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if h := lastOf(m.Header); h.Value != "canary2" {
			t.Errorf("composed with %q", h.Value)
		}
		for i, want := range []string{"canary1", "canary2"} {
			if got := w.seen(1)[i].token; got != want {
				t.Errorf("request %d has %q, want %q", i, got, want)
			}
		}
		w.stop()
		want := "X-Team: blue\r\nX-Token: [secret]\r\n"
		for _, a := range w.queue.attempts {
			if got := string(a.RequestHeader); !strings.HasSuffix(got, want) {
				t.Errorf("kept: %q, want %q at the end", got, want)
			}
		}
	})
}
