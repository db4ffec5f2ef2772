package ingest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/fair"
	"grapnel/internal/hook"
)

func oneTurnOf(tenants ...string) *costs {
	c := newCosts()
	c.turns = fair.NewTurns(1)
	for _, t := range tenants {
		for range costlyAfter {
			c.Note(t, true, time.Now())
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
