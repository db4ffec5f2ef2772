package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/client"
)

// open makes a client of a server that answers by h.
func open(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := client.New(client.Config{URL: srv.URL + "/", Key: "gk_test", Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPublishKeepsBytes(t *testing.T) {
	t.Parallel()
	var got, key, path, auth string
	c := open(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got, key, path, auth = string(b), r.Header.Get("Idempotency-Key"), r.URL.EscapedPath(), r.Header.Get("Authorization")
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, `{"id":"018f","matched":2}`)
	})
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r, err := c.Publish(t.Context(), "a/b", client.Event{ID: "x", Type: "t", Data: json.RawMessage("{ \"a\": 1.50,\t\"b\":\"<ü>\" }"), Time: &at}, client.IdempotencyKey("k1"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(&client.Receipt{ID: "018f", Matched: 2}, r); d != "" {
		t.Error(d)
	}
	want := `{"id":"x","type":"t","time":"2026-01-02T03:04:05Z","data":{ "a": 1.50,` + "\t" + `"b":"<ü>" }}`
	if got != want || key != "k1" || path != "/v1/tenants/a%2Fb/events" || auth != "Bearer gk_test" {
		t.Errorf("%s, key %q, path %q, %q", got, key, path, auth)
	}
	if _, err := c.Publish(t.Context(), "a", client.Event{Type: "t", Data: json.RawMessage("{")}); err == nil {
		t.Error("broken JSON was sent")
	}
}

func TestProblem(t *testing.T) {
	t.Parallel()
	c := open(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, `{"type":"/v1/problems/unavailable","title":"Unavailable","status":503,"detail":"try later","instance":"req_1","errors":[{"pointer":"/x","detail":"is odd"}]}`)
	})
	_, err := c.Event(t.Context(), "acme", "1")
	var e *client.Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	if e.Status != 503 || e.RetryAfter != 3*time.Second || e.Instance != "req_1" || !strings.HasPrefix(e.Type, "http://") || e.Error() != "try later; /x is odd" {
		t.Errorf("%+v, %q", e, e)
	}
}

func TestNoProblem(t *testing.T) {
	t.Parallel()
	c := open(t, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "<html>bad gateway", http.StatusBadGateway)
	})
	_, err := c.PutTenant(t.Context(), "acme", client.TenantInput{})
	var e *client.Error
	if !errors.As(err, &e) || e.Status != 502 || !strings.Contains(e.Error(), "502") {
		t.Error(err)
	}
	c = open(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") })
	if _, err := c.Delivery(t.Context(), "acme", "d"); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Error(err)
	}
}

func TestListWalksAllPages(t *testing.T) {
	t.Parallel()
	var asked []string
	c := open(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query().Get("cursor")+" "+r.URL.Query().Get("state"))
		if r.URL.Query().Get("cursor") == "" {
			io.WriteString(w, `{"data":[{"id":"d1"},{"id":"d2"}],"next_cursor":"c1"}`)
			return
		}
		io.WriteString(w, `{"data":[{"id":"d3","status":500,"attempt_count":2}]}`)
	})
	var got []string
	for d, err := range c.Deliveries(t.Context(), "acme", client.DeliveryFilter{State: client.Failed}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, d.ID)
	}
	if d := cmp.Diff([]string{"d1", "d2", "d3"}, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{" failed", "c1 failed"}, asked); d != "" {
		t.Error(d)
	}
}

func TestListEndsWithTheError(t *testing.T) {
	t.Parallel()
	c := open(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) })
	n := 0
	for e, err := range c.Endpoints(t.Context(), "acme") {
		n++
		if e != nil || err == nil {
			t.Error(e, err)
		}
	}
	if n != 1 {
		t.Error(n)
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	var method, body string
	c := open(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		method, body = r.Method+" "+r.URL.Path, string(b)
		io.WriteString(w, `{"id":"ep_1","url":"https://x","secret":"whsec_x"}`)
	})
	e, err := c.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set("https://x"), EventTypes: client.Set([]string{"a.*"})})
	if err != nil || e.Secret != "whsec_x" || method != "POST /v1/tenants/acme/endpoints" || body != `{"url":"https://x","event_types":["a.*"]}` {
		t.Errorf("%v %+v %s %s", err, e, method, body)
	}
	if _, err := c.UpdateEndpoint(t.Context(), "acme", "ep_1", client.EndpointInput{State: client.Set(client.Paused)}); err != nil || method != "PATCH /v1/tenants/acme/endpoints/ep_1" || body != `{"state":"paused"}` {
		t.Errorf("%v %s %s", err, method, body)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, cfg := range []client.Config{{}, {URL: "localhost:8080", Key: "k"}, {URL: "ftp://x", Key: "k"}, {URL: "http://x"}, {URL: "http://x", Key: "a\nb"}} {
		if _, err := client.New(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	c := open(t, func(w http.ResponseWriter, r *http.Request) {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Event(ctx, "acme", "1"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
