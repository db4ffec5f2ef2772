package api

import (
	"context"
	"net/http"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
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
	asked := map[hook.EndpointNum]bool{}
	q := store.DeliveryQuery{Tenant: c.tenant.Num, Event: e.ID, States: []hook.DeliveryState{hook.Pending, hook.Held}, Oldest: true, Limit: maxLimit}
	action := manage.Action{Name: "event.cancel", Tenant: c.tenant, Object: e.ID.String()}
	err = a.Manager.Noted(ctx, action, func() error {
		return a.eachDelivery(ctx, q, func(some []*hook.Delivery) error {
			running, err := a.Canceller.Cancel(ctx, some, hook.ByRequest)
			out.Running += running
			for _, d := range some {
				asked[d.Key.Endpoint] = true
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	// What was still to be cancelled has ended by now. An event that has gone
	// meanwhile has none.
	q.States = []hook.DeliveryState{hook.Cancelled}
	err = a.eachDelivery(ctx, q, func(some []*hook.Delivery) error {
		for _, d := range some {
			if d.Reason == hook.ByRequest && asked[d.Key.Endpoint] {
				out.Cancelled++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	a.Logger.Info("event cancelled", "event_id", e.ID.String(), "tenant_id", c.tenant.ID, "deliveries", out.Cancelled, "running", out.Running)
	return c.answer(http.StatusOK, out)
}

// eachDelivery visits what a query selects, page by page.
func (a *API) eachDelivery(ctx context.Context, q store.DeliveryQuery, visit func([]*hook.Delivery) error) error {
	for {
		p, err := a.Reader.Deliveries(ctx, q)
		if err != nil {
			return err
		}
		if err := visit(p.Deliveries); err != nil {
			return err
		}
		if q.After = p.Next; p.Next == (hook.DeliveryKey{}) {
			return nil
		}
	}
}
