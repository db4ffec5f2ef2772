package api

import (
	"encoding/binary"
	"net/http"
	"slices"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
	"grapnel/internal/store"
)

// deliveryShape is a delivery as it is told everywhere.
type deliveryShape struct {
	ID           string `json:"id" doc:"the delivery's id" example:"dlv_0198c3f1f2a47d3a8b1c0e5d4f6a7b8c_1"`
	Number       int64  `json:"number" doc:"a small number, for contracts that show one" example:"17"`
	Event        string `json:"event" doc:"the event's id" example:"0198c3f1-f2a4-7d3a-8b1c-0e5d4f6a7b8c"`
	Endpoint     string `json:"endpoint" doc:"the endpoint's id" example:"ep_01JB2X3Y4Z"`
	Type         string `json:"type" doc:"the event's type" example:"invoice.paid"`
	State        string `json:"state" doc:"where it stands" example:"pending" enum:"pending,held,delivered,failed,cancelled"`
	Reason       string `json:"reason,omitzero" doc:"why it is held, failed or cancelled"`
	NextAt       stamp  `json:"next_attempt_at,omitzero" doc:"when the next attempt is due; absent: none is"`
	LastAt       stamp  `json:"last_attempt_at,omitzero" doc:"when the last attempt began; absent: none was made"`
	Status       int    `json:"status,omitzero" doc:"HTTP status of the last attempt; absent: it had no answer, or none was made" example:"503"`
	Class        string `json:"class,omitzero" doc:"class of the last attempt's failure, when no answer came"`
	AttemptCount int    `json:"attempt_count" doc:"attempts made so far" example:"1"`
}

func (a *API) shapeDelivery(d *hook.Delivery) deliveryShape {
	state, reason := a.shown(d)
	s := deliveryShape{
		ID: d.Key.String(), Number: d.Number, Event: d.Key.Event.String(), Type: d.Type,
		State: state.String(), Reason: reason, LastAt: stamp(d.LastAt), Status: d.Status, Class: d.Class, AttemptCount: d.Attempts,
	}
	if state == hook.Pending {
		s.NextAt = stamp(d.NextAt)
	}
	if e, ok := a.Directory.Endpoint(d.Key.Endpoint); ok {
		s.Endpoint = e.ID
	}
	return s
}

// shown is the state that people are told.
func (a *API) shown(d *hook.Delivery) (hook.DeliveryState, string) { return a.Manager.Shown(d) }

func (a *API) listDeliveries(c *call) error {
	q, err := a.query(c)
	if err != nil {
		return err
	}
	ask, states, err := a.deliveryQuery(c, q)
	if err != nil {
		return err
	}
	var from hook.DeliveryKey
	if q.after != nil {
		if from, err = deliveryCursor(q.after); err != nil {
			return err
		}
	}
	ask.Oldest = q.back
	found, rest, err := gather(q, from, func(from hook.DeliveryKey, limit int) ([]*hook.Delivery, hook.DeliveryKey, error) {
		ask.Limit = limit
		if q.back {
			ask.After = from
		} else {
			ask.Before = from
		}
		p, err := a.Reader.Deliveries(c.r.Context(), ask)
		return slices.DeleteFunc(p.Deliveries, func(d *hook.Delivery) bool {
			state, _ := a.shown(d)
			return len(states) > 0 && !slices.Contains(states, state)
		}), p.Next, err
	})
	if err != nil {
		return err
	}
	l := neighbours(a, c, q, deliveryPlace, from, found, rest, func(d *hook.Delivery) hook.DeliveryKey { return d.Key })
	return page(c, each(found, a.shapeDelivery), l)
}

// deliveryQuery makes the question to the store. states are those that people
// asked for; the store is asked for all that may be shown as one of them.
func (a *API) deliveryQuery(c *call, q query) (ask store.DeliveryQuery, states []hook.DeliveryState, err error) {
	ask = store.DeliveryQuery{Tenant: c.tenant.Num, Type: q.values.Get("type")}
	if ask.Since, ask.Until, err = q.window(); err != nil {
		return ask, nil, err
	}
	if text := q.values.Get("event"); text != "" {
		if ask.Event, err = hook.ParseEventID(text); err != nil {
			return ask, nil, err
		}
	}
	if id := q.values.Get("endpoint"); id != "" {
		e, ok := a.Directory.EndpointByID(c.tenant.ID, id)
		if !ok {
			return ask, nil, hook.Errorf(hook.CodeNotFound, "there is no endpoint %q", hook.Clip(id))
		}
		ask.Endpoint = e.Num
	}
	if states, err = parseStates(q.values["state"]); err != nil {
		return ask, nil, err
	}
	ask.States = slices.Clone(states)
	if slices.Contains(states, hook.Held) && !slices.Contains(states, hook.Pending) {
		ask.States = append(ask.States, hook.Pending)
	}
	return ask, states, nil
}

func deliveryCursor(b []byte) (hook.DeliveryKey, error) {
	var k hook.DeliveryKey
	if len(b) > len(k.Event) {
		if num, n := binary.Uvarint(b[len(k.Event):]); n > 0 {
			return hook.DeliveryKey{Event: hook.EventID(b[:len(k.Event)]), Endpoint: hook.EndpointNum(num)}, nil
		}
	}
	return k, hook.Invalid("", "the cursor is not one of this list")
}

// delivery finds the delivery in the path.
func (a *API) delivery(c *call) (*hook.Delivery, error) {
	id := c.r.PathValue("delivery")
	missing := hook.Errorf(hook.CodeNotFound, "there is no delivery %q", hook.Clip(id))
	key, err := hook.ParseDeliveryKey(id)
	if err != nil {
		return nil, missing
	}
	d, err := a.Reader.Delivery(c.r.Context(), c.tenant.Num, key)
	if e := manage.Told(err); err != nil && e.Code == hook.CodeNotFound {
		return nil, missing
	}
	return d, err
}

// deliveryDetail is a delivery with its attempts.
type deliveryDetail struct {
	deliveryShape
	WaitsFor string         `json:"waits_for,omitzero" doc:"the delivery that is sent before it, because the endpoint gets them in order" example:"dlv_0198c3f1f2a47d3a8b1c0e5d4f6a7b8c_1"`
	Request  *bytesText     `json:"request,omitzero" doc:"the body that was sent; absent before the first attempt, and where it cannot be made again as it was"`
	Attempts []attemptShape `json:"attempts" doc:"every attempt, oldest first"`
}

func (a *API) getDelivery(c *call) error {
	ctx := c.r.Context()
	d, err := a.delivery(c)
	if err != nil {
		return err
	}
	attempts, err := a.Reader.Attempts(ctx, d.Tenant, d.Key)
	if err != nil {
		return err
	}
	out := deliveryDetail{deliveryShape: a.shapeDelivery(d), Attempts: each(attempts, shapeAttempt)}
	inOrder := out.State == hook.Pending.String() && a.inOrder(d)
	if len(attempts) == 0 && !inOrder {
		return c.answer(http.StatusOK, out)
	}
	e, err := a.Reader.Event(ctx, c.tenant.Num, d.Key.Event)
	if err != nil {
		return err
	}
	if len(attempts) > 0 {
		out.Request = a.bodySent(c.tenant, e, attempts[len(attempts)-1])
	}
	if inOrder {
		if first, ok := a.Queue.WaitsFor(d.Key, e.OrderingKey); ok {
			out.WaitsFor = first.String()
		}
	}
	return c.answer(http.StatusOK, out)
}

// inOrder reports whether a delivery may have to wait for another one.
func (a *API) inOrder(d *hook.Delivery) bool {
	e, ok := a.Directory.Endpoint(d.Key.Endpoint)
	return ok && e.Ordering != hook.Unordered
}

// bodySent is the body of an attempt, made again, if it comes out as the one
// that was sent.
func (a *API) bodySent(t *hook.Tenant, event *hook.Event, attempt *hook.Attempt) *bytesText {
	endpoint, ok := a.Directory.Endpoint(attempt.Key.Endpoint)
	if !ok {
		return nil
	}
	body, err := a.Composer.Render(event, endpoint, t)
	if err != nil || !isOf(attempt.BodySHA256, body) {
		return nil
	}
	text := textOf(body)
	return &text
}

func (a *API) redeliver(c *call) error {
	d, err := a.delivery(c)
	if err != nil {
		return err
	}
	if err := c.decode(&struct{}{}); err != nil {
		return err
	}
	if d, err = a.Manager.Redeliver(c.r.Context(), c.tenant.ID, d.Key); err != nil {
		return err
	}
	a.Waker.Wake(d.Key)
	return c.answer(http.StatusAccepted, a.shapeDelivery(d))
}
