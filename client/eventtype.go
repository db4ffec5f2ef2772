package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"time"
)

// EventType is an entry of the catalogue of events.
type EventType struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Sample      json.RawMessage `json:"sample"`   // the data of an event of it; null: none
	Versions    []TypeVersion   `json:"versions"` // earlier shapes of data, newest first
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
	Sample      Field[json.RawMessage] `json:"sample,omitzero"`
	Versions    Field[[]TypeVersion]   `json:"versions,omitzero"`
}

// EventType gets an event type.
func (c *Client) EventType(ctx context.Context, name string, options ...Option) (*EventType, error) {
	out := new(EventType)
	return out, c.call(ctx, http.MethodGet, at("event-types", name), options, nil, out)
}

// EventTypes lists the event types, by name.
func (c *Client) EventTypes(ctx context.Context) iter.Seq2[*EventType, error] {
	return list[EventType](ctx, c, at("event-types"), nil)
}

// EventTypePage gets one page of EventTypes.
func (c *Client) EventTypePage(ctx context.Context, where At, options ...Option) (*Page[EventType], error) {
	return page[EventType](ctx, c, at("event-types"), nil, where, options)
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
