package api

import (
	"context"
	"net/http"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Canceller ends deliveries that wait. The dispatcher is one.
type Canceller interface {
	Cancel(ctx context.Context, deliveries []*hook.Delivery, reason string) (running int, err error)
}

// cancelAnswer says how many deliveries were cancelled.
type cancelAnswer struct {
	Cancelled int `json:"cancelled" doc:"deliveries that will not be sent" example:"2"`
	Running   int `json:"running,omitzero" doc:"deliveries whose attempt is running: they become what it says, and are not tried again" example:"1"`
}

// cancelEvent ends the deliveries of an event that wait.
func (a *API) cancelEvent(c *call) error {
	ctx := c.r.Context()
	e, err := a.event(ctx, c.tenant.Num, c.r.PathValue("event"))
	if err != nil {
		return err
	}
	if err := c.decode(&struct{}{}); err != nil {
		return err
	}
	var out cancelAnswer
	q := store.DeliveryQuery{Tenant: c.tenant.Num, Event: e.ID, States: []hook.DeliveryState{hook.Pending, hook.Held}, Oldest: true, Limit: maxLimit}
	for {
		p, err := a.Reader.Deliveries(ctx, q)
		if err != nil {
			return err
		}
		running, err := a.Canceller.Cancel(ctx, p.Deliveries, hook.ByRequest)
		if err != nil {
			return err
		}
		out.Running += running
		for _, d := range p.Deliveries {
			now, err := a.Reader.Delivery(ctx, c.tenant.Num, d.Key)
			if err != nil {
				return err
			}
			if now.State == hook.Cancelled && now.Reason == hook.ByRequest {
				out.Cancelled++
			}
		}
		if q.After = p.Next; p.Next == (hook.DeliveryKey{}) {
			break
		}
	}
	a.Logger.Info("event cancelled", "event_id", e.ID.String(), "tenant_id", c.tenant.ID, "deliveries", out.Cancelled, "running", out.Running)
	return c.answer(http.StatusOK, out)
}
