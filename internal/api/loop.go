package api

import (
	"grapnel/internal/egress"
	"grapnel/internal/hook"
)

// codeLoop is for a delivery that came back in.
const codeLoop hook.Code = "loop"

// mayLoop reports whether a route's requests lead to deliveries, now or later.
func (r *routeRow) mayLoop() bool { return r.publishes || r.changes() }

// checkLoop refuses the deliveries of this server or of another one like it where they
// would publish or change something: an endpoint at such a route would be sent to by what it
// causes itself, without end (case 92).
func (r *routeRow) checkLoop(c *call) error {
	if !r.mayLoop() || !egress.Returned(c.r.Header) {
		return nil
	}
	return hook.Errorf(codeLoop, "this request is the delivery of a Grapnel server (it has the header %s), and would go round in circles: let a program between take deliveries and publish what it makes of them", egress.HopHeader)
}
