package vendors_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"grapnel/internal/auth/callers"
	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/manage"
	"grapnel/internal/testaid"
	"grapnel/internal/vendors"
)

// fuzzed is a host with a hook of each vendor for acme, which is called, and for
// other, which nobody speaks for.
type fuzzed struct {
	*world
	routes []fuzzedRoute
	faults *testaid.Buffer // what was logged as ours
	key    string
	hooks  map[string]string // acme's by family
}

type fuzzedRoute struct {
	of *dialect.Vendor
	dialect.Route
}

func newFuzzed(t testing.TB) *fuzzed {
	f := &fuzzed{faults: &testaid.Buffer{}}
	logger := slog.New(slog.NewTextHandler(f.faults, &slog.HandlerOptions{Level: slog.LevelError}))
	f.world = newWorld(t, func(c *vendors.Config, by *callers.Config) { c.Logger, by.Logger = logger, logger })
	f.tenant("acme")
	f.tenant("other")
	f.key = f.world.key([]string{"acme"}, hook.ScopeManage)
	for _, v := range f.vendors {
		for _, r := range v.Routes {
			f.routes = append(f.routes, fuzzedRoute{v, r})
		}
		if len(v.Routes) > 0 {
			f.endpoint("other", v.Dialects[0].Name(), "https://canary.example/other")
		}
	}
	return f
}

// anew gives acme one hook of each vendor, unless it has no fewer and not many more.
func (f *fuzzed) anew() {
	f.t.Helper()
	_, endpoints, _ := f.dir.TenantWithEndpoints("acme")
	there := map[string]bool{}
	for _, e := range endpoints {
		there[e.VendorID] = true
	}
	whole := len(f.hooks) > 0 && len(endpoints) < 4*len(f.hooks)
	for _, id := range f.hooks {
		whole = whole && there[id]
	}
	if whole {
		return
	}
	for _, e := range endpoints {
		must(f.t, f.manager.DeleteEndpoint(f.t.Context(), "acme", e.ID, manage.Terms[hook.Endpoint]{}))
	}
	f.hooks = map[string]string{}
	for _, v := range f.vendors {
		if len(v.Routes) > 0 {
			f.hooks[v.Dialects[0].Family()] = f.endpoint("acme", v.Dialects[0].Name(), "https://canary.example/acme").VendorID
		}
	}
}

// send sends a request to a route as acme. An empty id is that of acme's hook.
func (f *fuzzed) send(r fuzzedRoute, id, query, kind, body string) *httptest.ResponseRecorder {
	f.t.Helper()
	family := r.of.Dialects[0].Family()
	method, path, _ := strings.Cut(r.Pattern, " ")
	if id == "" {
		id = f.hooks[family]
	}
	req := newRequest(f.t, "/", body)
	req.Method = method
	q := url.Values{}
	carried[family](q, req.Header, f.key, "acme")
	if family == "api2cart" {
		q.Set("id", id)
	}
	req.URL.RawQuery = q.Encode() + "&" + query
	req.URL.RawPath = strings.NewReplacer("{app}", "acme", "{id}", url.PathEscape(id)).Replace(path)
	var err error
	req.URL.Path, err = url.PathUnescape(req.URL.RawPath)
	must(f.t, err)
	req.Header.Set("Content-Type", kind)
	return f.serve(req)
}

// case 64, case 94: whatever a vendor's client sends in whatever form, the answer is
// no fault of ours, in the vendor's shape, and nothing of another tenant is touched or
// shown.
func FuzzRoutes(f *testing.F) {
	const form, object = "application/x-www-form-urlencoded", "application/json"
	w := newFuzzed(f)
	for i, r := range w.routes {
		in := bodies[r.of.Dialects[0].Family()]
		kind := object
		if in.form != "" {
			kind = form
		}
		f.Add(uint(i), "", in.query, kind, in.form+in.json)
		f.Add(uint(i), "1", "", object, `{"url":7,"event":[],"event_types":{"name":null},"active":"\ud800"`)
		f.Add(uint(i), "../../other", "%zz&url=a&url=b;c", form, "url=%00%ff&url=https://b.example/&%=&;")
		f.Add(uint(i), "\x00é", in.query, "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"url\"\r\n\r\nhttps://b.example/\r\n--b--\r\n")
	}
	f.Fuzz(func(t *testing.T, route uint, id, query, kind, body string) {
		w.t = t
		defer func() { w.t = f }()
		w.anew()
		r := w.routes[route%uint(len(w.routes))]
		before := w.state("other")
		out := w.send(r, id, query, kind, body)
		if faults := w.faults.String(); faults != "" || out.Code >= http.StatusInternalServerError {
			t.Fatalf("%s: %d %s\n%s", r.Pattern, out.Code, out.Body, faults)
		}
		if len(body) > 1<<20 && out.Code < http.StatusBadRequest && r.of.Dialects[0].Family() != "api2cart" {
			t.Errorf("%s takes %d bytes: %d", r.Pattern, len(body), out.Code)
		}
		if w.state("other") != before || strings.Contains(out.Body.String(), "canary.example/other") {
			t.Fatalf("%s reaches another tenant: %d %s", r.Pattern, out.Code, out.Body)
		}
		if out.Body.Len() == 0 && out.Code != http.StatusNoContent && out.Code/100 != 3 && !strings.HasPrefix(r.Pattern, "DELETE ") {
			t.Errorf("%s: %d without a word", r.Pattern, out.Code)
		}
	})
}
