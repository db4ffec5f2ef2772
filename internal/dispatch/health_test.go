package dispatch_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/hook"
)

// published publishes to endpoint 1 every minute, as long as it is told to.
func published(w *world, long time.Duration) {
	for range int(long / time.Minute) {
		w.publish(1)
		time.Sleep(time.Minute)
	}
	synctest.Wait()
}

// An endpoint that fails for as long as its policy allows is warned of twice and
// then disabled; one without a policy is warned of once.
func TestHealthByTime(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.answers(1, always(time.Millisecond, 500))
		w.change(1, func(e *hook.Endpoint) { e.Schedule, e.DisableAfter = []time.Duration{}, 4*time.Hour })
		w.start()
		begin := time.Now()
		published(w, 5*time.Hour)
		w.stop()
		since := begin.UTC().Format(time.TimeOnly)
		want := []string{
			"failing 1 since " + since + ", warning 1: answered 500 Internal Server Error",
			"failing 1 since " + since + ", warning 2: answered 500 Internal Server Error",
			"disable 1",
		}
		if diff := cmp.Diff(want, w.acted()); diff != "" {
			t.Error(diff)
		}
		e, _ := w.book.Endpoint(1)
		if !strings.Contains(e.StateReason, "all attempts failed since "+begin.UTC().Format(time.RFC3339)) {
			t.Errorf("reason %q", e.StateReason)
		}
		if n := len(w.seen(1)); n != 4*60+1 {
			t.Errorf("%d requests, want one a minute for 4 hours", n)
		}
	})
}

// One success in between, and it is not failing; after a warning it is told that
// it has recovered.
func TestHealthRecovers(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.change(1, func(e *hook.Endpoint) { e.Schedule, e.DisableAfter = []time.Duration{}, time.Hour })
		w.start()
		for range 20 { // never ten minutes of failures alone
			w.answers(1, always(time.Millisecond, 500))
			published(w, 9*time.Minute)
			w.answers(1, nil)
			published(w, time.Minute)
		}
		if did := w.acted(); len(did) != 0 {
			t.Fatalf("%v", did)
		}
		w.answers(1, always(time.Millisecond, 404))
		published(w, 12*time.Minute)
		w.answers(1, nil)
		published(w, 2*time.Minute)
		w.stop()
		did := w.acted()
		if len(did) != 2 || !strings.HasPrefix(did[0], "failing 1 since ") || did[1] != "recovered 1" {
			t.Errorf("%q", did)
		}
	})
}

// What a server knew of an endpoint's health outlives it, and so does what is known
// of one that seldom gets anything, for which nothing is kept in memory meanwhile.
func TestHealthAcrossRestartAndIdleness(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.answers(1, always(time.Millisecond, 500))
		w.change(1, func(e *hook.Endpoint) { e.Schedule, e.DisableAfter = []time.Duration{}, 24*time.Hour })
		w.start()
		seldom := func(n int) {
			for range n {
				w.publish(1)
				time.Sleep(time.Hour)
			}
		}
		seldom(4)
		if did := w.acted(); len(did) != 1 || !strings.Contains(did[0], "warning 1") {
			t.Fatalf("after hours: %q", did)
		}
		w.stop()
		w.make()
		w.start()
		seldom(24)
		w.stop()
		did := w.acted()
		if len(did) < 3 || did[len(did)-1] != "disable 1" {
			t.Errorf("%q", did)
		}
	})
}

// Nothing is disabled for want of events, nor after a single failure.
func TestHealthNeedsAttempts(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		w.answers(1, always(time.Millisecond, 500))
		w.change(1, func(e *hook.Endpoint) { e.Schedule, e.DisableAfter = []time.Duration{}, time.Hour })
		w.start()
		w.publish(1)
		time.Sleep(48 * time.Hour)
		w.publish(1)
		time.Sleep(48 * time.Hour)
		w.stop()
		if did := w.acted(); len(did) != 0 {
			t.Errorf("%q", did)
		}
	})
}
