package dispatch

import "math"

// When places for requests get scarce they are shared by who holds them, not by
// who comes first: endpoints that hang, and tenants whose endpoints are slow,
// would else hold them all (cases 57, 58). Half of a class's places are for
// whoever can send. Beyond these a lane gets no more than its equal part of its
// tenant's equal part of them all, but one in any case; and a tenant never gets
// more than tenantShare times what is free. Whoever may not have more steps
// aside until a request of theirs ends: there is one, so all steps stay O(1).

// tenantShare is how many times the places, or the bytes, that are free in a
// class a tenant may hold: alone it gets 8/9 of them, each of n tenants 8/(8n+1).
const tenantShare = 8

// scarce says how many places a tenant may hold now before it steps aside, and
// how many of a tenant's part are shared among its lanes.
type scarce struct {
	tenant, lanes [classes]int
}

// shares works out what may be held now.
func (d *Dispatcher) shares(places int) (s scarce) {
	most := places - places/4
	for c := range s.lanes {
		s.lanes[c] = math.MaxInt
		if d.inFlight[c] >= most/2 {
			s.lanes[c] = most/max(1, d.active) + 1
		}
		s.tenant[c] = max(1, tenantShare*(most-d.inFlight[c]))
	}
	return s
}

// allows reports whether a lane may begin another request.
func (s *scarce) allows(l *lane, c class) bool {
	return l.inFlight == 0 || l.inFlight*l.tenant.active < s.lanes[c] || l.mode != sending
}

// holds counts a request of the lane that begins (1) or ends (-1).
func (d *Dispatcher) holds(l *lane, change int) {
	t := l.tenant
	if t.inFlight == 0 {
		d.active++
	}
	if l.inFlight == 0 {
		t.active++
	}
	d.opens(l, change)
	l.inFlight += change
	t.inFlight += change
	if l.inFlight == 0 {
		t.active--
	}
	if t.inFlight == 0 {
		d.active--
	}
	if change < 0 {
		d.rings.back(t)
	}
}

// fits reports whether a tenant may have more bytes in memory, given how much is
// free of the budget. A lane that has hardly anything waiting always may.
func (t *tenant) fits(size, free int) bool { return t.bytes+size <= tenantShare*free }
