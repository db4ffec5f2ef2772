package vendors_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/manage"
	"grapnel/internal/store"
)

// carried says how a vendor's callers carry a key: it changes a request's query
// and headers. A vendor with routes that is not here fails the tests.
var carried = map[string]func(q url.Values, h http.Header, key, tenant string){
	"customers1st": bearer, "smake": bearer, "sixpark": bearer,
	"propstack": func(_ url.Values, h http.Header, key, _ string) { h.Set("X-Api-Key", key) },
	"api2cart": func(q url.Values, _ http.Header, key, tenant string) {
		q.Set("api_key", key)
		q.Set("store_key", "store-key-of-"+tenant)
	},
}

func bearer(_ url.Values, h http.Header, key, _ string) { h.Set("Authorization", "Bearer "+key) }

// bodies are what vendors' routes take, good enough to change something.
var bodies = map[string]struct{ query, form, json string }{
	"customers1st": {json: `{"event":"product.created","url":"https://b.example/changed","active":1,"content":[{"key":"resthook_signing_secret","value":"changed"}]}`},
	"propstack":    {query: "event=client_created&target_url=https%3A%2F%2Fb.example%2Fchanged"},
	"smake":        {json: `{"url":"https://b.example/changed","event_types":[{"name":"order.shipped"}]}`},
	"sixpark":      {form: "url=https%3A%2F%2Fb.example%2Fchanged&description=changed"},
	"api2cart":     {query: "entity=product&action=add&callback=https%3A%2F%2Fb.example%2Fchanged&label=changed"},
}

// request makes one for a vendor's route, with what it takes to change the hook
// with the id.
func request(t *testing.T, v *dialect.Vendor, r dialect.Route, app, id, key, storeOf string) (method, target, body string, header http.Header) {
	t.Helper()
	family := v.Dialects[0].Family()
	carry, in := carried[family], bodies[family]
	if carry == nil {
		t.Fatalf("the tests do not know how the callers of %s carry a key: add it to carried and bodies", family)
	}
	method, path, _ := strings.Cut(r.Pattern, " ")
	path = strings.NewReplacer("{app}", app, "{id}", id).Replace(path)
	if strings.Contains(path, "{") {
		t.Fatalf("%s: the tests do not know what to put into %s", r.Pattern, path)
	}
	q, err := url.ParseQuery(in.query)
	must(t, err)
	header = http.Header{}
	if family == "api2cart" {
		q.Set("id", id)
	}
	if key != "" {
		carry(q, header, key, storeOf)
	}
	switch {
	case in.form != "":
		header.Set("Content-Type", "application/x-www-form-urlencoded")
		body = in.form
	case in.json != "":
		header.Set("Content-Type", "application/json")
		body = in.json
	}
	header.Set("Accept", "application/json")
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return method, path, body, header
}

// worked reports whether an answer says that something was done.
func worked(family string, status int, body string) bool {
	if family != "api2cart" {
		return status < 400
	}
	var envelope struct {
		Code *int `json:"return_code"`
	}
	return json.Unmarshal([]byte(body), &envelope) != nil || envelope.Code == nil || *envelope.Code == 0
}

// state is all that the vendors' APIs could change of a tenant.
func (w *world) state(tenant string) string {
	t, endpoints, _ := w.dir.TenantWithEndpoints(tenant)
	out, err := json.Marshal(struct {
		Tenant    *hook.Tenant
		Endpoints []*hook.Endpoint
	}{t, endpoints})
	must(w.t, err)
	return string(out)
}

// What comes of a vendor's request for things of acme.
type outcome string

const (
	done    outcome = "done"    // it works, on what is acme's
	own     outcome = "own"     // it works, on what is the caller's own tenant's alone
	refused outcome = "refused" // nothing is done or shown
)

// column is a kind of credential, and what it gets: on routes that say whose hooks
// are meant (by path or by a store's secret), on those that take it from the key,
// and on those over all tenants that the key covers.
type column struct {
	name               string
	named, bound, over outcome
	tenants            []string // of the key; nil: all
	scopes             []hook.Scope
	make               func(w *world) string // nil: a key of the above
}

// columns are the matrix of case 93 for the vendors' routes.
var columns = []column{
	{name: "admin", named: done, bound: refused, over: done, scopes: []hook.Scope{hook.ScopeAdmin}},
	{name: "manage", named: done, bound: refused, over: done, scopes: []hook.Scope{hook.ScopeManage}},
	{name: "manage of both", named: done, bound: refused, over: done, tenants: []string{"acme", "other"}, scopes: []hook.Scope{hook.ScopeManage}},
	{name: "manage of acme", named: done, bound: done, over: done, tenants: []string{"acme"}, scopes: []hook.Scope{hook.ScopeManage}},
	{name: "read of acme", named: refused, bound: refused, over: refused, tenants: []string{"acme"}, scopes: []hook.Scope{hook.ScopeRead}},
	{name: "publish of acme", named: refused, bound: refused, over: refused, tenants: []string{"acme"}, scopes: []hook.Scope{hook.ScopePublish}},
	{name: "manage of other", named: refused, bound: own, over: own, tenants: []string{"other"}, scopes: []hook.Scope{hook.ScopeManage}},
	{name: "the rest of other", named: refused, bound: refused, over: refused, tenants: []string{"other"}, scopes: []hook.Scope{hook.ScopeRead, hook.ScopePublish}},
	{name: "portal link of acme", named: refused, bound: refused, over: refused, make: func(w *world) string { return w.link("acme") }},
	{name: "portal link of other", named: refused, bound: refused, over: refused, make: func(w *world) string { return w.link("other") }},
	{name: "revoked", named: refused, bound: refused, over: refused, make: func(w *world) string {
		k, text, err := w.manager.CreateKey(w.t.Context(), manage.KeyInput{Tenants: []string{"acme"}, Scopes: []hook.Scope{hook.ScopeManage}})
		must(w.t, err)
		must(w.t, w.manager.RevokeKey(w.t.Context(), k.ID, manage.Terms[hook.Key]{}))
		return string(text)
	}},
	{name: "expired", named: refused, bound: refused, over: refused, make: func(w *world) string {
		k, text, err := w.manager.CreateKey(w.t.Context(), manage.KeyInput{Tenants: []string{"acme"}, Scopes: []hook.Scope{hook.ScopeManage}})
		must(w.t, err)
		expired := *k
		expired.ExpiresAt = k.CreatedAt
		_, err = w.store.Configure(w.t.Context(), &store.Change{Keys: []*hook.Key{&expired}})
		must(w.t, err)
		must(w.t, w.dir.Refresh(w.t.Context()))
		return string(text)
	}},
	{name: "unknown", named: refused, bound: refused, over: refused, make: func(*world) string { return "gk_this_key_is_of_nobody_at_all_000000" }},
	{name: "none", named: refused, bound: refused, over: refused, make: func(*world) string { return "" }},
}

// wants is what a credential gets on a route.
func (c *column) wants(family string, r dialect.Route) outcome {
	switch {
	case r.Public:
		return done
	case family == "api2cart" && strings.Contains(r.Pattern, "account."):
		return c.over
	case family == "smake" || family == "api2cart":
		return c.named
	}
	return c.bound
}

// case 93: every vendor's route, every kind of credential. The routes are those
// that there are, so that a new one is covered.
func TestAccessMatrix(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tenant("acme")
	w.tenant("other")
	cells, wrong, routes := 0, 0, 0
	for i := range columns {
		c := &columns[i]
		key := ""
		if c.make != nil {
			key = c.make(w)
		} else {
			key = w.key(c.tenants, c.scopes...)
		}
		routes = 0
		for _, v := range w.vendors {
			for _, r := range v.Routes {
				cells, routes = cells+1, routes+1
				family, want := v.Dialects[0].Family(), c.wants(v.Dialects[0].Family(), r)
				theirs := w.endpoint("acme", v.Dialects[0].Name(), "https://canary.example/acme")
				before := w.state("acme")
				method, target, body, header := request(t, v, r, "acme", theirs.VendorID, key, "acme")
				out := w.do(method, target, body, header)
				text := out.Body.String()
				shown, changed := strings.Contains(text, "canary"), w.state("acme") != before
				if want != done && (shown || changed) {
					wrong++
					t.Errorf("%s with %s: shows or changes what is acme's: %d %s", r.Pattern, c.name, out.Code, text)
				}
				must(t, w.manager.DeleteEndpoint(t.Context(), "acme", theirs.ID, manage.Terms[hook.Endpoint]{}))
				if works := worked(family, out.Code, text); works && want == refused || !works && want == done {
					t.Errorf("%s with %s: %d %s, want it %s", r.Pattern, c.name, out.Code, text, want)
				}
			}
		}
	}
	t.Logf("%d routes × %d credentials: %d requests, %d wrongly allowed", routes, len(columns), cells, wrong)
}

// case 94: a key of one tenant never sees or changes what is another's, through
// no route of any vendor, and learns no more than of a hook that is not there.
func TestTenantsAreApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tenant("acme")
	w.tenant("other")
	key := w.key([]string{"other"}, hook.ScopeManage)
	for _, v := range w.vendors {
		if len(v.Routes) == 0 {
			continue
		}
		family := v.Dialects[0].Family()
		has, never := "424242", "999999"
		if v.Dialects[0].IDs() == dialect.UUIDs {
			has, never = "11111111-1111-4111-8111-111111111111", "00000000-0000-4000-8000-000000000000"
		}
		theirs := w.endpoint("acme", v.Dialects[0].Name(), "https://canary.example/acme", has)
		event := w.publish("acme", first(theirs.EventTypes, "ACCOUNT_OPENED"), `{"id":"canary","account":{"id":"canary","url":"https://canary.example/"}}`)
		w.attempt(event, theirs, hook.Attempt{N: 1, State: hook.Failed, Status: 500})
		before := w.state("acme")
		for _, r := range v.Routes {
			t.Run(r.Pattern, func(t *testing.T) {
				var answers []string
				for _, id := range []string{theirs.VendorID, never} {
					method, target, body, header := request(t, v, r, "other", id, key, "other")
					out := w.do(method, target, body, header)
					if strings.Contains(out.Body.String(), "canary") {
						t.Errorf("shows what is another's: %s", out.Body)
					}
					answers = append(answers, fmt.Sprint(out.Code, " ", strings.ReplaceAll(out.Body.String(), id, "ID")))
				}
				one := strings.Contains(r.Pattern, "{id}") || strings.Contains(r.Pattern, ".update.") || strings.Contains(r.Pattern, ".delete.")
				if one && answers[0] != answers[1] {
					t.Errorf("a hook of another tenant: %s\none that is not there: %s", answers[0], answers[1])
				}
				if after := w.state("acme"); after != before {
					t.Errorf("%s: changed another's: %s", family, cmp.Diff(before, after))
				}
			})
		}
	}
}

func first(list []string, otherwise string) string {
	if len(list) == 0 {
		return otherwise
	}
	return list[0]
}

// Some vendors carry keys in the query. No query is ever logged or counted,
// whatever comes of the request.
func TestKeysAreNeverLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tenant("acme")
	good := w.key([]string{"acme"}, hook.ScopeManage)
	w.probe = func(dialect.Control, http.ResponseWriter, *http.Request) { panic("canary-of-a-panic") }
	for _, target := range []string{
		"/v1/hooks", "/v1/hooks/17", "/v1/hooks/17/none", "/v1.0/webhook.list.json", "/v1.0/webhook.create.json", "/v1.1/nothing.json", "/v1.1//", "/api/hooks", "/api/v1/webhooks/x", "/probe/propstack/1",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH"} {
			for _, key := range []string{good, "canary-key-in-a-query"} {
				w.do(method, target+"?api_key="+key+"&store_key=canary-store-key&secret_key=canary-secret", "api_key=canary-in-a-form&secret_key=canary", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
			}
		}
	}
	log := w.log.String()
	for _, secret := range []string{good, "canary"} {
		if at := strings.Index(log, secret); at >= 0 {
			t.Errorf("the log holds a secret: …%s", log[max(0, at-300):min(len(log), at+100)])
		}
		for route := range w.counts.routes {
			if strings.Contains(route, secret) || strings.Contains(route, "17") {
				t.Errorf("counted under %q", route)
			}
		}
	}
	if !strings.Contains(log, `"route":"GET /v1/hooks"`) {
		t.Error("the log does not tell of requests by their pattern")
	}
}
