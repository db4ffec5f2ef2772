package sixpark_test

import (
	"strings"
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
	"grapnel/internal/vendortest"
)

const account = `{"account":{"id":"f11b778a-3c83-43b5-a481-6b46e4d8aabb","url":"https://app.sixpark.com.au/a/1"}}`

func timeline(t *testing.T, data string, replies ...vendortest.Reply) vendortest.Story {
	return vendortest.Timeline(t, vendortest.Case{
		Dialect: "sixpark", Type: "ACCOUNT_OPENED", Data: data, Answers: replies,
		Endpoint: func(in *manage.EndpointInput) { in.EventTypes = nil }, // it gets all (SP-D5)
	}, 72*time.Hour)
}

func TestRetries(t *testing.T) {
	t.Parallel()
	for name, answers := range map[string][]vendortest.Reply{
		"SP-R1 201":        vendortest.Statuses(201),
		"SP-R1 202":        vendortest.Statuses(202),
		"SP-R1 204":        vendortest.Statuses(204),
		"SP-R2 500":        vendortest.Statuses(500),
		"SP-R2 400":        vendortest.Statuses(400),
		"SP-R2 a redirect": vendortest.Statuses(301),
		"SP-R2 no answer":  {{Class: "connect"}},
		"SP-R3 410":        vendortest.Statuses(410),
		"SP-R2 many":       vendortest.Statuses(429, 204, 302, 410, 500, 404),
	} {
		t.Run(name+" is retried five times", func(t *testing.T) {
			t.Parallel()
			s := timeline(t, account, answers...)
			if len(s.After) != 6 {
				t.Fatalf("%d attempts, want 6", len(s.After))
			}
			for i, w := range s.Waits() {
				low := time.Minute << (2 * i)
				if w < low || w > low*6/5+time.Second {
					t.Errorf("wait %d is %s, want %s and at most a fifth more", i+1, w, low)
				}
			}
			for _, r := range s.Requests { // SP-D6
				if string(r.Body) != string(s.Requests[0].Body) {
					t.Errorf("the body changed:\n%s\n%s", s.Requests[0].Body, r.Body)
				}
			}
			if s.Delivery.State != hook.Failed || !s.Endpoint.Active() {
				t.Errorf("SP-R3: the delivery is %s, the webhook %s", s.Delivery.State, s.Endpoint.State)
			}
		})
	}
	t.Run("SP-R1 200 ends it", func(t *testing.T) {
		t.Parallel()
		if s := timeline(t, account, vendortest.Statuses(204, 200)...); len(s.After) != 2 || s.Delivery.State != hook.Delivered {
			t.Errorf("%d attempts, then %s", len(s.After), s.Delivery.State)
		}
	})
	t.Run("SP-R3 the webhook is kept when a delivery is given up", func(t *testing.T) {
		t.Parallel()
		if s := timeline(t, account, vendortest.Statuses(410)...); s.Delivery.State != hook.Failed || !s.Endpoint.Active() || s.Endpoint.Deleted {
			t.Errorf("the delivery is %s, the webhook %s", s.Delivery.State, s.Endpoint.State)
		}
	})
	t.Run("SP-D6 without an account it is held, and says why", func(t *testing.T) {
		t.Parallel()
		s := timeline(t, `{"id":1}`, vendortest.Statuses(200)...)
		if len(s.After) != 0 || s.Delivery.State != hook.Held || !strings.Contains(s.Delivery.Reason, "account.id") {
			t.Errorf("%d attempts, then %s because of %q", len(s.After), s.Delivery.State, s.Delivery.Reason)
		}
	})
}
