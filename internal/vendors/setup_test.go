package vendors_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"grapnel/internal/auth"
	"grapnel/internal/auth/callers"
	"grapnel/internal/dialect"
	"grapnel/internal/dialect/all"
	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/filter"
	"grapnel/internal/hook"
	"grapnel/internal/ingest"
	"grapnel/internal/keyring"
	"grapnel/internal/manage"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
	"grapnel/internal/store/eithertest"
	"grapnel/internal/testaid"
	"grapnel/internal/vendors"
)

// world is a host over the real parts. Nothing is dispatched: tests record
// attempts themselves.
type world struct {
	*vendors.Host
	t       testing.TB
	store   store.Store
	dir     *directory.Directory
	manager *manage.Manager
	ingest  *ingest.Ingester
	auth    *auth.Authenticator
	log     *testaid.Buffer
	counts  *counts
	vendors []*dialect.Vendor
	probe   func(c dialect.Control, w http.ResponseWriter, r *http.Request) // what the routes of the probes do
}

// counts notes the labels of requests.
type counts struct {
	mu     sync.Mutex
	routes map[string]int
}

func (c *counts) HTTP(route, code string, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.routes[route+" "+code]++
}

// native stands for the native API.
var native = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })

// newWorld makes a host of all vendors, and of a probe for each: a route at
// /probe/FAMILY that does what the test says, with the vendor's Control.
func newWorld(t testing.TB, change ...func(*vendors.Config, *callers.Config)) *world {
	t.Helper()
	w := &world{t: t, log: &testaid.Buffer{}, counts: &counts{routes: map[string]int{}}}
	logger := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.store = eithertest.Open(t)
	var err error
	w.dir, err = directory.Load(t.Context(), w.store)
	must(t, err)
	ring, err := keyring.Open(keyring.Source{Env: keyring.NewKey()})
	must(t, err)
	door, err := egress.New(egress.Config{Logger: logger})
	must(t, err)
	t.Cleanup(door.Close)
	dialects, err := all.Registry()
	must(t, err)
	w.manager, err = manage.New(manage.Config{
		Store: w.store, Deliveries: w.store, Directory: w.dir, Dialects: dialects, Ring: ring, Logger: logger, CheckURL: door.CheckURL,
		CheckFilter: func(tree []byte) error { _, err := filter.Parse(tree); return err },
	})
	must(t, err)
	w.ingest, err = ingest.New(t.Context(), ingest.Config{Log: w.store, Directory: w.dir, Offer: func([]*hook.Event) {}, Window: time.Hour, Logger: logger, Policy: ingest.Policies(dialects)})
	must(t, err)
	t.Cleanup(w.ingest.Close)
	authenticator, err := auth.New(auth.Config{Keys: w.dir, Links: &auth.Links{Secrets: [][]byte{bytes.Repeat([]byte{8}, 32)}, Known: w.dir}})
	must(t, err)
	w.vendors, err = all.Vendors()
	must(t, err)
	c := vendors.Config{
		Next: native, Taken: []string{"GET /v1/tenants/{tenant}", "POST /v1/events"}, Manager: w.manager, Directory: w.dir, Reader: w.store,
		Renderer: &dispatch.Composer{Dialects: dialects, Ring: ring, PublicURL: "https://hooks.example"}, Metrics: w.counts, Logger: logger, PublicURL: "https://hooks.example/",
	}
	w.auth = authenticator
	by := callers.Config{Auth: authenticator, Logger: logger}
	for _, f := range change {
		f(&c, &by)
	}
	c.Callers, err = callers.New(by)
	must(t, err)
	c.Vendors = w.vendors
	for _, v := range w.vendors {
		if len(v.Routes) > 0 {
			c.Vendors = append(c.Vendors, &dialect.Vendor{Dialects: v.Dialects, Refuse: plain, Routes: []dialect.Route{{
				Pattern: "POST /probe/" + v.Dialects[0].Family() + "/{id}", Serve: func(c dialect.Control, rw http.ResponseWriter, r *http.Request) { w.probe(c, rw, r) },
			}}})
		}
	}
	w.Host, err = vendors.New(c)
	must(t, err)
	return w
}

// plain refuses with the code alone.
func plain(w http.ResponseWriter, _ *http.Request, err error) {
	w.WriteHeader(499)
	io.WriteString(w, string(hook.CodeOf(err)))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tenant makes a tenant with a secret for api2cart.
func (w *world) tenant(id string) {
	w.t.Helper()
	_, err := w.manager.PutTenant(w.t.Context(), id, manage.TenantInput{Secrets: map[string]hook.Secret{"api2cart": hook.Secret("store-key-of-" + id)}})
	must(w.t, err)
}

// key makes a key.
func (w *world) key(tenants []string, scopes ...hook.Scope) string {
	w.t.Helper()
	_, text, err := w.manager.CreateKey(w.t.Context(), manage.KeyInput{Tenants: tenants, Scopes: scopes})
	must(w.t, err)
	return string(text)
}

// link makes a portal link and returns its token.
func (w *world) link(tenant string) string {
	w.t.Helper()
	by, err := w.auth.AuthenticateKey(w.key(nil, hook.ScopeManage))
	must(w.t, err)
	of, ok := w.dir.Tenant(tenant)
	if !ok {
		w.t.Fatalf("no tenant %s", tenant)
	}
	_, token, err := w.auth.MakeLink(by, of, time.Hour)
	must(w.t, err)
	return string(token)
}

// endpoint makes an endpoint that subscribes to the dialect's first event.
func (w *world) endpoint(tenant, name, url string, vendorID ...string) *hook.Endpoint {
	w.t.Helper()
	in := manage.EndpointInput{URL: &url, Dialect: &name}
	if len(vendorID) > 0 {
		in.VendorID = &vendorID[0]
	}
	d, _ := w.manager.Dialects.Get(name)
	if types := d.Catalogue(); d.Subscription() != dialect.AllTypes {
		types = append(types, "product.add")[:1]
		in.EventTypes = &types
	}
	e, _, err := w.manager.CreateEndpoint(w.t.Context(), tenant, in)
	must(w.t, err)
	return e
}

// do sends a request.
func (w *world) do(method, target, body string, header http.Header) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, target, strings.NewReader(body))
	maps.Copy(r.Header, header)
	return w.serve(r)
}

func newRequest(t testing.TB, target, body string) *http.Request {
	return httptest.NewRequestWithContext(t.Context(), "POST", target, strings.NewReader(body))
}

// refused is how a request is refused in a vendor's shape; nil: it is at no
// vendor's path.
func (w *world) refused(target string) *httptest.ResponseRecorder {
	out := httptest.NewRecorder()
	if !w.Refuse(out, newRequest(w.t, target, ""), hook.Errorf(hook.CodeUnavailable, "the server is stopping")) {
		return nil
	}
	return out
}

func (w *world) serve(r *http.Request) *httptest.ResponseRecorder {
	w.t.Helper()
	out := httptest.NewRecorder()
	w.ServeHTTP(out, r)
	if h := out.Header(); out.Code != http.StatusTeapot && (!slices.Equal(h["Cache-Control"], []string{"no-store"}) || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Request-Id") == "") {
		w.t.Errorf("%s %s: headers %v", r.Method, r.URL.Path, h)
	}
	return out
}

// as runs f as an account of a contract, with the given key.
func (w *world) as(family, key string, f func(c dialect.Control, by dialect.Caller, a dialect.Account)) {
	w.t.Helper()
	ran := false
	w.probe = func(c dialect.Control, _ http.ResponseWriter, r *http.Request) {
		by, err := c.Caller(r, hook.Secret(key))
		must(w.t, err)
		a, err := by.Only()
		must(w.t, err)
		ran = true
		f(c, by, a)
	}
	w.do("POST", "/probe/"+family+"/1", "", nil)
	if !ran {
		w.t.Fatal("the probe did not run")
	}
}

// publish publishes an event and gives it back as it is stored.
func (w *world) publish(tenant, eventType, data string) *hook.Event {
	w.t.Helper()
	results, _, err := w.ingest.Publish(w.t.Context(), &ingest.Submission{Items: []ingest.Item{{Tenant: tenant, Type: eventType, Data: json.RawMessage(data)}}})
	must(w.t, err)
	if results[0].Err != nil {
		w.t.Fatal(results[0].Err)
	}
	e, err := w.store.Event(w.t.Context(), hook.AllTenants, results[0].ID)
	must(w.t, err)
	return e
}

// attempt records an attempt of a delivery.
func (w *world) attempt(event *hook.Event, e *hook.Endpoint, a hook.Attempt) {
	w.t.Helper()
	lease, err := w.store.Acquire(w.t.Context(), "test")
	must(w.t, err)
	a.Key = hook.DeliveryKey{Event: event.ID, Endpoint: e.Num}
	if a.At.IsZero() {
		a.At = time.Now()
	}
	o := &store.Outcome{Key: a.Key, Attempt: &a, At: a.At, State: a.State, Reason: a.Reason, NextAt: a.NextAt, FirstAt: a.At}
	must(w.t, w.store.Record(w.t.Context(), lease, []*store.Outcome{o}))
}
