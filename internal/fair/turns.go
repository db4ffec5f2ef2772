package fair

import (
	"context"
	"sync"
)

// Turns lets a few at once do something costly. Those who wait come in by
// turns of their parties.
type Turns struct {
	mu    sync.Mutex
	free  int
	queue *Queue[chan struct{}]
}

// NewTurns lets n at once.
func NewTurns(n int) *Turns {
	return &Turns{free: max(1, n), queue: NewQueue[chan struct{}](1)}
}

// Take waits for its turn, until ctx ends. After nil, Give has to be called.
func (t *Turns) Take(ctx context.Context, party string) error {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return nil
	}
	came := make(chan struct{})
	it := t.queue.Add(party, 1, came)
	t.mu.Unlock()
	select {
	case <-came:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.queue.Remove(it) {
		return nil // its turn has come meanwhile
	}
	return ctx.Err()
}

// Give ends a turn.
func (t *Turns) Give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if next, _, _, ok := t.queue.Take(1); ok {
		close(next) // the turn goes on to it
		return
	}
	t.free++
}
