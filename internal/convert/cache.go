package convert

import "sync"

// maxCached is how many programs a Cache holds before it forgets all.
const maxCached = 1000

// Cache compiles each program once. The zero value is ready for use, by several
// goroutines at once.
type Cache struct {
	mu       sync.RWMutex
	programs map[string]*Program
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
	if c.programs == nil || len(c.programs) >= maxCached {
		c.programs = map[string]*Program{}
	}
	c.programs[source] = p
	return p, nil
}
