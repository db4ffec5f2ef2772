package api

import (
	"errors"
	"net/http"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/why"
)

// explanation is the answer to why an event reached an endpoint, or why not.
type explanation struct {
	Event     string         `json:"event" doc:"the event's id" example:"0198c3f1-f2a4-7d3a-8b1c-0e5d4f6a7b8c"`
	Endpoint  string         `json:"endpoint" doc:"the endpoint's id" example:"ep_01JB2X3Y4Z"`
	Situation string         `json:"situation" doc:"what the case is, for programs; more may come" example:"filtered"`
	Sentence  string         `json:"sentence" doc:"what has happened and because of what"`
	Remedy    string         `json:"remedy,omitzero" doc:"what to do about it; absent: nothing"`
	Filter    string         `json:"filter_clause,omitzero" doc:"JSON Pointer into the endpoint's filter to the clause that decided" example:"/and/1"`
	NextAt    stamp          `json:"next_at,omitzero" doc:"when it goes on by itself"`
	Delivery  *deliveryShape `json:"delivery,omitzero" doc:"what became of it; absent: the event was not to go to the endpoint"`
}

func (a *API) explainEvent(c *call) error {
	ctx := c.r.Context()
	e, err := a.endpoint(c)
	if err != nil {
		return err
	}
	event, err := a.event(ctx, c.tenant.Num, c.r.PathValue("event"))
	if err != nil {
		return err
	}
	facts, err := a.facts(c, event, e)
	if err != nil {
		return err
	}
	said := why.Explain(facts)
	out := explanation{
		Event: event.ID.String(), Endpoint: e.ID, Situation: string(said.Situation), Sentence: said.Sentence, Remedy: said.Remedy, Filter: said.At, NextAt: stamp(said.NextAt),
	}
	if facts.Delivery != nil {
		shape := a.shapeDelivery(facts.Delivery)
		out.Delivery = &shape
	}
	return c.answer(http.StatusOK, out)
}

// facts gathers what is known of an event and an endpoint.
func (a *API) facts(c *call, event *hook.Event, e *hook.Endpoint) (*why.Facts, error) {
	ctx := c.r.Context()
	f := &why.Facts{Now: a.Now(), Event: event, Endpoint: e, Holds: a.Manager.Holds(e)}
	if d, ok := a.Dialects.Get(e.Dialect); ok {
		f.Success = d.SuccessInWords()
	}
	if _, meant := event.Target(e.Num); !meant {
		m := a.Matching.Why(event, e)
		f.Rule, f.At, f.Text = string(m.Rule), m.At, m.Text
		return f, nil
	}
	key := hook.DeliveryKey{Event: event.ID, Endpoint: e.Num}
	var err error
	if f.Delivery, err = a.Reader.Delivery(ctx, c.tenant.Num, key); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return f, nil
		}
		return nil, err
	}
	attempts, err := a.Reader.Attempts(ctx, c.tenant.Num, key)
	if err != nil {
		return nil, err
	}
	if n := len(attempts); n > 0 {
		f.Last = attempts[n-1]
	}
	if f.Delivery.State != hook.Pending {
		return f, nil
	}
	f.Place = a.Queue.Look(key)
	if a.inOrder(f.Delivery) {
		if first, ok := a.Queue.WaitsFor(key, event.OrderingKey); ok {
			f.WaitsFor = first.String()
		}
	}
	return f, nil
}
