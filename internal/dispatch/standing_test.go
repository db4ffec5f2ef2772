package dispatch_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"grapnel/internal/dispatch"
	"grapnel/internal/store"
	"grapnel/internal/testaid"
)

// A lease that is not renewed is told of once when that begins and once when it has
// ended, however often it is tried, and the end of it once. What the node holds, has got
// and has lost is counted.
func TestStandingOfALease(t *testing.T) { // case 26
	inCluster(t, 4, func(c *cluster) {
		log := &testaid.Buffer{}
		c.tune = func(cfg *dispatch.Config) { cfg.Logger = slog.New(slog.NewTextHandler(log, nil)) }
		a := c.node("a")
		c.tune = nil
		told := func(moment string, want map[string]int) {
			t.Helper()
			for _, text := range []string{"could not be renewed; trying", "the lease has ended", "this server sends again", "taken partitions of it over"} {
				if n := strings.Count(log.String(), text); n != want[text] {
					t.Errorf("%s: %q is told %d times, want %d", moment, text, n, want[text])
				}
			}
		}
		time.Sleep(leaseLength)
		if s := a.keeper.Standing(); s.Held != store.Partitions || s.Gained != store.Partitions || s.Lost != 0 || s.Over(time.Now()) || time.Since(s.Renewed) > leaseLength/3 {
			t.Errorf("while it is renewed: %+v", s)
		}
		a.cut(true)
		time.Sleep(3 * leaseLength / 4)
		told("before the end", map[string]int{"could not be renewed; trying": 1})
		time.Sleep(5 * leaseLength)
		told("after the end", map[string]int{"could not be renewed; trying": 1, "the lease has ended": 1})
		if s := a.keeper.Standing(); !s.Over(time.Now()) || time.Since(s.Renewed) < 5*leaseLength {
			t.Errorf("while the way is cut: %+v", s)
		}
		b := c.node("b")
		if s := b.keeper.Standing(); s.Gained != store.Partitions {
			t.Errorf("who took over: %+v", s)
		}
		a.cut(false)
		time.Sleep(leaseLength)
		told("in the end", map[string]int{"could not be renewed; trying": 1, "the lease has ended": 1, "this server sends again": 1, "taken partitions of it over": 1})
		if s := a.keeper.Standing(); s.Lost != store.Partitions || s.Held != 0 || s.Over(time.Now()) {
			t.Errorf("in the end: %+v", s)
		}
		a.stop(context.Background())
		b.stop(context.Background())
	})
}
