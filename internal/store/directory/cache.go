package directory

import "sync/atomic"

// cache keeps records that were unpacked not long ago, each in the one slot that
// its number may lie in. Looking into it takes no lock. A record that lies at
// another place by now is not found any more.
type cache[T any] struct{ slots []atomic.Pointer[cached[T]] }

type cached[T any] struct {
	at     place
	record *T
}

func newCache[T any](size int) cache[T] {
	return cache[T]{make([]atomic.Pointer[cached[T]], size)}
}

func (c *cache[T]) slot(num int64) *atomic.Pointer[cached[T]] {
	return &c.slots[uint64(num)%uint64(len(c.slots))]
}

// get finds the record that lies at a place, nil if it is not kept.
func (c *cache[T]) get(num int64, at place) *T {
	if found := c.slot(num).Load(); found != nil && found.at == at {
		return found.record
	}
	return nil
}

func (c *cache[T]) put(num int64, at place, record *T) {
	c.slot(num).Store(&cached[T]{at, record})
}
