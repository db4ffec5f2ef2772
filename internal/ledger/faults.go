package ledger

import "time"

// hits reports whether a fault is of the node that sent a request. Where that is not
// known, it may be.
func (f *Fault) hits(q *Request) bool { return f.Node == "" || q.Node == "" || f.Node == q.Node }

// ends reports whether a fault is the end of a process.
func (f *Fault) ends() bool { return f.From.IsZero() }

// life is the number of the fault that ended the process which sent a request:
// its node's first one since its connection was accepted. A request that arrives
// after a kill on an older connection was sent before it.
func (c *checker) life(q *Request) int {
	n := 0
	for n < len(c.Faults) && !(c.Faults[n].ends() && c.Faults[n].hits(q) && q.ConnAt.Before(c.Faults[n].At)) {
		n++
	}
	return n
}

// together reports whether one process sent both requests.
func (c *checker) together(a, b *Request) bool { return a.Node == b.Node && c.life(a) == c.life(b) }

// covered reports whether the fault that ended the request's life excuses
// that it was not recorded.
func (c *checker) covered(q *Request) bool {
	n := c.life(q)
	return n < len(c.Faults) && !c.Faults[n].Orderly && c.age(q, n) <= c.Window
}

// age is how long before a fault a request arrived.
func (c *checker) age(q *Request, n int) time.Duration {
	began := c.Faults[n].At
	if !c.Faults[n].ends() {
		began = c.Faults[n].From
	}
	return max(0, began.Sub(q.At))
}

// posthumous reports whether a request came when the process that had sent it was gone.
func (c *checker) posthumous(q *Request) bool {
	n := c.life(q)
	return n < len(c.Faults) && !c.Faults[n].Orderly && !q.At.Before(c.Faults[n].At)
}

// lasting is the number of a fault that lasted, and excuses that the request was not
// recorded; -1 if there is none, but for those that excuse others already.
func (c *checker) lasting(q *Request, used map[int]bool) int {
	for n := range c.Faults {
		f := &c.Faults[n]
		if !used[n] && !f.ends() && f.hits(q) && !q.At.Before(f.From.Add(-c.Window)) && !q.At.After(f.At.Add(c.Window)) {
			return n
		}
	}
	return -1
}

// excuse is the number of the fault that excuses that a request was not recorded; -1
// as of lasting.
func (c *checker) excuse(q *Request, used map[int]bool) int {
	if n := c.life(q); c.covered(q) && !used[n] {
		return n
	}
	return c.lasting(q, used)
}

// recorded is how many attempts the store has of a delivery.
func (h *history) recorded() int {
	if h.delivery == nil {
		return 0
	}
	return max(h.delivery.Attempts, len(h.delivery.Rows))
}

// from names who sent a request, where that is known.
func (r *Request) from() string {
	if r.Node == "" {
		return ""
	}
	return " (" + r.Node + ")"
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
		if n := c.excuse(q, covering); n >= 0 {
			covering[n] = true
			c.summary.InFlight++
			c.summary.Oldest = max(c.summary.Oldest, c.age(q, n))
		}
		if len(covering) == missing {
			return
		}
	}
	c.add("I4", h.String(), "%d requests came, %d attempts are recorded, and %d can have been in flight at a fault (window %s)",
		len(h.requests), h.recorded(), len(covering), c.Window)
}

// checkDuplicates asserts I5: a success is followed by another one only if the
// process that sent the first was ended before it had recorded it, or one of them was
// sent by a node that a fault kept from recording it.
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
		if last != nil && (c.together(last, q) || !c.covered(last) && !c.posthumous(q)) && c.lasting(last, nil) < 0 && c.lasting(q, nil) < 0 {
			c.add("I5", h.String(), "request %d%s succeeded again after request %d%s of %s before, which was not in flight at a fault", q.Seq, q.from(), last.Seq, last.from(), q.At.Sub(last.At).Round(time.Millisecond))
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
