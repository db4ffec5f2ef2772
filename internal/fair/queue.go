package fair

import "math"

// Queue holds what several parties wait with, and gives it out by deficit
// round robin (Shreedhar and Varghese, 1995): a party whose turn it is may
// spend its quantum, in whatever unit costs are given in, and what it cannot
// spend yet it keeps for its next turn. Within a party the order is kept. Each
// call costs the same however much waits; Take looks at each party a few times at
// most, whatever its items cost.
//
// A Queue is not safe for concurrent use.
type Queue[T any] struct {
	quantum int
	parties map[string]*party[T] // those with something in the queue
	turn    *party[T]            // whose turn it is, in a ring; nil: nothing waits
	paid    bool                 // it has had its quantum for this turn
	waiting int
	cost    int
}

// Item is something in a Queue.
type Item[T any] struct {
	Value T
	cost  int
	of    *party[T] // nil: it is in no queue
	older *Item[T]
	newer *Item[T]
}

type party[T any] struct {
	name           string
	oldest, newest *Item[T]
	waiting        int
	cost           int
	deficit        int // what it may spend
	before, behind *party[T]
}

// NewQueue makes a queue with a quantum.
func NewQueue[T any](quantum int) *Queue[T] {
	return &Queue[T]{quantum: max(1, quantum), parties: map[string]*party[T]{}}
}

// Len is how many items wait.
func (q *Queue[T]) Len() int { return q.waiting }

// Cost is that of all items that wait.
func (q *Queue[T]) Cost() int { return q.cost }

// Parties is how many parties wait.
func (q *Queue[T]) Parties() int { return len(q.parties) }

// Of is how much of one party waits.
func (q *Queue[T]) Of(name string) (items, cost int) {
	if p := q.parties[name]; p != nil {
		return p.waiting, p.cost
	}
	return 0, 0
}

// Add puts an item at the end of its party's.
func (q *Queue[T]) Add(name string, cost int, value T) *Item[T] {
	p := q.parties[name]
	if p == nil {
		p = &party[T]{name: name}
		q.parties[name] = p
		q.join(p)
	}
	it := &Item[T]{Value: value, cost: max(1, cost), of: p, older: p.newest}
	if p.newest != nil {
		p.newest.newer = it
	} else {
		p.oldest = it
	}
	p.newest = it
	p.waiting, p.cost = p.waiting+1, p.cost+it.cost
	q.waiting, q.cost = q.waiting+1, q.cost+it.cost
	return it
}

// join puts a party where its turn comes last.
func (q *Queue[T]) join(p *party[T]) {
	if q.turn == nil {
		p.before, p.behind = p, p
		q.turn, q.paid = p, false
		return
	}
	p.before, p.behind = q.turn.before, q.turn
	p.before.behind, p.behind.before = p, p
}

// Remove takes an item out. It is false for one that is not in the queue any
// more.
func (q *Queue[T]) Remove(it *Item[T]) bool {
	p := it.of
	if p == nil {
		return false
	}
	if it.older != nil {
		it.older.newer = it.newer
	} else {
		p.oldest = it.newer
	}
	if it.newer != nil {
		it.newer.older = it.older
	} else {
		p.newest = it.older
	}
	it.of, it.older, it.newer = nil, nil, nil
	p.waiting, p.cost = p.waiting-1, p.cost-it.cost
	q.waiting, q.cost = q.waiting-1, q.cost-it.cost
	if p.oldest == nil {
		q.leave(p)
	}
	return true
}

// leave takes a party that waits for nothing out of the ring, with what it may
// spend: who comes back begins anew.
func (q *Queue[T]) leave(p *party[T]) {
	delete(q.parties, p.name)
	if q.turn == p {
		q.turn, q.paid = p.behind, false
	}
	if p.behind == p {
		q.turn = nil
		return
	}
	p.before.behind, p.behind.before = p.behind, p.before
}

// Take gives the next item out, unless it costs more than most. Whose turn it
// was may be seen from party. Without an item ok is false.
func (q *Queue[T]) Take(most int) (value T, party string, cost int, ok bool) {
	if q.turn == nil {
		return value, "", 0, false
	}
	if !q.goRound() {
		q.skipRounds()
		q.goRound()
	}
	it := q.turn.oldest
	if it.cost > most {
		return value, "", 0, false
	}
	party, cost = it.of.name, it.cost
	it.of.deficit -= cost
	q.Remove(it)
	return it.Value, party, cost, true
}

// goRound goes on until it is the turn of a party that may spend what its oldest
// item costs, once round all parties at most. It reports whether it found one.
func (q *Queue[T]) goRound() bool {
	for range len(q.parties) {
		p := q.turn
		if !q.paid {
			p.deficit, q.paid = p.deficit+q.quantum, true
		}
		if p.oldest.cost <= p.deficit {
			return true
		}
		q.turn, q.paid = p.behind, false
	}
	return false
}

// skipRounds gives all parties their quanta of the rounds in which none of them
// could spend anything. Each has just had a turn, and not enough to spend.
func (q *Queue[T]) skipRounds() {
	rounds := math.MaxInt
	for _, p := range q.parties {
		rounds = min(rounds, (p.oldest.cost-p.deficit-1)/q.quantum)
	}
	for _, p := range q.parties {
		p.deficit += rounds * q.quantum
	}
}
