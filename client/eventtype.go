package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// EventType is an entry of the catalogue of events.
type EventType struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Sample      json.RawMessage `json:"sample"` // the data of an event of it; null: none
	Group       string          `json:"group"`
	Deprecated  bool            `json:"deprecated"` // nobody new is to subscribe to it
	Schema      json.RawMessage `json:"schema"`     // JSON Schema of the data; null: none
	Validate    bool            `json:"validate"`   // events that do not satisfy Schema are refused
	Versions    []TypeVersion   `json:"versions"`   // earlier shapes of data, newest first
	Transform   *string         `json:"transform"`  // a jq program that bodies go through before that of their endpoint; nil: none
	CreatedAt   time.Time       `json:"created_at"`
	UpdatedAt   time.Time       `json:"updated_at"`

	Meta Meta `json:"-"`
}

func (t *EventType) noteMeta(h http.Header) { t.Meta.noteMeta(h) }

// TypeVersion is an earlier shape of an event type's data, which tenants get
// whose APIVersion asks for it.
type TypeVersion struct {
	Version string `json:"version"`
	// Convert is a jq program that makes data of the next newer shape into this
	// one. Only the first version can do without: it names the newest shape.
	Convert string `json:"convert,omitempty"`
}

// EventTypeInput is what can be set on an event type.
type EventTypeInput struct {
	Description Field[string]          `json:"description,omitzero"`
	Group       Field[string]          `json:"group,omitzero"`
	Deprecated  Field[bool]            `json:"deprecated,omitzero"`
	Schema      Field[json.RawMessage] `json:"schema,omitzero"`
	Validate    Field[bool]            `json:"validate,omitzero"`
	Sample      Field[json.RawMessage] `json:"sample,omitzero"`
	Versions    Field[[]TypeVersion]   `json:"versions,omitzero"`
	Transform   Field[string]          `json:"transform,omitzero"` // a jq program
}

// EventType gets an event type.
func (c *Client) EventType(ctx context.Context, name string, options ...Option) (*EventType, error) {
	out := new(EventType)
	return out, c.call(ctx, http.MethodGet, at("event-types", name), options, nil, out)
}

// EventTypeFilter selects event types. The zero value selects all.
type EventTypeFilter struct {
	Group      *string // of this group; "": of none
	Deprecated *bool
}

func (f EventTypeFilter) values() url.Values {
	v := url.Values{}
	if f.Group != nil {
		v.Set("group", *f.Group)
	}
	if f.Deprecated != nil {
		v.Set("deprecated", strconv.FormatBool(*f.Deprecated))
	}
	return v
}

// EventTypes lists the event types, by name.
func (c *Client) EventTypes(ctx context.Context, filter EventTypeFilter) iter.Seq2[*EventType, error] {
	return list[EventType](ctx, c, at("event-types"), filter.values())
}

// EventTypePage gets one page of EventTypes.
func (c *Client) EventTypePage(ctx context.Context, filter EventTypeFilter, where At, options ...Option) (*Page[EventType], error) {
	return page[EventType](ctx, c, at("event-types"), filter.values(), where, options)
}

// PutEventType makes an event type, or changes it if there is one of that name.
func (c *Client) PutEventType(ctx context.Context, name string, in EventTypeInput, options ...Option) (*EventType, error) {
	out := new(EventType)
	return out, c.call(ctx, http.MethodPut, at("event-types", name), options, in, out)
}

// DeleteEventType removes an event type. Events of it can still be published.
func (c *Client) DeleteEventType(ctx context.Context, name string, options ...Option) (*Removal, error) {
	return c.remove(ctx, at("event-types", name), options)
}

// Formats of the catalogue of event types.
const (
	OpenAPIFormat    = "openapi"    // 3.1 with webhooks
	AsyncAPIFormat   = "asyncapi"   // 3.0
	JSONSchemaFormat = "jsonschema" // 2020-12
)

// Catalogue gets the event types as a document of a format. Bodies are those of
// Standard Webhooks.
func (c *Client) Catalogue(ctx context.Context, format string, options ...Option) (json.RawMessage, error) {
	return c.catalogue(ctx, at("catalogue"), format, options)
}

// TenantCatalogue gets the event types in the shape that a tenant gets them in.
func (c *Client) TenantCatalogue(ctx context.Context, tenant, format string, options ...Option) (json.RawMessage, error) {
	return c.catalogue(ctx, at("tenants", tenant, "catalogue"), format, options)
}

// Samples gets bodies of a type as a tenant's endpoints get them, newest first; limit is
// from 1 to 20, or 0 for three.
func (c *Client) Samples(ctx context.Context, tenant, eventType string, limit int, options ...Option) ([]json.RawMessage, error) {
	with := func(r *request) {
		r.query.Set("type", eventType)
		if limit != 0 {
			r.query.Set("limit", strconv.Itoa(limit))
		}
	}
	var out []json.RawMessage
	err := c.call(ctx, http.MethodGet, at("tenants", tenant, "samples"), append([]Option{with}, options...), nil, &out)
	return out, err
}

func (c *Client) catalogue(ctx context.Context, path []string, format string, options []Option) (json.RawMessage, error) {
	var out json.RawMessage
	with := func(r *request) { r.query.Set("format", format) }
	err := c.call(ctx, http.MethodGet, path, append([]Option{with}, options...), nil, &out)
	return out, err
}
