package propstack_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/dialect"
	"grapnel/internal/dialect/dialecttest"
	"grapnel/internal/dialect/propstack"
	"grapnel/internal/hook"
)

func load(t testing.TB) *dialect.Vendor {
	t.Helper()
	v, err := propstack.Vendor()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// sign is the signature by the words of the document.
func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

func verify(s dialecttest.Sent, secret hook.Secret) error {
	if got := s.Get("X-Propstack-Signature"); got != sign(string(secret), s.Body) || len(got) != 64 {
		return errors.New("the signature does not fit: " + got)
	}
	return nil
}

// The wire: PS-D1, PS-D3 (body), PS-S1, PS-S2 (signature), PS-R1 (all that the
// platform decides).
func TestWire(t *testing.T) {
	t.Parallel()
	throttled := dialect.Verdict{Result: dialect.Retry, Throttle: true}
	dialecttest.Run(t, load(t).Dialects[0], dialecttest.Suite{
		Secrets:    map[string][]hook.Secret{"signed": {"your_secret_key"}, "other": {"geheim-äöü-🔑"}, "unsigned": nil},
		Verify:     verify,
		Headers:    []string{"Content-Type", "User-Agent"},
		Signatures: []string{"X-Propstack-Signature"},
		Answers: map[dialect.Result][]int{
			dialect.Delivered: {200, 201, 202, 204, 226, 299},
			dialect.Retry:     {100, 300, 301, 304, 307, 400, 401, 403, 404, 408, 409, 410, 422, 500, 501, 503, 599},
		},
		Verdicts: []dialecttest.Verdict{
			{Status: 429, Want: throttled},
			{Status: 502, Want: throttled},
			{Status: 504, Want: throttled},
			{Status: 503, RetryAfter: "3600", Want: dialect.Verdict{Result: dialect.Retry, RetryAfter: time.Hour}},
			{Status: 503, RetryAfter: "90000", Want: dialect.Verdict{Result: dialect.Retry, RetryAfter: 24 * time.Hour}},
		},
		NoAnswer: dialect.Retry,
		Waits: []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour,
			14 * time.Hour, 20 * time.Hour, 24 * time.Hour},
		Jitter:       0.2,
		Timeout:      20 * time.Second,
		OnInactive:   dialect.Cancel,
		Owner:        dialect.SecretEndpointOptional,
		Subscription: dialect.OneType,
	})
}

// The body: the object, and what changed in it.
func TestBody(t *testing.T) {
	t.Parallel()
	d := load(t).Dialects[0]
	const now = `{"id":5,"name":"Ødegård","price":250000,"rooms":3,"tags":["a"]}`
	for _, c := range []struct{ name, event, data, previous, want string }{
		{"PS-D1 the object", "client_created", now, "", now},
		{"PS-D2 other events do not carry changed_attributes", "project_updated", now, `{"id":4}`, now},
		{"PS-D2 the producer's own, untouched", "property_updated", `{"changed_attributes":{"price":[1,2]},"id":5}`, `{"id":4}`, `{"changed_attributes":{"price":[1,2]},"id":5}`},
		{"PS-D2 computed from previous", "property_updated", now, `{"id":5,"name":"Ødegård","price":240000,"tags":["b"],"note":"x"}`,
			strings.TrimSuffix(now, "}") + `,"changed_attributes":["price","rooms","tags","note"]}`},
		{"PS-D2 nothing changed", "client_updated", now, now, strings.TrimSuffix(now, "}") + `,"changed_attributes":[]}`},
		{"PS-D2 nothing known", "client_updated", now, "", strings.TrimSuffix(now, "}") + `,"changed_attributes":[]}`},
		{"PS-D2 an empty object", "client_updated", `{}`, "", `{"changed_attributes":[]}`},
		{"PS-D2 PS-E2 a deletion is an update", "client_deleted", `{"id":5}`, "", `{"id":5,"changed_attributes":[]}`},
		{"PS-D2 PS-E2 a deletion is an update", "property_deleted", `{"id":5}`, "", `{"id":5,"changed_attributes":[]}`},
		{"PS-D3 as JSON.stringify writes it", "client_created",
			"{ \"url\" : \"https:\\/\\/a\\/b\", \"h\":\"<a href='x'>&amp;\\u003c\", \"u\":\"\\u00e9\\ud83d\\ude00\\u2028\", \"c\":\"\\u0001\\u007f\\n\", \"n\": [ 1.50, -0, 1E2 ], \"e\":{ } }",
			"", "{\"url\":\"https://a/b\",\"h\":\"<a href='x'>&amp;<\",\"u\":\"é😀\u2028\",\"c\":\"\\u0001\u007f\\n\",\"n\":[1.50,-0,1E2],\"e\":{}}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := dialecttest.Event(0, c.event, c.data)
			if c.previous != "" {
				e.Previous = []byte(c.previous)
			}
			body, err := d.Body(dialect.Input{Event: e})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(body)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The events.
func TestEvents(t *testing.T) {
	t.Parallel()
	d := load(t).Dialects[0]
	t.Run("PS-E1 the list", func(t *testing.T) {
		want := strings.Fields(`client_created client_updated property_created property_updated task_created task_updated task_deleted
			client_property_created client_property_updated client_property_deleted project_created project_updated
			document_created document_updated document_deleted saved_query_created saved_query_updated saved_query_deleted`)
		if diff := cmp.Diff(want, d.Catalogue()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("PS-E2 deletions of clients and properties are updates", func(t *testing.T) {
		for ours, theirs := range map[string]string{
			"client_deleted": "client_updated", "property_deleted": "property_updated", "task_deleted": "task_deleted", "project_deleted": "project_deleted",
		} {
			if got := d.EventName(ours); got != theirs {
				t.Errorf("%s is called %s, want %s", ours, got, theirs)
			}
		}
	})
}
