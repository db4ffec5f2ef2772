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
	if t.ring[c].in == nil {
		r.tenants[c].push(&t.ring[c])
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
// there is none. With both open they take turns.
func (r *rings) next(open [classes]bool) *lane {
	r.turn = 1 - r.turn
	for _, c := range [classes]class{r.turn, 1 - r.turn} {
		if open[c] && r.tenants[c].n > 0 {
			return r.tenants[c].rotate().ready[c].rotate()
		}
	}
	return nil
}
