package propstack_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/client"
	"grapnel/internal/hook"
	"grapnel/internal/vendortest"
)

// PS-R1: the document says nothing of acknowledgement and retries, so the
// platform's schedule holds, and 410 is a failure like any other.
func TestPSR1Retries(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		answers  []vendortest.Reply
		attempts int
		state    hook.DeliveryState
	}{
		{"PS-R1 2xx acknowledges", vendortest.Statuses(204), 1, hook.Delivered},
		{"PS-R1 anything else is tried again", vendortest.Statuses(301, 400, 404, 410, 429, 500, 200), 7, hook.Delivered},
		{"PS-R1 so is no answer", []vendortest.Reply{{Class: "timeout"}, {Class: "refused"}, {Status: 200}}, 3, hook.Delivered},
		{"PS-R1 the platform's schedule, to its end", vendortest.Statuses(410), 10, hook.Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := vendortest.Timeline(t, vendortest.Case{Dialect: "propstack", Type: "client_created", Answers: c.answers}, 10*24*time.Hour)
			if len(s.After) != c.attempts || s.Delivery.State != c.state || !s.Endpoint.Active() {
				t.Errorf("attempts %v, then the delivery is %s and the hook %s", s.After, s.Delivery.State, s.Endpoint.State)
			}
			for i, low := range []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour,
				14 * time.Hour, 20 * time.Hour, 24 * time.Hour}[:c.attempts-1] {
				if w := s.Waits()[i]; w < low || w > low*12/10 {
					t.Errorf("wait %d is %s, want %s and at most a fifth more", i+1, w, low)
				}
			}
		})
	}
}

// The snippets of the document take everything that the server sends, and
// nothing that was changed.
func TestPrintedReceivers(t *testing.T) {
	t.Parallel()
	const secret, other = "your_secret_key", "your_secret_kez"
	for _, c := range []struct {
		name  string
		start func(t testing.TB, secret string) string
	}{
		{"PS-S1 PS-S3 PHP", func(t testing.TB, secret string) string { return vendortest.PHP(t, "testdata/receiver.php", secret) }},
		{"PS-S1 PS-S3 JavaScript", func(t testing.TB, secret string) string { return vendortest.Node(t, "testdata/receiver.cjs", secret) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t)
			tap := vendortest.NewTap(t, c.start(t, secret))
			a.want("POST", "/v1/hooks?event=client_updated&secret_key="+secret+"&target_url="+url.QueryEscape(tap.URL+"/ps-hook"), "", 200, `{"id":1}`)
			corpus := vendortest.Data()
			for _, data := range corpus {
				a.Send("acme", client.Event{Type: "client_updated", Data: []byte(data), Previous: []byte(`{"id":1,"Ø/🚀":2}`)}, 1)
			}
			seen := slices.Clone(tap.Wait(len(corpus)))
			for i, r := range seen {
				if r.Status != 200 || len(r.Get("X-Propstack-Signature")) != 64 || r.Line != "POST /ps-hook HTTP/1.1" || r.Get("Content-Type") != "application/json" {
					t.Errorf("request %d: %s answered %d, header %q", i, r.Line, r.Status, r.Header)
				}
			}
			if n := tap.Tamper(seen, "x-propstack-signature"); n < len(seen)*3 {
				t.Errorf("only %d requests were changed", n)
			}
			vendortest.NoneTaken(t, seen, c.start(t, other))
		})
	}
}

// PS-D3: a receiver that parses the body and verifies what it writes again
// takes it too, where JavaScript can hold the numbers.
func TestPSD3Reserialised(t *testing.T) {
	t.Parallel()
	const secret = "your_secret_key"
	a := newAccount(t)
	tap := vendortest.NewTap(t, vendortest.Node(t, "testdata/reserialise.cjs", secret))
	a.want("POST", "/v1/hooks?event=client_updated&secret_key="+secret+"&target_url="+url.QueryEscape(tap.URL), "", 200, `{"id":1}`)
	sent := 0
	for _, data := range vendortest.Data() {
		if strings.Contains(data, "19.90") || strings.Contains(data, "12345678901234567") {
			continue // their digits are kept, and JavaScript writes others
		}
		a.Send("acme", client.Event{Type: "client_updated", Data: []byte(data), Previous: []byte(`{"id":1,"Ø/🚀":2}`)}, 1)
		sent++
	}
	for i, r := range tap.Wait(sent) {
		if r.Status != 200 {
			t.Errorf("request %d: answered %d\n%.300s", i, r.Status, r.Body)
		}
	}
}

// PS-S2: without a secret there is no signature header, not even an empty one.
func TestPSS2Unsigned(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	tap := vendortest.NewTap(t, "")
	a.want("POST", "/v1/hooks?event=client_created&target_url="+url.QueryEscape(tap.URL), "", 200, `{"id":1}`)
	a.Send("acme", client.Event{Type: "client_created", Data: []byte(`{"id":5,"name":"Ødegård"}`)}, 1)
	r := tap.Wait(1)[0]
	if r.Has("X-Propstack-Signature") {
		t.Errorf("the header is %q", r.Header)
	}
	t.Run("PS-D1 a POST with the object", func(t *testing.T) {
		if !strings.HasPrefix(r.Line, "POST / ") || string(r.Body) != `{"id":5,"name":"Ødegård"}` {
			t.Errorf("%s\n%s", r.Line, r.Body)
		}
	})
}

// PS-E2: the deletion of a client or a property reaches those who listen to
// its updates, over the wire.
func TestPSE2Deletions(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	tap := vendortest.NewTap(t, "")
	for _, event := range []string{"client_updated", "property_updated", "client_created"} {
		if got := a.Do("POST", "/v1/hooks?event="+event+"&target_url="+url.QueryEscape(tap.URL+"/"+event), []string{"X-API-KEY: " + a.key}, ""); got.Status != 200 {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
	}
	for _, event := range []string{"client_deleted", "property_deleted"} {
		a.Send("acme", client.Event{Type: event, Data: []byte(`{"id":5}`)}, 1)
	}
	a.Send("acme", client.Event{Type: "project_deleted", Data: []byte(`{"id":5}`)}, 0)
	var got []string
	for _, r := range tap.Wait(2) {
		got = append(got, strings.Fields(r.Line)[1]+" "+string(r.Body))
	}
	slices.Sort(got)
	want := []string{`/client_updated {"id":5,"changed_attributes":[]}`, `/property_updated {"id":5,"changed_attributes":[]}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
