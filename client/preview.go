package client

import (
	"context"
	"encoding/json"
	"net/http"
)

// PreviewInput says of what a request is to be previewed, and with what in place of the
// endpoint's own.
type PreviewInput struct {
	Event      string                 `json:"event,omitempty"` // a past event; "": a sample
	Type       string                 `json:"type,omitempty"`  // of the sample
	Data       json.RawMessage        `json:"data,omitempty"`  // of the sample
	Transform  Field[string]          `json:"transform,omitzero"`
	Filter     Field[json.RawMessage] `json:"filter,omitzero"`
	EventTypes Field[[]string]        `json:"event_types,omitzero"`
}

// Preview is the request that an endpoint would get of an event.
type Preview struct {
	Event   string          `json:"event,omitempty"` // "": a sample
	Type    string          `json:"type"`
	Matches bool            `json:"matches"`                 // whether the endpoint would get such an event
	Why     string          `json:"why,omitempty"`           // why not
	Filter  string          `json:"filter_clause,omitempty"` // JSON Pointer into the filter to the clause that decided
	Before  *Body           `json:"before,omitempty"`        // what the endpoint's program is given; nil: it has none
	Request *PreviewRequest `json:"request,omitempty"`       // nil: it cannot be made, see Error
	Error   string          `json:"error,omitempty"`

	Meta Meta `json:"-"`
}

func (p *Preview) noteMeta(h http.Header) { p.Meta.noteMeta(h) }

// PreviewRequest is a request that is not sent.
type PreviewRequest struct {
	Method  string      `json:"method"`
	URL     string      `json:"url"`
	Headers [][2]string `json:"headers"` // names and values, in order
	Body
}

// Preview shows the request that an endpoint would get of an event now. Nothing is sent.
func (c *Client) Preview(ctx context.Context, tenant, endpoint string, in PreviewInput, options ...Option) (*Preview, error) {
	out := new(Preview)
	return out, c.call(ctx, http.MethodPost, at("tenants", tenant, "endpoints", endpoint, "preview"), options, in, out)
}
