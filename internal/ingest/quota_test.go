package ingest_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/hook"
	"grapnel/internal/ingest"
	"grapnel/internal/store"
	"grapnel/internal/telemetry"
)

// refusal is the error of a publish that is refused as a whole.
func (b *bench) refusal(t *testing.T, s *ingest.Submission) *hook.Error {
	t.Helper()
	_, _, err := b.Publish(t.Context(), s)
	e, ok := err.(*hook.Error)
	if !ok {
		t.Fatalf("published, %v", err)
	}
	return e
}

// case 56: past its quota a tenant is refused, nothing of it is stored, and it
// is told when to come back: then there is room.
func TestQuotaOfEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, func(c *ingest.Config) { c.Limits.Events = 10 })
		b.publish(t, batch("acme", 6)) // of a burst of 10
		b.publish(t, batch("acme", 4))
		e := b.refusal(t, batch("acme", 5))
		if e.Code != hook.CodeRateLimited || e.RetryAfter != 500*time.Millisecond || len(b.journal.events) != 10 {
			t.Errorf("%v, again in %s, %d stored", e, e.RetryAfter, len(b.journal.events))
		}
		b.publish(t, batch("bolt", 10)) // has a quota of its own
		time.Sleep(e.RetryAfter)
		b.publish(t, batch("acme", 5))

		// More than the burst needs a full bucket, and is paid back.
		time.Sleep(500 * time.Millisecond)
		if e := b.refusal(t, batch("acme", 100)); e.RetryAfter != 500*time.Millisecond {
			t.Errorf("ten times the burst from half a bucket: again in %s", e.RetryAfter)
		}
		time.Sleep(time.Hour) // holds no more than the burst
		b.publish(t, batch("acme", 100))
		if e := b.refusal(t, batch("acme", 1)); e.RetryAfter != 9100*time.Millisecond {
			t.Errorf("after ten times the burst: again in %s", e.RetryAfter)
		}
	})
}

// case 56: what comes at once is let in at the tenant's rate, but for the first
// of it, so that others need not wait for all of it.
func TestQuotaSpreadsWhatComesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, func(c *ingest.Config) { c.Limits.Events = 1000 })
		begin := time.Now()
		var wg sync.WaitGroup
		var mu sync.Mutex
		passed := map[time.Duration]int{}
		for range 20 {
			wg.Go(func() {
				b.publish(t, batch("acme", 50))
				mu.Lock()
				defer mu.Unlock()
				passed[time.Since(begin)] += 50
			})
		}
		synctest.Wait() // most of them wait for their turn
		b.publish(t, batch("bolt", 1))
		if !time.Now().Equal(begin) {
			t.Error("another tenant waited")
		}
		wg.Wait()
		if passed[0] != 150 || len(passed) != 18 || passed[850*time.Millisecond] != 50 {
			t.Errorf("passed at %v", passed)
		}
	})
}

// A caller that goes away while it waits for its turn has used nothing up, and a
// server that stops keeps nobody waiting.
func TestQuotaTurnIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := telemetry.NewMetrics()
		b := setup(t, func(c *ingest.Config) { c.Limits.Events, c.Metrics = 1000, m })
		b.publish(t, batch("acme", 400))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, _, err := b.Publish(ctx, batch("acme", 600)); hook.CodeOf(err) != hook.CodeRateLimited {
			t.Fatal(err)
		}
		page := httptest.NewRecorder()
		m.Handler().ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
		if !strings.Contains(page.Body.String(), `grapnel_events_refused_total{reason="rate"} 600`) {
			t.Error("what was refused is not counted")
		}
		b.publish(t, batch("acme", 600))
		time.Sleep(time.Hour)
		b.publish(t, batch("acme", 1000))
		time.Sleep(500 * time.Millisecond)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, _, err := b.Publish(t.Context(), batch("acme", 1)); hook.CodeOf(err) != hook.CodeUnavailable {
				t.Error(err)
			}
		})
		synctest.Wait()
		b.Close()
		wg.Wait()
	})
}

// Who is refused is told to come back after those who were before, so that not
// all of them come at once.
func TestQuotaTellsApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, func(c *ingest.Config) { c.Limits.Events = 10 })
		b.publish(t, batch("acme", 10))
		for _, want := range []time.Duration{500, 1000, 1500, 2000, 2500, 3000, 3500, 3500, 3500} {
			if e := b.refusal(t, batch("acme", 5)); e.RetryAfter != want*time.Millisecond {
				t.Errorf("again in %s, want %d ms", e.RetryAfter, want)
			}
		}
	})
}

// case 56: a rate so small that the wait for it is no duration still holds.
func TestQuotaOfNextToNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, func(c *ingest.Config) { c.Limits.Events = 1e-300 })
		b.publish(t, batch("acme", 1))
		if e := b.refusal(t, batch("acme", 1)); e.RetryAfter != 24*time.Hour || len(b.journal.events) != 1 {
			t.Errorf("again in %s, %d stored", e.RetryAfter, len(b.journal.events))
		}
	})
}

// case 56: over a long time a tenant gets what its quota says, however it asks.
func TestQuotaHoldsOverTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, func(c *ingest.Config) { c.Limits.Events = 100 })
		var wg sync.WaitGroup
		for n := range 8 {
			wg.Go(func() {
				for begin := time.Now(); time.Since(begin) < time.Minute; {
					_, _, err := b.Publish(t.Context(), batch("acme", 1+n*7))
					if e, ok := err.(*hook.Error); ok {
						time.Sleep(e.RetryAfter)
					}
				}
			})
		}
		wg.Wait()
		if n := len(b.journal.events); n < 6000 || n > 6200 {
			t.Errorf("%d events in a minute at 100/s", n)
		}
	})
}

// What is refused for one tenant in a request over several leaves the others'
// events alone; with an Idempotency-Key all of it is refused, for the answer
// would be remembered.
func TestQuotaInBatches(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *ingest.Config) { c.Limits.Events = 0.2 })
	b.config.Revision = 2
	b.config.Tenants[1].Quota.Events = -1
	if err := b.dir.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.publish(t, batch("acme", 1))
	mixed := []ingest.Item{item("acme", "", "a", `1`), item("bolt", "", "a", `2`), item("acme", "", "a", `3`)}
	if e := b.refusal(t, submission("key", mixed...)); e.Code != hook.CodeRateLimited {
		t.Error(e)
	}
	results, _ := b.publish(t, submission("", mixed...))
	var codes []hook.Code
	for _, r := range results {
		if r.Err == nil {
			codes = append(codes, "")
			continue
		}
		codes = append(codes, r.Err.Code)
	}
	if diff := cmp.Diff([]hook.Code{hook.CodeRateLimited, "", hook.CodeRateLimited}, codes); diff != "" {
		t.Error(diff)
	}
	if len(b.journal.events) != 2 {
		t.Errorf("%d events stored", len(b.journal.events))
	}
	// Tests and the server's own notices are not counted.
	own := batch("acme", 1)
	own.Own = true
	b.publish(t, own)
	test := batch("acme", 1)
	test.Only = b.config.Endpoints[0]
	b.publish(t, test)
}

// What was accepted before, or failed, is not counted.
func TestQuotaCountsWhatIsAccepted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, func(c *ingest.Config) { c.Limits.Events = 3 })
		for range 20 {
			b.publish(t, submission("", item("acme", "id", "a", `1`)))
		}
		for range 20 {
			b.publish(t, submission("key", item("acme", "", "a", `1`)))
		}
		b.publish(t, batch("acme", 1))
		b.refusal(t, batch("acme", 1))
	})
}

// cases 17, 56: what the store did not take is not counted, whether it failed or
// its caller gave up before its turn.
func TestQuotaIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, func(c *ingest.Config) { c.Limits.Events = 2 })
		b.journal.fail = func(*store.Batch) error { return store.ErrUnavailable }
		for range 5 {
			if e := b.refusal(t, batch("acme", 2)); e.Code != hook.CodeUnavailable {
				t.Fatal(e)
			}
		}
		b.journal.fail = nil
		b.journal.gate = make(chan struct{})
		var wg sync.WaitGroup
		b.send(t, &wg, batch("bolt", 1)) // is at work
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			if _, _, err := b.Publish(ctx, batch("acme", 2)); hook.CodeOf(err) != hook.CodeUnavailable {
				t.Error(err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(b.journal.gate)
		b.publish(t, batch("acme", 2))
		b.refusal(t, batch("acme", 1)) // and no more than that
		wg.Wait()
	})
}

// case 56: while too many deliveries wait, no more events are taken.
func TestQuotaOfPending(t *testing.T) {
	t.Parallel()
	var ofTenant, all int64
	b := setup(t, func(c *ingest.Config) {
		c.Limits.Pending, c.Limits.AllPending = 100, 1000
		c.Pending = func(hook.TenantNum) (int64, int64) { return ofTenant, all }
	})
	for _, tt := range []struct {
		ofTenant, all int64
		want          hook.Code
	}{{99, 999, ""}, {100, 999, hook.CodeRateLimited}, {0, 1000, hook.CodeUnavailable}, {0, 0, ""}} {
		ofTenant, all = tt.ofTenant, tt.all
		_, _, err := b.Publish(t.Context(), batch("acme", 1))
		if got := hook.CodeOf(err); got != tt.want {
			t.Errorf("%d of %d wait: %v", tt.ofTenant, tt.all, err)
		}
	}
}
