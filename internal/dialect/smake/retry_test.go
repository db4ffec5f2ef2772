package smake_test

import (
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
	"grapnel/internal/vendortest"
)

func timeline(t *testing.T, dialect string, replies ...vendortest.Reply) vendortest.Story {
	return vendortest.Timeline(t, vendortest.Case{Dialect: dialect, Type: "variant.designed", Answers: replies, Endpoint: func(in *manage.EndpointInput) {
		secret := hook.Secret(token)
		in.Secret = &secret
	}}, 72*time.Hour)
}

// grow wants waits that grow strictly.
func grow(t *testing.T, s vendortest.Story) {
	t.Helper()
	waits := s.Waits()
	for i := 1; i < len(waits); i++ {
		if waits[i] <= waits[i-1] {
			t.Errorf("wait %d is %s after one of %s", i+1, waits[i], waits[i-1])
		}
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	for name, answers := range map[string][]vendortest.Reply{
		"SM-R1 500":        vendortest.Statuses(500),
		"SM-R1 404":        vendortest.Statuses(404),
		"SM-R1 429":        vendortest.Statuses(429),
		"SM-S4 422":        vendortest.Statuses(422),
		"SM-A1 410":        vendortest.Statuses(410),
		"SM-A1 a redirect": vendortest.Statuses(302),
		"SM-A1 no answer":  {{Class: "timeout"}},
		"SM-R1 one by one": vendortest.Statuses(500, 400, 302, 410, 503, 429, 401, 304, 502, 404, 500),
	} {
		t.Run(name+" is retried for up to one day", func(t *testing.T) {
			t.Parallel()
			s := timeline(t, "smake", answers...)
			if n := len(s.After); n != 11 {
				t.Errorf("%d attempts, want 11", n)
			}
			grow(t, s)
			if last := s.After[len(s.After)-1]; last > 24*time.Hour || last < 17*time.Hour {
				t.Errorf("the last attempt came after %s", last)
			}
			if s.Delivery.State != hook.Failed || s.Endpoint.State != hook.EndpointActive || s.Endpoint.Deleted { // SM-R3
				t.Errorf("the delivery is %s, the endpoint %s", s.Delivery.State, s.Endpoint.State)
			}
		})
	}
	t.Run("SM-R2 50 times within 48 hours", func(t *testing.T) {
		t.Parallel()
		s := timeline(t, "smake@2022-02-01", vendortest.Statuses(500)...)
		if n := len(s.After); n != 51 {
			t.Errorf("%d attempts, want 51", n)
		}
		grow(t, s)
		if last := s.After[len(s.After)-1]; last > 48*time.Hour {
			t.Errorf("the last attempt came after %s", last)
		}
		if s.Delivery.State != hook.Failed || s.Endpoint.State != hook.EndpointActive {
			t.Errorf("the delivery is %s, the endpoint %s", s.Delivery.State, s.Endpoint.State)
		}
	})
	t.Run("SM-R3 the endpoint is untouched when a delivery is given up", func(t *testing.T) {
		t.Parallel()
		s := timeline(t, "smake", vendortest.Statuses(500)...)
		if s.Delivery.State != hook.Failed || !s.Endpoint.Active() {
			t.Errorf("the delivery is %s, the endpoint %s", s.Delivery.State, s.Endpoint.State)
		}
	})
	t.Run("SM-A1 any 2xx ends it", func(t *testing.T) {
		t.Parallel()
		for status := 200; status <= 299; status += 33 {
			if s := timeline(t, "smake", vendortest.Statuses(500, status)...); len(s.After) != 2 || s.Delivery.State != hook.Delivered {
				t.Errorf("%d: %d attempts, then %s", status, len(s.After), s.Delivery.State)
			}
		}
	})
}
