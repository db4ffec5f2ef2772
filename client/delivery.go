package client

import (
	"context"
	"encoding/base64"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The states of a delivery.
const (
	Pending   = "pending"   // it waits for its next attempt
	Held      = "held"      // its endpoint is paused or disabled
	Delivered = "delivered" // it was taken
	Failed    = "failed"    // it was given up
	Cancelled = "cancelled" // its endpoint went away, somebody cancelled it, or retention ended
)

// Delivery is one event on its way to one endpoint.
type Delivery struct {
	ID           string     `json:"id"`
	Number       int64      `json:"number"`   // for vendors' contracts that show one
	Event        string     `json:"event"`    // the event's id
	Endpoint     string     `json:"endpoint"` // the endpoint's id; "" if it is gone
	Type         string     `json:"type"`
	State        string     `json:"state"`
	Reason       string     `json:"reason,omitempty"`          // why it is held, failed or cancelled
	NextAt       *time.Time `json:"next_attempt_at,omitempty"` // when the next attempt is due
	LastAt       *time.Time `json:"last_attempt_at,omitempty"` // when the last one began
	Status       int        `json:"status,omitempty"`          // of the last attempt's answer; 0: none came
	Class        string     `json:"class,omitempty"`           // why none came
	AttemptCount int        `json:"attempt_count"`             // made so far
}

// Terminal reports whether the delivery is over.
func (d *Delivery) Terminal() bool {
	return d.State == Delivered || d.State == Failed || d.State == Cancelled
}

// DeliveryDetail is a delivery with its attempts.
type DeliveryDetail struct {
	Delivery
	WaitsFor string    `json:"waits_for,omitempty"` // the delivery that is sent before it, where the endpoint gets them in order
	Request  *Body     `json:"request,omitempty"`   // the body that was sent; nil before the first attempt, and where it is not known any more
	Attempts []Attempt `json:"attempts"`            // oldest first

	Meta Meta `json:"-"`
}

func (d *DeliveryDetail) noteMeta(h http.Header) { d.Meta.noteMeta(h) }

// Body is what was sent or received.
type Body struct {
	Text     string `json:"body"`
	Encoding string `json:"body_encoding,omitempty"` // "base64" if it is not UTF-8, else ""
}

// Bytes is the body as it went over the wire.
func (b *Body) Bytes() ([]byte, error) {
	if b.Encoding == "base64" {
		return base64.StdEncoding.DecodeString(b.Text)
	}
	return []byte(b.Text), nil
}

// Attempt is one HTTP request of a delivery and what came of it.
type Attempt struct {
	N       int        `json:"n"` // 1 for the first
	At      time.Time  `json:"at"`
	Trigger string     `json:"trigger"`                   // scheduled or manual
	State   string     `json:"state"`                     // what the delivery became by it
	Reason  string     `json:"reason,omitempty"`          // why it became that
	NextAt  *time.Time `json:"next_attempt_at,omitempty"` // when the one after it was due

	Status int    `json:"status,omitempty"` // 0: no answer came
	Class  string `json:"class,omitempty"`  // of the failure, when no answer came or not all of it
	Detail string `json:"detail,omitempty"` // the failure in words

	BodySHA256 string     `json:"body_sha256"` // of the body sent, in hexadecimal
	BodySize   int        `json:"body_size"`   // in bytes
	Request    Sent       `json:"request"`
	Response   *Response  `json:"response,omitempty"` // nil: no answer came
	Connection Connection `json:"connection"`
	Timing     Timing     `json:"timing_ms"`
}

// Sent is a request as it was sent, but for its body, which is the delivery's.
// Values of headers that are credentials are replaced by "[secret]".
type Sent struct {
	Method  string  `json:"method"`
	URL     string  `json:"url"`
	Headers Headers `json:"headers"`
}

// Response is an endpoint's answer.
type Response struct {
	Protocol  string  `json:"protocol"`
	Headers   Headers `json:"headers"`
	Truncated bool    `json:"truncated"`         // the body is not all that came
	Omitted   int     `json:"omitted,omitempty"` // bytes that came and are not kept, for the endpoint had answered too much before
	Body
}

// Connection is what an attempt went over.
type Connection struct {
	RemoteAddr string `json:"remote_address,omitempty"`
	TLS        string `json:"tls,omitempty"` // version; "": none
	Reused     bool   `json:"reused"`
}

// Timing is how long the phases of an attempt took, in milliseconds; 0 for one
// that did not happen.
type Timing struct {
	DNS     float64 `json:"dns,omitempty"`
	Connect float64 `json:"connect,omitempty"`
	TLS     float64 `json:"tls,omitempty"`
	Wait    float64 `json:"wait,omitempty"` // from the request written to the first byte of the answer
	Body    float64 `json:"body,omitempty"` // reading the answer's body
	Total   float64 `json:"total"`
}

// Delivery gets a delivery by its id.
func (c *Client) Delivery(ctx context.Context, tenant, id string, options ...Option) (*DeliveryDetail, error) {
	out := new(DeliveryDetail)
	return out, c.call(ctx, http.MethodGet, at("tenants", tenant, "deliveries", id), options, nil, out)
}

// DeliveryFilter selects deliveries; a zero field selects all.
type DeliveryFilter struct {
	Endpoint, Event, Type string
	State                 string    // one state
	States                []string  // any of several
	Since, Until          time.Time // of the event's acceptance
}

func (f DeliveryFilter) query() url.Values {
	states := f.States
	if f.State != "" {
		states = append([]string{f.State}, states...)
	}
	return conditions(
		map[string]string{"endpoint": f.Endpoint, "event": f.Event, "type": f.Type, "state": strings.Join(states, ",")},
		map[string]time.Time{"since": f.Since, "until": f.Until})
}

// Deliveries lists a tenant's deliveries, newest first, page by page as they
// are asked for. It ends after the first error.
func (c *Client) Deliveries(ctx context.Context, tenant string, f DeliveryFilter) iter.Seq2[*Delivery, error] {
	return list[Delivery](ctx, c, at("tenants", tenant, "deliveries"), f.query())
}

// DeliveryPage gets one page of Deliveries.
func (c *Client) DeliveryPage(ctx context.Context, tenant string, f DeliveryFilter, where At, options ...Option) (*Page[Delivery], error) {
	return page[Delivery](ctx, c, at("tenants", tenant, "deliveries"), f.query(), where, options)
}

// Redeliver sends an event to an endpoint again, whatever became of the
// delivery.
func (c *Client) Redeliver(ctx context.Context, tenant, id string, options ...Option) (*Delivery, error) {
	out := new(Delivery)
	return out, c.call(ctx, http.MethodPost, at("tenants", tenant, "deliveries", id, "redeliver"), options, nil, out)
}
