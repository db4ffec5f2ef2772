package ingest

import (
	"strings"
	"sync"

	"grapnel/internal/filter"
)

// condition is a filter's text, parsed when it is first needed. Endpoints with
// the same one share it.
type condition struct {
	text   string
	once   sync.Once
	filter *filter.Filter
	err    error
}

func (c *condition) parsed() (*filter.Filter, error) {
	c.once.Do(func() { c.filter, c.err = filter.Parse([]byte(c.text)) })
	return c.filter, c.err
}

// conditions keeps those that were needed not long ago, by their texts.
type conditions struct {
	mu    sync.Mutex
	known map[string]*condition
	size  int // bytes of their texts
}

// maxConditions bounds the texts that are kept, in bytes. Parsed ones take about
// ten times as much.
const maxConditions = 2 << 20

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
	one := &condition{text: strings.Clone(text)}
	c.known[one.text] = one
	c.size += len(text)
	return one
}
