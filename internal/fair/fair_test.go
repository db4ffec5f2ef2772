package fair_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"grapnel/internal/fair"
)

// take takes items until the queue is empty.
func take(q *fair.Queue[int]) (parties []string) {
	for {
		_, party, _, ok := q.Take(1 << 30)
		if !ok {
			return parties
		}
		parties = append(parties, party)
	}
}

// case 56: whoever comes with little waits for one turn of each other party,
// whatever these have in the queue.
func TestQueueTakesTurns(t *testing.T) {
	t.Parallel()
	q := fair.NewQueue[int](10)
	for range 100 {
		q.Add("flood", 5, 0)
	}
	q.Add("a", 1, 0)
	q.Add("b", 1, 0)
	if got, want := take(q)[:4], []string{"flood", "flood", "a", "b"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// An item that costs more than a quantum waits for as many turns, and goes at
// once where nobody else waits.
func TestQueueSavesForLargeItems(t *testing.T) {
	t.Parallel()
	q := fair.NewQueue[int](10)
	q.Add("large", 35, 0)
	for range 100 {
		q.Add("small", 5, 0)
	}
	if got := slices.Index(take(q), "large"); got != 6 {
		t.Errorf("the large item came at place %d, want 6: after three turns of the other", got)
	}
	q.Add("large", 1000, 0)
	if got := take(q); len(got) != 1 {
		t.Errorf("alone: %v", got)
	}
}

// A very large item comes at its turn as well, and is found without going round
// for each of the quanta that it costs.
func TestQueueSkipsRounds(t *testing.T) {
	t.Parallel()
	const huge = 1 << 50
	q := fair.NewQueue[int](1)
	for i := range 3 {
		q.Add("a", huge+i, 0)
		q.Add("b", huge, 0)
	}
	var got []string
	for q.Len() > 0 {
		_, party, _, _ := q.Take(math.MaxInt)
		got = append(got, party)
	}
	if want := []string{"a", "b", "b", "a", "b", "a"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// naive is deficit round robin as it is written down: round by round.
type naive struct {
	quantum int
	ring    []*share // whose turn it is comes first
	paid    bool
}

type share struct {
	name    string
	costs   []int
	deficit int
}

func (n *naive) add(name string, cost int) {
	for _, p := range n.ring {
		if p.name == name {
			p.costs = append(p.costs, cost)
			return
		}
	}
	n.ring = append(n.ring, &share{name: name, costs: []int{cost}})
}

func (n *naive) take(most int) (party string, cost int) {
	for len(n.ring) > 0 {
		p := n.ring[0]
		if !n.paid {
			p.deficit, n.paid = p.deficit+n.quantum, true
		}
		if cost = p.costs[0]; cost > p.deficit {
			n.ring, n.paid = append(n.ring[1:], p), false
			continue
		}
		if cost > most {
			return "", 0
		}
		p.deficit -= cost
		if p.costs = p.costs[1:]; len(p.costs) == 0 {
			n.ring, n.paid = n.ring[1:], false
		}
		return p.name, cost
	}
	return "", 0
}

// However much larger than a quantum items are, they come in the order that going
// round quantum by quantum gives.
func TestQueueIsDeficitRoundRobin(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(56, 2))
	for range 300 {
		quantum := 1 + random.IntN(20)
		q, n := fair.NewQueue[int](quantum), &naive{quantum: quantum}
		for range 200 {
			if random.IntN(2) == 0 {
				name, cost := fmt.Sprint(random.IntN(6)), 1+random.IntN(1<<(1+random.IntN(12)))
				q.Add(name, cost, 0)
				n.add(name, cost)
				continue
			}
			most := 1 << random.IntN(14)
			_, party, cost, _ := q.Take(most)
			if wantParty, wantCost := n.take(most); party != wantParty || cost != wantCost {
				t.Fatalf("quantum %d: got %d of %q, want %d of %q", quantum, cost, party, wantCost, wantParty)
			}
		}
	}
}

// What does not fit into the room that is left stays, and is the next.
func TestQueueKeepsWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	q := fair.NewQueue[int](10)
	q.Add("a", 8, 1)
	if _, _, _, ok := q.Take(7); ok || q.Len() != 1 {
		t.Error("an item above the room was taken")
	}
	if v, _, cost, ok := q.Take(8); !ok || v != 1 || cost != 8 {
		t.Errorf("%d, %d, %t", v, cost, ok)
	}
}

// Whatever is added, removed and taken in whatever order, the counts are
// right, everything comes out once, and a party's own order is kept.
func TestQueueAtRandom(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(56, 1))
	q := fair.NewQueue[int](16)
	in := map[string][]*fair.Item[int]{}
	items, cost := 0, 0
	costs := map[int]int{}
	for n := range 20_000 {
		name := fmt.Sprint(random.IntN(8))
		switch random.IntN(5) {
		case 0, 1, 2:
			costs[n] = 1 + random.IntN(40)
			in[name] = append(in[name], q.Add(name, costs[n], n))
			items, cost = items+1, cost+costs[n]
		case 3:
			if len(in[name]) == 0 {
				continue
			}
			i := random.IntN(len(in[name]))
			it := in[name][i]
			if !q.Remove(it) || q.Remove(it) {
				t.Fatal("an item must be removed once")
			}
			in[name] = slices.Delete(in[name], i, i+1)
			items, cost = items-1, cost-costs[it.Value]
		case 4:
			v, party, c, ok := q.Take(1 << 30)
			if ok != (items > 0) {
				t.Fatalf("taken: %t of %d", ok, items)
			}
			if !ok {
				continue
			}
			if in[party][0].Value != v || c != costs[v] {
				t.Fatalf("party %s gave %d before its oldest", party, v)
			}
			in[party] = in[party][1:]
			items, cost = items-1, cost-c
		}
		of, _ := q.Of(name)
		if q.Len() != items || q.Cost() != cost || of != len(in[name]) {
			t.Fatalf("%d items of cost %d, %d of %s; want %d, %d, %d", q.Len(), q.Cost(), of, name, items, cost, len(in[name]))
		}
	}
}

// case 56: who waits for a turn gets it before those of a party that asked for
// many; who gives up leaves nothing behind.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := fair.NewTurns(1)
		if err := turns.Take(t.Context(), "flood"); err != nil {
			t.Fatal(err)
		}
		var order []string
		ask := func(ctx context.Context, party string) {
			go func() {
				if turns.Take(ctx, party) != nil {
					return
				}
				order = append(order, party)
				turns.Give()
			}()
			synctest.Wait()
		}
		gone, cancel := context.WithCancel(t.Context())
		ask(gone, "flood")
		for range 3 {
			ask(t.Context(), "flood")
		}
		ask(t.Context(), "a")
		cancel()
		synctest.Wait()
		turns.Give()
		synctest.Wait()
		if want := []string{"flood", "a", "flood", "flood"}; !slices.Equal(order, want) {
			t.Errorf("%v, want %v", order, want)
		}
		if err := turns.Take(t.Context(), "b"); err != nil {
			t.Error(err)
		}
	})
}
