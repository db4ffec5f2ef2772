package manage_test

import (
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// A replay with a rate sends no more than that in any second, also below one, and
// another one goes on beside it.
func TestReplayKeepsToItsRate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rate  float64
		after []int // sent at most, just before 1, 2 … steps are over
		step  time.Duration
		over  time.Duration
	}{
		{50, []int{50, 100, 150}, time.Second, 10 * time.Second},
		{.5, []int{1, 2, 3}, 2 * time.Second, 20 * time.Minute},
		{0, nil, 0, 5 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			const n = 420
			r := replaying(t, n)
			p, err := r.CreateReplay(t.Context(), "acme", manage.ReplayInput{States: []string{"failed"}, Rate: c.rate})
			if err != nil {
				t.Fatal(err)
			}
			sent := func() int {
				r.shelf.mu.Lock()
				defer r.shelf.mu.Unlock()
				return len(r.shelf.sent)
			}
			r.Start()
			defer r.Stop()
			for synctest.Wait(); sent() == 0; synctest.Wait() {
				time.Sleep(time.Millisecond)
			}
			begun := time.Now()
			for i, most := range c.after {
				time.Sleep(time.Until(begun.Add(time.Duration(i+1)*c.step - time.Millisecond)))
				synctest.Wait()
				if got := sent(); got > most || got < most-int(c.rate) {
					t.Errorf("%g a second: %d were sent after %s, want %d", c.rate, got, time.Since(begun), most)
				}
			}
			time.Sleep(c.over)
			synctest.Wait()
			if got := r.now(t, p); got.State != hook.ReplayDone || got.Redelivered != n {
				t.Errorf("%g a second: %+v", c.rate, got)
			}
		})
	}
}
