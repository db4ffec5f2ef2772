package ingest

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/fair"
	"grapnel/internal/hook"
)

func oneTurnOf(tenants ...string) *costs {
	c := &costs{turns: fair.NewTurns(1), recent: map[string]strikes{}}
	for _, t := range tenants {
		for range costlyAfter {
			c.note(t, true, time.Now())
		}
	}
	return c
}

// case 115: whose filters are costly waits for the like of it, for as long as it works and as
// long again; nobody else does.
func TestCostlyTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := oneTurnOf("bad", "worse")
		begun := time.Now()
		first := &stint{costs: c, ctx: t.Context()}
		if err := first.begin("bad"); err != nil {
			t.Fatal(err)
		}
		came := make(chan time.Duration)
		go func() {
			second := &stint{costs: c, ctx: t.Context()}
			if err := second.begin("worse"); err != nil {
				t.Error(err)
			}
			came <- time.Since(begun)
			second.over()
		}()
		synctest.Wait()
		other := &stint{costs: c, ctx: t.Context()}
		if err := other.begin("good"); err != nil || other.turn || time.Since(begun) > 0 {
			t.Errorf("a tenant that is not costly takes a turn: %v", err)
		}
		other.end()
		time.Sleep(4 * time.Millisecond)
		first.over()
		if waited := <-came; waited != 8*time.Millisecond {
			t.Errorf("the second began after %s", waited)
		}
	})
}

// A turn ends after a while, in the middle of an event, and goes to whoever waits.
func TestTurnsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := oneTurnOf()
		order := make(chan string, 10)
		work := func(tenant string, pieces int) {
			s := &stint{costs: c, ctx: t.Context()}
			if err := s.begin(tenant); err != nil {
				t.Error(err)
			}
			for range pieces {
				time.Sleep(3 * time.Millisecond)
				if err := s.rest(time.Now()); err != nil {
					t.Error(err)
				}
				if s.turn {
					order <- tenant
				}
			}
			s.end()
			s.over()
		}
		go work("a", 4)
		go work("b", 4)
		synctest.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		close(order)
		seen := map[string]int{}
		turns, last := 0, ""
		for who := range order {
			if seen[who]++; who != last {
				turns++
			}
			last = who
		}
		if seen["a"] != 4 || seen["b"] != 4 || turns < 3 {
			t.Errorf("%v in %d turns", seen, turns)
		}
	})
}

// A tenant is costly when several of its events were, and not for ever.
func TestWhoIsCostly(t *testing.T) {
	t.Parallel()
	c, now := oneTurnOf(), time.Now()
	for i := range 2 * costlyAfter {
		if got, want := c.costly("a", now), i >= costlyAfter; got != want {
			t.Errorf("after %d costly events: %v", i, got)
		}
		c.note("a", true, now)
		c.note("b", i%2 == 0, now)
	}
	if c.costly("b", now) || c.costly("c", now) {
		t.Error("a tenant with as many other events is costly")
	}
	if c.costly("a", now.Add(costlyFor)) {
		t.Error("it is costly long after")
	}
	for range costlyMost {
		c.note("a", false, now)
	}
	if c.costly("a", now) || len(c.recent) != 0 {
		t.Errorf("what is not costly any more is remembered: %v", c.recent)
	}
	for i := range maxCostly + 10 {
		c.note(strconv.Itoa(i), true, now)
	}
	if n := len(c.recent); n > maxCostly {
		t.Errorf("%d tenants are remembered", n)
	}
}

// Who waits for too long is told so; events of several tenants go on.
func TestTurnsThatDoNotCome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := oneTurnOf("bad")
		holder := &stint{costs: c, ctx: t.Context()}
		if err := holder.begin("bad"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begun := time.Now()
		shared := &stint{costs: c, ctx: ctx, shared: true}
		if err := shared.begin("bad"); err != nil || shared.turn || time.Since(begun) != sharedWait {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		if err := shared.begin("bad"); err != nil || time.Since(begun) != sharedWait {
			t.Errorf("it waits again: %v", err)
		}
		alone := &stint{costs: c, ctx: ctx}
		err := alone.begin("bad")
		if hook.CodeOf(err) != hook.CodeUnavailable || !errors.Is(err, errNoTurn) {
			t.Errorf("%v", err)
		}
	})
}
