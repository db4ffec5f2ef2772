package api

import (
	"context"
	"errors"
	"slices"
	"strings"

	"grapnel/internal/hook"
	"grapnel/internal/live"
	"grapnel/internal/store"
)

// liveDelivery is a delivery that something was recorded of, as it stands.
type liveDelivery struct {
	deliveryShape
	Tenant  string       `json:"tenant" doc:"the tenant's id" example:"acme"`
	Attempt *liveAttempt `json:"attempt,omitzero" doc:"the attempt that was recorded; absent when the state changed without one"`
}

// liveAttempt is an attempt in few words.
type liveAttempt struct {
	N        int     `json:"n" doc:"1 for the first" example:"1"`
	At       stamp   `json:"at" doc:"when it began"`
	Trigger  string  `json:"trigger" doc:"why it was made" enum:"scheduled,manual" example:"scheduled"`
	State    string  `json:"state" doc:"what the delivery became by it" enum:"pending,held,delivered,failed,cancelled" example:"delivered"`
	Status   int     `json:"status,omitzero" doc:"of the answer; absent without one"`
	Class    string  `json:"class,omitzero" doc:"why no answer came"`
	Duration float64 `json:"duration_ms" doc:"how long it took, in milliseconds"`
}

// liveMissed says that changes were lost, for they came faster than they were
// read.
type liveMissed struct {
	Count int `json:"count" doc:"how many" example:"12"`
}

// deliveryEvents are the events of a stream of deliveries.
type deliveryEvents struct {
	Message liveDelivery `json:"message"`
	Missed  liveMissed   `json:"missed"`
}

func (a *API) liveDeliveriesRoutes() []routeRow {
	const doc = "Server-sent events: each is a delivery as it stands, sent when an attempt of it or another change of its state has been stored. " +
		"A client that reads too slowly gets the event missed, with the count of what it lost. The stream says nothing of the past, and cannot be resumed."
	params := []param{
		{"endpoint", "only those to this endpoint", formText},
		{"type", "only this event type", formText},
		{"state", "only those that are now in one of these states", formDelivery},
	}
	return []routeRow{
		{
			pattern: "GET " + pathTenant + "/deliveries/live", name: "watchTenantDeliveries", summary: "Watch a tenant's deliveries",
			doc: doc, scope: hook.ScopeRead, portal: true, handle: a.watchDeliveries, out: stream[deliveryEvents]{}, params: params,
			problems: []hook.Code{hook.CodeRateLimited},
		},
		{
			pattern: "GET /v1/deliveries/live", name: "watchDeliveries", summary: "Watch the deliveries of all tenants that the key covers",
			doc: doc, scope: hook.ScopeRead, handle: a.watchDeliveries, out: stream[deliveryEvents]{}, params: params,
			problems: []hook.Code{hook.CodeNotFound, hook.CodeRateLimited},
		},
	}
}

// watchDeliveries serves both routes: with a tenant in the path and without.
func (a *API) watchDeliveries(c *call) error {
	values := c.r.URL.Query()
	states, err := parseStates(values["state"])
	if err != nil {
		return err
	}
	filter, err := a.liveFilter(c, values.Get("endpoint"), values.Get("type"))
	if err != nil {
		return err
	}
	ctx, f, err := a.feed(c)
	if err != nil {
		return err
	}
	defer f.close()
	w := a.Live.Watch(filter)
	defer w.Close()
	f.comment("deliveries from now on")
	for f.flush(ctx) == nil {
		select {
		case <-ctx.Done():
			return nil
		case <-f.beat.C:
			f.comment("still here")
		case <-w.Ready():
		}
		if !f.allowed() {
			return nil
		}
		if err := a.tellChanges(ctx, f, w, states); err != nil {
			return endOf(ctx, err)
		}
	}
	return nil
}

// endOf is how a stream's end is reported: its client leaving is no error.
func endOf(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, errGone) {
		return nil
	}
	return err
}

// errGone: the client does not read any more.
var errGone = errors.New("the client has gone")

// liveFilter says what a caller wants, and may, be told.
func (a *API) liveFilter(c *call, endpoint, eventType string) (live.Filter, error) {
	f := live.Filter{Type: eventType}
	tenants := []*hook.Tenant{c.tenant}
	if c.tenant != nil {
		f.Tenant = c.tenant.Num
	} else {
		tenants = a.Directory.Tenants()
		caller := c.caller
		f.Sees = func(num hook.TenantNum) bool {
			t, ok := a.Directory.TenantByNum(num)
			return ok && caller.Sees(t.ID)
		}
	}
	if endpoint == "" {
		return f, nil
	}
	f.Endpoints = map[hook.EndpointNum]struct{}{}
	for _, t := range tenants {
		if e, ok := a.Directory.EndpointByID(t.ID, endpoint); ok && c.caller.Sees(t.ID) {
			f.Endpoints[e.Num] = struct{}{}
		}
	}
	if len(f.Endpoints) == 0 {
		return f, hook.Errorf(hook.CodeNotFound, "there is no endpoint %q", hook.Clip(endpoint))
	}
	return f, nil
}

// tellChanges tells what has been gathered. Deliveries are read only now, so
// that each is told as it stands, whatever has become of the change.
func (a *API) tellChanges(ctx context.Context, f *feed, w *live.Watcher, states []hook.DeliveryState) error {
	changes, missed := w.Take()
	for i := range changes {
		d, err := a.Reader.Delivery(ctx, changes[i].Tenant, changes[i].Key)
		if errors.Is(err, store.ErrNotFound) {
			continue // its retention has ended since
		}
		if err != nil {
			return err
		}
		if state, _ := a.shown(d); len(states) > 0 && !slices.Contains(states, state) {
			continue
		}
		if f.message(ctx, "", "", a.shapeLive(d, &changes[i].Attempt)) != nil {
			return errGone
		}
	}
	if missed > 0 && f.message(ctx, "missed", "", liveMissed{missed}) != nil {
		return errGone
	}
	return nil
}

func (a *API) shapeLive(d *hook.Delivery, at *live.Attempt) liveDelivery {
	out := liveDelivery{deliveryShape: a.shapeDelivery(d)}
	if t, ok := a.Directory.TenantByNum(d.Tenant); ok {
		out.Tenant = t.ID
	}
	if at.N > 0 {
		out.Attempt = &liveAttempt{
			N: at.N, At: stamp(at.At), Trigger: triggerName(at.Trigger), State: at.State.String(), Status: at.Status, Class: at.Class,
			Duration: ms(at.Took),
		}
	}
	return out
}

// parseStates reads delivery states as queries have them: one or several,
// separated by commas.
func parseStates(texts []string) (states []hook.DeliveryState, err error) {
	for _, text := range texts {
		for name := range strings.SplitSeq(text, ",") {
			state, err := hook.ParseDeliveryState(name)
			if err != nil {
				return nil, err
			}
			states = append(states, state)
		}
	}
	return states, nil
}
