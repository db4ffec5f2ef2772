package dialect_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// What is signed must be readable in one way only.
func TestOverCanBeTakenApart(t *testing.T) {
	t.Parallel()
	const old, fixed = `over: "{body}"`, `    X-Webhook-Fixed: "a/b"` + "\n"
	const carriers = fixed + `    X-Type: "{event.type}"` + "\n" + `    X-Time: "{attempt.unix}"` + "\n" + `    X-Hash: "{body.sha256}"` + "\n"
	for _, c := range []struct{ over, want string }{
		{"{event.type}{body}", "behind {event.type} a text must stand"},
		{"{event.type}{attempt.unix}.{body}", "behind {event.type} a text must stand"},
		{"{attempt.unix}{body}", "behind {attempt.unix} a text must stand"},
		{"{header.X-Type}{body}", "behind {header.X-Type} a text must stand"},
		{"{event.type}{body.sha256}", "behind {event.type} a text must stand"},
		{"{event.type}{request.url}{body}", "behind {event.type} a text must stand"},
		{"{request.method}{body}", "behind {request.method} a text must stand"},
		{"{event.type}{headers_php_json:X-}{body}", "behind {event.type} a text must stand"},
		{"{body}{event.type}", "before {event.type} a text must stand"},
		{"{body}.{event.type}{attempt.unix}", "before {attempt.unix} a text must stand"},
		{"{body}.{body}", "twice"},
		{"{body}.{headers_php_json:X-}", "must stand before the body"},

		{"{event.type}.{body}", ""},
		{"{body}.{event.type}", ""},
		{"{event.type}:{body}:{attempt.unix}", ""},
		{"{event.type}.{attempt.unix}.{body.sha256}", ""},
		{"{request.url}{body}", ""},
		{"{body}{request.url}", ""},
		{"{body.sha256}{body}", ""},
		{"{header.X-Hash}{body}", ""},
		{"{headers_php_json:X-}{body}", ""},
		{"{headers_php_json:X-}{request.url}{body}", ""},
	} {
		_, err := dialect.Load("signed.yaml", []byte(signedSource(t, old, `over: "`+c.over+`"`, fixed, carriers)))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.over, err, c.want)
		}
	}
}

// A signature never fits another request whose signed bytes are the same, cut in
// another place.
func TestVerifyRefusesOtherCuts(t *testing.T) {
	t.Parallel()
	const old, fixed = `over: "{body}"`, `    X-Webhook-Fixed: "a/b"` + "\n"
	now := time.Unix(1_800_000_000, 0)
	for _, c := range []struct{ over, eventType, body, forgedType, forgedBody string }{
		{"{event.type}.{body}", "a", "b.1", "a.b", "1"},
		{"{event.type}--{body}", "a", "-1", "a-", "1"},  // the text overlaps itself
		{"{event.type}--{body}", "a-", "1", "a", "-1"},  // even if it was sent so
		{"{body}.{event.type}", "x", "1.5", "5.x", "1"}, // and behind the body
		{"{body}--{event.type}", "-x", "1", "x", "1-"},  // likewise
		{"{body}--{event.type}", "x", "1-", "-x", "1"},  // likewise
		{"{body}.{event.type}", "5.x", "1", "x", "1.5"}, // likewise
		{"{event.type}.{body}", "a.b", "1", "a", "b.1"}, // a type with dots is no value for this text
	} {
		d := signed(t, old, `over: "`+c.over+`"`, fixed, `    X-Type: "{event.type}"`+"\n")
		verifier, err := d.VerifyKey("secret")
		if err != nil {
			t.Fatal(err)
		}
		verify := func(eventType, body string, sent map[string]string) error {
			r := dialect.Received{Method: "POST", URL: "https://a.example/", Header: http.Header{}, Body: []byte(body), At: now, Tolerance: time.Minute, Keys: []dialect.VerifyKey{verifier}}
			for name, value := range sent {
				r.Header.Set(name, value)
			}
			r.Header.Set("X-Type", eventType)
			return d.Verify(r)
		}
		sent := headerOf(t, d, dialect.Request{Event: &hook.Event{Type: c.eventType}, Body: []byte(c.body), Method: "POST", At: now, N: 1, URL: "https://a.example/"})
		first, second := verify(c.eventType, c.body, sent), verify(c.forgedType, c.forgedBody, sent)
		var refusal *dialect.Refusal
		if first == nil && second == nil || second != nil && !errors.As(second, &refusal) {
			t.Errorf("%s: %s with %s verifies (%v), and so does %s with %s (%v)", c.over, c.eventType, c.body, first, c.forgedType, c.forgedBody, second)
		}
	}
}
