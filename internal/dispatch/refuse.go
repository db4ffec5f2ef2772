package dispatch

import (
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// An outcome that the store refuses whatever its condition would stop all
// deliveries if the recorder insisted on it. So it gives way to one that only
// says so; and a delivery that not even takes that rests in memory, with the
// store as it was, until it is redelivered, its endpoint changes, or the
// process is started anew.

// holdInstead replaces an outcome that the store refuses by one without an
// attempt. It reports false if it is one already.
func (d *Dispatcher) holdInstead(dl *delivery, refused error) bool {
	o := &dl.outcome
	if o.State == hook.Held && o.Attempt == nil {
		return false
	}
	d.Logger.Error("an outcome could not be recorded; its delivery is held", "delivery_id", dl.key().String(),
		"state", o.State.String(), "reason", o.Reason, "error", refused)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.backedBy -= outcomeSize(dl)
	dl.ending = ""
	*o = store.Outcome{
		Key: o.Key, At: o.At, State: hook.Held, Reason: "its outcome could not be recorded: " + refused.Error(),
		FirstAt: dl.firstAt, Base: dl.base,
	}
	return true
}

// putAside leaves a delivery in its list, where nothing picks it.
func (d *Dispatcher) putAside(dl *delivery, refused error) {
	d.Logger.Error("a delivery could not be recorded at all; it is left alone until it is redelivered or its endpoint changes",
		"delivery_id", dl.key().String(), "error", refused)
	d.mu.Lock()
	defer d.mu.Unlock()
	l, now := dl.lane, time.Now()
	d.unbacks(dl)
	if l.gone.Load() {
		return
	}
	dl.ending = ""
	dl.wasRecorded()
	if dl.again {
		d.giveBack(dl) // it was redelivered meanwhile
	} else {
		dl.aside = true
		l.aside++
		d.slim(dl)
	}
	d.settle(l, now)
	d.kick(now)
}

// slim lets go of what a delivery that is put aside does not need.
func (d *Dispatcher) slim(dl *delivery) {
	d.bytes -= dl.size - deliverySize
	dl.lane.bytes -= dl.size - deliverySize
	dl.lane.tenant.bytes -= dl.size - deliverySize
	dl.size, dl.event, dl.body, dl.outcome = deliverySize, &hook.Event{ID: dl.event.ID}, nil, store.Outcome{}
}

// takeUp gives what a lane has put aside another chance.
func (d *Dispatcher) takeUp(l *lane) {
	if l.order != nil && l.aside > 0 {
		d.evict(l) // it is read with what comes after it
	}
	for _, home := range []*list[*delivery]{&l.live, &l.paged, &l.retrying} {
		for n := home.first; n != nil && l.aside > 0; {
			dl := n.of
			if n = n.next; dl.aside {
				d.giveBack(dl)
			}
		}
	}
}
