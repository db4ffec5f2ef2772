package dispatch

import "grapnel/internal/hook"

// Every lane counts its deliveries that are not over: those that the store told of
// at the start and those offered since, less those of which an end was recorded.
// A redelivery of what waits already, or a retention that ends what waits in the
// store, lets the count drift upwards; so it begins anew whenever the lane has
// no work, which it knows for certain. The sums are read without the mutex.

// Pending tells about how many deliveries wait or are under way, of a tenant and
// of all. It costs a look-up, whatever waits.
func (d *Dispatcher) Pending(tenantNum hook.TenantNum) (ofTenant, all int64) {
	if t, ok := d.counted.Load(tenantNum); ok {
		ofTenant = t.(*tenant).pending.Load()
	}
	return ofTenant, d.pending.Load()
}

// count adds to what is pending of a lane; it does not fall below none.
func (d *Dispatcher) count(l *lane, n int64) {
	n = max(n, -l.pending)
	if n == 0 {
		return
	}
	l.pending += n
	l.tenant.pending.Add(n)
	d.pending.Add(n)
}

// countAnew forgets what was counted before the start, for the store counts that
// too when it is asked next.
func (d *Dispatcher) countAnew() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listed = d.progress.last
	for _, l := range d.lanes {
		d.count(l, -l.pending)
	}
}

// ended counts a delivery out whose outcome is recorded, if that is an end.
func (d *Dispatcher) ended(dl *delivery) {
	if dl.outcome.State != hook.Pending {
		d.count(dl.lane, -1)
	}
}
