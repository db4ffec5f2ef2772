package ingest_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/ingest"
	"grapnel/internal/store"
)

// batch is a submission of many events of one tenant.
func batch(tenant string, events int) *ingest.Submission {
	s := &ingest.Submission{Scope: "flood"}
	for range events {
		s.Items = append(s.Items, item(tenant, "", "invoice.paid", `1`))
	}
	return s
}

// send publishes in the background, and says when it was answered.
func (b *bench) send(t *testing.T, wg *sync.WaitGroup, s *ingest.Submission) {
	t.Helper()
	wg.Go(func() {
		if _, _, err := b.Publish(t.Context(), s); err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
}

// case 56: however much one tenant has waiting, what another publishes is in
// the next group, and that is not a large one.
func TestSmallPublishIsInTheNextGroup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.journal.gate = make(chan struct{})
		var wg sync.WaitGroup
		for range 200 {
			b.send(t, &wg, batch("acme", 100))
		}
		b.send(t, &wg, batch("bolt", 1))
		b.journal.gate <- struct{}{} // the group that was at work already
		synctest.Wait()
		b.journal.gate <- struct{}{}
		synctest.Wait()
		b.journal.mu.Lock()
		last := b.journal.commits[1]
		found := false
		for _, e := range b.journal.events[len(b.journal.events)-last:] {
			found = found || e.Tenant == 2
		}
		b.journal.mu.Unlock()
		if !found || last > 512 {
			t.Errorf("the group after it has %d events, the other tenant's among them: %t", last, found)
		}
		close(b.journal.gate)
		wg.Wait()
		if n := len(b.journal.events); n != 20_001 {
			t.Errorf("%d events stored", n)
		}
	})
}

// case 56: a tenant that floods is held to its share of the time when commits
// take as long as they have events: another's publish waits for few of them.
func TestFloodSharesTheCommitter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.journal.fail = func(batch *store.Batch) error {
			time.Sleep(time.Millisecond + time.Duration(len(batch.Events))*20*time.Microsecond)
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var flood atomic.Int64
		for range 64 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if _, _, err := b.Publish(t.Context(), batch("acme", 100)); err == nil {
						flood.Add(1)
					}
				}
			})
		}
		time.Sleep(time.Second)
		flood.Store(0)
		var worst time.Duration
		for range 200 {
			time.Sleep(10 * time.Millisecond)
			begin := time.Now()
			b.publish(t, submission("", item("bolt", "", "x", `1`)))
			worst = max(worst, time.Since(begin))
		}
		cancel()
		wg.Wait()
		t.Logf("worst wait of the other: %s; the flood had %d events/s", worst, flood.Load()*100/2)
		if worst > 20*time.Millisecond {
			t.Errorf("the other waited %s", worst)
		}
	})
}

// case 17: on a disk that is too slow, what cannot be stored in time is refused
// when that is clear, and what its caller gave up before its turn is not stored.
func TestSlowStoreRefusesEarly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.journal.fail = func(*store.Batch) error { time.Sleep(20 * time.Second); return nil }
		b.publish(t, submission("", item("acme", "", "a", `1`)))

		var wg sync.WaitGroup
		b.send(t, &wg, batch("acme", 1))
		try := func(within time.Duration) (took time.Duration, err error) {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			begin := time.Now()
			_, _, err = b.Publish(ctx, batch("acme", 1))
			return time.Since(begin), err
		}
		took, err := try(30 * time.Second)
		if e, ok := err.(*hook.Error); !ok || e.Code != hook.CodeUnavailable || e.RetryAfter < 20*time.Second || took != 0 {
			t.Errorf("%v after %s", err, took)
		}
		wg.Go(func() {
			took, err := try(41 * time.Second)
			if err != nil || took != 40*time.Second {
				t.Errorf("%v after %s", err, took)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			if _, _, err := b.Publish(ctx, batch("bolt", 1)); hook.CodeOf(err) != hook.CodeUnavailable {
				t.Errorf("given up before its turn: %v", err)
			}
		})
		time.Sleep(time.Second)
		cancel()
		wg.Wait()
		if n := len(b.journal.events); n != 3 {
			t.Errorf("%d events stored", n)
		}
	})
}

// case 17: below the reserve of the disk nothing is taken.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *ingest.Config) {
		c.Room = func() error { return fmt.Errorf("10 bytes are free: %w", store.ErrFull) }
	})
	_, _, err := b.Publish(t.Context(), submission("", item("acme", "", "a", `1`)))
	if e, ok := err.(*hook.Error); !ok || e.Code != hook.CodeUnavailable || e.RetryAfter == 0 {
		t.Errorf("%v", err)
	}
}
