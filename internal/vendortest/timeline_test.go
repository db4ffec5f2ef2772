package vendortest_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/client"
	"grapnel/internal/hook"
	"grapnel/internal/vendortest"
)

// A timeline tells when each attempt came and what followed.
func TestTimeline(t *testing.T) {
	t.Parallel()
	s := vendortest.Timeline(t, vendortest.Case{Dialect: "standard", Answers: vendortest.Statuses(500, 503, 200)}, time.Hour)
	if len(s.After) != 3 || s.Delivery.State != hook.Delivered {
		t.Fatalf("attempts %v, then %s", s.After, s.Delivery.State)
	}
	for i, low := range []time.Duration{5 * time.Second, 5 * time.Minute} {
		if w := s.Waits()[i]; w < low || w > low*12/10 {
			t.Errorf("wait %d is %s, want %s and at most a fifth more", i, w, low)
		}
	}
	s = vendortest.Timeline(t, vendortest.Case{Dialect: "standard", Answers: vendortest.Statuses(410)}, time.Hour)
	if s.Endpoint.State != hook.EndpointDisabled {
		t.Errorf("the endpoint is %s after 410", s.Endpoint.State)
	}
}

// A tap keeps what lay on the wire, and nothing that is changed passes.
func TestTap(t *testing.T) {
	t.Parallel()
	srv := vendortest.Start(t)
	srv.MakeTenant("acme", "standard")
	tap := vendortest.NewTap(t, "")
	srv.MakeEndpoint("acme", client.EndpointInput{URL: client.Set(tap.URL + "/hooks")})
	data := vendortest.Data()
	for _, d := range data {
		srv.Send("acme", client.Event{Type: "a.b", Data: []byte(d)}, 1)
	}
	seen := tap.Wait(len(data))
	if diff := cmp.Diff("POST /hooks HTTP/1.1", seen[0].Line); diff != "" {
		t.Error(diff)
	}
	if seen[0].Get("webhook-id") == "" || !seen[0].Has("Webhook-Id") {
		t.Errorf("the header is %q", seen[0].Header)
	}
}
