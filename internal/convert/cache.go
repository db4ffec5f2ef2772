package convert

import "sync"

// How many programs, and bytes of their texts, a Cache holds before it forgets
// all.
const (
	maxCached      = 1000
	maxCachedBytes = 1 << 20
)

// Cache compiles each program once. The zero value is ready for use, by several
// goroutines at once.
type Cache struct {
	mu       sync.RWMutex
	programs map[string]*Program
	bytes    int
}

// Get is the program of a source. The error is that of Compile.
func (c *Cache) Get(source string) (*Program, error) {
	c.mu.RLock()
	p := c.programs[source]
	c.mu.RUnlock()
	if p != nil {
		return p, nil
	}
	p, err := Compile(source)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.programs == nil || len(c.programs) >= maxCached || c.bytes+len(source) > maxCachedBytes {
		c.programs, c.bytes = map[string]*Program{}, 0
	}
	c.programs[source] = p
	c.bytes += len(source)
	return p, nil
}
