package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/client"
)

// scripted answers calls one after the other: a status, or 0 for a connection
// that breaks. The last answer repeats.
type scripted struct {
	answers    []int
	retryAfter string
	calls      []string
	begun      time.Time
	at         []time.Duration
}

// RoundTrip notes the call and answers it.
func (s *scripted) RoundTrip(r *http.Request) (*http.Response, error) {
	status := s.answers[min(len(s.calls), len(s.answers)-1)]
	s.calls = append(s.calls, r.Method)
	s.at = append(s.at, time.Since(s.begun))
	if r.Body != nil {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return nil, err
		}
	}
	if status == 0 {
		return nil, errors.New("connection reset")
	}
	res := &http.Response{StatusCode: status, Header: http.Header{}, Request: r, Body: io.NopCloser(strings.NewReader("{}"))}
	if status/100 != 2 && s.retryAfter != "" {
		res.Header.Set("Retry-After", s.retryAfter)
	}
	if status == http.StatusNotFound {
		res.Body = io.NopCloser(strings.NewReader(`{"type":"/v1/problems/not_found","title":"Not found"}`))
	}
	return res, nil
}

// play calls a server that answers by a script, with a clock of its own.
func play(t *testing.T, s *scripted, retries int, call func(context.Context, *client.Client) error) (err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s.begun = time.Now()
		c, e := client.New(client.Config{URL: "http://server", Key: "gk_test", HTTP: &http.Client{Transport: s}, Retries: retries})
		if e != nil {
			t.Fatal(e)
		}
		err = call(t.Context(), c)
	})
	return err
}

func TestRetriesWhatIsSafe(t *testing.T) {
	t.Parallel()
	get := func(ctx context.Context, c *client.Client) error { _, err := c.Tenant(ctx, "acme"); return err }
	put := func(ctx context.Context, c *client.Client) error {
		_, err := c.PutTenant(ctx, "acme", client.TenantInput{})
		return err
	}
	putIf := func(ctx context.Context, c *client.Client) error {
		_, err := c.PutTenant(ctx, "acme", client.TenantInput{}, client.IfMatch(`"x"`))
		return err
	}
	patch := func(ctx context.Context, c *client.Client) error {
		_, err := c.UpdateEndpoint(ctx, "acme", "e", client.EndpointInput{})
		return err
	}
	own := func(ctx context.Context, c *client.Client) error {
		_, err := c.PutEndpoint(ctx, "acme", "e", client.EndpointInput{})
		return err
	}
	remove := func(ctx context.Context, c *client.Client) error { _, err := c.DeleteTenant(ctx, "acme"); return err }
	event := client.Event{Type: "t", Data: json.RawMessage(`{}`)}
	publish := func(ctx context.Context, c *client.Client) error { _, err := c.Publish(ctx, "acme", event); return err }
	named := func(ctx context.Context, c *client.Client) error {
		e := event
		e.ID = "1"
		_, err := c.Publish(ctx, "acme", e)
		return err
	}
	keyed := func(ctx context.Context, c *client.Client) error {
		_, err := c.Publish(ctx, "acme", event, client.IdempotencyKey("k"))
		return err
	}
	redeliver := func(ctx context.Context, c *client.Client) error { _, err := c.Redeliver(ctx, "acme", "d"); return err }
	redeliverKeyed := func(ctx context.Context, c *client.Client) error {
		_, err := c.Redeliver(ctx, "acme", "d", client.IdempotencyKey("k"))
		return err
	}

	for _, c := range []struct {
		name       string
		call       func(context.Context, *client.Client) error
		answers    []int
		retryAfter string
		retries    int
		calls      int
		ok         bool
	}{
		{"get after 503", get, []int{503, 503, 200}, "", 0, 3, true},
		{"get after broken connections", get, []int{0, 0, 0, 200}, "", 0, 4, true},
		{"get, too often", get, []int{503}, "", 0, 4, false},
		{"get, never", get, []int{503}, "", -1, 1, false},
		{"get, once", get, []int{0}, "", 1, 2, false},
		{"get, nothing to wait for", get, []int{500}, "", 0, 1, false},
		{"get, not found", get, []int{404}, "", 0, 1, false},
		{"get, asked for too much", get, []int{503, 200}, "61", 0, 1, false},
		{"put", put, []int{0, 503, 429, 200}, "", 0, 4, true},
		{"put on a condition, lost", putIf, []int{0, 200}, "", 0, 1, false},
		{"put on a condition, refused", putIf, []int{503, 200}, "", 0, 2, true},
		{"patch", patch, []int{0, 200}, "", 0, 2, true},
		{"an endpoint's secret would be lost", own, []int{0, 200}, "", 0, 1, false},
		{"delete", remove, []int{503, 204}, "", 0, 2, true},
		{"delete that had worked", remove, []int{0, 404}, "", 0, 2, true},
		{"delete of nothing", remove, []int{503, 404}, "", 0, 2, false},
		{"publish", publish, []int{503, 202}, "", 0, 1, false},
		{"publish, lost", publish, []int{0, 202}, "", 0, 1, false},
		{"publish, too fast", publish, []int{429, 202}, "1", 0, 2, true},
		{"publish with an id", named, []int{0, 503, 202}, "", 0, 3, true},
		{"publish with a key", keyed, []int{0, 409, 202}, "1", 0, 3, true},
		{"a conflict that stays", keyed, []int{409, 202}, "", 0, 1, false},
		{"redeliver", redeliver, []int{0, 202}, "", 0, 1, false},
		{"redeliver with a key", redeliverKeyed, []int{0, 202}, "", 0, 2, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &scripted{answers: c.answers, retryAfter: c.retryAfter}
			if err := play(t, s, c.retries, c.call); len(s.calls) != c.calls || (err == nil) != c.ok {
				t.Errorf("%d calls, want %d; %v", len(s.calls), c.calls, err)
			}
		})
	}
}

// Waits grow and have a bound, and what the server asks for is kept.
func TestBackoff(t *testing.T) {
	t.Parallel()
	get := func(ctx context.Context, c *client.Client) error { _, err := c.Tenant(ctx, "acme"); return err }
	s := &scripted{answers: []int{503}}
	if err := play(t, s, 10, get); err == nil {
		t.Fatal("no error")
	}
	for i := 1; i < len(s.at); i++ {
		most := min(250*time.Millisecond<<(i-1), 10*time.Second)
		if wait := s.at[i] - s.at[i-1]; wait < most/2 || wait > most {
			t.Errorf("wait %d is %s, want up to %s", i, wait, most)
		}
	}
	s = &scripted{answers: []int{429, 200}, retryAfter: "7"}
	if err := play(t, s, 0, get); err != nil || s.at[1] != 7*time.Second {
		t.Error(err, s.at)
	}
}

// The end of the context ends the waiting, with the error that was waited on.
func TestCancelledWhileWaiting(t *testing.T) {
	t.Parallel()
	s := &scripted{answers: []int{503}, retryAfter: "30"}
	err := play(t, s, 0, func(ctx context.Context, c *client.Client) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_, err := c.Tenant(ctx, "acme")
		return err
	})
	var e *client.Error
	if !errors.As(err, &e) || e.Status != 503 || len(s.calls) != 1 {
		t.Errorf("%v, %d calls", err, len(s.calls))
	}
}
