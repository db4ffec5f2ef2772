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
	Sample      json.RawMessage `json:"sample"` // the data of an event of it; null: none
	CreatedAt   time.Time       `json:"created_at"`
	UpdatedAt   time.Time       `json:"updated_at"`

	Meta Meta `json:"-"`
}

func (t *EventType) noteMeta(h http.Header) { t.Meta.noteMeta(h) }

// EventTypeInput is what can be set on an event type.
type EventTypeInput struct {
	Description Field[string]          `json:"description,omitzero"`
	Sample      Field[json.RawMessage] `json:"sample,omitzero"`
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
