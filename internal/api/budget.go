package api

import (
	"io"
	"sync/atomic"

	"grapnel/internal/hook"
)

// publishMemory bounds what the bodies of all publishes hold that are being
// read or stored at once. What is read of them is copied into events, so twice
// that is in memory at the worst. Ordinary load needs a few MiB.
const publishMemory = 64 << 20

// heldStep is by how many bytes a request's hold grows: a body of usual size
// takes one step.
const heldStep = 64 << 10

// budget is a number of bytes that requests share.
type budget struct {
	limit int64
	used  atomic.Int64
}

// take takes bytes if there are as many.
func (b *budget) take(n int64) bool {
	if b.used.Add(n) <= b.limit {
		return true
	}
	b.used.Add(-n)
	return false
}

// hold is what one request has of a budget. It grows with what has really been
// read, so that nobody keeps others out by announcing a lot. The zero hold is
// of no budget and never refuses.
type hold struct {
	of    *budget
	bytes int64
}

// cover makes sure that the hold has this many bytes.
func (h *hold) cover(bytes int64) error {
	if h.of == nil || bytes <= h.bytes {
		return nil
	}
	more := (bytes - h.bytes + heldStep - 1) / heldStep * heldStep
	if !h.of.take(more) {
		return hook.Errorf(hook.CodeUnavailable, "the server has as many events to store as it can hold: send the request again in a moment")
	}
	h.bytes += more
	return nil
}

// release gives all of it back.
func (h *hold) release() {
	if h.of != nil {
		h.of.used.Add(-h.bytes)
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
