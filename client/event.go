package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"
)

// Event is what is published.
type Event struct {
	Tenant   string          `json:"tenant,omitempty"` // for PublishBatch alone; "": the one that the key is bound to
	ID       string          `json:"id,omitempty"`     // of your own: unique in the tenant
	Type     string          `json:"type"`
	Data     json.RawMessage `json:"data,omitempty"`
	Previous json.RawMessage `json:"previous,omitempty"`     // the object before the change
	Time     *time.Time      `json:"time,omitempty"`         // when it happened; nil: now
	Metadata json.RawMessage `json:"metadata,omitempty"`     // an object for dialects
	Ordering string          `json:"ordering_key,omitempty"` // what endpoints with an ordering by key keep in order by
	Suppress bool            `json:"suppress,omitempty"`     // do not send to endpoints whose contract knows suppression
}

// encode writes the event with Data, Previous and Metadata byte by byte as they
// are: encoding/json would take their white space out.
func (e Event) encode() ([]byte, error) {
	raw := []struct {
		name  string
		value json.RawMessage
	}{{"data", e.Data}, {"previous", e.Previous}, {"metadata", e.Metadata}}
	e.Data, e.Previous, e.Metadata = nil, nil, nil
	if !utf8.ValidString(e.Tenant) || !utf8.ValidString(e.ID) || !utf8.ValidString(e.Type) || !utf8.ValidString(e.Ordering) {
		return nil, errors.New("the event's tenant, id, type or ordering key is not UTF-8") // encoding/json would make another one of it
	}
	b, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	b = b[:len(b)-1]
	for _, r := range raw {
		if r.value == nil {
			continue
		}
		if !json.Valid(r.value) {
			return nil, fmt.Errorf("%s is not JSON", r.name)
		}
		b = append(append(b, `,"`+r.name+`":`...), r.value...)
	}
	return append(b, '}'), nil
}

// Receipt is the answer to a publish: the event is on stable storage.
type Receipt struct {
	ID        string `json:"id"`                  // the event's id, as receivers see it
	Duplicate bool   `json:"duplicate,omitempty"` // it had been published before
	Matched   int    `json:"matched"`             // endpoints that it goes to

	Meta Meta `json:"-"`
}

func (r *Receipt) noteMeta(h http.Header) { r.Meta.noteMeta(h) }

// Publish publishes one event. With an ID, or an IdempotencyKey, it is safe to
// repeat. IfMatch and DryRun mean nothing here.
func (c *Client) Publish(ctx context.Context, tenant string, e Event, options ...Option) (*Receipt, error) {
	e.Tenant = ""
	body, err := e.encode()
	if err != nil {
		return nil, err
	}
	r := newRequest(http.MethodPost, at("tenants", tenant, "events"), append([]Option{safe(e.ID != "")}, options...))
	r.body = body
	out := new(Receipt)
	return out, c.send(ctx, r, out)
}

// Published is what became of one event of a batch.
type Published struct {
	Status int // 202 if it was taken, else that of Err
	Receipt
	Err *Error // nil if it was taken
}

// UnmarshalJSON reads the server's form.
func (p *Published) UnmarshalJSON(b []byte) error {
	var in struct {
		Status int `json:"status"`
		Receipt
		Error *Error `json:"error"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*p = Published{in.Status, in.Receipt, in.Error}
	return nil
}

// PublishBatch publishes up to 1,000 events in one call. Each result is about
// the event at the same place; an error is about the whole call. It is safe to
// repeat if all events have an ID, or with an IdempotencyKey.
func (c *Client) PublishBatch(ctx context.Context, events []Event, options ...Option) ([]Published, error) {
	body, named := []byte{'['}, true
	for i, e := range events {
		b, err := e.encode()
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", i, err)
		}
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, b...)
		named = named && e.ID != ""
	}
	r := newRequest(http.MethodPost, at("events"), append([]Option{safe(named)}, options...))
	r.body = append(body, ']')
	var out struct {
		Results []Published `json:"results"`
	}
	if err := c.send(ctx, r, &out); err != nil {
		return nil, err
	}
	if len(out.Results) != len(events) {
		return nil, errors.New("the server's answer has another number of results than there were events")
	}
	return out.Results, nil
}

// EventInfo is an event as lists show it.
type EventInfo struct {
	ID         string    `json:"id"`
	Tenant     string    `json:"tenant"`
	Key        string    `json:"key,omitempty"` // the publisher's own id
	Type       string    `json:"type"`
	Time       time.Time `json:"time"`        // when it happened, as the publisher says
	AcceptedAt time.Time `json:"accepted_at"` // by the server
	Matched    int       `json:"matched"`     // endpoints that it goes to
	Ordering   string    `json:"ordering_key,omitempty"`
}

// PublishedEvent is an event with what became of it.
type PublishedEvent struct {
	EventInfo
	Data       json.RawMessage `json:"data"`
	Previous   json.RawMessage `json:"previous,omitempty"`
	Metadata   json.RawMessage `json:"metadata,omitempty"`
	Outcome    string          `json:"outcome"`                   // "routed", or why it goes nowhere
	Deliveries []Delivery      `json:"deliveries"`                // one for each endpoint that it matched
	More       bool            `json:"more_deliveries,omitempty"` // there are more of them; list the deliveries of the event

	Meta Meta `json:"-"`
}

func (e *PublishedEvent) noteMeta(h http.Header) { e.Meta.noteMeta(h) }

// Event gets an event by its id, or by the publisher's own.
func (c *Client) Event(ctx context.Context, tenant, id string, options ...Option) (*PublishedEvent, error) {
	out := new(PublishedEvent)
	return out, c.call(ctx, http.MethodGet, at("tenants", tenant, "events", id), options, nil, out)
}

// EventFilter selects events; a zero field selects all.
type EventFilter struct {
	Type         string
	Since, Until time.Time // of their acceptance
}

func (f EventFilter) query() url.Values {
	return conditions(map[string]string{"type": f.Type}, map[string]time.Time{"since": f.Since, "until": f.Until})
}

// Events lists a tenant's events, newest first. It ends after the first error.
func (c *Client) Events(ctx context.Context, tenant string, f EventFilter) iter.Seq2[*EventInfo, error] {
	return list[EventInfo](ctx, c, at("tenants", tenant, "events"), f.query())
}

// EventPage gets one page of Events.
func (c *Client) EventPage(ctx context.Context, tenant string, f EventFilter, where At, options ...Option) (*Page[EventInfo], error) {
	return page[EventInfo](ctx, c, at("tenants", tenant, "events"), f.query(), where, options)
}

// RejectedEvent is an event that an application published in the database, by
// grapnel.publish, and that could not be taken. It is as it was published.
type RejectedEvent struct {
	ID          string     `json:"id"` // what grapnel.publish returned
	Tenant      string     `json:"tenant"`
	Type        string     `json:"type"`
	Data        string     `json:"data"` // the text, which need not be valid JSON
	Code        string     `json:"code"` // what kind of thing is wrong with it
	Reason      string     `json:"reason"`
	Time        *time.Time `json:"time"` // nil: not given
	PublishedAt time.Time  `json:"published_at"`
	RejectedAt  time.Time  `json:"rejected_at"`
}

// RejectedFilter selects rejected events.
type RejectedFilter struct {
	ID string // "": all
}

func (f RejectedFilter) query() url.Values {
	v := url.Values{}
	if f.ID != "" {
		v.Set("id", f.ID)
	}
	return v
}

// RejectedEvents lists events that were rejected, the latest first. It ends after the
// first error.
func (c *Client) RejectedEvents(ctx context.Context, tenant string, f RejectedFilter) iter.Seq2[*RejectedEvent, error] {
	return list[RejectedEvent](ctx, c, at("tenants", tenant, "rejected-events"), f.query())
}

// RejectedEventPage gets one page of RejectedEvents.
func (c *Client) RejectedEventPage(ctx context.Context, tenant string, f RejectedFilter, where At, options ...Option) (*Page[RejectedEvent], error) {
	return page[RejectedEvent](ctx, c, at("tenants", tenant, "rejected-events"), f.query(), where, options)
}

// Cancellation says what became of an event's deliveries that were waiting.
type Cancellation struct {
	Cancelled int `json:"cancelled"`         // they will not be sent
	Running   int `json:"running,omitempty"` // their attempt is running: they become what it says, and are not tried again

	Meta Meta `json:"-"`
}

func (c *Cancellation) noteMeta(h http.Header) { c.Meta.noteMeta(h) }

// CancelEvent ends what is pending or held of an event as cancelled.
func (c *Client) CancelEvent(ctx context.Context, tenant, id string, options ...Option) (*Cancellation, error) {
	out := new(Cancellation)
	return out, c.call(ctx, http.MethodPost, at("tenants", tenant, "events", id, "cancel"), options, nil, out)
}

// Explanation says why an event reached an endpoint, or why not.
type Explanation struct {
	Event     string     `json:"event"`                   // the event's id
	Endpoint  string     `json:"endpoint"`                // the endpoint's id
	Situation string     `json:"situation"`               // what the case is, for programs; more may come
	Sentence  string     `json:"sentence"`                // what has happened and because of what
	Remedy    string     `json:"remedy,omitempty"`        // what to do about it; "": nothing
	Filter    string     `json:"filter_clause,omitempty"` // JSON Pointer into the endpoint's filter to the clause that decided
	NextAt    *time.Time `json:"next_at,omitempty"`       // when it goes on by itself
	Delivery  *Delivery  `json:"delivery,omitempty"`      // nil: the event was not to go to the endpoint

	Meta Meta `json:"-"`
}

func (e *Explanation) noteMeta(h http.Header) { e.Meta.noteMeta(h) }

// ExplainEvent explains why an event reached an endpoint, or why not. id is the event's
// or the publisher's own.
func (c *Client) ExplainEvent(ctx context.Context, tenant, id, endpoint string, options ...Option) (*Explanation, error) {
	out := new(Explanation)
	return out, c.call(ctx, http.MethodGet, at("tenants", tenant, "events", id, "endpoints", endpoint, "explanation"), options, nil, out)
}
