package convert

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/fair"
)

// played runs programs as a test says: what one takes is its name.
type played struct {
	limit time.Duration // beyond which it is cut off; 0: none
	mu    sync.Mutex
	runs  []string // tenant and program, as they began
}

func (p *played) do(ctx context.Context, tenant string, _ byte, programs []string, _ []byte) ([]byte, error) {
	p.mu.Lock()
	p.runs = append(p.runs, tenant+" "+programs[0])
	p.mu.Unlock()
	takes, err := time.ParseDuration(programs[0])
	if err != nil {
		return nil, err
	}
	if p.limit > 0 && takes > p.limit {
		time.Sleep(p.limit)
		return nil, &StepError{Err: errTooLong}
	}
	time.Sleep(takes)
	return []byte("done"), ctx.Err()
}

func playedGuests() (g *Guests, fast, late *played) {
	fast, late = &played{limit: quick}, &played{limit: Deadline}
	return &Guests{quick: fast, slow: late, costly: fair.NewCostly(costlyAfter, costlyMost, maxCostly, costlyFor), turns: fair.NewTurns(1)}, fast, late
}

// case 78, case 115: a program that takes long is run apart, and a tenant that has several
// runs does not come to where others' programs run, for a while.
func TestCostlyProgramsRunApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, fast, late := playedGuests()
		for range costlyAfter + 2 {
			if out, err := g.Run(t.Context(), "bad", "200ms", nil); err != nil || string(out) != "done" {
				t.Fatalf("got %s, %v", out, err)
			}
		}
		if len(fast.runs) != costlyAfter || len(late.runs) != costlyAfter+2 {
			t.Errorf("%d runs among the others, %d apart", len(fast.runs), len(late.runs))
		}
		if _, err := g.Run(t.Context(), "bad", "10s", nil); !errors.Is(err, errTooLong) {
			t.Errorf("one that does not end: %v", err)
		}
		begun := time.Now()
		if _, err := g.Run(t.Context(), "good", "1ms", nil); err != nil || time.Since(begun) != time.Millisecond {
			t.Errorf("another tenant's took %s, %v", time.Since(begun), err)
		}
		time.Sleep(costlyFor)
		if _, err := g.Run(t.Context(), "bad", "1ms", nil); err != nil || len(fast.runs) != costlyAfter+2 {
			t.Errorf("later: %v, %v", fast.runs, err)
		}
	})
}

// case 56: costly tenants take turns at one place, which rests as long as it has worked;
// who waits too long is told to come again.
func TestCostlyProgramsTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, _, late := playedGuests()
		for _, tenant := range []string{"a", "b"} {
			for range costlyAfter {
				g.costly.Note(tenant, true, time.Now())
			}
		}
		begun := time.Now()
		var mu sync.Mutex
		ended := map[string][]time.Duration{}
		var all sync.WaitGroup
		for _, tenant := range []string{"a", "a", "a", "b"} {
			all.Go(func() {
				if _, err := g.Run(t.Context(), tenant, "1s", nil); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				ended[tenant] = append(ended[tenant], time.Since(begun))
			})
			synctest.Wait()
		}
		all.Wait()
		if b := ended["b"][0]; b != 5*time.Second {
			t.Errorf("the other tenant had its turn after %s: %v", b, late.runs)
		}
		if last := ended["a"][2]; last != 7*time.Second {
			t.Errorf("four runs of a second each ended after %s, want a second between them", last)
		}
		time.Sleep(time.Second)
		var waiting sync.WaitGroup
		var refused []error
		for range 8 {
			waiting.Go(func() {
				_, err := g.Run(t.Context(), "a", "1s", nil)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					refused = append(refused, err)
				}
			})
		}
		waiting.Wait()
		if len(refused) == 0 || !errors.Is(refused[0], ErrUnavailable) || !strings.Contains(refused[0].Error(), "wait for each other") {
			t.Errorf("%v", refused)
		}
	})
}

// case 78: programs that nothing in their own process can hold end where they run, and no
// program of another tenant's notices; what is only costly comes to its result.
func TestGuestsInProcesses(t *testing.T) {
	t.Parallel()
	g, end := NewGuests(PoolConfig{})
	defer end()
	if out, err := g.Run(t.Context(), "bad", "reduce range(200000) as $i (0; . + 1)", []byte("null")); err != nil || string(out) != "200000" {
		t.Errorf("a costly one: %s, %v", out, err)
	}
	for _, program := range []string{"def f: f; f", "def f: [f]; f", `"x" * 1000000000 | length`, "[range(1000000000)]", "repeat(1)"} {
		var failed *StepError
		if out, err := g.Run(t.Context(), "bad", program, []byte("1")); !errors.As(err, &failed) {
			t.Errorf("%s: %.20s, %v", program, out, err)
		}
		if out, err := g.Run(t.Context(), "good", ".a", []byte(`{"a":1}`)); err != nil || string(out) != "1" {
			t.Errorf("after %s: %s, %v", program, out, err)
		}
	}
	if err := g.Check(t.Context(), "good", "now"); err == nil || !strings.Contains(err.Error(), "no access to the clock") {
		t.Error(err)
	}
}
