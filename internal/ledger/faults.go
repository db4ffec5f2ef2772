package ledger

import "time"

// life is the number of the server's process that sent a request: how many
// faults lie before its connection was accepted. A request that arrives after
// a kill on an older connection was sent before it.
func (c *checker) life(q *Request) int {
	n := 0
	for n < len(c.Faults) && !q.ConnAt.Before(c.Faults[n].At) {
		n++
	}
	return n
}

// covered reports whether the fault that ended the request's life excuses
// that it was not recorded.
func (c *checker) covered(q *Request) bool {
	n := c.life(q)
	return n < len(c.Faults) && !c.Faults[n].Orderly && c.age(q) <= c.Window
}

// age is how long before the fault that ended its life a request arrived.
func (c *checker) age(q *Request) time.Duration { return c.Faults[c.life(q)].At.Sub(q.At) }

// recorded is how many attempts the store has of a delivery.
func (h *history) recorded() int {
	if h.delivery == nil {
		return 0
	}
	return max(h.delivery.Attempts, len(h.delivery.Rows))
}

// manual reports whether somebody asked for a redelivery.
func (h *history) manual() bool {
	if h.delivery == nil {
		return false
	}
	for _, a := range h.delivery.Rows {
		if a.Trigger == "manual" {
			return true
		}
	}
	return false
}

// checkRows asserts I4: requests without an attempt row were in flight at a
// fault, at most one of a delivery at each.
func (c *checker) checkRows(h *history) {
	if h.delivery == nil && h.publish == nil && len(h.requests) > 0 {
		return // a phantom: I2 says so
	}
	missing := len(h.requests) - h.recorded()
	if missing <= 0 {
		return
	}
	covering := map[int]bool{}
	for i := len(h.requests) - 1; i >= 0; i-- {
		q := h.requests[i]
		if n := c.life(q); c.covered(q) && !covering[n] {
			covering[n] = true
			c.summary.InFlight++
			c.summary.Oldest = max(c.summary.Oldest, c.age(q))
		}
		if len(covering) == missing {
			return
		}
	}
	c.add("I4", h.String(), "%d requests came, %d attempts are recorded, and %d can have been in flight at a fault (window %s)",
		len(h.requests), h.recorded(), len(covering), c.Window)
}

// checkDuplicates asserts I5: a success is followed by another one only if the
// process that sent the first was ended before it had recorded it.
func (c *checker) checkDuplicates(h *history) {
	if h.successes < 2 {
		return
	}
	c.summary.Duplicates += h.successes - 1
	if h.manual() {
		return
	}
	var last *Request
	for _, q := range h.requests {
		if !q.OK() {
			continue
		}
		if last != nil && (c.life(last) == c.life(q) || !c.covered(last)) {
			c.add("I5", h.String(), "request %d succeeded again after request %d, which was not in flight at a fault", q.Seq, last.Seq)
		}
		last = q
	}
	recorded := 0
	if h.delivery != nil {
		for _, a := range h.delivery.Rows {
			if a.Status >= 200 && a.Status < 300 {
				recorded++
			}
		}
	}
	if recorded > 1 {
		c.add("I5", h.String(), "%d successes are recorded: it was sent again although one was known", recorded)
	}
}

// checkLiveness asserts I6.
func (c *checker) checkLiveness(h *history) {
	d := h.delivery
	if d == nil || d.State != "pending" || c.Sick[h.endpoint] {
		return
	}
	due := d.NextAt
	if due.IsZero() && h.publish != nil {
		due = h.publish.At
	}
	if late := c.DumpedAt.Sub(due); late > c.Grace {
		c.summary.Stuck++
		c.add("I6", h.String(), "is pending and has been due for %s", late.Round(time.Millisecond))
	}
}
