package dispatch_test

import (
	"context"
	"crypto/sha256"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"grapnel/internal/convert"
	"grapnel/internal/dialect"
	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/hook"
)

// transforming makes requests of one dialect with the body {"d": data}.
func transforming(t *testing.T, kind, body string, all types) *dispatch.Composer {
	t.Helper()
	d, err := dialect.Load("plain", []byte(`
name: plain
title: Test
request:
  timeout: 10s
  headers: {Content-Type: `+kind+`, User-Agent: Test}
  body: `+body+`
subscription: any
secret: {made: never}
success: [2xx]
retry: {on: none}
on_inactive: hold
`))
	if err != nil {
		t.Fatal(err)
	}
	registry, err := dialect.NewRegistry(d)
	if err != nil {
		t.Fatal(err)
	}
	return &dispatch.Composer{Dialects: registry, Pins: &dispatch.Pins{Types: all}}
}

const plainBody = `{json: {d: "{event.data}"}}`

// What programs make of a body and its headers, and what is wrong with other results.
func TestTransform(t *testing.T) {
	t.Parallel()
	c := transforming(t, "application/json", plainBody, types{"a.b": {Transform: `.body.seen = .event.type | .headers["X-Kind"] = "type"`}})
	for _, x := range []struct{ name, eventType, program, body, headers, fails string }{
		{"none", "x", "", `{"d":{"n":1.50}}`, "X-Own: 1", ""},
		{"changed in place", "x", ".body.d.n = 2", `{"d":{"n":2}}`, "X-Own: 1", ""},
		{"anew, of what the event is", "x", `{body: [.event.type, .event.data.n, .event.metadata.m, .event.previous, .tenant.id, .endpoint.id]}`, `["x",1.50,7,null,"acme","ep"]`, "X-Own: 1", ""},
		{"headers", "x", `{body: 1, headers: {"X-More": "a", "x-own": "2"}}`, `1`, "X-More: a, x-own: 2", ""},
		{"the type's", "a.b", "", `{"d":{"n":1.50},"seen":"a.b"}`, "X-Own: 1, X-Kind: type", ""},
		{"the type's, then the endpoint's", "a.b", `.body = .body.seen | .headers["X-Kind"] += "!"`, `"a.b"`, "X-Own: 1, X-Kind: type!", ""},
		{"an event of the server's own", "grapnel.note", `error("no")`, `{"d":{"n":1.50}}`, "X-Own: 1", ""},
		{"no object", "x", ".body.d.n", "", "", "the transformation of the endpoint failed: the result is no object"},
		{"no body", "x", "{headers: {}}", "", "", "the result has no body"},
		{"another member", "x", "{body: 1, header: {}}", "", "", `the result has a member "header"`},
		{"headers that are none", "x", "{body: 1, headers: []}", "", "", "headers is no object of texts"},
		{"a header that is no text", "x", `{body: 1, headers: {a: null}}`, "", "", "the header a is null"},
		{"one of the contract's", "x", `{body: 1, headers: {"content-type": "text/plain"}}`, "", "", "is reserved"},
		{"a line break", "x", `{body: 1, headers: {a: "b\r\nc: d"}}`, "", "", "control character"},
		{"a credential", "x", `{body: 1, headers: {Authorization: "Bearer x"}}`, "", "", "no program makes"},
		{"too many headers", "x", `{body: 1, headers: ([range(33) | {key: "a\(.)", value: "x"}] | from_entries)}`, "", "", "at most 32"},
		{"headers that are too long", "x", `{body: 1, headers: ([range(5) | {key: "a\(.)", value: ("x" * 2000)}] | from_entries)}`, "", "", "at most 8192"},
		{"a body that is too long", "x", `{body: ("x" * 1048577)}`, "", "", "at most 1048576"},
		{"a program that fails", "x", `error("why")`, "", "", "the transformation of the endpoint failed: the program failed"},
		{"no result", "x", "empty", "", "", "gives no result"},
	} {
		e := &hook.Endpoint{ID: "ep", Tenant: "acme", Dialect: "plain", URL: "https://example.com/", Transform: x.program, Headers: []hook.Header{{Name: "X-Own", Value: "1"}}}
		event := &hook.Event{ID: hook.EventIDFrom(1, 1), Type: x.eventType, Data: []byte(`{"n":1.50}`), Metadata: []byte(`{"m":7}`)}
		m, err := c.Compose(event, e, &hook.Tenant{ID: "acme"}, []dialect.Key{}, time.Now())
		if x.fails != "" {
			if err == nil || !strings.Contains(err.Error(), x.fails) {
				t.Errorf("%s: got %v, want an error with %q", x.name, err, x.fails)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", x.name, err)
			continue
		}
		var headers []string
		for _, h := range m.Header {
			if lower := strings.ToLower(h.Name); strings.HasPrefix(lower, "x-") {
				headers = append(headers, h.Name+": "+h.Value)
			}
		}
		if got := strings.Join(headers, ", "); string(m.Body) != x.body || got != x.headers {
			t.Errorf("%s: got %s and %s, want %s and %s", x.name, m.Body, got, x.body, x.headers)
		}
	}
}

// A form is no JSON, and goes out as it is whatever its event's type says.
func TestTransformLeavesForms(t *testing.T) {
	t.Parallel()
	c := transforming(t, "application/x-www-form-urlencoded", `{form: {d: "{event.type}"}}`, types{"a": {Transform: "{body: 1}"}})
	body, err := c.Render(&hook.Event{Type: "a", Data: []byte(`{}`)}, &hook.Endpoint{Dialect: "plain"}, &hook.Tenant{})
	if err != nil || string(body) != "d=a" {
		t.Errorf("got %s, %v", body, err)
	}
}

// Programs are those of the event's time, and where these fail those of now.
func TestTransformsArePinned(t *testing.T) {
	t.Parallel()
	c := transforming(t, "application/json", plainBody, types{"a": {Transform: ".body.type = 2", PastTransforms: []hook.Past[string]{{Before: 5, Value: ".body.type = 1"}}}})
	e := &hook.Endpoint{Dialect: "plain", Transform: ".body.own = 3", PastTransforms: []hook.Past[string]{{Before: 4}, {Before: 6, Value: ".body.own = 2"}, {Before: 7, Value: "error"}}}
	gone := &hook.Endpoint{Dialect: "plain", PastTransforms: []hook.Past[string]{{Before: 9, Value: "error"}}}
	for _, x := range []struct {
		revision int64
		e        *hook.Endpoint
		want     string
	}{
		{3, e, `{"d":1,"type":1}`},
		{4, e, `{"d":1,"own":2,"type":1}`},
		{5, e, `{"d":1,"own":2,"type":2}`},
		{6, e, `{"d":1,"own":3,"type":2}`}, // it failed, and was mended
		{7, e, `{"d":1,"own":3,"type":2}`},
		{0, e, `{"d":1,"own":3,"type":2}`},
		{8, gone, `{"d":1,"type":2}`}, // it failed, and was removed
	} {
		body, err := c.Render(&hook.Event{Type: "a", Data: []byte("1"), Revision: x.revision}, x.e, &hook.Tenant{})
		if err != nil || string(body) != x.want {
			t.Errorf("%d: got %s, %v, want %s", x.revision, body, err, x.want)
		}
	}
}

// programs is a dispatch.Programs that does as the test says.
type programs func(data []byte) ([]byte, error)

func (f programs) Run(_ context.Context, _, _ string, data []byte) ([]byte, error) { return f(data) }

// A delivery waits while no program can run, each attempt has the headers that the program
// makes, and a program that fails holds the delivery with the reason.
func TestTransformedDeliveries(t *testing.T) {
	inBubble(t, 1, func(w *world) {
		var mode atomic.Value
		mode.Store("down")
		w.tune = func(c *dispatch.Config) {
			c.Pins = &dispatch.Pins{Programs: programs(func([]byte) ([]byte, error) {
				switch mode.Load() {
				case "down":
					return nil, convert.ErrUnavailable
				case "fails":
					return nil, &convert.StepError{Err: convert.ErrUnavailable}
				}
				return []byte(`{"body":{"made":true},"headers":{"X-Made":"yes"}}`), nil
			})}
		}
		w.book.endpoints[1].Transform = "."
		w.make()
		w.start()
		key := hook.DeliveryKey{Event: w.publish(1).ID, Endpoint: 1}
		time.Sleep(time.Hour)
		if state := w.queue.state(key); state != hook.Pending {
			t.Fatalf("while programs cannot run it is %v, %q", state, w.queue.reason(key))
		}
		w.answers(1, func(ctx context.Context, n int) *egress.Result { return after(ctx, time.Millisecond, status(500)) })
		mode.Store("up")
		time.Sleep(6 * time.Minute)
		w.stop()
		w.answers(1, nil)
		w.make() // as another process, which has the body alone
		w.start()
		time.Sleep(24 * time.Hour)
		if state := w.queue.state(key); state != hook.Delivered {
			t.Fatalf("it is %v, %q", state, w.queue.reason(key))
		}
		sent := w.seen(1)
		if len(sent) < 2 {
			t.Fatalf("%d attempts", len(sent))
		}
		for _, r := range sent {
			if r.made != "yes" || r.body != sha256.Sum256([]byte(`{"made":true}`)) {
				t.Errorf("an attempt without what the program makes: %+v", r)
			}
		}
		mode.Store("fails")
		failed := hook.DeliveryKey{Event: w.publish(1).ID, Endpoint: 1}
		time.Sleep(time.Minute)
		if state, reason := w.queue.state(failed), w.queue.reason(failed); state != hook.Held || !strings.Contains(reason, "the transformation of the endpoint failed") {
			t.Errorf("it is %v, %q", state, reason)
		}
		w.stop()
	})
}
