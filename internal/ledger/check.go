package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Fault is one end of the server's process (or a like fault): the server's
// life before it is over, what it did not record is forgotten. With From it is
// one that lasted and ended no process, such as a node's being stopped or cut off.
type Fault struct {
	At      time.Time // when the process was gone, and the receiver had accepted all its connections; or when what lasted was over
	Kind    string    // "kill", a crash point's name, "restart"
	Orderly bool      // it was asked to end and had the time to: nothing may be in flight
	Node    string    // whom of several nodes it hit; "": all
	From    time.Time // when it began, if it lasted; zero: it ended a process
}

// Usage is what I11 compares.
type Usage struct {
	Descriptors int
	Sockets     int
	Goroutines  int // 0: not known
}

// Record is everything that is known of one run, or one round of it.
type Record struct {
	Publishes  []Publish
	Requests   []Request
	Deliveries []Delivery
	Faults     []Fault   // in order of time
	DumpedAt   time.Time // when Deliveries were listed

	// Window is the longest that an attempt may have been in flight (begun and
	// not recorded) at a fault: the attempt's timeout and the time that its
	// outcome may wait for a commit.
	Window time.Duration

	// Grace is I6's T: no delivery to a healthy endpoint may be due for longer
	// at DumpedAt. Sick holds the endpoints that are not healthy.
	Grace time.Duration
	Sick  map[string]bool

	// Before and After are the server's usage idle, at both ends of the run
	// (nil: not checked); After may exceed Before by Slack.
	Before, After *Usage
	Slack         Usage
}

// Finding is one violation.
type Finding struct {
	Invariant string // "I1"
	Subject   string // what it is about: a key, an event at an endpoint
	Detail    string
}

// String is the finding as a line.
func (f Finding) String() string { return f.Invariant + " " + f.Subject + ": " + f.Detail }

// Summary counts what a record shows, violations or not.
type Summary struct {
	Acknowledged int
	Unknown      int // sent, never answered
	Requests     int
	Delivered    int // event and endpoint, with at least one success
	Lost         int // acknowledged, not delivered, and not waiting or given up on record
	Stuck        int // pending and overdue by more than Grace, or due and never sent
	Duplicates   int // successes beyond the first
	InFlight     int // requests of a life that ended in a fault, or of a node that one hit, without an attempt row
	Oldest       time.Duration
}

// pair names a delivery.
type pair struct{ event, endpoint string }

// history is all that is known of one delivery.
type history struct {
	pair
	publish   *Publish
	requests  []*Request // in order of arrival
	delivery  *Delivery
	more      int // further deliveries of the same pair
	successes int
}

type checker struct {
	*Record
	byKey    map[string]*Publish
	byEvent  map[string]*Publish
	pairs    map[pair]*history
	findings []Finding
	summary  Summary
}

// Check returns all violations, ordered by invariant, and the counts.
func Check(r *Record) ([]Finding, Summary) {
	c := &checker{
		Record:  r,
		byKey:   make(map[string]*Publish, len(r.Publishes)),
		byEvent: make(map[string]*Publish, len(r.Publishes)),
		pairs:   make(map[pair]*history, len(r.Deliveries)),
	}
	c.index()
	for i := range r.Publishes {
		c.checkPublish(&r.Publishes[i])
	}
	for _, h := range c.pairs {
		c.checkBytes(h)
		c.checkRows(h)
		c.checkDuplicates(h)
		c.checkLiveness(h)
	}
	c.checkHygiene()
	slices.SortFunc(c.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Invariant, b.Invariant), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Detail, b.Detail))
	})
	return c.findings, c.summary
}

func (c *checker) add(invariant, subject, format string, args ...any) {
	c.findings = append(c.findings, Finding{invariant, subject, fmt.Sprintf(format, args...)})
}

func (p pair) String() string { return p.event + " at " + p.endpoint }

func (c *checker) history(p pair) *history {
	h := c.pairs[p]
	if h == nil {
		h = &history{pair: p, publish: c.byEvent[p.event]}
		c.pairs[p] = h
	}
	return h
}

// index brings the three books together. An event that was never acknowledged
// is known by the key in its requests.
func (c *checker) index() {
	for i := range c.Publishes {
		p := &c.Publishes[i]
		c.byKey[p.Key] = p
		switch p.State {
		case Acknowledged:
			c.summary.Acknowledged++
			if other := c.byEvent[p.ID]; other != nil {
				c.add("I1", p.Key, "was given the event id %s, and so was %s", p.ID, other.Key)
			}
			c.byEvent[p.ID] = p
		case Unknown:
			c.summary.Unknown++
		}
	}
	for i := range c.Requests {
		c.checkRequest(&c.Requests[i])
	}
	for i := range c.Requests {
		q := &c.Requests[i]
		h := c.history(pair{q.Event, q.Endpoint})
		h.requests = append(h.requests, q)
		if q.OK() {
			h.successes++
		}
	}
	foreign := map[string]bool{}
	for i := range c.Deliveries {
		d := &c.Deliveries[i]
		h := c.history(pair{d.Event, d.Endpoint})
		if h.delivery != nil {
			h.more++
			continue
		}
		h.delivery = d
		if h.publish == nil {
			foreign[d.Event] = true
		}
	}
	if unseen := c.unseen(); len(foreign) > unseen {
		c.add("I2", "store", "holds %d events that nobody was promised, but only %d publishes were left unanswered", len(foreign), unseen)
	}
	c.summary.Requests = len(c.Requests)
}

// unseen counts the unanswered publishes whose event id no request told.
func (c *checker) unseen() int {
	told := map[string]bool{}
	for _, p := range c.byEvent {
		told[p.Key] = true
	}
	n := 0
	for i := range c.Publishes {
		if c.Publishes[i].State == Unknown && !told[c.Publishes[i].Key] {
			n++
		}
	}
	return n
}

// checkRequest asserts I2 and I9 for one request, and learns the event id of
// an unanswered publish from it.
func (c *checker) checkRequest(q *Request) {
	subject := pair{q.Event, q.Endpoint}.String()
	if q.Problem != "" {
		c.add("I9", subject, "request %d: %s", q.Seq, q.Problem)
	}
	p := c.byKey[q.Key]
	switch {
	case p == nil:
		c.add("I2", subject, "request %d carries key %q, which nobody published", q.Seq, q.Key)
	case p.State == Refused:
		c.add("I2", subject, "request %d carries key %q, whose publish was refused", q.Seq, q.Key)
	case p.State == Acknowledged && p.ID != q.Event:
		c.add("I2", subject, "request %d: key %q was acknowledged as event %s", q.Seq, q.Key, p.ID)
	case p.State == Unknown && c.byEvent[q.Event] == nil:
		if p.ID != "" && p.ID != q.Event {
			c.add("I2", subject, "request %d: key %q became event %s as well", q.Seq, q.Key, p.ID)
		}
		known := *p
		known.ID = q.Event
		c.byKey[q.Key], c.byEvent[q.Event] = &known, &known
	}
}

// checkPublish asserts I1: whatever was promised, or began to appear, exists
// whole, and what is said to be delivered was.
func (c *checker) checkPublish(p *Publish) {
	p = c.byKey[p.Key]
	if p.ID == "" || p.State == Refused {
		return
	}
	for _, endpoint := range p.To {
		h := c.history(pair{p.ID, endpoint})
		subject := h.String() + " (key " + p.Key + ")"
		if h.successes > 0 {
			c.summary.Delivered++
		}
		switch d := h.delivery; {
		case d == nil:
			c.summary.Lost++
			c.add("I1", subject, "%s, but the store has no delivery", p.State)
		case d.State == "delivered" && h.successes == 0:
			c.summary.Lost++
			c.add("I1", subject, "is called delivered, but no receiver answered 2xx")
		case !slices.Contains([]string{"pending", "held", "delivered", "failed", "cancelled"}, d.State):
			c.summary.Lost++
			c.add("I1", subject, "has the state %q", d.State)
		case d.State == "cancelled" && d.Reason == "":
			c.summary.Lost++
			c.add("I1", subject, "was cancelled without a reason")
		}
		if h.more > 0 {
			c.add("I1", subject, "the store has %d deliveries of it, want one", h.more+1)
		}
	}
}

// checkBytes asserts I3.
func (c *checker) checkBytes(h *history) {
	for _, q := range h.requests {
		if h.publish != nil && q.DataSHA256 != h.publish.DataSHA256 {
			c.add("I3", h.String(), "request %d: data has SHA-256 %.12s…, %.12s… was published", q.Seq, q.DataSHA256, h.publish.DataSHA256)
		}
		if first := h.requests[0]; q.SHA256 != first.SHA256 {
			c.add("I3", h.String(), "request %d has other bytes than request %d", q.Seq, first.Seq)
		}
	}
	if h.delivery == nil || len(h.requests) == 0 {
		return
	}
	for _, a := range h.delivery.Rows {
		if a.BodySHA256 != "" && a.BodySHA256 != h.requests[0].SHA256 {
			c.add("I3", h.String(), "attempt %d is recorded with a body of SHA-256 %.12s…, the receiver saw %.12s…", a.N, a.BodySHA256, h.requests[0].SHA256)
		}
	}
}

// checkHygiene asserts I11.
func (c *checker) checkHygiene() {
	if c.Before == nil || c.After == nil {
		return
	}
	for _, x := range []struct {
		what                string
		before, after, room int
	}{
		{"open descriptors", c.Before.Descriptors, c.After.Descriptors, c.Slack.Descriptors},
		{"open sockets", c.Before.Sockets, c.After.Sockets, c.Slack.Sockets},
		{"goroutines", c.Before.Goroutines, c.After.Goroutines, c.Slack.Goroutines},
	} {
		if x.after > x.before+x.room {
			c.add("I11", "server", "%d %s at the end, %d at the beginning (allowed: %d more)", x.after, x.what, x.before, x.room)
		}
	}
}
