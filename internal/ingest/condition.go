package ingest

import (
	"strings"
	"sync"
	"sync/atomic"

	"grapnel/internal/filter"
)

// condition is a filter's text. Endpoints with the same one share it.
type condition struct {
	text   string
	of     *conditions
	filter atomic.Pointer[filter.Filter] // nil: it is to be parsed first
}

// parsed is the filter. It is kept for the next event, as far as there is room.
func (c *condition) parsed() (*filter.Filter, error) {
	if f := c.filter.Load(); f != nil {
		return f, nil
	}
	f, err := filter.Parse([]byte(c.text))
	if err == nil {
		c.of.keep(c, f)
	}
	return f, err
}

// conditions keeps those that were needed not long ago, by their texts, and which are
// parsed.
type conditions struct {
	mu     sync.Mutex
	known  map[string]*condition
	size   int // bytes of their texts
	parsed map[*condition]struct{}
	weight int // bytes of the texts of these
}

// maxConditions bounds the texts that are kept, and maxParsed those whose filters are,
// in bytes. Parsed ones take about ten times as much as their texts.
const (
	maxConditions = 2 << 20
	maxParsed     = 16 << 20
)

// of is the condition of a text, nil for none. The text need not stay as it is.
func (c *conditions) of(text string) *condition {
	if text == "" {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.known[text]; known != nil {
		return known
	}
	if c.known == nil {
		c.known = map[string]*condition{}
	}
	for old := range c.known { // any: a map begins anywhere
		if c.size+len(text) <= maxConditions {
			break
		}
		delete(c.known, old)
		c.size -= len(old)
	}
	one := &condition{text: strings.Clone(text), of: c}
	c.known[one.text] = one
	c.size += len(text)
	return one
}

// keep keeps what was parsed, and lets go of others where that is too much: of the
// largest of a few, so that those who have large ones pay for them.
func (c *conditions) keep(one *condition, f *filter.Filter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if one.filter.Load() != nil {
		return
	}
	if c.parsed == nil {
		c.parsed = map[*condition]struct{}{}
	}
	for len(c.parsed) > 0 && c.weight+len(one.text) > maxParsed {
		var largest *condition
		looked := 0
		for other := range c.parsed { // any: a map begins anywhere
			if largest == nil || len(other.text) > len(largest.text) {
				largest = other
			}
			if looked++; looked == 8 {
				break
			}
		}
		largest.filter.Store(nil)
		delete(c.parsed, largest)
		c.weight -= len(largest.text)
	}
	one.filter.Store(f)
	c.parsed[one] = struct{}{}
	c.weight += len(one.text)
}
