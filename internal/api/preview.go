package api

import (
	"errors"
	"net/http"
	"slices"

	"grapnel/internal/convert"
	"grapnel/internal/hook"
	"grapnel/internal/ingest"
)

// previewInput is the body of POST …/preview.
type previewInput struct {
	Event      *string         `json:"event" doc:"the past event to make the request of, by its id or the publisher's own; absent: a sample, as a test has it"`
	Type       *string         `json:"type" doc:"in place of event: the type of the sample" example:"invoice.paid"`
	Data       raw             `json:"data" doc:"in place of event: its data; absent: the sample of the type" example:"{\"invoice\":17}"`
	Transform  field[string]   `json:"transform" doc:"the program to try in place of the endpoint's; null: none" example:".body.text = .event.type"`
	Filter     raw             `json:"filter" doc:"the condition tree to try in place of the endpoint's; null: none"`
	EventTypes field[[]string] `json:"event_types" doc:"the subscription to try in place of the endpoint's; empty: all types" example:"[\"invoice.*\"]"`
}

// preview is the request that an endpoint would get of an event now.
type preview struct {
	Event   string          `json:"event,omitzero" doc:"the event's id; absent: it is a sample" example:"0198c3f1-f2a4-7d3a-8b1c-0e5d4f6a7b8c"`
	Type    string          `json:"type" doc:"the event's type" example:"invoice.paid"`
	Matches bool            `json:"matches" doc:"whether the endpoint would get such an event"`
	Why     string          `json:"why,omitzero" doc:"why it would not" example:"it subscribes to user.*, and the event is invoice.paid"`
	Filter  string          `json:"filter_clause,omitzero" doc:"JSON Pointer into the filter to the clause that decided" example:"/and/1"`
	Before  *bytesText      `json:"before,omitzero" doc:"the body that the endpoint's program is given; absent: there is no program"`
	Request *previewRequest `json:"request,omitzero" doc:"what would be sent; absent: it cannot be made, see error"`
	Error   string          `json:"error,omitzero" doc:"why the request cannot be made: such a delivery would be held"`
}

// previewRequest is a request that is not sent.
type previewRequest struct {
	Method  string      `json:"method" doc:"the request's method" example:"POST"`
	URL     string      `json:"url" doc:"where it would go" example:"https://example.com/hooks"`
	Headers [][2]string `json:"headers" doc:"names and values, in order, names in the case of the contract; values of credentials are replaced by [secret]" example:"[[\"content-type\",\"application/json\"]]"`
	bytesText
}

// previewRequest shows the request that an endpoint would get of an event, and with a
// proposed program, filter and subscription, before they are stored.
func (a *API) previewRequest(c *call) error {
	current, err := a.endpoint(c)
	if err != nil {
		return err
	}
	var in previewInput
	if err := c.decode(&in); err != nil {
		return err
	}
	if err := mayProgram(c, in.Transform, current); err != nil {
		return err
	}
	e, err := a.proposed(current, &in)
	if err != nil {
		return err
	}
	event, stored, err := a.previewed(c, e, &in)
	if err != nil {
		return err
	}
	out := preview{Type: event.Type, Matches: true}
	if stored {
		out.Event = event.ID.String()
	}
	if m := a.Matching.Why(event, e); m.Rule != "" {
		out.Matches, out.Why, out.Filter = false, m.Text, m.At
	}
	if err := a.composePreview(&out, event, e, c.tenant); err != nil {
		return err
	}
	return c.answer(http.StatusOK, out)
}

// proposed is an endpoint as a request would have it.
func (a *API) proposed(current *hook.Endpoint, in *previewInput) (*hook.Endpoint, error) {
	e := *current
	if in.Transform.given {
		e.Transform, e.PastTransforms = in.Transform.value, nil
	}
	if in.Filter.given {
		tree := in.Filter.pointer()
		e.Filter = *tree
		if len(e.Filter) > 0 {
			if err := a.Manager.CheckFilter(e.Filter); err != nil {
				var wrong *hook.Error
				if errors.As(err, &wrong) {
					return nil, hook.Invalid("/filter"+wrong.Field, "%s", wrong.Message)
				}
				return nil, err
			}
		}
	}
	if in.EventTypes.given {
		e.EventTypes = in.EventTypes.value
		if slices.Equal(e.EventTypes, []string{"*"}) {
			e.EventTypes = nil
		}
	}
	return &e, nil
}

// previewed is the event that a preview is of. stored reports that there is one.
func (a *API) previewed(c *call, e *hook.Endpoint, in *previewInput) (event *hook.Event, stored bool, err error) {
	if in.Event != nil {
		if in.Type != nil || in.Data.given {
			return nil, false, hook.Invalid("/event", "is there beside type or data: name either an event or what a sample has")
		}
		event, err = a.event(c.r.Context(), c.tenant.Num, *in.Event)
		return event, true, err
	}
	item := ingest.Item{Type: defaultTestType}
	sample := a.sampleFor(e)
	if sample != nil && in.Data.text == nil {
		item.Type = sample.Type
	}
	if in.Type != nil {
		if err := hook.ValidType(*in.Type); err != nil {
			return nil, false, hook.Invalid("/type", "%v", err)
		}
		item.Type = *in.Type
	}
	a.fillTest(&item, in.Data, sample)
	now := a.Now()
	return &hook.Event{
		ID: hook.FirstEventID(now), Tenant: c.tenant.Num, Type: item.Type, Time: now, Data: item.Data, Previous: item.Previous, Metadata: item.Metadata,
	}, false, nil
}

func (a *API) composePreview(out *preview, event *hook.Event, e *hook.Endpoint, t *hook.Tenant) error {
	shown := *e
	shown.Headers = redact(e.Headers)
	if e.Transform != "" {
		without := shown
		without.Transform, without.PastTransforms = "", nil
		if body, err := a.Composer.Render(event, &without, t); err == nil {
			out.Before = new(textOf(body))
		}
	}
	m, err := a.Composer.Compose(event, &shown, t, nil, a.Now())
	switch {
	case errors.Is(err, convert.ErrUnavailable):
		return &hook.Error{Code: hook.CodeUnavailable, Message: "the program cannot be tried now: " + err.Error(), Err: err}
	case err != nil:
		out.Error = err.Error()
		return nil
	}
	out.Request = &previewRequest{Method: m.Method, URL: m.URL, bytesText: textOf(m.Body)}
	for _, h := range m.Header {
		if hook.Confidential(h.Name) {
			h.Value = hook.Hidden
		}
		out.Request.Headers = append(out.Request.Headers, [2]string{h.Name, h.Value})
	}
	return nil
}
