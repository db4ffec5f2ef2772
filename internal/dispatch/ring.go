package dispatch

import (
	"sync/atomic"

	"grapnel/internal/hook"
)

// class says how much is known of a lane: whether it has answered lately.
// Each class may fill three quarters of all places for requests, so that
// endpoints which hang never take the last places of those that work, nor a
// rush to known ones those of new ones (case 58).
type class uint8

const (
	proven   class = 0
	unproven class = 1
	classes        = 2
)

// tenant is a tenant's place in the rings.
type tenant struct {
	num     hook.TenantNum
	lanes   int          // in memory
	pending atomic.Int64 // deliveries of theirs that are not over
	ring    [classes]node[*tenant]
	ready   [classes]list[*lane]
	aside   [classes]bool // it waits for one of its requests to end

	inFlight int
	active   int // lanes with requests running
	bytes    int // of its deliveries in memory
}

// rings hold the lanes that can send now: tenants take turns, and within a
// tenant its lanes do. All steps are O(1).
type rings struct {
	tenants [classes]list[*tenant]
	turn    class
}

// add puts a lane into the ring of its class. It moves there if it is in the
// other one.
func (r *rings) add(l *lane) {
	c := l.class()
	t := l.tenant
	if l.ring.in == &t.ready[c] {
		return
	}
	r.remove(l)
	t.ready[c].push(&l.ring)
	if t.ring[c].in == nil && !t.aside[c] {
		r.tenants[c].push(&t.ring[c])
	}
}

// setAside takes a tenant out of a ring until back is called.
func (r *rings) setAside(t *tenant, c class) {
	t.aside[c] = true
	t.ring[c].leave()
}

// back brings a tenant back that was set aside.
func (r *rings) back(t *tenant) {
	for c := range t.aside {
		if t.aside[c] {
			t.aside[c] = false
			if t.ready[c].n > 0 {
				r.tenants[c].push(&t.ring[c])
			}
		}
	}
}

// remove takes a lane out of its ring, if it is in one.
func (r *rings) remove(l *lane) {
	if !l.ring.leave() {
		return
	}
	for c := range l.tenant.ready {
		if l.tenant.ready[c].n == 0 {
			l.tenant.ring[c].leave()
		}
	}
}

func (r *rings) empty() bool { return r.tenants[proven].n+r.tenants[unproven].n == 0 }

// next is the lane whose turn it is among the classes that are open, nil if
// there is none. With both open they take turns. Lanes and tenants that hold
// what they may step aside.
func (r *rings) next(open [classes]bool, s *scarce) *lane {
	r.turn = 1 - r.turn
	for _, c := range [classes]class{r.turn, 1 - r.turn} {
		for open[c] && r.tenants[c].n > 0 {
			t := r.tenants[c].rotate()
			if t.inFlight >= s.tenant[c] {
				r.setAside(t, c)
				continue
			}
			l := t.ready[c].rotate()
			if s.allows(l, c) {
				return l
			}
			r.remove(l) // the end of one of its requests settles it
		}
	}
	return nil
}
