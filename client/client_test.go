package client_test

import (
	"bytes"
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

// case 65: what would be another one on its way is not sent, and a header that nothing
// can carry is not taken for a server that cannot be reached.
func TestPublishRefusesWhatWouldBeChanged(t *testing.T) {
	t.Parallel()
	c := open(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	for _, e := range []client.Event{{ID: "x\xff"}, {Type: "\xff"}, {Ordering: "\xfe"}} {
		if _, err := c.Publish(t.Context(), "a", e); err == nil || !strings.Contains(err.Error(), "not UTF-8") {
			t.Errorf("%+v: %v", e, err)
		}
		if _, err := c.PublishBatch(t.Context(), []client.Event{{}, e}); err == nil || !strings.Contains(err.Error(), "event 1") {
			t.Errorf("%+v: %v", e, err)
		}
	}
	for _, key := range []string{"two\nlines", "\x00", "ü", "\xff"} {
		if _, err := c.Publish(t.Context(), "a", client.Event{Type: "t"}, client.IdempotencyKey(key)); err == nil || !strings.Contains(err.Error(), "printable ASCII") {
			t.Errorf("%q: %v", key, err)
		}
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

// Lists go both ways.
func TestPages(t *testing.T) {
	t.Parallel()
	var asked string
	c := open(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.RequestURI()
		w.Header().Set("ETag", `"abc"`)
		io.WriteString(w, `{"data":[{"id":"e1"}],"next_cursor":"n","prev_cursor":"p"}`)
	})
	p, err := c.EventPage(t.Context(), "acme", client.EventFilter{Type: "a b"}, client.At{Cursor: "c", Limit: 7})
	if err != nil || p.Next != "n" || p.Prev != "p" || len(p.Data) != 1 || p.Data[0].ID != "e1" || p.Meta.ETag != `"abc"` {
		t.Errorf("%+v %v", p, err)
	}
	if asked != "/v1/tenants/acme/events?cursor=c&limit=7&type=a+b" {
		t.Error(asked)
	}
	if _, err := c.DeliveryPage(t.Context(), "acme", client.DeliveryFilter{State: client.Failed, States: []string{client.Held}}, client.At{}); err != nil || asked != "/v1/tenants/acme/deliveries?state=failed%2Cheld" {
		t.Error(asked, err)
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	var got http.Header
	var query string
	status := http.StatusOK
	c := open(t, func(w http.ResponseWriter, r *http.Request) {
		got, query = r.Header, r.URL.RawQuery
		w.Header().Set("ETag", `"new"`)
		w.Header().Set("Dry-Run", "true")
		w.Header().Set("Idempotency-Replayed", "true")
		w.WriteHeader(status)
		if status == http.StatusPreconditionFailed {
			io.WriteString(w, `{"type":"/v1/problems/precondition_failed","title":"Changed"}`)
		} else if status == http.StatusOK {
			io.WriteString(w, `{"id":"acme"}`)
		}
	})
	tenant, err := c.PutTenant(t.Context(), "acme", client.TenantInput{}, client.IfMatch(`"old"`), client.DryRun())
	if err != nil || got.Get("If-Match") != `"old"` || query != "dry_run=true" || tenant.Meta != (client.Meta{ETag: `"new"`, DryRun: true, Replayed: true}) {
		t.Errorf("%v %v %s %+v", err, got, query, tenant)
	}
	if _, err := c.PutTenant(t.Context(), "acme", client.TenantInput{}, client.IfAbsent()); err != nil || got.Get("If-None-Match") != "*" {
		t.Error(err, got)
	}
	if _, err := c.PutTenant(t.Context(), "acme", client.TenantInput{}, client.IfExists()); err != nil || got.Get("If-Match") != "*" {
		t.Error(err, got)
	}
	status = http.StatusPreconditionFailed
	if _, err := c.DeleteTenant(t.Context(), "acme", client.IfMatch(`"old"`)); client.CodeOf(err) != client.CodePrecondition {
		t.Error(err)
	}
	status = http.StatusNotModified
	if _, err := c.Tenant(t.Context(), "acme", client.IfNoneMatch(`"new"`)); !errors.Is(err, client.ErrNotModified) || got.Get("If-None-Match") != `"new"` {
		t.Error(err, got)
	}
	if client.CodeOf(errors.New("x")) != "" || (&client.Error{Type: "about:blank"}).Code() != "" {
		t.Error("codes where there are none")
	}
}

// Not set, set and null are three things.
func TestFields(t *testing.T) {
	t.Parallel()
	for want, in := range map[string]any{
		`{}`: client.EndpointInput{},
		`{"url":"https://x","event_types":null,"schedule":[5,0.25],"timeout":null,"rate_limit":0}`: client.EndpointInput{
			URL: client.Set("https://x"), EventTypes: client.Null[[]string](), RateLimit: client.Set(0.0), Timeout: client.Null[client.Duration](),
			Schedule: client.Set([]client.Duration{client.Duration(5 * time.Second), client.Duration(250 * time.Millisecond)}),
		},
		`{"headers":{"B":"2","A":"<1>"},"filter":{"a":1}}`: client.EndpointInput{
			Headers: client.Set(client.Headers{{Name: "B", Value: "2"}, {Name: "A", Value: "<1>"}}), Filter: client.Set(json.RawMessage(`{"a":1}`)),
		},
		`{"name":""}`: client.TenantInput{Name: client.SetIf(new(string)), Dialect: client.SetIf[string](nil)},
	} {
		var got bytes.Buffer
		enc := json.NewEncoder(&got)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(in); err != nil || strings.TrimSpace(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(got.String())) != want {
			t.Errorf("%s %v, want %s", got.String(), err, want)
		}
	}
}

// Headers keep their order, and those that came twice.
func TestHeaders(t *testing.T) {
	t.Parallel()
	var h client.Headers
	if err := json.Unmarshal([]byte(`{"b":"2","a":"1","b":"3"}`), &h); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(client.Headers{{Name: "b", Value: "2"}, {Name: "a", Value: "1"}, {Name: "b", Value: "3"}}, h); d != "" {
		t.Error(d)
	}
	if b, err := json.Marshal(h); err != nil || string(b) != `{"b":"2","a":"1","b":"3"}` {
		t.Error(string(b), err)
	}
	for _, bad := range []string{`[]`, `{"a":1}`, `"x"`} {
		if err := json.Unmarshal([]byte(bad), &h); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestPublishBatch(t *testing.T) {
	t.Parallel()
	var body string
	c := open(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		body = string(b)
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, `{"results":[{"status":202,"id":"e1","matched":2,"duplicate":true},{"status":400,"error":{"type":"/v1/problems/invalid","title":"Invalid","status":400,"detail":"odd"}}]}`)
	})
	got, err := c.PublishBatch(t.Context(), []client.Event{{Tenant: "acme", ID: "1", Type: "a", Data: json.RawMessage("{ }")}, {Tenant: "acme", Type: "b"}})
	if err != nil || len(got) != 2 || got[0].ID != "e1" || !got[0].Duplicate || got[0].Matched != 2 || got[0].Err != nil || got[1].Status != 400 || got[1].Err.Code() != client.CodeInvalid {
		t.Errorf("%+v %v", got, err)
	}
	if body != `[{"tenant":"acme","id":"1","type":"a","data":{ }},{"tenant":"acme","type":"b"}]` {
		t.Error(body)
	}
	if _, err := c.PublishBatch(t.Context(), []client.Event{{Type: "a"}}); err == nil {
		t.Error("two results for one event were taken")
	}
}

// A backup is read as it comes, however long that takes.
func TestBackupStreams(t *testing.T) {
	t.Parallel()
	more := make(chan struct{})
	c := open(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		<-more
		io.WriteString(w, " second")
	})
	b, err := c.Backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	first := make([]byte, 5)
	if _, err := io.ReadFull(b, first); err != nil || string(first) != "first" {
		t.Fatal(string(first), err)
	}
	close(more)
	if rest, err := io.ReadAll(b); err != nil || string(rest) != " second" {
		t.Error(string(rest), err)
	}
	c = open(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) })
	var e *client.Error
	if _, err := c.Backup(t.Context()); !errors.As(err, &e) || e.Status != 403 {
		t.Error(err)
	}
}
