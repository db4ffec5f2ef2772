package fair

import (
	"strconv"
	"testing"
	"time"
)

// case 56: a party is costly when several pieces of its work were, and not for ever; of
// too many parties some are forgotten.
func TestWhoIsCostly(t *testing.T) {
	t.Parallel()
	const after, most, parties, keep = 3, 8, 100, 10 * time.Second
	c, now := NewCostly(after, most, parties, keep), time.Now()
	for i := range 2 * after {
		if got, want := c.Is("a", now), i >= after; got != want {
			t.Errorf("after %d costly ones: %v", i, got)
		}
		c.Note("a", true, now)
		c.Note("b", i%2 == 0, now)
	}
	if c.Is("b", now) || c.Is("c", now) {
		t.Error("a party with as much other work is costly")
	}
	if c.Is("a", now.Add(keep)) {
		t.Error("it is costly long after")
	}
	for range most {
		c.Note("a", false, now)
	}
	if c.Is("a", now) || len(c.recent) != 0 {
		t.Errorf("who is not costly any more is remembered: %v", c.recent)
	}
	for i := range parties + 10 {
		c.Note(strconv.Itoa(i), true, now)
	}
	if n := len(c.recent); n > parties {
		t.Errorf("%d parties are remembered", n)
	}
}
