package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// eventShape is an event in lists.
type eventShape struct {
	ID         string `json:"id" doc:"the event's id, which receivers see" example:"0198c3f1-f2a4-7d3a-8b1c-0e5d4f6a7b8c"`
	Tenant     string `json:"tenant" doc:"whose it is" example:"acme"`
	Key        string `json:"key,omitzero" doc:"the publisher's own id" example:"invoice-17-paid"`
	Type       string `json:"type" doc:"its type" example:"invoice.paid"`
	Time       stamp  `json:"time" doc:"when it happened"`
	AcceptedAt stamp  `json:"accepted_at" doc:"when it was accepted"`
	Matched    int    `json:"matched" doc:"endpoints that it goes to" example:"1"`
	Ordering   string `json:"ordering_key,omitzero" doc:"the ordering key that it was published with" example:"customer-17"`
}

// eventDetail is an event with all that is known of it.
type eventDetail struct {
	eventShape
	Data       jsontext.Value  `json:"data" doc:"what was published, as it was" example:"{\"invoice\":17}"`
	Previous   jsontext.Value  `json:"previous,omitzero" doc:"the object before the change"`
	Metadata   jsontext.Value  `json:"metadata,omitzero" doc:"what contracts need more than the data"`
	Outcome    string          `json:"outcome" doc:"in a word, whom it went to" example:"routed"`
	Deliveries []deliveryShape `json:"deliveries" doc:"one for each endpoint that it goes to"`
	More       bool            `json:"more_deliveries,omitzero" doc:"there are more deliveries than these: list them by the event"`
}

func (c *call) shapeEvent(e *hook.Event) eventShape {
	return eventShape{ID: e.ID.String(), Tenant: c.tenant.ID, Key: e.Key, Type: e.Type, Time: stamp(e.Time), AcceptedAt: stamp(e.ID.Time()), Matched: len(e.Targets), Ordering: e.OrderingKey}
}

func (a *API) getEvent(c *call) error {
	ctx := c.r.Context()
	e, err := a.event(ctx, c.tenant.Num, c.r.PathValue("event"))
	if err != nil {
		return err
	}
	p, err := a.Reader.Deliveries(ctx, store.DeliveryQuery{Tenant: c.tenant.Num, Event: e.ID, Limit: maxLimit})
	if err != nil {
		return err
	}
	out := eventDetail{
		eventShape: c.shapeEvent(e), Data: e.Data, Previous: e.Previous, Metadata: e.Metadata,
		Outcome: outcome(e), Deliveries: each(p.Deliveries, a.shapeDelivery), More: p.Next != hook.DeliveryKey{},
	}
	return c.answer(http.StatusOK, out)
}

// outcome says in a word whom an event went to.
func outcome(e *hook.Event) string {
	if len(e.Targets) == 0 {
		return "no endpoint matched"
	}
	for _, t := range e.Targets {
		if t.Disposition == hook.Deliver {
			return "routed"
		}
	}
	return "not sent: every endpoint that matched was inactive or suppressed"
}

// event finds an event by its id, or by the publisher's own.
func (a *API) event(ctx context.Context, tenant hook.TenantNum, name string) (*hook.Event, error) {
	missing := hook.Errorf(hook.CodeNotFound, "there is no event %q", hook.Clip(name))
	if id, err := hook.ParseEventID(name); err == nil {
		e, err := a.Reader.Event(ctx, tenant, id)
		if !errors.Is(err, store.ErrNotFound) {
			return e, err
		}
	}
	if hook.ValidEventKey(name) != nil {
		return nil, missing
	}
	e, err := a.Reader.EventByKey(ctx, store.EventKey{Tenant: tenant, Key: name}, time.Time{})
	if errors.Is(err, store.ErrNotFound) {
		return nil, missing
	}
	return e, err
}

func (a *API) listEvents(c *call) error {
	q, err := a.query(c)
	if err != nil {
		return err
	}
	ask := store.EventQuery{Tenant: c.tenant.Num, Type: q.values.Get("type"), Limit: q.limit}
	if ask.Since, ask.Until, err = q.window(); err != nil {
		return err
	}
	var from hook.EventID
	if q.after != nil {
		if len(q.after) != len(from) {
			return hook.Invalid("", "the cursor is not one of this list")
		}
		from = hook.EventID(q.after)
	}
	ask.Oldest = q.back
	found, rest, err := gather(q, from, func(from hook.EventID, limit int) ([]*hook.Event, hook.EventID, error) {
		ask.Limit = limit
		if q.back {
			ask.After = from
		} else {
			ask.Before = from
		}
		p, err := a.Reader.Events(c.r.Context(), ask)
		return p.Events, p.Next, err
	})
	if err != nil {
		return err
	}
	l := neighbours(a, c, q, eventPlace, from, found, rest, func(e *hook.Event) hook.EventID { return e.ID })
	return page(c, each(found, c.shapeEvent), l)
}
