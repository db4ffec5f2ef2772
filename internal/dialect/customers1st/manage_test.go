package customers1st_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/client"
	"grapnel/internal/config"
	"grapnel/internal/vendortest"
)

// store is a tenant of a server, with an old client's way to call.
type store struct {
	*vendortest.Server
	t      *testing.T
	secret string
	header []string
}

func newStore(t *testing.T, change ...func(*config.Config)) *store {
	t.Helper()
	srv := vendortest.Start(t, change...)
	s := &store{Server: srv, t: t, secret: srv.MakeTenant("acme", "customers1st")}
	s.header = bearer(srv.MakeKey("acme"))
	return s
}

func bearer(key string) []string {
	return []string{"Accept: application/json", "Content-Type: application/json", "Authorization: Bearer " + key}
}

// stamps are the times in answers.
var stamps = regexp.MustCompile(`"2\d\d\d-\d\d-\d\d \d\d:\d\d:\d\d"`)

// want calls, and wants a status and a body; "TIME" in it is any time.
func (s *store) want(method, path, body string, status int, want string) {
	s.t.Helper()
	s.wantAs(s.header, method, path, body, status, want)
}

func (s *store) wantAs(header []string, method, path, body string, status int, want string) {
	s.t.Helper()
	a := s.Do(method, path, header, body)
	got := stamps.ReplaceAllString(a.Body, `"TIME"`)
	if a.Status != status || got != want {
		s.t.Errorf("%s %s %s: %d\n got  %s\n want %d\n      %s", method, path, body, a.Status, got, status, want)
	}
	if kind := a.Header.Get("Content-Type"); kind != "application/json" {
		s.t.Errorf("%s %s: content type %q", method, path, kind)
	}
}

// refused wants an error of a status, in the vendor's shape (C1-M10).
func (s *store) refused(header []string, method, path, body string, status int, code string) {
	s.t.Helper()
	a := s.Do(method, path, header, body)
	shape := regexp.MustCompile(fmt.Sprintf(`^\{"message":"[^"].*","errorcode":"%s","code":%d\}$`, code, status))
	if a.Status != status || !shape.MatchString(a.Body) {
		s.t.Errorf("%s %s %s: %d %s, want %d %s", method, path, body, a.Status, a.Body, status, code)
	}
}

// hooks are the endpoints of the tenant, as the native API lists them.
func (s *store) hooks() (urls []string) {
	s.t.Helper()
	for e, err := range s.Endpoints(s.t.Context(), "acme") {
		if err != nil {
			s.t.Fatal(err)
		}
		urls = append(urls, strings.Join(e.EventTypes, ",")+" "+e.URL)
	}
	return urls
}

const url = "https://example.com/resthooks?x=%2F&y=ø"

// The calls of the document and of the specification, in the order in which a
// client makes them.
func TestManagement(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	t.Run("C1-M1 C1-M2 C1-M3 a hook is made, and its id is answered", func(t *testing.T) {
		s.t = t
		s.want("POST", "/api/hooks", `{
    "event": "product.created",
    "url": "`+url+`"
}`, 201, `{"id":1}`)
		if diff := cmp.Diff([]string{"product.created " + url}, s.hooks()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("C1-M13 the same again is another hook", func(t *testing.T) {
		s.t = t
		s.want("POST", "/api/hooks", `{"event":"product.created","url":"`+url+`","receiver":"e-conomic","active":0}`, 201, `{"id":2}`)
	})
	t.Run("C1-M6 C1-M7 list and get", func(t *testing.T) {
		s.t = t
		first := `{"id":1,"event":"product.created","url":"` + url + `","receiver":null,"active":1,"created":"TIME","lastactivity":null,"last_updated":"TIME"}`
		second := `{"id":2,"event":"product.created","url":"` + url + `","receiver":"e-conomic","active":0,"created":"TIME","lastactivity":null,"last_updated":"TIME"}`
		s.want("GET", "/api/hooks", "", 200, `{"content":[`+first+`,`+second+`],"count":2}`)
		s.want("GET", "/api/hooks/2", "", 200, second)
		s.refused(s.header, "GET", "/api/hooks/9", "", 404, "NOT_FOUND")
		s.refused(s.header, "GET", "/api/hooks/nine", "", 404, "NOT_FOUND")
	})
	t.Run("C1-M6 C1-M7 PUT replaces the whole hook", func(t *testing.T) {
		s.t = t
		s.want("PUT", "/api/hooks/2", `{"id":77,"event":"customer.updated","url":"https://example.com/other","created":"2001-01-01 00:00:00"}`, 200, `{"updated":1}`)
		s.want("GET", "/api/hooks/2", "", 200,
			`{"id":2,"event":"customer.updated","url":"https://example.com/other","receiver":null,"active":1,"created":"TIME","lastactivity":null,"last_updated":"TIME"}`)
		s.want("PUT", "/api/hooks/9", `{"event":"customer.updated","url":"https://example.com/other"}`, 200, `{"updated":0}`)
		s.refused(s.header, "PUT", "/api/hooks/2", `{"event":"customer.updated"}`, 400, "BAD_REQUEST")
		s.refused(s.header, "PUT", "/api/hooks/2", `{"url":"https://example.com/other"}`, 400, "BAD_REQUEST")
	})
	t.Run("C1-M10 paging", func(t *testing.T) {
		s.t = t
		whole := s.Do("GET", "/api/hooks/2", s.header, "").Body
		if got := s.Do("GET", "/api/hooks?paginationStart=1&paginationPageLength=1", s.header, "").Body; got != `{"content":[`+whole+`],"count":2}` {
			t.Errorf("the second page is %s", got)
		}
		if got := s.Do("GET", "/api/hooks?pagination-start=1", s.header, "").Body; got != `{"content":[`+whole+`],"count":2}` {
			t.Errorf("by the older name it is %s", got)
		}
		s.want("GET", "/api/hooks?paginationStart=2", "", 200, `{"content":[],"count":2}`)
		s.want("GET", "/api/hooks/log?paginationPageLength=9999", "", 200, `{"content":[],"count":0,"hasMore":false}`)
		s.refused(s.header, "GET", "/api/hooks?paginationStart=-1", "", 400, "BAD_REQUEST")
		s.refused(s.header, "GET", "/api/hooks/log?paginationPageLength=many", "", 400, "BAD_REQUEST")
	})
	t.Run("C1-M4 C1-M5 DELETE", func(t *testing.T) {
		s.t = t
		s.want("DELETE", "/api/hooks/2", "", 200, `{"deleted":1}`)
		s.want("DELETE", "/api/hooks/2", "", 200, `{"deleted":0}`)
		s.want("DELETE", "/api/hooks/12345678901234567890", "", 200, `{"deleted":0}`)
		s.want("DELETE", "/api/hooks/me", "", 200, `{"deleted":0}`)
		if diff := cmp.Diff([]string{"product.created " + url}, s.hooks()); diff != "" {
			t.Error(diff)
		}
		s.want("POST", "/api/hooks", `{"event":"task.created","url":"https://example.com/"}`, 201, `{"id":3}`) // an id does not come back
	})
	t.Run("C1-M10 C1-M13 what is refused is not stored", func(t *testing.T) {
		s.t = t
		before := s.hooks()
		for _, body := range []string{
			`{"event":"product.invented","url":"https://example.com/"}`,
			`{"event":"product.*","url":"https://example.com/"}`,
			`{"event":"grapnel.endpoint.disabled","url":"https://example.com/"}`,
			`{"event":"product.created","url":"ftp://example.com/"}`,
			`{"event":"product.created","url":"example.com"}`,
			`{"event":"product.created","url":"https://example.com/","active":2}`,
			`{"event":"product.created"}`, `{"url":"https://example.com/"}`, `[]`, `{`, ``, `event=product.created`,
		} {
			s.refused(s.header, "POST", "/api/hooks", body, 400, "BAD_REQUEST")
		}
		if diff := cmp.Diff(before, s.hooks()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("C1-M7 active, as clients write it", func(t *testing.T) {
		s.t = t
		shown := func(active int) string {
			return fmt.Sprintf(`{"id":3,"event":"task.created","url":"https://example.com/","receiver":null,"active":%d,"created":"TIME","lastactivity":null,"last_updated":"TIME"}`, active)
		}
		for _, c := range []struct {
			given string
			want  int
		}{{"0", 0}, {"1", 1}, {"0.0", 0}, {"1.0", 1}, {"false", 0}, {"true", 1}, {`"0"`, 0}, {`"1"`, 1}, {`"false"`, 0}, {`"true"`, 1}, {"0", 0}, {"null", 1}} {
			s.want("PUT", "/api/hooks/3", `{"event":"task.created","url":"https://example.com/","active":`+c.given+`}`, 200, `{"updated":1}`)
			s.want("GET", "/api/hooks/3", "", 200, shown(c.want))
		}
	})
	t.Run("C1-M10 errors say what is wanted where", func(t *testing.T) {
		s.t = t
		for body, want := range map[string]string{
			`{"event":7,"url":"https://example.com/"}`:                             `\"event\" has to be a text, not a number`,
			`{"event":"task.created","url":["https://example.com/"]}`:              `\"url\" has to be a text, not a list`,
			`{"event":"task.created","url":"https://example.com/","receiver":{}}`:  `\"receiver\" has to be a text, not an object`,
			`{"event":"task.created","url":"https://example.com/","active":2}`:     "active is 0 or 1, not 2",
			`{"event":"task.created","url":"https://example.com/","active":"yes"}`: `active is 0 or 1, not \"yes\"`,
			`{"event":"task.created","url":"https://example.com/","active":""}`:    `active is 0 or 1, not \"\"`,
			`{"event":"task.created","url":"https://example.com/","active":[]}`:    "active is 0 or 1, not []",
			`["task.created"]`:       "the body has to be an object, not a list",
			`event=task.created`:     "the body is not valid JSON from byte 1 on",
			`{"event":"task.created`: "the body is not valid JSON from byte 23 on",
			``:                       "the body is empty: a JSON object is wanted",
		} {
			for _, at := range []string{"POST /api/hooks", "PUT /api/hooks/3"} {
				method, path, _ := strings.Cut(at, " ")
				s.want(method, path, body, 400, `{"message":"`+want+`","errorcode":"BAD_REQUEST","code":400}`)
			}
		}
		s.want("GET", "/api/hooks?paginationStart=%zz", "", 400, `{"message":"paginationStart has a percent sign that no two hexadecimal digits follow: \"%zz\"; a percent sign itself is sent as %25","errorcode":"BAD_REQUEST","code":400}`)
	})
	t.Run("C1-M8 C1-M9 the lists beside the hooks are none", func(t *testing.T) {
		s.t = t
		for _, path := range []string{"/api/hooks/events", "/api/hooks/log"} {
			s.refused(s.header, "DELETE", path, "", 405, "METHOD_NOT_ALLOWED")
			s.refused(s.header, "PUT", path, `{"event":"task.created","url":"https://example.com/"}`, 405, "METHOD_NOT_ALLOWED")
		}
	})
	t.Run("C1-M10 tokens", func(t *testing.T) {
		s.t = t
		_, key, _ := strings.Cut(s.header[2], "Bearer ")
		s.refused([]string{"Authorization: Basic " + key}, "DELETE", "/api/hooks/1", "", 401, "UNAUTHORIZED")
		s.wantAs([]string{"Authorization: bearer  " + key}, "DELETE", "/api/hooks/2", "", 200, `{"deleted":0}`)
		s.wantAs(nil, "GET", "/api/hooks", "", 401, `{"message":"send a key as Authorization: Bearer KEY","errorcode":"UNAUTHORIZED","code":401}`)
		for _, header := range [][]string{nil, bearer("gk_no_such_key"), {"Authorization: Basic " + key}, {"Authorization: " + key}, {"Authorization: Token " + key}, {"X-API-KEY: " + key}} {
			s.refused(header, "GET", "/api/hooks", "", 401, "UNAUTHORIZED")
			s.refused(header, "PUT", "/api/settings/configs", "{}", 401, "UNAUTHORIZED")
		}
		s.refused(bearer(s.Admin), "GET", "/api/hooks", "", 403, "FORBIDDEN") // which store?
		s.MakeTenant("other", "customers1st")
		theirs := bearer(s.MakeKey("other"))
		s.wantAs(theirs, "GET", "/api/hooks", "", 200, `{"content":[],"count":0}`)
		s.wantAs(theirs, "DELETE", "/api/hooks/1", "", 200, `{"deleted":0}`)
		s.refused(theirs, "GET", "/api/hooks/1", "", 404, "NOT_FOUND")
		reader, err := s.CreateKey(t.Context(), client.KeyInput{Tenants: []string{"acme"}, Scopes: []string{"read"}})
		if err != nil {
			t.Fatal(err)
		}
		s.refused(bearer(reader.Key), "DELETE", "/api/hooks/1", "", 403, "FORBIDDEN")
		s.refused(s.header, "PATCH", "/api/hooks/1", "{}", 405, "METHOD_NOT_ALLOWED")
	})
	t.Run("C1-M8 C1-EV1 the events, without a token", func(t *testing.T) {
		s.t = t
		list := load(t).Dialects[0].Catalogue()
		s.wantAs(nil, "GET", "/api/hooks/events", "", 200, `{"items":["`+strings.Join(list, `","`)+`"]}`)
		if _, err := s.PutEventType(t.Context(), "repair.finished", client.EventTypeInput{}); err != nil {
			t.Fatal(err)
		}
		s.wantAs(nil, "GET", "/api/hooks/events", "", 200, `{"items":["`+strings.Join(append(list, "repair.finished"), `","`)+`"]}`)
		s.want("POST", "/api/hooks", `{"event":"repair.finished","url":"https://example.com/"}`, 201, `{"id":4}`)
	})
	t.Run("C1-S3 C1-S4 C1-S5 the store's secret", func(t *testing.T) {
		s.t = t
		if s.secret == "" {
			t.Fatal("the store was made without a secret")
		}
		s.want("GET", "/api/settings/configs", "", 200, `{"content":[{"key":"resthook_signing_secret","value":"`+s.secret+`"}]}`)
		set := `{"content":[{"key":"resthook_signing_secret","value":"  geheim-äöü-🔑/+= "}]}`
		s.want("PUT", "/api/settings/configs", set, 200, set)
		s.want("GET", "/api/settings/configs", "", 200, set)
		for _, body := range []string{
			`{"content":[{"key":"resthook_signing_secret","value":""}]}`, `{"content":[{"key":"resthook_signing_secret","value":null}]}`,
			`{"content":[{"key":"resthook_signing_secret","value":"a"},{"key":"currency","value":"DKK"}]}`,
			`{"content":{}}`, `{"content":null}`, `{}`, `[]`, ``, `{"key":"resthook_signing_secret","value":"a"}`,
		} {
			s.refused(s.header, "PUT", "/api/settings/configs", body, 400, "BAD_REQUEST")
		}
		s.want("GET", "/api/settings/configs", "", 200, set)
		_, err := s.CreateEndpoint(t.Context(), "acme", client.EndpointInput{
			URL: client.Set("https://example.com/"), EventTypes: client.Set([]string{"product.created"}), Secret: client.Set("its_own"),
		})
		if err == nil {
			t.Error("a hook can have a secret of its own")
		}
	})
}

// A hook that is made elsewhere is seen here, and the other way round.
func TestOneHookInBothAPIs(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for _, dialect := range []string{"customers1st", "customers1st@bare", "standard"} {
		s.MakeEndpoint("acme", client.EndpointInput{
			URL: client.Set("https://example.com/" + dialect), EventTypes: client.Set([]string{"product.created"}), Dialect: client.Set(dialect),
		})
	}
	a := s.Do("GET", "/api/hooks", s.header, "")
	if !strings.Contains(a.Body, `"count":2`) || strings.Contains(a.Body, "standard") || !strings.Contains(a.Body, "@bare") {
		t.Errorf("the hooks are %s", a.Body)
	}
	s.want("DELETE", "/api/hooks/2", "", 200, `{"deleted":1}`)
	if n := len(s.hooks()); n != 2 {
		t.Errorf("%d endpoints are left, want 2", n)
	}
}

// C1-M6, C1-M10: a page of hooks has all there are up to the most, which is
// 250; what else stands in the query is no matter.
func TestC1M10Pages(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var hooks strings.Builder
	for i := range 260 {
		fmt.Fprintf(&hooks, `{"tenant":"acme","dialect":"customers1st","vendor_id":%d,"event":"task.created","url":"https://example.com/%d"}`+"\n", i+1, i+1)
	}
	if a := s.Do("POST", "/v1/import", []string{"Authorization: Bearer " + s.Admin, "Content-Type: application/x-ndjson"}, hooks.String()); a.Status != http.StatusOK {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	for query, want := range map[string][2]int{"": {1, 250}, "?a=;b&c=%zz&paginationPageLength=": {1, 250}, "?paginationPageLength=2": {1, 2}, "?paginationStart=200": {201, 60}, "?paginationPageLength=1000": {1, 250}, "?paginationStart=250&paginationPageLength=250": {251, 10}} {
		a := s.Do("GET", "/api/hooks"+query, s.header, "")
		if n := strings.Count(a.Body, `"url"`); n != want[1] || !strings.HasSuffix(a.Body, `,"count":260}`) || !strings.HasPrefix(a.Body, fmt.Sprintf(`{"content":[{"id":%d,`, want[0])) {
			t.Errorf("%s has %d hooks: %.60s", query, n, a.Body)
		}
	}
}

// C1-M12: the answer to too many requests. How many there may be is the
// server's setting.
func TestC1M12Limit(t *testing.T) {
	t.Parallel()
	s := newStore(t, func(c *config.Config) { c.RateLimit, c.RateBurst = config.Rate{N: 1, Per: time.Hour}, 2 })
	s.want("GET", "/api/hooks", "", 200, `{"content":[],"count":0}`)
	s.want("DELETE", "/api/hooks/1", "", 200, `{"deleted":0}`)
	s.want("GET", "/api/hooks", "", 429, `{"error":"API Resource limit reached.","bucket_size":"80","bucket_regen":"8"}`)
	s.wantAs(nil, "GET", "/api/hooks/events", "", 200, s.Do("GET", "/api/hooks/events", nil, "").Body)
}

// Moving in: hooks come over with their ids, the store with its secret and its
// token, and its old client goes on.
func TestMovingIn(t *testing.T) {
	t.Parallel()
	srv := vendortest.Start(t)
	tap := vendortest.NewTap(t, vendortest.PHP(t, "testdata/receiver.php", ""))
	records := strings.Join([]string{
		`{"kind":"tenant","tenant":"store-3241","dialect":"customers1st","secret":"` + printed + `","settings":{"vendor_id":"3241"}}`,
		`{"kind":"key","tenant":"store-3241","key":"an_old_token_of_theirs","scopes":["manage"]}`,
		`{"kind":"hook","tenant":"store-3241","dialect":"customers1st","vendor_id":5598,"event":"giftcard.created","url":"` + tap.URL + `/5598","created_at":"2022-05-30 08:00:00"}`,
		`{"kind":"hook","tenant":"store-3241","dialect":"customers1st","vendor_id":5600,"event":"product.created","url":"` + tap.URL + `/5600","state":"inactive","description":"e-conomic"}`,
	}, "\n")
	for range 2 { // again, it changes nothing
		a := srv.Do("POST", "/v1/import", []string{"Authorization: Bearer " + srv.Admin, "Content-Type: application/x-ndjson"}, records)
		if a.Status != http.StatusOK || strings.Contains(a.Body, `"refused"`) && !strings.Contains(a.Body, `"refused":0`) {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	s := &store{Server: srv, t: t, header: bearer("an_old_token_of_theirs")}
	s.want("GET", "/api/hooks", "", 200, `{"content":[`+
		`{"id":5598,"event":"giftcard.created","url":"`+tap.URL+`/5598","receiver":null,"active":1,"created":"TIME","lastactivity":null,"last_updated":"TIME"},`+
		`{"id":5600,"event":"product.created","url":"`+tap.URL+`/5600","receiver":"e-conomic","active":0,"created":"TIME","lastactivity":null,"last_updated":"TIME"}],"count":2}`)
	if a := s.Do("GET", "/api/hooks/5598", s.header, ""); !strings.Contains(a.Body, `"created":"2022-05-30 08:00:00"`) {
		t.Errorf("the hook is %s", a.Body)
	}
	s.want("GET", "/api/settings/configs", "", 200, `{"content":[{"key":"resthook_signing_secret","value":"`+printed+`"}]}`)
	s.Send("store-3241", client.Event{Type: "giftcard.created", Data: []byte(`{"id":1}`)}, 1)
	if r := tap.Wait(1)[0]; r.Status != 200 || !strings.Contains(string(r.Body), `"resthookid":5598,"storeid":3241,`) {
		t.Errorf("the old receiver answered %d to %s", r.Status, r.Body)
	}
	s.want("POST", "/api/hooks", `{"event":"task.created","url":"https://example.com/"}`, 201, `{"id":5601}`) // C1-M2: no old id comes back
	s.want("DELETE", "/api/hooks/5598", "", 200, `{"deleted":1}`)                                             // C1-M4
	s.want("DELETE", "/api/hooks/5600", "", 200, `{"deleted":1}`)
	s.Send("store-3241", client.Event{Type: "giftcard.created", Data: []byte(`{"id":2}`)}, 0)
}
