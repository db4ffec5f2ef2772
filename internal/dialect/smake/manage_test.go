package smake_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"grapnel/client"
	"grapnel/internal/vendortest"
)

// headers are what the vendor wants with each request (SM-M1).
func headers(key string) []string {
	return []string{"Authorization: Bearer " + key, "Accept: application/json", "Content-Type: application/json"}
}

// shop is a server with one app, and an old client of it.
type shop struct {
	*vendortest.Server
	t   testing.TB
	app string
	key string
}

func open(t testing.TB, dialect string, change ...func(*client.TenantInput)) *shop {
	t.Helper()
	s := &shop{Server: vendortest.Start(t), t: t, app: "acme"}
	in := client.TenantInput{Dialect: client.Set(dialect)}
	for _, f := range change {
		f(&in)
	}
	if _, err := s.PutTenant(t.Context(), s.app, in); err != nil {
		t.Fatal(err)
	}
	s.key = s.MakeKey(s.app)
	return s
}

// want sends a request and wants an answer, %s in which stands for the server.
// "*" is any body.
func (s *shop) want(status int, body, method, path, send string, more ...string) {
	s.t.Helper()
	a := s.Do(method, "/v2/apps/"+s.app+path, append(headers(s.key), more...), send)
	if strings.Contains(body, "%s") {
		body = strings.ReplaceAll(body, "%s", s.URL)
	}
	if got := moments.ReplaceAllString(a.Body, `_at":"NOW"`); a.Status != status || body != "*" && got != body {
		s.t.Errorf("%s %s: got  %d %s\nwant %d %s", method, path, a.Status, got, status, body)
	}
	if a.Status != http.StatusNoContent && a.Header.Get("Content-Type") != "application/json" {
		s.t.Errorf("%s %s: the answer is %s", method, path, a.Header.Get("Content-Type"))
	}
}

var moments = regexp.MustCompile(`_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"`)

func TestManagement2021(t *testing.T) {
	t.Parallel()
	s := open(t, "smake")
	const one = `{"id":1,"is_test":false,"url":"https://requestb.in/xjggz4xj","event_types":[{"id":1,"name":"order.shipped"}]}`
	const two = `{"id":2,"is_test":false,"url":"https://requestb.in/1hd29kc1","event_types":[{"id":1,"name":"order.shipped"}]}`

	t.Run("SM-M2 an app without webhooks", func(t *testing.T) {
		s.want(200, `{"data":[],"links":{"first":"%s/v2/apps/acme/webhooks?page=1","last":"%s/v2/apps/acme/webhooks?page=1","prev":null,"next":null},`+
			`"meta":{"current_page":1,"from":null,"path":"%s/v2/apps/acme/webhooks","per_page":25,"to":null}}`, "GET", "/webhooks", "")
	})
	t.Run("SM-M1 SM-M2 create, and the token is not in the answer", func(t *testing.T) {
		s.want(201, one, "POST", "/webhooks", `{"url": "https://requestb.in/xjggz4xj", "event_types": [{"name": "order.shipped"}]}`)
		s.want(201, two, "POST", "/webhooks", `{"url": "https://requestb.in/1hd29kc1", "token": "my-secret-token", "event_types": [{"name": "order.shipped"}]}`)
	})
	t.Run("SM-M1 SM-M2 get", func(t *testing.T) { s.want(200, two, "GET", "/webhooks/2", "") })
	t.Run("SM-M1 SM-M2 list", func(t *testing.T) {
		s.want(200, `{"data":[`+one+`,`+two+`],"links":{"first":"%s/v2/apps/acme/webhooks?page=1","last":"%s/v2/apps/acme/webhooks?page=1","prev":null,"next":null},`+
			`"meta":{"current_page":1,"from":1,"path":"%s/v2/apps/acme/webhooks","per_page":25,"to":2}}`, "GET", "/webhooks", "")
	})
	t.Run("SM-M2 pages", func(t *testing.T) {
		s.want(200, `{"data":[`+two+`],"links":{"first":"%s/v2/apps/acme/webhooks?per_page=1&page=1","last":"%s/v2/apps/acme/webhooks?per_page=1&page=2",`+
			`"prev":"%s/v2/apps/acme/webhooks?per_page=1&page=1","next":null},`+
			`"meta":{"current_page":2,"from":2,"path":"%s/v2/apps/acme/webhooks","per_page":1,"to":2}}`, "GET", "/webhooks?per_page=1&page=2", "")
		s.want(200, `{"data":[],"links":{"first":"%s/v2/apps/acme/webhooks?page=1","last":"%s/v2/apps/acme/webhooks?page=1","prev":"%s/v2/apps/acme/webhooks?page=1","next":null},`+
			`"meta":{"current_page":9,"from":null,"path":"%s/v2/apps/acme/webhooks","per_page":25,"to":null}}`, "GET", "/webhooks?page=9", "")
	})
	t.Run("SM-M1 SM-M2 update", func(t *testing.T) {
		s.want(200, `{"id":1,"is_test":false,"url":"http://example.com","event_types":[{"id":1,"name":"order.shipped"}]}`, "PUT", "/webhooks/1", `{"url": "http://example.com"}`)
		s.want(200, `{"id":1,"is_test":false,"url":"http://example.com","event_types":[{"id":5,"name":"variant.designed"},{"id":2,"name":"order.cancelled"}]}`,
			"PUT", "/webhooks/1", `{"event_types": [{"name": "variant.designed"}, {"name": "order.cancelled"}]}`)
	})
	t.Run("SM-M1 delete", func(t *testing.T) {
		s.want(204, "", "DELETE", "/webhooks/1", "")
		s.want(404, `{"message":"Not Found."}`, "DELETE", "/webhooks/1", "")
		s.want(404, `{"message":"Not Found."}`, "GET", "/webhooks/1", "")
		s.want(404, `{"message":"Not Found."}`, "PUT", "/webhooks/1", `{"url": "https://example.com"}`)
		s.want(201, `{"id":3,"is_test":false,"url":"https://example.com","event_types":[{"id":1,"name":"order.shipped"}]}`,
			"POST", "/webhooks", `{"url": "https://example.com", "event_types": [{"name": "order.shipped"}]}`) // an id is not given twice
	})
}

func TestManagement2022(t *testing.T) {
	t.Parallel()
	one := func(description, version, state, url string) string {
		return fmt.Sprintf(`{"id":1,"description":{"en":%q},"version":%q,"state":%q,"url":%q,"events":[{"id":3,"name":"order.completed"}],"created_at":"NOW","updated_at":"NOW"}`, description, version, state, url)
	}
	const make2022 = `{"url": "https://requestb.in/xjggz4xj", "description": {"en": "on completion"}, "token": "t", "events": [{"name": "order.completed"}]}`
	for name, s := range map[string]*shop{
		"the dialect's variant":    open(t, "smake@2022-02-01"),
		"the tenant's api_version": open(t, "smake", func(in *client.TenantInput) { in.APIVersion = client.Set("2022-02-01") }),
	} {
		t.Run("SM-M3 chosen by "+name, func(t *testing.T) {
			s.t = t
			was := one("on completion", "2022-02-01", "active", "https://requestb.in/xjggz4xj")
			s.want(201, was, "POST", "/webhooks", make2022)
			s.want(200, was, "GET", "/webhooks/1", "")
			s.want(200, `{"data":[`+was+`],"links":{"first":"%s/v2/apps/acme/webhooks?page=1","last":"%s/v2/apps/acme/webhooks?page=1","prev":null,"next":null},`+
				`"meta":{"current_page":1,"from":1,"path":"%s/v2/apps/acme/webhooks","per_page":25,"to":1}}`, "GET", "/webhooks", "")
			s.want(200, one("on completion", "2022-02-01", "inactive", "https://requestb.in/xjggz4xj"), "PUT", "/webhooks/1", `{"state": "inactive"}`)
			s.want(200, one("other", "2022-02-01", "active", "https://example.com"), "PUT", "/webhooks/1", `{"state": "active", "description": "other", "url": "https://example.com"}`)
			s.want(200, one("other", "2021-02-23", "active", "https://example.com"), "PUT", "/webhooks/1", `{"version": "2021-02-23"}`)
			s.want(200, `{"id":1,"is_test":false,"url":"https://example.com","event_types":[{"id":3,"name":"order.completed"}]}`, "GET", "/webhooks/1", "", "X-Api-Version: 2021-02-23")
			s.want(422, `{"message":"The given data was invalid.","errors":{"description.de":["The description is kept in en alone."],"state":["The selected state is invalid: it is active or inactive."]}}`,
				"PUT", "/webhooks/1", `{"state": "gone", "description": {"de": "x"}}`)
			s.want(204, "", "DELETE", "/webhooks/1", "")
		})
	}
	t.Run("SM-M3 chosen by the request", func(t *testing.T) {
		s := open(t, "smake")
		s.want(201, one("on completion", "2021-02-23", "active", "https://requestb.in/xjggz4xj"), "POST", "/webhooks", make2022, "X-Api-Version: 2022-02-01")
	})
}

func TestSMM3AnInactiveWebhookGetsNothing(t *testing.T) {
	t.Parallel()
	s := open(t, "smake@2022-02-01")
	tap := vendortest.NewTap(t, "")
	s.want(201, "*", "POST", "/webhooks", `{"url": "`+tap.URL+`", "state": "inactive", "events": [{"name": "order.completed"}]}`)
	for i, state := range []string{"inactive", "active", "inactive", "active"} {
		s.want(200, "*", "PUT", "/webhooks/1", `{"state": "`+state+`"}`)
		event := client.Event{Type: "order.completed", Data: fmt.Appendf(nil, `"%s %d"`, state, i)}
		if _, err := s.Publish(t.Context(), "acme", event); err != nil {
			t.Fatal(err)
		}
		if state == "active" {
			tap.Wait((i + 1) / 2)
		}
	}
	for _, got := range tap.Wait(2) {
		if strings.Contains(string(got.Body), "inactive") {
			t.Errorf("it got %s", got.Body)
		}
	}
}

func TestSMM4TenWebhooksForAnEvent(t *testing.T) {
	t.Parallel()
	s := open(t, "smake")
	hook := func(event string) string {
		return `{"url": "https://example.com", "event_types": [{"name": "order.shipped"}, {"name": "` + event + `"}]}`
	}
	for range 10 {
		s.want(201, "*", "POST", "/webhooks", hook("id-tag.updated"))
	}
	a := s.Do("POST", "/v2/apps/acme/webhooks", headers(s.key), hook("order.cancelled"))
	if a.Status != 422 || !strings.HasPrefix(a.Body, `{"message":"The given data was invalid.","errors":{"event_types.0":["`) {
		t.Errorf("the 11th: %d %s", a.Status, a.Body)
	}
	a = s.Do("POST", "/v2/apps/acme/webhooks", append(headers(s.key), "X-Api-Version: 2022-02-01"), strings.Replace(hook("order.cancelled"), "event_types", "events", 1))
	if a.Status != 422 || !strings.Contains(a.Body, `"errors":{"events.0":["`) {
		t.Errorf("the 11th in the later version: %d %s", a.Status, a.Body)
	}
	s.want(201, "*", "POST", "/webhooks", `{"url": "https://example.com", "event_types": [{"name": "variant.designed"}]}`)
	s.want(200, "*", "PUT", "/webhooks/1", `{"url": "https://example.org"}`)
	s.want(204, "", "DELETE", "/webhooks/1", "")
	s.want(201, "*", "POST", "/webhooks", hook("order.cancelled"))
}

// A pattern counts for each event that it matches, whoever makes the webhook
// (SM-M4).
func TestSMM4PatternsCount(t *testing.T) {
	t.Parallel()
	s := open(t, "smake")
	for range 10 {
		s.want(201, "*", "POST", "/webhooks", `{"url": "https://example.com", "event_types": [{"name": "order.shipped"}]}`)
	}
	native := func(types ...string) error {
		_, err := s.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set("https://example.com"), EventTypes: client.Set(types)})
		return err
	}
	for _, types := range [][]string{{"order.*"}, {"logo.*", "order.*"}, {}} {
		if err := native(types...); err == nil || !strings.Contains(err.Error(), "get order.shipped already") {
			t.Errorf("an eleventh for %v: %v", types, err)
		}
	}
	for range 10 {
		if err := native("logo.*"); err != nil {
			t.Fatal(err)
		}
	}
	a := s.Do("POST", "/v2/apps/acme/webhooks", headers(s.key), `{"url": "https://example.com", "event_types": [{"name": "logo.failed"}]}`)
	if a.Status != 422 {
		t.Errorf("an eleventh for what patterns match: %d %s", a.Status, a.Body)
	}
	if _, err := s.PutEventType(t.Context(), "robot.made", client.EventTypeInput{}); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := native("robot.made"); err != nil {
			t.Fatal(err)
		}
	}
	if err := native("robot.*"); err == nil {
		t.Error("an eleventh for a type that is registered")
	}
}

// An import counts what it makes and what it changes (SM-M4).
func TestSMM4AnImportCounts(t *testing.T) {
	t.Parallel()
	s := open(t, "smake")
	hook := func(id int, eventType string) client.ImportRecord {
		return client.ImportRecord{Tenant: "acme", Dialect: "smake", VendorID: fmt.Sprint(id), URL: "https://example.com", EventTypes: []string{eventType}}
	}
	imported := func(created, updated, refused int, records ...client.ImportRecord) {
		t.Helper()
		r, err := s.Import(t.Context(), records)
		if err != nil || r.Created != created || r.Updated != updated || r.Refused != refused {
			t.Errorf("%+v %v, want %d, %d and %d refused", r, err, created, updated, refused)
		}
	}
	var records []client.ImportRecord
	for id := range 11 {
		records = append(records, hook(id+1, []string{"order.shipped", "order.*"}[id%2]))
	}
	imported(10, 0, 1, records...)
	// One leaves and another takes its place; the third finds none.
	imported(1, 1, 1, hook(1, "logo.failed"), hook(21, "order.*"), hook(22, "order.shipped"))
	// Those that change count too.
	imported(0, 2, 1, hook(2, "logo.failed"), hook(1, "order.shipped"), hook(41, "order.*"))
}

func TestSMM1Errors(t *testing.T) {
	t.Parallel()
	s := open(t, "smake")
	s.MakeTenant("other", "smake")
	invalid := func(fields string) string {
		return `{"message":"The given data was invalid.","errors":{` + fields + `}}`
	}
	const good = `{"url": "https://example.com", "event_types": [{"name": "order.shipped"}]}`

	t.Run("SM-M2 what is required", func(t *testing.T) {
		missing := invalid(`"event_types":["The event_types field is required."],"url":["The url field is required."]`)
		for _, body := range []string{"", "{}", `{"url": "", "event_types": []}`, `{"url": null, "event_types": null}`} {
			s.want(422, missing, "POST", "/webhooks", body)
		}
		s.want(422, invalid(`"events":["The events field is required."]`), "POST", "/webhooks", `{"url": "https://example.com"}`, "X-Api-Version: 2022-02-01")
		s.want(201, "*", "POST", "/webhooks", good)
		s.want(422, invalid(`"event_types":["The event_types field is required."]`), "PUT", "/webhooks/1", `{"event_types": []}`)
	})
	t.Run("what is wrong", func(t *testing.T) {
		s.want(422, invalid(`"event_types.1.name":["The selected event_types.1.name is invalid."]`),
			"POST", "/webhooks", `{"url": "https://example.com", "event_types": [{"name": "order.shipped"}, {"name": "order.lost"}]}`)
		s.want(422, invalid(`"url":["The url has the wrong type."]`), "POST", "/webhooks", `{"url": 5}`)
		s.want(422, invalid(`"event_types.0":["The event_types.0 has the wrong type."]`), "POST", "/webhooks", `{"event_types": ["order.shipped"]}`)
		s.want(422, invalid(`"token":["The token must be a string."]`), "PUT", "/webhooks/1", `{"token": 5}`)
		a := s.Do("POST", "/v2/apps/acme/webhooks", headers(s.key), strings.Replace(good, "https://example.com", "ftp://example.com", 1))
		if a.Status != 422 || !strings.HasPrefix(a.Body, `{"message":"The given data was invalid.","errors":{"url":["`) {
			t.Errorf("a URL that cannot be posted to: %d %s", a.Status, a.Body)
		}
	})
	t.Run("what cannot be read", func(t *testing.T) {
		for body, why := range map[string]string{
			`url=https://example.com`:              "The body is not JSON: send Content-Type: application/json and an object.",
			`{"url": `:                             "The body is not JSON: send Content-Type: application/json and an object.",
			`[]`:                                   "The body is JSON, but no object: send an object.",
			"\ufeff{}":                             "The body begins with a byte order mark: send it without one.",
			"{\"url\": \"\xff\"}":                  "The body is not in UTF-8.",
			`{"token": "a", "token": "b"}`:         "The body has the member token twice: send it once.",
			`{"description": {"en": "", "en": 1}}`: "The body has the member description.en twice: send it once.",
		} {
			s.want(400, `{"message":"`+why+`"}`, "POST", "/webhooks", body)
		}
	})
	t.Run("SM-M3 the version is a short text", func(t *testing.T) {
		for version, status := range map[string]int{"2022-02-01": 200, "": 200, strings.Repeat("ü", 32): 200, strings.Repeat("v", 33): 422, `a\nb`: 422, `a\u0000`: 422} {
			want := "*"
			if status == 422 {
				want = invalid(`"version":["The version must be a text of at most 32 printable characters."]`)
			}
			s.want(status, want, "PUT", "/webhooks/1", `{"version": "`+version+`"}`)
		}
	})
	t.Run("who may not", func(t *testing.T) {
		const unauthenticated = `{"message":"Unauthenticated."}`
		right := s.key
		for _, key := range []string{"", "gk_nobody", right + "x"} {
			s.key = key
			s.want(401, unauthenticated, "GET", "/webhooks", "")
		}
		s.key = right
		s.app = "other"
		s.want(404, `{"message":"Not Found."}`, "GET", "/webhooks", "")
		s.want(404, `{"message":"Not Found."}`, "POST", "/webhooks", good)
		s.app = "nowhere"
		s.want(404, `{"message":"Not Found."}`, "GET", "/webhooks", "")
		s.app = "acme"
		publish, err := s.CreateKey(t.Context(), client.KeyInput{Tenants: []string{"acme"}, Scopes: []string{client.ScopePublish}})
		if err != nil {
			t.Fatal(err)
		}
		s.key = publish.Key
		s.want(403, `{"message":"This action is unauthorized."}`, "GET", "/webhooks", "")
		s.key = right
	})
	t.Run("what is not there", func(t *testing.T) {
		s.want(405, `{"message":"The method is not supported for this route."}`, "PATCH", "/webhooks/1", "{}")
		s.want(404, `{"message":"Not Found."}`, "GET", "/webhooks/none", "")
	})
}

// What was made elsewhere is seen here, and the other way round.
func TestSMM1OneSetOfHooks(t *testing.T) {
	t.Parallel()
	s := open(t, "smake", func(in *client.TenantInput) {
		in.Settings = client.Set(map[string]string{"vendor_id": "17", "is_test": "true"})
	})
	s.MakeEndpoint("acme", client.EndpointInput{URL: client.Set("https://example.com"), EventTypes: client.Set([]string{"logo.*"})})
	s.app = "17" // the number that the app had at the vendor
	s.want(200, `{"id":1,"is_test":true,"url":"https://example.com","event_types":[{"id":11,"name":"logo.completed"},{"id":12,"name":"logo.failed"}]}`, "GET", "/webhooks/1", "")
	s.want(201, "*", "POST", "/webhooks", `{"url": "https://example.org", "event_types": [{"id": 3}]}`)
	var dialects []string
	for e, err := range s.Endpoints(t.Context(), "acme") {
		if err != nil {
			t.Fatal(err)
		}
		dialects = append(dialects, e.Dialect)
	}
	if fmt.Sprint(dialects) != "[smake smake]" {
		t.Errorf("the endpoints speak %v", dialects)
	}
	// A token that is set later signs, and one that is taken away does not.
	tap := vendortest.NewTap(t, "")
	s.want(200, "*", "PUT", "/webhooks/2", `{"url": "`+tap.URL+`"}`)
	for i, token := range []string{`"my-secret-token"`, `null`, `"another"`, `""`} {
		s.want(200, "*", "PUT", "/webhooks/2", `{"token": `+token+`}`)
		s.Send("acme", client.Event{Type: "order.completed", Data: []byte(`{}`)}, 1)
		if signed := tap.Wait(i + 1)[i].Has("X-Signature"); signed != (i%2 == 0) {
			t.Errorf("with the token %s it is signed: %v", token, signed)
		}
	}
}

// A key of several apps reaches each by its number, unless two have the same.
func TestSMM1AppsByTheirNumbers(t *testing.T) {
	t.Parallel()
	s := open(t, "smake")
	tenant := func(id, dialect, number string) {
		in := client.TenantInput{Dialect: client.Set(dialect)}
		if number != "" {
			in.Settings = client.Set(map[string]string{"vendor_id": number})
		}
		if _, err := s.PutTenant(t.Context(), id, in); err != nil {
			t.Fatal(err)
		}
	}
	tenant("one", "smake", "17001")
	tenant("two", "smake@2022-02-01", "17002")
	tenant("shop", "propstack", "17002") // of another contract
	tenant("twin", "smake", "17003")
	tenant("other", "smake", "17003")
	tenant("foreign", "smake", "17004")
	s.key = s.MakeKey("one", "two", "shop", "twin", "other", "acme")
	for app, status := range map[string]int{"one": 200, "17001": 200, "17002": 200, "17003": 404, "17004": 404, "170": 404} {
		s.app = app
		s.want(status, "*", "GET", "/webhooks", "")
	}
	// The hook is made for the app that was named.
	s.app = "17002"
	s.want(201, "*", "POST", "/webhooks", `{"url": "https://example.com", "events": [{"name": "order.completed"}]}`)
	count := 0
	for e, err := range s.Endpoints(t.Context(), "two") {
		if err != nil || e.Dialect != "smake@2022-02-01" {
			t.Errorf("%+v %v", e, err)
		}
		count++
	}
	if count != 1 {
		t.Errorf("%d endpoints, want 1", count)
	}
	// Without the setting it is the number that bodies have.
	s.app = "1"
	s.want(200, "*", "GET", "/webhooks", "")
}

// Moving in: hooks keep their ids and tokens, apps their keys and numbers.
func TestSMM1MovedHooksKeepIDsAndTokens(t *testing.T) {
	t.Parallel()
	s := open(t, "smake")
	receiver := vendortest.NewTap(t, vendortest.PHP(t, "testdata/laravel.php", "old-token", "CONTROLLER=controller.php"))
	report, err := s.Import(t.Context(), []client.ImportRecord{
		{Kind: client.KindTenant, Tenant: "moved", Dialect: "smake", Settings: map[string]string{"vendor_id": "23"}},
		{Kind: client.KindKey, Tenant: "moved", Key: "old-key-of-the-vendor-0123456789"},
		{Tenant: "moved", Dialect: "smake", VendorID: "4711", URL: receiver.URL, EventTypes: []string{"variant.designed"}, Secret: "old-token"},
		{Tenant: "moved", Dialect: "smake", VendorID: "12", URL: receiver.URL, EventTypes: []string{"order.shipped"}, State: "inactive"},
	})
	if err != nil || report.Created != 4 {
		t.Fatalf("%+v %v", report, err)
	}
	s.app, s.key = "23", "old-key-of-the-vendor-0123456789"
	s.want(200, `{"id":4711,"is_test":false,"url":"`+receiver.URL+`","event_types":[{"id":5,"name":"variant.designed"}]}`, "GET", "/webhooks/4711", "")
	s.Send("moved", client.Event{Type: "variant.designed", Data: []byte(`{"id":1}`)}, 1)
	if got := receiver.Wait(1)[0].Status; got != 200 {
		t.Errorf("the old receiver answered %d", got)
	}
	s.want(201, `{"id":4712,"is_test":false,"url":"https://example.com","event_types":[{"id":1,"name":"order.shipped"}]}`,
		"POST", "/webhooks", `{"url": "https://example.com", "event_types": [{"name": "order.shipped"}]}`)
	s.want(204, "", "DELETE", "/webhooks/12", "")
	s.want(404, "*", "GET", "/webhooks/12", "")
}
