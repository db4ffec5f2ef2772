package client

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Event is what is published.
type Event struct {
	ID       string          `json:"id,omitempty"` // of your own: unique in the tenant
	Type     string          `json:"type"`
	Data     json.RawMessage `json:"data,omitempty"`
	Previous json.RawMessage `json:"previous,omitempty"` // the object before the change
	Time     *time.Time      `json:"time,omitempty"`     // when it happened; nil: now
	Metadata json.RawMessage `json:"metadata,omitempty"` // an object for dialects
	Suppress bool            `json:"suppress,omitempty"`
}

// encode writes the event with Data, Previous and Metadata byte by byte as they
// are: encoding/json would take their white space out.
func (e Event) encode() ([]byte, error) {
	raw := []struct {
		name  string
		value json.RawMessage
	}{{"data", e.Data}, {"previous", e.Previous}, {"metadata", e.Metadata}}
	e.Data, e.Previous, e.Metadata = nil, nil, nil
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
}

// Publish publishes one event. key is an Idempotency-Key, or "".
func (c *Client) Publish(ctx context.Context, tenant string, e Event, key string) (*Receipt, error) {
	header := http.Header{}
	if key != "" {
		header.Set("Idempotency-Key", key)
	}
	body, err := e.encode()
	if err != nil {
		return nil, err
	}
	out := new(Receipt)
	return out, c.send(ctx, http.MethodPost, path("tenants", tenant, "events"), header, body, out)
}

// PublishedEvent is an event with what became of it.
type PublishedEvent struct {
	ID         string          `json:"id"`
	Tenant     string          `json:"tenant"`
	Key        string          `json:"key,omitempty"` // the publisher's own id
	Type       string          `json:"type"`
	Time       time.Time       `json:"time"`
	AcceptedAt time.Time       `json:"accepted_at"`
	Matched    int             `json:"matched"` // endpoints that it goes to
	Data       json.RawMessage `json:"data"`
	Previous   json.RawMessage `json:"previous,omitempty"`
	Metadata   json.RawMessage `json:"metadata,omitempty"`
	Outcome    string          `json:"outcome"`    // "routed", or why it goes nowhere
	Deliveries []Delivery      `json:"deliveries"` // one for each endpoint that it matched
	More       bool            `json:"more_deliveries,omitempty"`
}

// Event gets an event by its id, or by the publisher's own.
func (c *Client) Event(ctx context.Context, tenant, id string) (*PublishedEvent, error) {
	out := new(PublishedEvent)
	return out, c.call(ctx, http.MethodGet, path("tenants", tenant, "events", id), nil, nil, out)
}

// The states of a delivery.
const (
	Pending   = "pending"
	Held      = "held"
	Delivered = "delivered"
	Failed    = "failed"
	Cancelled = "cancelled"
)

// Delivery is one event on its way to one endpoint.
type Delivery struct {
	ID           string     `json:"id"`
	Number       int64      `json:"number"`
	Event        string     `json:"event"`
	Endpoint     string     `json:"endpoint"`
	Type         string     `json:"type"`
	State        string     `json:"state"`
	Reason       string     `json:"reason,omitempty"`          // why it is held, failed or cancelled
	NextAt       *time.Time `json:"next_attempt_at,omitempty"` // when the next attempt is due
	LastAt       *time.Time `json:"last_attempt_at,omitempty"` // when the last one began
	Status       int        `json:"status,omitempty"`          // of the last attempt's answer; 0: none came
	Class        string     `json:"class,omitempty"`           // why none came
	AttemptCount int        `json:"attempt_count"`             // made so far
}

// DeliveryDetail is a delivery with its attempts.
type DeliveryDetail struct {
	Delivery
	Attempts []Attempt `json:"attempts"` // oldest first
}

// Attempt is one HTTP request of a delivery and what came of it.
type Attempt struct {
	N          int        `json:"n"` // 1 for the first
	At         time.Time  `json:"at"`
	Trigger    string     `json:"trigger"` // scheduled or manual
	State      string     `json:"state"`   // what the delivery became by it
	Reason     string     `json:"reason,omitempty"`
	NextAt     *time.Time `json:"next_attempt_at,omitempty"`
	Status     int        `json:"status,omitempty"` // 0: no answer came
	Class      string     `json:"class,omitempty"`  // why none came
	Detail     string     `json:"detail,omitempty"` // the failure in words
	BodySHA256 string     `json:"body_sha256"`
	BodySize   int        `json:"body_size"`
}

// Terminal reports whether the delivery is over.
func (d *Delivery) Terminal() bool {
	return d.State == Delivered || d.State == Failed || d.State == Cancelled
}

// Delivery gets a delivery by its id.
func (c *Client) Delivery(ctx context.Context, tenant, id string) (*DeliveryDetail, error) {
	out := new(DeliveryDetail)
	return out, c.call(ctx, http.MethodGet, path("tenants", tenant, "deliveries", id), nil, nil, out)
}

// DeliveryFilter selects deliveries; a zero field selects all.
type DeliveryFilter struct {
	Endpoint, Event, Type, State string
	Since, Until                 time.Time // of the event's acceptance
}

func (f DeliveryFilter) query() url.Values {
	q := url.Values{}
	for name, v := range map[string]string{"endpoint": f.Endpoint, "event": f.Event, "type": f.Type, "state": f.State} {
		if v != "" {
			q.Set(name, v)
		}
	}
	for name, t := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !t.IsZero() {
			q.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	return q
}

// Deliveries lists a tenant's deliveries, newest first, page by page as they
// are asked for. It ends after the first error.
func (c *Client) Deliveries(ctx context.Context, tenant string, f DeliveryFilter) iter.Seq2[*Delivery, error] {
	return list[Delivery](ctx, c, path("tenants", tenant, "deliveries"), f.query())
}

// pageSize is the largest page that the server gives.
const pageSize = 250

// list walks over all pages of a list.
func list[T any](ctx context.Context, c *Client, path string, query url.Values) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		query.Set("limit", strconv.Itoa(pageSize))
		for {
			var page struct {
				Data []*T   `json:"data"`
				Next string `json:"next_cursor"`
			}
			if err := c.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, nil, &page); err != nil {
				yield(nil, err)
				return
			}
			for _, v := range page.Data {
				if !yield(v, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			query.Set("cursor", page.Next)
		}
	}
}
