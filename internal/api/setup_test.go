package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"grapnel/internal/api"
	"grapnel/internal/auth"
	"grapnel/internal/dialect"
	"grapnel/internal/dialect/all"
	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/filter"
	"grapnel/internal/hook"
	"grapnel/internal/ingest"
	"grapnel/internal/keyring"
	"grapnel/internal/live"
	"grapnel/internal/manage"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
	"grapnel/internal/store/eithertest"
	"grapnel/internal/testaid"
)

// adminKey is the admin key of every test's server.
const adminKey = "admin-key-of-the-tests"

// canceller is a dialect that cancels what an inactive endpoint would get.
const canceller = `
name: canceller
title: Cancels
request: {timeout: 10s, headers: {Content-Type: application/json, User-Agent: Test}, body: {json: "{event.data}"}}
subscription: any
secret: {owner: tenant, made: always, forms: [text]}
sign:
  - {header: X-Signature, over: "{body}", with: [{key: text, algorithm: hmac-sha256, encoding: hex, text: "{signature}"}]}
success: [2xx]
retry: {on: any, waits: [1m]}
on_inactive: cancel
`

// bundle is an API over the real parts. Nothing is dispatched: tests record
// attempts themselves.
type bundle struct {
	t       testing.TB
	api     http.Handler
	held    http.Handler // the same, each exchange held against the OpenAPI document
	store   store.Store
	dir     *directory.Directory
	manager *manage.Manager
	ring    *keyring.Ring
	log     *testaid.Buffer
	reader  *flaky
	counts  *counts
	woken   *waker

	replayer *manage.Replayer
	live     *live.Hub
}

// flaky is a store whose reading side can be made to fail.
type flaky struct {
	store.Reader
	err error
}

func (f *flaky) Events(ctx context.Context, q store.EventQuery) (store.EventPage, error) {
	if f.err != nil {
		return store.EventPage{}, f.err
	}
	return f.Reader.Events(ctx, q)
}

type counts struct {
	mu     sync.Mutex
	routes map[string]int
}

func (c *counts) HTTP(route, code string, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.routes[route+" "+code]++
}

func (c *counts) all() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.routes)
}

// waker notes what dispatch is told.
type waker struct {
	mu   sync.Mutex
	keys []hook.DeliveryKey
}

func (w *waker) Wake(key hook.DeliveryKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys = append(w.keys, key)
}

// recordingCanceller cancels in the store, as dispatch does what lies there
// alone.
type recordingCanceller struct{ b *bundle }

func (c recordingCanceller) Cancel(ctx context.Context, deliveries []*hook.Delivery, reason string) (int, error) {
	lease, err := c.b.store.Acquire(ctx, "test")
	if err != nil {
		return 0, err
	}
	var outcomes []*store.Outcome
	for _, d := range deliveries {
		outcomes = append(outcomes, &store.Outcome{Key: d.Key, At: time.Now(), State: hook.Cancelled, Reason: reason, Base: d.Attempts})
	}
	return 0, c.b.store.Record(ctx, lease, outcomes)
}

// setup makes an API with the tenants acme and other.
func setup(t testing.TB, change ...func(*api.Config)) *bundle {
	t.Helper()
	b := &bundle{t: t, log: &testaid.Buffer{}, counts: &counts{routes: map[string]int{}}, woken: &waker{}, live: live.New(live.Config{})}
	logger := slog.New(slog.NewJSONHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	b.store = eithertest.Open(t)
	b.dir, err = directory.Load(t.Context(), b.store)
	must(t, err)
	ring, err := keyring.Open(keyring.Source{Env: keyring.NewKey()})
	must(t, err)
	b.ring = ring
	door, err := egress.New(egress.Config{Logger: logger})
	must(t, err)
	t.Cleanup(door.Close)
	b.manager, err = manage.New(manage.Config{
		Store: b.store, Deliveries: b.store, Directory: b.dir, Dialects: dialects(t), Ring: ring, Logger: logger, CheckURL: door.CheckURL,
		CheckFilter: func(tree []byte) error { _, err := filter.Parse(tree); return err },
	})
	must(t, err)
	_, err = b.manager.EnsureAdmin(t.Context(), adminKey)
	must(t, err)
	in, err := ingest.New(t.Context(), ingest.Config{
		Log: b.store, Directory: b.dir, Offer: b.live.Committed, Window: time.Hour, Logger: logger,
		Policy: func(d string) ingest.Policy {
			return ingest.Policy{CancelInactive: d == "canceller", Suppressible: d == "canceller"}
		},
	})
	must(t, err)
	t.Cleanup(in.Close)
	b.replayer, err = manage.NewReplayer(manage.ReplayConfig{Manager: b.manager, Log: b.store, Wake: b.woken.Wake})
	must(t, err)
	b.replayer.Start()
	t.Cleanup(b.replayer.Stop)
	authenticator, err := auth.New(auth.Config{Keys: b.dir, Links: &auth.Links{Secrets: [][]byte{bytes.Repeat([]byte{8}, 32)}, Known: b.dir}})
	must(t, err)
	b.reader = &flaky{Reader: b.store}
	backup, _ := b.store.(store.Backuper) // nil on PostgreSQL
	cluster, ok := b.store.(store.Cluster)
	if !ok {
		cluster = &store.Alone{Now: time.Now, Node: store.Node{Name: "test"}}
	}
	c := api.Config{
		Auth: authenticator, Manager: b.manager, Directory: b.dir, Dialects: dialects(t), Publisher: in, Waker: b.woken, Canceller: recordingCanceller{b}, Queue: behindTheFirst{}, Matching: in, Replayer: b.replayer, Reader: b.reader,
		Extent: b.store, Purger: b.store, Cluster: cluster, Node: "test", Backup: backup, Composer: &dispatch.Composer{Dialects: dialects(t), Ring: ring, Pins: &dispatch.Pins{Types: b.dir}}, Live: b.live,
		Metrics: b.counts, Logger: logger, CursorKeys: [][]byte{bytes.Repeat([]byte{7}, 32)}, MaxEventBytes: 4096, MaxBatchBytes: 1 << 20,
	}
	for _, f := range change {
		f(&c)
	}
	b.api, err = api.New(c)
	must(t, err)
	b.held = held(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.api.ServeHTTP(w, r) }))
	for _, tenant := range []string{"acme", "other"} {
		b.want(http.StatusCreated, "PUT", "/v1/tenants/"+tenant, `{}`)
	}
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func dialects(t testing.TB) *dialect.Registry {
	t.Helper()
	builtIn, err := all.Registry()
	must(t, err)
	standard, _ := builtIn.Get("standard")
	d, err := dialect.Load("canceller.yaml", []byte(canceller))
	must(t, err)
	r, err := dialect.NewRegistry(standard, d)
	must(t, err)
	return r
}

// answer is what came back.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   string
}

// as is a header that sends another key than the admin's.
func as(key string) string { return "Authorization: Bearer " + key }

// do sends a request with a body and headers "Name: value", as the admin
// unless they say otherwise.
func (b *bundle) do(method, path, body string, headers ...string) *answer {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+adminKey)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header[http.CanonicalHeaderKey(name)] = []string{value}
		if name == "Authorization" && value == "" {
			r.Header.Del(name)
		}
	}
	return b.serve(r)
}

// once is the answer to a client that leaves a stream after its first piece.
type once struct {
	*httptest.ResponseRecorder
	leave func()
}

func (o *once) Flush() {
	o.ResponseRecorder.Flush()
	o.leave()
}

func (b *bundle) serve(r *http.Request) *answer {
	b.t.Helper()
	w := httptest.NewRecorder()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	b.held.ServeHTTP(&once{w, cancel}, r.WithContext(ctx))
	res := w.Result()
	text, err := io.ReadAll(res.Body)
	must(b.t, err)
	if res.Header.Get("Cache-Control") != "no-store" && r.URL.Path != "/v1/openapi.json" || res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Request-Id") == "" {
		b.t.Errorf("%s %s: headers %v", r.Method, r.URL, res.Header)
	}
	return &answer{t: b.t, status: res.StatusCode, header: res.Header, body: string(text)}
}

// want sends a request and checks the status.
func (b *bundle) want(status int, method, path, body string, headers ...string) *answer {
	b.t.Helper()
	a := b.do(method, path, body, headers...)
	if a.status != status {
		b.t.Fatalf("%s %s: %d, want %d: %s", method, path, a.status, status, a.body)
	}
	if status >= 400 {
		a.checkProblem()
	}
	return a
}

// checkProblem checks an error's shape (RFC 9457).
func (a *answer) checkProblem() {
	a.t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		a.t.Errorf("Content-Type %q of an error: %s", got, a.body)
	}
	p := a.json()
	if p["type"] == "" || p["title"] == "" || p["detail"] == "" || p["status"] != float64(a.status) || p["instance"] != a.header.Get("Request-Id") {
		a.t.Errorf("problem: %s", a.body)
	}
}

func (a *answer) json() map[string]any {
	a.t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		a.t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

// text is a member of the answer, which is a text.
func (a *answer) text(name string) string {
	a.t.Helper()
	s, ok := a.json()[name].(string)
	if !ok {
		a.t.Fatalf("no text %q: %s", name, a.body)
	}
	return s
}

// list is the member data of a list, or another list of objects.
func (a *answer) list(name string) []map[string]any {
	a.t.Helper()
	items, ok := a.json()[name].([]any)
	if !ok {
		a.t.Fatalf("no list %q: %s", name, a.body)
	}
	out := make([]map[string]any, len(items))
	for i := range items {
		out[i], _ = items[i].(map[string]any)
	}
	return out
}

// next is the address of the next page, "" on the last one.
func (a *answer) next() string {
	for link := range strings.SplitSeq(a.header.Get("Link"), ", ") {
		if target, ok := strings.CutSuffix(link, `>; rel="next"`); ok {
			return strings.TrimPrefix(target, "<")
		}
	}
	return ""
}

// pointer is the place that a problem names.
func (a *answer) pointer() string {
	a.t.Helper()
	errs, _ := a.json()["errors"].([]any)
	if len(errs) == 0 {
		return ""
	}
	first, _ := errs[0].(map[string]any)
	p, _ := first["pointer"].(string)
	return p
}

// key makes a key.
func (b *bundle) key(body string) string {
	b.t.Helper()
	return b.want(http.StatusCreated, "POST", "/v1/keys", body).text("key")
}

// endpoint makes an endpoint and returns its id.
func (b *bundle) endpoint(tenant, body string) string {
	b.t.Helper()
	return b.want(http.StatusCreated, "POST", "/v1/tenants/"+tenant+"/endpoints", body).text("id")
}

// publish publishes an event and returns its id.
func (b *bundle) publish(tenant, body string) string {
	b.t.Helper()
	return b.want(http.StatusAccepted, "POST", "/v1/tenants/"+tenant+"/events", body).text("id")
}

// attempt records one attempt of an event's delivery to an endpoint.
func (b *bundle) attempt(event, endpoint string, at hook.Attempt) {
	b.t.Helper()
	id, err := hook.ParseEventID(event)
	must(b.t, err)
	e, ok := b.dir.EndpointByID("acme", endpoint)
	if !ok {
		b.t.Fatalf("no endpoint %s", endpoint)
	}
	lease, err := b.store.Acquire(b.t.Context(), "test")
	must(b.t, err)
	at.Key = hook.DeliveryKey{Event: id, Endpoint: e.Num}
	must(b.t, b.store.Record(b.t.Context(), lease, []*store.Outcome{{
		Key: at.Key, Attempt: &at, At: at.At, State: at.State, Reason: at.Reason, NextAt: at.NextAt, FirstAt: at.At,
	}}))
}

// opens are an endpoint's headers as they are sent.
func (b *bundle) opens(e *hook.Endpoint) []hook.Header {
	b.t.Helper()
	headers, err := b.ring.OpenHeaders(e.Headers, e.Tenant, e.ID)
	must(b.t, err)
	return headers
}
