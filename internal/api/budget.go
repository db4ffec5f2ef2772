package api

import (
	"io"
	"sync"

	"grapnel/internal/hook"
)

// publishMemory bounds what the bodies of all publishes hold that are being
// read or stored at once. What is read of them is copied into events, so twice
// that is in memory at the worst. Ordinary load needs a few MiB.
const publishMemory = 64 << 20

// heldStep is by how many bytes a request's hold grows: a body of usual size
// takes one step.
const heldStep = 64 << 10

// budget is a number of bytes that requests share. A party may have as much of
// it as it leaves free (Choudhury and Hahne, 1998), so that there is always
// some for others; one request alone may have all that is free.
type budget struct {
	limit int64

	mu      sync.Mutex
	used    int64
	parties map[string]int64
}

// take takes bytes for a request of a party that has some already, if there are
// as many.
func (b *budget) take(party string, has, n int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	free, of := b.limit-b.used-n, b.parties[party]
	switch {
	case free < 0:
		return hook.Errorf(hook.CodeUnavailable, "the server has as many events to store as it can hold: send the request again in a moment")
	case of > has && of+n > free+n:
		return hook.Errorf(hook.CodeRateLimited, "too much is being published at once here, and nothing of this was stored: send the request again in a moment")
	}
	if b.parties == nil {
		b.parties = map[string]int64{}
	}
	b.used += n
	b.parties[party] = of + n
	return nil
}

func (b *budget) give(party string, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if b.parties[party] -= n; b.parties[party] <= 0 {
		delete(b.parties, party)
	}
}

// hold is what one request has of a budget. It grows with what has really been
// read, so that nobody keeps others out by announcing a lot. The zero hold is
// of no budget and never refuses.
type hold struct {
	of    *budget
	party string
	bytes int64
}

// cover makes sure that the hold has this many bytes.
func (h *hold) cover(bytes int64) error {
	if h.of == nil || bytes <= h.bytes {
		return nil
	}
	more := (bytes - h.bytes + heldStep - 1) / heldStep * heldStep
	if err := h.of.take(h.party, h.bytes, more); err != nil {
		return err
	}
	h.bytes += more
	return nil
}

// release gives all of it back.
func (h *hold) release() {
	if h.bytes > 0 {
		h.of.give(h.party, h.bytes)
		h.bytes = 0
	}
}

// covered reads no more than its hold can cover.
type covered struct {
	from io.Reader
	by   *hold
	read int64
}

// Read fails when there is no more room.
func (c *covered) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.read += int64(n)
	if full := c.by.cover(c.read); full != nil {
		return n, full
	}
	return n, err
}
