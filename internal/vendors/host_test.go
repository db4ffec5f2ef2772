package vendors_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"grapnel/internal/api"
	"grapnel/internal/auth/callers"
	"grapnel/internal/dialect"
	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/vendors"
)

func TestPathsGoToTheirVendors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/v1/tenants/acme", http.StatusTeapot, ""},
		{"POST", "/v1/events", http.StatusTeapot, ""},
		{"GET", "/v1", http.StatusTeapot, ""},
		{"GET", "/v1/hooksome", http.StatusTeapot, ""},
		{"GET", "/", http.StatusTeapot, ""},
		{"GET", "/elsewhere/api/hooks", http.StatusTeapot, ""},
		{"GET", "/v1/hooks", http.StatusUnauthorized, ""},
		{"GET", "/v1/hooks/", http.StatusNotFound, ""},
		{"GET", "/v1/hooks/1/2", http.StatusNotFound, ""},
		{"PATCH", "/v1/hooks", http.StatusMethodNotAllowed, "GET, HEAD, POST"},
		{"GET", "/v1/hooks/1", http.StatusMethodNotAllowed, "DELETE"},
		{"PUT", "/v1/hooks/..", http.StatusNotFound, ""},
		{"GET", "/v1/hooks//1", http.StatusNotFound, ""},
		{"GET", "/api/nothing", http.StatusNotFound, ""},
		{"DELETE", "/api/hooks/events", http.StatusUnauthorized, ""}, // "events" may be an id
		{"GET", "/v2/apps", http.StatusNotFound, ""},
		{"GET", "/v2/apps/acme/nothing", http.StatusNotFound, ""},
		{"PATCH", "/api/v1/webhook/1", http.StatusMethodNotAllowed, "GET, HEAD, DELETE"},
		{"GET", "/v1.0/nothing.json", http.StatusOK, ""}, // A2-M3: the status is always 200
	} {
		out := w.do(c.method, c.path, "", nil)
		if out.Code != c.status || out.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q, want %d, %q: %s", c.method, c.path, out.Code, out.Header().Get("Allow"), c.status, c.allow, out.Body)
		}
		if out.Code != http.StatusTeapot && out.Body.Len() == 0 && c.method != "HEAD" {
			t.Errorf("%s %s: no body in the vendor's shape", c.method, c.path)
		}
	}
	if w.counts.routes["none 404"] == 0 || w.counts.routes["GET /v1/hooks 401"] != 1 {
		t.Errorf("counted: %v", w.counts.routes)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var read error
	w.probe = func(_ dialect.Control, rw http.ResponseWriter, r *http.Request) {
		if _, has := r.Context().Deadline(); !has {
			t.Error("the request has no deadline")
		}
		_, read = io.ReadAll(r.Body)
		rw.WriteHeader(http.StatusNoContent)
	}
	large := strings.Repeat("x", 1<<20+1)
	if out := w.do("POST", "/probe/propstack/1", large, nil); out.Code != 499 || out.Body.String() != string(hook.CodeTooLarge) {
		t.Errorf("announced: %d %s", out.Code, out.Body)
	}
	if out := w.do("POST", "/probe/propstack/1", large[1:], nil); out.Code != http.StatusNoContent || read != nil {
		t.Errorf("just so: %d %v", out.Code, read)
	}
	r := newRequest(t, "/probe/propstack/1", large)
	r.ContentLength = -1
	w.serve(r)
	if hook.CodeOf(read) != hook.CodeTooLarge {
		t.Errorf("not announced: %v", read)
	}
}

// case 92: a hook that is aimed at a vendor's routes makes no hooks.
func TestDeliveriesChangeNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.probe = func(_ dialect.Control, rw http.ResponseWriter, _ *http.Request) { t.Error("it was let in") }
	if out := w.do("POST", "/probe/propstack/1", "{}", http.Header{egress.HopHeader: {"1"}}); out.Code != 499 || out.Body.String() != string(hook.CodeForbidden) {
		t.Errorf("%d %s", out.Code, out.Body)
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.probe = func(dialect.Control, http.ResponseWriter, *http.Request) { panic("a mistake") }
	if out := w.do("POST", "/probe/propstack/1", "", nil); out.Code != 499 || out.Body.String() != string(hook.CodeInternal) {
		t.Errorf("%d %s", out.Code, out.Body)
	}
	if !strings.Contains(w.log.String(), "panic while answering") {
		t.Error("not logged")
	}
	w.probe = func(_ dialect.Control, rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusAccepted)
		panic("too late")
	}
	if out := w.do("POST", "/probe/propstack/1", "", nil); out.Code != http.StatusAccepted || out.Body.Len() != 0 {
		t.Errorf("%d %s", out.Code, out.Body)
	}
}

func TestLimitsHold(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	w := newWorld(t, func(_ *vendors.Config, by *callers.Config) {
		by.Keys, by.Failed, by.Now = callers.Rate{N: 2, Per: time.Second}, callers.Rate{N: 3, Per: time.Minute}, func() time.Time { return now }
	})
	w.tenant("acme")
	key := w.key([]string{"acme"}, hook.ScopeManage)
	with := func(key string) http.Header { return http.Header{"X-Api-Key": {key}} }
	for i, want := range []int{200, 200, 429} {
		out := w.do("GET", "/v1/hooks", "", with(key))
		if out.Code != want || out.Header().Get("RateLimit") == "" || (want == 429) != (out.Header().Get("Retry-After") != "") {
			t.Errorf("request %d: %d %v", i, out.Code, out.Header())
		}
	}
	now = now.Add(time.Minute)
	for i, want := range []int{401, 401, 401, 429} {
		if out := w.do("GET", "/v1/hooks", "", with("wrong-key-of-somebody")); out.Code != want {
			t.Errorf("wrong key %d: %d", i, out.Code)
		}
	}
	if out := w.do("GET", "/v1/hooks", "", nil); out.Code != http.StatusUnauthorized {
		t.Errorf("without a key: %d", out.Code)
	}
	if out := w.do("GET", "/v1/hooks", "", with(key)); out.Code != http.StatusOK {
		t.Errorf("a key that has worked from there: %d", out.Code)
	}
}

func TestRoutesThatCollideAreRefused(t *testing.T) {
	t.Parallel()
	serve := func(dialect.Control, http.ResponseWriter, *http.Request) {}
	w := newWorld(t)
	good := w.vendors[1].Dialects
	for _, c := range []struct {
		name   string
		taken  []string
		routes []string
		want   string
	}{
		{"with the native API", []string{"GET /v1/events/{event}"}, []string{"GET /v1/{what}/last"}, "beside the native API"},
		{"the same as the native API's", []string{"GET /v1/events"}, []string{"GET /v1/events"}, "beside the native API"},
		{"with one another", nil, []string{"GET /a/{x}/b", "GET /a/b/{x}"}, "mount the route"},
		{"without a method", nil, []string{"/a"}, "want a method"},
		{"not a pattern", nil, []string{"GET /a/{"}, "mount the route"},
		{"apart", []string{"GET /v1/events"}, []string{"POST /v1/events", "GET /a/{x}", "GET /a/b"}, ""},
	} {
		cfg := w.Config
		cfg.Taken, cfg.Vendors = c.taken, []*dialect.Vendor{{Dialects: good, Refuse: plain}}
		for _, r := range c.routes {
			cfg.Vendors[0].Routes = append(cfg.Vendors[0].Routes, dialect.Route{Pattern: r, Serve: serve})
		}
		if _, err := vendors.New(cfg); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// The native API and all vendors are on one listener.
func TestNoVendorsRouteIsTheNativeAPIs(t *testing.T) {
	t.Parallel()
	patterns := new(api.API).Patterns()
	w := newWorld(t, func(c *vendors.Config, _ *callers.Config) { c.Taken = patterns })
	for _, pattern := range patterns {
		method, path, _ := strings.Cut(pattern, " ")
		if out := w.do(method, strings.NewReplacer("{", "", "}", "", "...", "").Replace(path), "", nil); out.Code != http.StatusTeapot {
			t.Errorf("%s is answered by a vendor: %d", pattern, out.Code)
		}
	}
	if len(patterns) < 30 || len(w.Patterns()) < 30 {
		t.Errorf("%d native routes, %d of vendors", len(patterns), len(w.Patterns()))
	}
}

func TestRefusesAtTheGate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	out := w.refused("/api/hooks")
	if out == nil || out.Code != http.StatusServiceUnavailable || out.Header().Get("Request-Id") == "" {
		t.Errorf("%+v", out)
	}
	if w.refused("/v1/tenants") != nil {
		t.Error("refused at the native API's path")
	}
}

// What all requests to the native API pass through has to cost nothing much.
func BenchmarkNative(b *testing.B) {
	w := newWorld(b, func(c *vendors.Config, _ *callers.Config) {
		c.Next = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	})
	r := newRequest(b, "/v1/tenants/acme/events", "")
	b.ReportAllocs()
	for b.Loop() {
		w.ServeHTTP(nil, r)
	}
}
