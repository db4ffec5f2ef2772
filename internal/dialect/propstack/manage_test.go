package propstack_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/client"
	"grapnel/internal/vendortest"
)

// account is a tenant of a server, with an old client's way to call.
type account struct {
	*vendortest.Server
	t   *testing.T
	key string
}

func newAccount(t *testing.T) *account {
	t.Helper()
	srv := vendortest.Start(t)
	srv.MakeTenant("acme", "propstack")
	return &account{Server: srv, t: t, key: srv.MakeKey("acme")}
}

// want calls with the key, and wants a status and a body.
func (a *account) want(method, path, body string, status int, want string, header ...string) {
	a.t.Helper()
	a.wantAs(append([]string{"X-API-KEY: " + a.key}, header...), method, path, body, status, want)
}

func (a *account) wantAs(header []string, method, path, body string, status int, want string) {
	a.t.Helper()
	got := a.Do(method, path, header, body)
	if got.Status != status || got.Body != want {
		a.t.Errorf("%s %s %s: %d %s\nwant %d %s", method, path, body, got.Status, got.Body, status, want)
	}
	if kind := got.Header.Get("Content-Type"); kind != "application/json; charset=utf-8" {
		a.t.Errorf("%s %s: content type %q", method, path, kind)
	}
}

// refused wants an error of a status, in the vendor's shape.
func (a *account) refused(header []string, method, path, body string, status int) {
	a.t.Helper()
	got := a.Do(method, path, header, body)
	if got.Status != status || !strings.HasPrefix(got.Body, `{"errors":["`) || !strings.HasSuffix(got.Body, `"]}`) || len(got.Body) < 20 {
		a.t.Errorf("%s %s %s: %d %s, want %d", method, path, body, got.Status, got.Body, status)
	}
}

// hooks are the endpoints of the tenant, as the native API lists them.
func (a *account) hooks() (out []string) {
	a.t.Helper()
	for e, err := range a.Endpoints(a.t.Context(), "acme") {
		if err != nil {
			a.t.Fatal(err)
		}
		signed := " unsigned"
		if len(e.Secrets) > 0 {
			signed = " signed"
		}
		out = append(out, strings.Join(e.EventTypes, ",")+" "+e.URL+signed)
	}
	return out
}

const form = "Content-Type: application/x-www-form-urlencoded"

// The calls of the document and of its fuller sources, in the order in which a
// client makes them.
func TestManagement(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	target := "https://propstack-immobilien.de/ps-hook?a=1&b=ü%20+"
	t.Run("PS-M1 PS-M2 query parameters make a hook", func(t *testing.T) {
		a.t = t
		a.want("POST", "/v1/hooks?target_url="+url.QueryEscape(target)+"&event=client_created", "", 200, `{"id":1}`)
		if diff := cmp.Diff([]string{"client_created " + target + " unsigned"}, a.hooks()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("PS-M3 a form and JSON do too", func(t *testing.T) {
		a.t = t
		a.want("POST", "/v1/hooks", "event=task_deleted&target_url="+url.QueryEscape(target), 200, `{"id":2}`, form)
		a.want("POST", "/v1/hooks", `{"event":"property_updated","target_url":"https://example.com/ø","more":1}`, 200, `{"id":3}`, "Content-Type: application/json")
	})
	t.Run("PS-M1 where the query says all, no body is needed", func(t *testing.T) {
		a.t = t
		a.want("POST", "/v1/hooks?target_url=https://example.com/a;b&event=task_created&more=%zz", "", 200, `{"id":4}`)
		id := 5
		for kind, body := range map[string]string{
			"application/json": "", "application/json; charset=utf-8": " \n", "multipart/form-data": "", "multipart/form-data; boundary=x": "",
			"application/x-www-form-urlencoded": "", "text/plain": "null", "application/JSON": "{", "application/vnd.api+json": "[]",
			"multipart/mixed": "x", "multipart/form-data; boundary=y": "x", "multipart/form-data; boundary": "x", "Application/Json": `{"event":7}`,
		} {
			a.want("POST", "/v1/hooks?event=task_created&target_url=https://example.com/a;b", body, 200, fmt.Sprintf(`{"id":%d}`, id), "Content-Type: "+kind)
			id++
		}
		hooks := a.hooks()[3:]
		if len(hooks) != 13 {
			t.Errorf("there are %d hooks", len(hooks))
		}
		for i, have := range hooks {
			if have != "task_created https://example.com/a;b unsigned" {
				t.Errorf("the hook is %s", have)
			}
			a.want("DELETE", fmt.Sprintf("/v1/hooks/%d", 4+i), "", 200, `{"ok":true}`)
		}
	})
	t.Run("PS-M3 a form of the other kind, and a value from each place", func(t *testing.T) {
		a.t = t
		parts := "--x\r\nContent-Disposition: form-data; name=\"event\"\r\n\r\ntask_created\r\n--x\r\nContent-Disposition: form-data; name=\"target_url\"\r\n\r\nhttps://example.com/a;b\r\n--x--\r\n"
		a.want("POST", "/v1/hooks", parts, 200, `{"id":17}`, "Content-Type: multipart/form-data; boundary=x")
		a.want("POST", "/v1/hooks?event=task_created", "target_url=https://example.com/a;b&event=client_created", 200, `{"id":18}`, form)
		a.want("POST", "/v1/hooks", `{"event":"task_created","target_url":"https://example.com/a;b"}`, 200, `{"id":19}`, form) // as curl -d sends it
		for i, have := range a.hooks()[3:] {
			if have != "task_created https://example.com/a;b unsigned" {
				t.Errorf("the hook is %s", have)
			}
			a.want("DELETE", fmt.Sprintf("/v1/hooks/%d", 17+i), "", 200, `{"ok":true}`)
		}
	})
	t.Run("PS-M1 PS-M3 PS-M7 what is wrong is told", func(t *testing.T) {
		a.t = t
		const whole = "/v1/hooks?event=task_created&target_url=https://example.com/"
		for _, c := range []struct{ path, kind, body, want string }{
			{whole + "100%", "application/json", "", `target_url has a percent sign that no two hexadecimal digits follow: \"https://example.com/100%\"; a percent sign itself is sent as %25`},
			{"/v1/hooks?event=task_created", "application/json", "", "the target_url to call is missing"},
			{"/v1/hooks?event=task_created", "application/json", "{", "the body is not valid JSON from byte 2 on"},
			{"/v1/hooks", "application/json", `{"event":1}`, `\"event\" has to be a text, not a number`},
			{"/v1/hooks", "multipart/form-data", "x", "the body cannot be read as multipart/form-data"},
			{whole, "application/json", `{"secret_key":1}`, `\"secret_key\" has to be a text, not a number`},
		} {
			a.want("POST", c.path, c.body, 422, `{"errors":["`+c.want+`"]}`, "Content-Type: "+c.kind)
		}
		a.wantAs(nil, "GET", "/v1/hooks?api_key=%zz", "", 401, `{"errors":["send the API key in the header X-API-KEY, or in the query as api_key"]}`)
		a.wantAs([]string{"Authorization: Bearer " + a.key}, "GET", "/v1/hooks", "", 401, `{"errors":["send the API key in the header X-API-KEY, or in the query as api_key"]}`)
	})
	t.Run("PS-M5 either case is taken", func(t *testing.T) {
		a.t = t
		a.want("POST", "/v1/hooks?event=SAVED_QUERY_CREATED&target_url=https%3A%2F%2Fexample.com", "", 200, `{"id":20}`)
	})
	t.Run("PS-M4 PS-M5 the list, in upper case", func(t *testing.T) {
		a.t = t
		a.want("GET", "/v1/hooks", "", 200, `{"hooks":[{"id":1,"event":"CLIENT_CREATED","target_url":"`+target+`"},`+
			`{"id":2,"event":"TASK_DELETED","target_url":"`+target+`"},{"id":3,"event":"PROPERTY_UPDATED","target_url":"https://example.com/ø"},`+
			`{"id":20,"event":"SAVED_QUERY_CREATED","target_url":"https://example.com"}]}`)
	})
	t.Run("PS-M8 a secret_key is our own addition, and is not shown", func(t *testing.T) {
		a.t = t
		a.want("POST", "/v1/hooks?event=task_created&target_url=https%3A%2F%2Fexample.com%2Fquery&secret_key=s%26x", "", 200, `{"id":21}`)
		a.want("POST", "/v1/hooks", `{"event":"task_created","target_url":"https://example.com/json","secret_key":"geheim-äöü-🔑"}`, 200, `{"id":22}`, "Content-Type: application/json")
		a.want("POST", "/v1/hooks", `event=task_created&target_url=https%3A%2F%2Fexample.com%2Fform&secret_key=x`, 200, `{"id":23}`, form)
		for i, name := range []string{"query", "json", "form"} {
			if got := a.hooks()[4+i]; got != "task_created https://example.com/"+name+" signed" {
				t.Errorf("the hook is %s", got)
			}
		}
		if list := a.Do("GET", "/v1/hooks", []string{"X-API-KEY: " + a.key}, "").Body; strings.Contains(list, "secret") || strings.Contains(list, "geheim") {
			t.Errorf("the list shows it: %s", list)
		}
	})
	t.Run("PS-M6 DELETE", func(t *testing.T) {
		a.t = t
		a.want("DELETE", "/v1/hooks/1", "", 200, `{"ok":true}`)
		if n := len(a.hooks()); n != 6 {
			t.Errorf("%d hooks are left", n)
		}
	})
	t.Run("PS-M7 what is not there", func(t *testing.T) {
		a.t = t
		a.want("DELETE", "/v1/hooks/1", "", 404, `{"errors":["Hook mit der id=1 konnte nicht gefunden werden."]}`)
		a.want("DELETE", "/v1/hooks/x", "", 404, `{"errors":["Hook mit der id=x konnte nicht gefunden werden."]}`)
	})
	t.Run("PS-M7 the older host's path, and the key in the query", func(t *testing.T) {
		a.t = t
		a.wantAs(nil, "POST", "/api/v1/hooks?api_key="+a.key+"&event=client_updated&target_url=https%3A%2F%2Fexample.com", "", 200, `{"id":24}`)
		if list := a.Do("GET", "/api/v1/hooks?api_key="+a.key, nil, "").Body; !strings.Contains(list, `{"id":24,"event":"CLIENT_UPDATED","target_url":"https://example.com"}`) {
			t.Errorf("the list is %s", list)
		}
		a.wantAs(nil, "DELETE", "/api/v1/hooks/24?api_key="+a.key, "", 200, `{"ok":true}`)
	})
	t.Run("PS-M7 keys", func(t *testing.T) {
		a.t = t
		a.MakeTenant("other", "propstack")
		reader, err := a.CreateKey(t.Context(), client.KeyInput{Tenants: []string{"acme"}, Scopes: []string{"read"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, header := range [][]string{nil, {"X-API-KEY: gk_no_such_key"}, {"X-API-KEY: " + reader.Key}, {"X-API-KEY: " + a.Admin}} {
			a.refused(header, "GET", "/v1/hooks", "", 401)
			a.refused(header, "DELETE", "/v1/hooks/2", "", 401)
		}
		theirs := []string{"X-API-KEY: " + a.MakeKey("other")}
		a.wantAs(theirs, "GET", "/v1/hooks", "", 200, `{"hooks":[]}`)
		a.wantAs(theirs, "DELETE", "/v1/hooks/2", "", 404, `{"errors":["Hook mit der id=2 konnte nicht gefunden werden."]}`)
	})
	t.Run("PS-M1 PS-E1 what is refused is not stored", func(t *testing.T) {
		a.t = t
		before := a.hooks()
		key := []string{"X-API-KEY: " + a.key, "Content-Type: application/json"}
		for _, path := range []string{
			"/v1/hooks", "/v1/hooks?event=client_created", "/v1/hooks?target_url=https%3A%2F%2Fexample.com",
			"/v1/hooks?event=client_deleted&target_url=https%3A%2F%2Fexample.com", "/v1/hooks?event=project_deleted&target_url=https%3A%2F%2Fexample.com",
			"/v1/hooks?event=client_created&target_url=example.com", "/v1/hooks?event=client_created&target_url=ftp%3A%2F%2Fexample.com",
		} {
			a.refused(key, "POST", path, "{}", 422)
		}
		a.refused(key, "POST", "/v1/hooks", "{", 422)
		a.refused(key, "PUT", "/v1/hooks", "{}", 405)
		if diff := cmp.Diff(before, a.hooks()); diff != "" {
			t.Error(diff)
		}
	})
}

// Moving in: hooks come over with their ids and secrets, accounts with their
// keys, and the old client goes on.
func TestMovingIn(t *testing.T) {
	t.Parallel()
	srv := vendortest.Start(t)
	tap := vendortest.NewTap(t, vendortest.PHP(t, "testdata/receiver.php", "an old secret"))
	records := strings.Join([]string{
		`{"kind":"tenant","tenant":"acme","dialect":"propstack"}`,
		`{"kind":"key","tenant":"acme","key":"an_old_key_of_theirs","scopes":["manage"]}`,
		`{"kind":"hook","tenant":"acme","dialect":"propstack","vendor_id":10,"event":"client_created","url":"` + tap.URL + `","secret":"an old secret"}`,
		`{"kind":"hook","tenant":"acme","dialect":"propstack","vendor_id":123,"event":"task_deleted","url":"https://example.com/ps-hook"}`,
	}, "\n")
	for range 2 { // again, it changes nothing
		a := srv.Do("POST", "/v1/import", []string{"Authorization: Bearer " + srv.Admin, "Content-Type: application/x-ndjson"}, records)
		if a.Status != http.StatusOK || strings.Contains(a.Body, `"refused"`) && !strings.Contains(a.Body, `"refused":0`) {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	a := &account{Server: srv, t: t, key: "an_old_key_of_theirs"}
	a.want("GET", "/v1/hooks", "", 200, `{"hooks":[{"id":10,"event":"CLIENT_CREATED","target_url":"`+tap.URL+`"},{"id":123,"event":"TASK_DELETED","target_url":"https://example.com/ps-hook"}]}`)
	a.Send("acme", client.Event{Type: "client_created", Data: []byte(`{"id":1}`)}, 1)
	if r := tap.Wait(1)[0]; r.Status != 200 {
		t.Errorf("the old receiver answered %d", r.Status)
	}
	a.want("POST", "/v1/hooks?event=task_created&target_url=https%3A%2F%2Fexample.com", "", 200, `{"id":124}`) // PS-M2: no old id comes back
	a.want("DELETE", "/v1/hooks/10", "", 200, `{"ok":true}`)                                                   // PS-M6
	a.want("DELETE", "/api/v1/hooks/123", "", 200, `{"ok":true}`)
	a.Send("acme", client.Event{Type: "client_created", Data: []byte(`{"id":2}`)}, 0)
}
