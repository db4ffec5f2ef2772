package dispatch

import (
	"context"
	"fmt"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Cancel ends deliveries that wait, wherever they do: in a lane's memory, in
// the store, or for an endpoint that is inactive. It returns when that is
// recorded. One whose attempt is running becomes what the attempt says, and is
// not tried again if that is not final; running counts these. What became of a
// delivery between reading it and the call is for the caller to look up: a
// terminal one stays as it is.
//
// Errors are store.ErrUnavailable while nothing is dispatched, or where another
// node does that for one of the endpoints, and that of ctx.
func (d *Dispatcher) Cancel(ctx context.Context, deliveries []*hook.Delivery, reason string) (running int, err error) {
	var ends []ending
	for len(deliveries) > 0 {
		n := min(len(deliveries), offerChunk)
		d.mu.Lock()
		if d.phase != started {
			d.mu.Unlock()
			return running, store.ErrUnavailable
		}
		now := time.Now()
		for _, one := range deliveries[:n] {
			if !d.tenure.lease.Holds(one.Key.Endpoint) {
				d.mu.Unlock()
				return running, fmt.Errorf("%w: another node sends for the endpoint", store.ErrUnavailable)
			}
			l := d.lane(one.Key.Endpoint)
			if end := d.cancelOne(l, one, reason, now); end != nil {
				ends = append(ends, ending{l, end})
			} else {
				running++
			}
		}
		d.kick(now)
		d.mu.Unlock()
		deliveries = deliveries[n:]
	}
	for _, end := range ends {
		select {
		case <-end.recorded:
			if end.of.gone.Load() {
				return running, fmt.Errorf("%w: the endpoint went to another node", store.ErrUnavailable)
			}
		case <-ctx.Done():
			return running, ctx.Err()
		case <-d.quit:
			return running, store.ErrUnavailable
		}
	}
	return running, nil
}

// ending is the end of a delivery of a lane on its way to the store. If the lane is
// gone when recorded is closed, it may not be there.
type ending struct {
	of       *lane
	recorded chan struct{}
}

// cancelOne ends a delivery. The channel is closed when that is recorded; nil:
// its attempt is running.
func (d *Dispatcher) cancelOne(l *lane, one *hook.Delivery, reason string, now time.Time) chan struct{} {
	defer d.settle(l, now)
	dl := l.find(one.Key.Event)
	switch {
	case dl == nil:
		dl = d.standIn(l, one)
	case dl.recorded != nil: // it is being cancelled
		return dl.recorded
	case dl.aside:
		dl.aside = false
		l.aside--
	case dl.waits():
		if dl.queue.leave() {
			d.waiting--
		} else {
			l.retries.take(dl)
		}
		if dl.turn != nil {
			d.pickedUp(dl)
		}
	default:
		dl.ending, dl.again = reason, false
		return nil
	}
	d.endAs(dl, reason, now)
	return dl.recorded
}

// standIn takes the place of a delivery that the store alone has, so that no
// page brings it while it is being cancelled.
func (d *Dispatcher) standIn(l *lane, one *hook.Delivery) *delivery {
	dl := newDelivery(l, &hook.Event{ID: one.Key.Event, Tenant: one.Tenant, Type: one.Type})
	dl.fresh, dl.attempts, dl.keyless = false, one.Attempts, true // its lane's range covers it, or its event is still to be offered; see covers
	d.took(dl)
	dl.join(&l.paged)
	d.lineUpEnding(dl)
	if d.unoffered(dl.seq, l.num) {
		// It was stored and is still to be offered.
		if d.early == nil {
			d.early = map[hook.DeliveryKey]bool{}
		}
		d.early[one.Key] = true
		d.count(l, 1) // as it is not when it is offered
	}
	return dl
}

// endAs hands the end of a delivery to the recorder. It is in memory and
// waits for nothing. Its base is the highest that it can have, so that no
// redelivery from before is taken for a later one.
func (d *Dispatcher) endAs(dl *delivery, reason string, now time.Time) {
	dl.outcome = store.Outcome{Key: dl.key(), At: now, State: hook.Cancelled, Reason: reason, FirstAt: dl.firstAt, Base: dl.attempts}
	dl.ending, dl.recorded = "", make(chan struct{})
	d.backs(dl)
	d.record.add(dl)
}

// endInstead makes the end of an attempt the end of its delivery, if it was
// cancelled meanwhile and the attempt was not final.
func (dl *delivery) endInstead(e *effect, now time.Time) {
	o := &dl.outcome
	switch {
	case dl.ending == "":
		return
	case e.givenBack:
		*o = store.Outcome{Key: dl.key(), At: now, State: hook.Cancelled, Reason: dl.ending, FirstAt: dl.firstAt, Base: dl.attempts}
		e.givenBack = false
	case !o.State.Terminal():
		o.State, o.Reason, o.NextAt, o.Body = hook.Cancelled, dl.ending, time.Time{}, nil
		if a := o.Attempt; a != nil {
			o.Base = a.N
			a.State, a.NextAt = hook.Cancelled, time.Time{}
		}
	}
	dl.ending = ""
}

// endNow ends a delivery that was cancelled while its outcome was on its way
// to the store, if that outcome was not final.
func (d *Dispatcher) endNow(dl *delivery, now time.Time) bool {
	if dl.ending == "" || dl.outcome.State.Terminal() {
		return false
	}
	if dl.outcome.Attempt != nil {
		dl.attempts++
	}
	d.took(dl)
	dl.join(&dl.lane.paged)
	d.lineUpEnding(dl)
	d.endAs(dl, dl.ending, now)
	return true
}

// wasRecorded tells whoever waits for the end of a delivery.
func (dl *delivery) wasRecorded() {
	if dl.recorded != nil {
		close(dl.recorded)
		dl.recorded = nil
	}
}

// cancelledEarly reports whether a delivery that is offered was cancelled before.
// From now on what stands in for it keeps the floor back until its end is
// recorded, if it is not yet.
func (d *Dispatcher) cancelledEarly(l *lane, id hook.EventID, after *delivery, now time.Time) bool {
	key := hook.DeliveryKey{Event: id, Endpoint: l.num}
	if !d.early[key] {
		return false
	}
	delete(d.early, key)
	if dl := l.find(id); dl != nil && !dl.fresh && (dl.recorded != nil || dl.aside) {
		dl.fresh, dl.offered = true, now
		dl.home.leave()
		dl.join(&l.live)
		d.standInFront(dl, after)
	}
	return true
}

// forgetEarly forgets what was cancelled and will not be offered any more.
func (d *Dispatcher) forgetEarly() {
	for key := range d.early {
		if !d.unoffered(key.Event.Seq(), key.Endpoint) {
			delete(d.early, key)
		}
	}
}
