package client

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"
)

// LiveFilter selects the deliveries to watch; a zero field selects all.
type LiveFilter struct {
	Tenant   string // "": of all tenants that the key covers
	Endpoint string
	Type     string
	States   []string // as they stand when they are told
}

// LiveDelivery is a delivery that something was recorded of, as it stands.
type LiveDelivery struct {
	Delivery
	Tenant  string       `json:"tenant"`
	Attempt *LiveAttempt `json:"attempt,omitempty"` // that was recorded; nil when the state changed without one
}

// LiveAttempt is an attempt in few words.
type LiveAttempt struct {
	N          int       `json:"n"` // 1 for the first
	At         time.Time `json:"at"`
	Trigger    string    `json:"trigger"`          // scheduled or manual
	State      string    `json:"state"`            // what the delivery became by it
	Status     int       `json:"status,omitempty"` // 0: no answer came
	Class      string    `json:"class,omitempty"`  // why none came
	DurationMS float64   `json:"duration_ms"`
}

// LiveChange is what Live tells: exactly one of its fields is set.
type LiveChange struct {
	Delivery *LiveDelivery
	Missed   int   // changes that the server dropped, for they came faster than they were read
	Lost     error // the stream broke by this; it is opened again, and what happens meanwhile is not told
}

// Live watches deliveries while they are made. It reconnects by itself, and ends
// when ctx does, when the first connection fails, or when the server refuses
// for good; the error is the last thing that it yields.
func (c *Client) Live(ctx context.Context, f LiveFilter) iter.Seq2[*LiveChange, error] {
	segments := at("deliveries", "live")
	if f.Tenant != "" {
		segments = at("tenants", f.Tenant, "deliveries", "live")
	}
	open := func() *request {
		r := newRequest(http.MethodGet, segments, nil)
		for name, v := range map[string]string{"endpoint": f.Endpoint, "type": f.Type, "state": strings.Join(f.States, ",")} {
			if v != "" {
				r.query.Set(name, v)
			}
		}
		return r
	}
	return func(yield func(*LiveChange, error) bool) {
		var broken error
		err := c.follow(ctx, open, func(m message) bool {
			change := &LiveChange{}
			if change, broken = readChange(m); broken != nil {
				return false
			}
			return change == nil || yield(change, nil)
		}, func(err error) bool { return yield(&LiveChange{Lost: err}, nil) })
		if broken != nil {
			err = broken
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// readChange makes a change of a message; nil of one that this version of the
// client does not know.
func readChange(m message) (*LiveChange, error) {
	switch m.event {
	case "":
		d := new(LiveDelivery)
		if err := readData(m, d); err != nil {
			return nil, err
		}
		return &LiveChange{Delivery: d}, nil
	case "missed":
		var missed struct{ Count int }
		if err := readData(m, &missed); err != nil {
			return nil, err
		}
		return &LiveChange{Missed: missed.Count}, nil
	}
	return nil, nil
}

func readData(m message, v any) error {
	if err := json.Unmarshal([]byte(m.data), v); err != nil {
		return fmt.Errorf("the server's message cannot be read: %w", err)
	}
	return nil
}

// RequestsFilter says which requests to get, and from where on.
type RequestsFilter struct {
	Endpoint string   // only what goes to this one; "": all of the tenant's events
	Types    []string // names, or prefix.*; nil: all
	After    string   // a cursor, "start", or "" or "now" for the last event that there is
}

// Hello is what a stream of requests begins with. It comes again after each
// reconnection.
type Hello struct {
	Cursor   string `json:"cursor"`
	Dialect  string `json:"dialect"`
	Endpoint string `json:"endpoint,omitempty"`
	Secret   string `json:"secret,omitempty"` // that signs, where it is none of an endpoint or tenant
}

// LiveRequest is a request as the server would send it.
type LiveRequest struct {
	Event    string      `json:"event"` // the event's id, which is the cursor behind it
	Type     string      `json:"type"`
	Delivery string      `json:"delivery,omitempty"`
	Method   string      `json:"method"`
	Headers  [][2]string `json:"headers"`   // names and values in order, names in their own case
	SignedAt time.Time   `json:"signed_at"` // by the server's clock; zero: an older server does not tell
	Body     []byte      `json:"-"`
}

// Gap says that events may be missing: they are not kept any more, or the cursor
// was beyond the last event.
type Gap struct {
	After  string    `json:"after"`
	Oldest time.Time `json:"oldest"` // the oldest event that is kept; zero: none is
}

// Skipped is an event of which no request can be made.
type Skipped struct {
	Event  string `json:"event"`
	Type   string `json:"type"`
	Reason string `json:"reason"`
}

// LiveMessage is what Requests tells. Cursor is where to go on from once it is
// dealt with, "" if that has not changed; of the others one is set at most.
type LiveMessage struct {
	Cursor  string
	Hello   *Hello
	Request *LiveRequest
	Gap     *Gap
	Skipped *Skipped
	Lost    error // the stream broke by this; it is opened again where it was, and nothing is missed
}

// Requests gets a tenant's events as the requests that the server would send,
// oldest first and each once, however often the connection breaks. It ends as
// Live does.
func (c *Client) Requests(ctx context.Context, tenant string, f RequestsFilter) iter.Seq2[*LiveMessage, error] {
	cursor := f.After
	open := func() *request {
		r := newRequest(http.MethodGet, at("tenants", tenant, "requests", "live"), nil)
		for name, v := range map[string]string{"endpoint": f.Endpoint, "types": strings.Join(f.Types, ","), "after": cursor} {
			if v != "" {
				r.query.Set(name, v)
			}
		}
		return r
	}
	return func(yield func(*LiveMessage, error) bool) {
		var broken error
		err := c.follow(ctx, open, func(m message) bool {
			var out *LiveMessage
			if out, broken = readMessage(m); broken != nil {
				return false
			}
			if out.Hello != nil && cursor != "" && cursor != "now" {
				out.Cursor = "" // where we are is known
			}
			if out.Cursor != "" {
				cursor = out.Cursor
			}
			return yield(out, nil)
		}, func(err error) bool { return yield(&LiveMessage{Lost: err}, nil) })
		if broken != nil {
			err = broken
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

func readMessage(m message) (*LiveMessage, error) {
	out := &LiveMessage{Cursor: m.id}
	switch {
	case m.event == "hello":
		out.Hello = new(Hello)
		err := readData(m, out.Hello)
		out.Cursor = out.Hello.Cursor
		return out, err
	case m.event == "gap":
		out.Gap = new(Gap)
		return out, readData(m, out.Gap)
	case m.event == "skipped":
		out.Skipped = new(Skipped)
		return out, readData(m, out.Skipped)
	case m.event != "" || m.data == "":
		return out, nil // a position, or what this version does not know
	}
	var r struct {
		LiveRequest
		Text     string `json:"body"`
		Encoding string `json:"body_encoding"`
	}
	if err := readData(m, &r); err != nil {
		return nil, err
	}
	out.Request = &r.LiveRequest
	out.Request.Body = []byte(r.Text)
	if r.Encoding == "base64" {
		b, err := base64.StdEncoding.DecodeString(r.Text)
		if err != nil {
			return nil, fmt.Errorf("the body in the server's message cannot be read: %w", err)
		}
		out.Request.Body = b
	}
	return out, nil
}
