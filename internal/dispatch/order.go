package dispatch

import (
	"fmt"
	"math"
	"slices"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// An endpoint may want its deliveries in the order of events: all of them, or
// those of one ordering key. There is one rule: of those that wait for each
// other, only the first that is not over is sent, and the one after it when the
// end of that is recorded. So neither a retry that is due late, nor a
// redelivery, a resumption or a crash lets a later one overtake.
//
// In memory, deliveries that wait for each other form a line. Its first one is
// in the lane's window, backlog or retries, as any delivery that may be sent;
// the others are in blocked. What the store alone has is read in the order of
// events, and nothing in a line is sent of an event beyond the first that is
// not read yet, which is the horizon.

// lookAhead is how many deliveries of an ordered lane may be in memory, of those
// that nothing is recorded of and of the others: so many may wait for
// deliveries that fail before what waits for nobody has to wait, too.
const lookAhead = 1000

// order is what an ordered lane keeps beside the rest.
type order struct {
	by      hook.Ordering
	lines   map[string]*line // by ordering key; one with "" if the order is strict
	blocked list[*delivery]  // those in a line that wait for their turn
	horizon int64            // events that nothing in a line is sent of, nor of those after
	barred  int              // lines that only the horizon keeps from being sent
	unkeyed []int64          // events whose end is being recorded for nobody knows which line: the horizon is not beyond them

	// Recorded pending deliveries that the store alone has are of events from
	// pendingFrom or reading on; 0: there are none. reading is while a page is read.
	pendingFrom, reading int64
}

// line is a row of deliveries in memory that wait for each other.
type line struct {
	key    string
	all    list[*delivery] // in the order of events
	next   *delivery       // the first one, if it may be sent; nil: none may
	picked int             // those that do not wait any more, and are not recorded
	barred bool
}

// turn is a delivery's place in its line.
type turn struct {
	line   *line
	place  node[*delivery]
	picked bool
}

// lineOf is the key of the line that an event's delivery belongs into, if it
// waits for others.
func (o *order) lineOf(e *hook.Event) (key string, ok bool) {
	if o.by == hook.OrderedStrict {
		return "", true
	}
	return e.OrderingKey, e.OrderingKey != ""
}

// await lets a delivery wait that is in one of the lane's lists.
func (d *Dispatcher) await(dl *delivery) {
	if dl.lane.order == nil || !d.lineUp(dl, false) {
		dl.lane.enqueue(dl)
	}
}

// enqueue puts a delivery where it waits for no other.
func (l *lane) enqueue(dl *delivery) {
	switch {
	case !dl.fresh:
		l.retries.add(dl)
	case dl.home.in == &l.live:
		l.window.push(&dl.queue)
	default:
		l.backlog.push(&dl.queue)
	}
}

// lineUp puts a delivery of an ordered lane into its line, if it has one.
// picked: it does not wait, and those after it wait until it is recorded.
func (d *Dispatcher) lineUp(dl *delivery, picked bool) bool {
	o := dl.lane.order
	if dl.keyless && o.by == hook.OrderedByKey {
		dl.bars = true
		o.unkeyed = append(o.unkeyed, dl.seq)
		return true
	}
	key, ok := o.lineOf(dl.event)
	if !ok {
		return false
	}
	c := o.lines[key]
	if c == nil {
		c = &line{key: key}
		o.lines[key] = c
	}
	dl.turn = &turn{line: c, picked: picked}
	dl.turn.place.of = dl
	at := c.all.last
	for at != nil && at.of.seq > dl.seq {
		at = at.prev
	}
	c.all.insertAfter(&dl.turn.place, at)
	if picked {
		c.picked++
	} else {
		d.block(dl)
	}
	d.arrange(o, c)
	return true
}

// block lets a delivery that is in no queue wait for its turn.
func (d *Dispatcher) block(dl *delivery) {
	dl.lane.order.blocked.push(&dl.queue)
	if !dl.fresh {
		d.waiting++ // which fresh ones are counted in wherever they wait
	}
}

// arrange sees to it that of a line only the first may be sent, if it may.
func (d *Dispatcher) arrange(o *order, c *line) {
	var next *delivery
	barred := false
	if c.picked == 0 && c.all.first != nil {
		if next = c.all.first.of; next.seq >= o.horizon {
			next, barred = nil, true
		}
	}
	if barred != c.barred {
		c.barred = barred
		o.barred++
		if !barred {
			o.barred -= 2
		}
	}
	if next == c.next {
		return
	}
	if old := c.next; old != nil {
		if !old.queue.leave() {
			old.lane.retries.take(old)
		}
		d.block(old)
	}
	if c.next = next; next != nil {
		next.queue.leave()
		if !next.fresh {
			d.waiting--
		}
		next.lane.enqueue(next)
	}
}

// pickedUp takes in that a delivery in a line has left its queue, to be sent or
// ended.
func (d *Dispatcher) pickedUp(dl *delivery) {
	t := dl.turn
	t.picked = true
	t.line.picked++
	if t.line.next == dl {
		t.line.next = nil
	}
	d.arrange(dl.lane.order, t.line)
}

// leaveLine takes a delivery that is in no queue out of its line.
func (d *Dispatcher) leaveLine(dl *delivery) {
	t, o := dl.turn, dl.lane.order
	dl.turn = nil
	t.place.leave()
	c := t.line
	if t.picked {
		c.picked--
	}
	if c.next == dl {
		c.next = nil
	}
	d.arrange(o, c)
	if c.all.n == 0 {
		delete(o.lines, c.key)
	}
}

// unbars takes in that the end of a delivery of an unknown line is recorded.
func (dl *delivery) unbars() {
	dl.bars = false
	o := dl.lane.order
	i := slices.Index(o.unkeyed, dl.seq)
	o.unkeyed = slices.Delete(o.unkeyed, i, i+1)
}

// align takes over how far the lane has been read.
func (d *Dispatcher) align(l *lane) {
	o := l.order
	horizon := int64(math.MaxInt64)
	for _, from := range append([]int64{l.from, o.pendingFrom, o.reading, d.horizon()}, o.unkeyed...) {
		if from != 0 {
			horizon = min(horizon, from)
		}
	}
	before := o.horizon
	o.horizon = horizon
	if horizon < before || horizon > before && o.barred > 0 {
		for _, c := range o.lines {
			d.arrange(o, c)
		}
	}
	if d.tail.of != nil && o.barred > 0 {
		d.tail.barred[l] = true
		d.Hint()
	}
}

// stores says that the store alone has a retry of an event, due at a time.
func (l *lane) stores(seq int64, due time.Time) {
	o := l.order
	if o == nil {
		l.stored(due)
	} else if o.pendingFrom == 0 || seq < o.pendingFrom {
		o.pendingFrom = max(seq, 1)
	}
}

// storeHas reports whether the store has deliveries of the lane that are not in
// memory.
func (l *lane) storeHas() bool {
	return l.from != 0 || !l.storedAt.IsZero() || l.order != nil && l.order.pendingFrom != 0
}

// room reports whether one more fresh delivery may wait in memory. While older ones lie in the store it may not.
func (o *order) room(l *lane) bool {
	most := lookAhead
	if o.by == hook.OrderedStrict {
		most = 2 * startLimit
	}
	return l.from == 0 && o.pendingFrom == 0 && o.reading == 0 && o.ahead(l) < most
}

// ahead is how many deliveries are in memory that nothing is recorded of and
// that wait; those that wait for their turn to be sent again count as well.
func (o *order) ahead(l *lane) int { return l.window.n + l.backlog.n + o.blocked.n }

// wantsFresh reports whether it is time to read more of what nothing is
// recorded of.
func (o *order) wantsFresh(l *lane, size, free int) bool {
	all := o.ahead(l)
	switch {
	case l.from == 0:
		return false
	case all < minPage:
		return true
	case o.by == hook.OrderedStrict:
		return false
	}
	return l.window.n+l.backlog.n < (size+1)/2 && all < lookAhead && l.bytes <= free/4
}

// wantsPending reports whether it is time to read more of what is recorded as
// pending. If nothing can be sent before that is read, it is, whatever room
// there is.
func (o *order) wantsPending(l *lane, free int) bool {
	n := l.retrying.n
	switch {
	case o.pendingFrom == 0:
		return false
	case n < minPage:
		return true
	case o.by != hook.OrderedStrict && n < lookAhead && free > 0:
		return true
	}
	return o.barred > 0 && l.window.n+l.backlog.n+len(l.retries)+l.inFlight == 0
}

// keeps reports whether a delivery may wait in memory for its next attempt,
// however late that is.
func (o *order) keeps(l *lane, dl *delivery, free int) bool {
	n := l.retrying.n
	return n < minPage || o.by != hook.OrderedStrict && n < lookAhead && dl.size+len(dl.body) <= free
}

// pendingPage is what to read of what is recorded as pending.
func (o *order) pendingPage(p *page, size int) {
	p.pendingFrom, p.limit = o.pendingFrom, size
	o.reading, o.pendingFrom = o.pendingFrom, 0
}

// takePending puts what was recorded as pending into the lane.
func (d *Dispatcher) takePending(p *page) {
	p.due = p.pending.Work
	d.takeRetries(p)
	if next := p.pending.Next; !next.IsZero() {
		p.lane.stores(next.Seq(), time.Time{})
	}
}

// reorder takes over which order a lane's endpoint wants from now on. What
// waits is read anew; what is under way comes before all that begins later.
func (d *Dispatcher) reorder(l *lane) {
	want, have := hook.Unordered, hook.Unordered
	if l.mode != cancelling {
		want = l.ordering
	}
	old := l.order
	if old != nil {
		have = old.by
	}
	if want == have {
		return
	}
	d.evict(l)
	l.generation++
	l.order = nil
	if old != nil && (old.pendingFrom != 0 || old.reading != 0) {
		l.stored(time.Now())
	}
	homes := []*list[*delivery]{&l.live, &l.paged, &l.retrying}
	for _, home := range homes {
		for n := home.first; n != nil; n = n.next {
			n.of.turn, n.of.bars = nil, false
		}
	}
	if want == hook.Unordered {
		return
	}
	l.order = &order{by: want, lines: map[string]*line{}}
	if !l.storedAt.IsZero() {
		l.storedAt = time.Time{}
		l.order.pendingFrom = 1
	}
	for _, home := range homes {
		for n := home.first; n != nil; n = n.next {
			d.lineUp(n.of, true)
		}
	}
}

// WaitsFor tells which delivery another one, of an event with an ordering key,
// waits for, because its endpoint gets them in order. It knows of those in
// memory, which is all that matters while the endpoint is active.
func (d *Dispatcher) WaitsFor(key hook.DeliveryKey, orderingKey string) (hook.DeliveryKey, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lanes[key.Endpoint]
	if l == nil || l.order == nil {
		return hook.DeliveryKey{}, false
	}
	name, ok := l.order.lineOf(&hook.Event{OrderingKey: orderingKey})
	c := l.order.lines[name]
	if !ok || c == nil || c.all.first.of.seq >= key.Event.Seq() {
		return hook.DeliveryKey{}, false
	}
	return c.all.first.of.key(), true
}

// The waits between attempts of a delivery whose schedule is over, while others
// wait for it.
const (
	minHoldWait = time.Minute
	maxHoldWait = time.Hour
)

// ordered reports whether others wait for a delivery in order.
func ordered(e *hook.Endpoint, event *hook.Event) bool {
	return e.Ordering == hook.OrderedStrict || e.Ordering == hook.OrderedByKey && event.OrderingKey != ""
}

// neverSkips reports whether what waits for an endpoint does so until the
// endpoint takes it, however long it is away.
func neverSkips(e *hook.Endpoint) bool { return e.Ordering != hook.Unordered && e.SkipAfter == 0 }

// holds reports whether those that wait for a delivery do so until it is
// delivered or somebody cancels it.
func holds(e *hook.Endpoint, event *hook.Event) bool { return e.SkipAfter == 0 && ordered(e, event) }

// tooOften says, in words, that a delivery was tried as often as those may wait
// for it that come after it; "" if not.
func tooOften(e *hook.Endpoint, event *hook.Event, failed int) string {
	if e.SkipAfter == 0 || failed < e.SkipAfter || !ordered(e, event) {
		return ""
	}
	return fmt.Sprintf("skipped after %d failed attempts, for others wait for it in order", failed)
}

// keepOrder makes of a failed attempt what the endpoint's order asks for.
func keepOrder(dl *delivery, a *hook.Attempt, e *hook.Endpoint, s dialect.Schedule, now time.Time) {
	switch {
	case a.State == hook.Delivered:
	case a.State == hook.Failed && holds(e, dl.event):
		a.State, a.NextAt = hook.Pending, now.Add(holdWait(s))
		a.Reason += "; it is tried until the endpoint takes it or somebody cancels it, for others wait for it in order"
	case a.State == hook.Pending:
		if why := tooOften(e, dl.event, dl.attempts-dl.base+1); why != "" {
			a.State, a.NextAt = hook.Failed, time.Time{}
			a.Reason += "; " + why
		}
	}
}

// holdWait is how long to wait after an attempt for which the schedule has
// none: as long as it waits at last, within bounds.
func holdWait(s dialect.Schedule) time.Duration {
	wait := time.Duration(0)
	if waits := s.Waits(); len(waits) > 0 {
		wait = waits[len(waits)-1]
	}
	return min(max(wait, minHoldWait), maxHoldWait)
}

// evictBlocked gives what waits for its turn back to the store. What it waits for
// is given back next.
func (d *Dispatcher) evictBlocked(l *lane) {
	o := l.order
	o.horizon = 0 // nobody's turn comes meanwhile
	if o.blocked.n > 0 {
		l.generation++
	}
	fresh := false
	for o.blocked.first != nil {
		dl := o.blocked.first.of
		if dl.fresh {
			l.skip(dl.seq, d.first(l))
			fresh = true
		} else {
			l.stores(dl.seq, dl.due)
		}
		d.forget(dl)
	}
	if fresh {
		d.fellBehind(l)
	}
}

// lineUpEnding lets those that come after a delivery wait until its end, which is
// decided on, is recorded.
func (d *Dispatcher) lineUpEnding(dl *delivery) {
	if dl.lane.order != nil {
		d.lineUp(dl, true)
	}
}
