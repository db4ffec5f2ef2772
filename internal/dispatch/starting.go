package dispatch

import "time"

// An attempt takes the processor until its request is out; from then on it
// waits for its endpoint. With as many of them on their way out as there are
// places for requests, all else would wait behind them for a processor: other
// tenants' deliveries, and whoever publishes. So only some may be starting at
// once, and the next one is picked, in its turn, when one of them has begun to
// wait.

// starts counts an attempt as starting. Called with mu held.
func (d *Dispatcher) starts(dl *delivery) {
	dl.starting = true
	d.starting++
}

// hasStarted ends that, if it has not ended before. Called with mu held.
func (d *Dispatcher) hasStarted(dl *delivery) bool {
	if !dl.starting {
		return false
	}
	dl.starting = false
	d.starting--
	return true
}

// waits is told that an attempt has nothing to do but wait. It may be told so
// several times.
func (d *Dispatcher) waits(dl *delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hasStarted(dl) && !d.rings.empty() {
		d.kick(time.Now())
	}
}
