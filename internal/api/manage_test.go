package api_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/catalogue"
	"grapnel/internal/hook"
	"grapnel/internal/signature"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
)

func TestTenants(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.want(http.StatusCreated, "PUT", "/v1/tenants/new", `{"name":"New","settings":{"a":"b"}}`)
	if a.text("id") != "new" || a.text("name") != "New" || a.text("dialect") != "standard" {
		t.Error(a.body)
	}
	a = b.want(http.StatusOK, "PUT", "/v1/tenants/new", `{"api_version":"v2","settings":null}`)
	if a.text("name") != "New" || a.text("api_version") != "v2" || strings.Contains(a.body, `"a":"b"`) {
		t.Error(a.body)
	}
	b.want(http.StatusOK, "PUT", "/v1/tenants/new", ``)
	made := b.want(http.StatusCreated, "PUT", "/v1/tenants/signs", `{"dialect":"canceller"}`)
	if made.text("secret") == "" {
		t.Error("a new tenant's secret is not shown")
	}
	if got := b.want(http.StatusOK, "GET", "/v1/tenants/signs", ""); strings.Contains(got.body, "secret") {
		t.Error("the secret is shown again")
	}
	var ids []string
	for _, item := range b.want(http.StatusOK, "GET", "/v1/tenants", "").list("data") {
		ids = append(ids, item["id"].(string))
	}
	if diff := cmp.Diff([]string{"acme", "new", "other", "signs"}, ids); diff != "" {
		t.Error(diff)
	}
	b.want(http.StatusNoContent, "DELETE", "/v1/tenants/new", "")
	b.want(http.StatusNotFound, "GET", "/v1/tenants/new", "")
	b.want(http.StatusNotFound, "DELETE", "/v1/tenants/new", "")
	b.want(http.StatusCreated, "PUT", "/v1/tenants/new", "")
}

// case 96: a tenant's id that is given again means another tenant, to which
// nothing of the old one belongs.
func TestTenantIDGivenAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.endpoint("acme", `{"url":"https://example.com/"}`)
	old := b.publish("acme", `{"id":"mine","type":"a","data":1}`)
	b.want(http.StatusNoContent, "DELETE", "/v1/tenants/acme", "")
	b.want(http.StatusCreated, "PUT", "/v1/tenants/acme", "")
	b.want(http.StatusNotFound, "GET", "/v1/tenants/acme/events/"+old, "")
	for _, list := range []string{"endpoints", "events", "deliveries"} {
		if n := len(b.want(http.StatusOK, "GET", "/v1/tenants/acme/"+list, "").list("data")); n != 0 {
			t.Errorf("%d %s of the old tenant are listed", n, list)
		}
	}
	a := b.want(http.StatusAccepted, "POST", "/v1/tenants/acme/events", `{"id":"mine","type":"a","data":2}`)
	if a.text("id") == old || a.json()["duplicate"] != nil {
		t.Error("the old tenant's event id is still taken")
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const path = "/v1/tenants/acme/endpoints"
	a := b.want(http.StatusCreated, "POST", path, `{
		"url":"https://example.com/Hook?q=%7e","event_types":["invoice.*"],"description":"d","headers":{"X-B":"2","X-A":"1","Authorization":"Bearer customer"},
		"filter":{"field":"data.n","operator":"gt","value":1},"schedule":[5,"1m30s",0.25],"timeout":"5s","rate_limit":2.5,"max_in_flight":4,"ordering":"key","skip_after":5}`)
	id, secret := a.text("id"), a.text("secret")
	if !strings.HasPrefix(secret, "whsec_") || a.header.Get("Location") != path+"/"+id {
		t.Errorf("%s, Location %q", a.body, a.header.Get("Location"))
	}
	for _, part := range []string{
		`"url":"https://example.com/Hook?q=%7e"`, `"headers":{"X-B":"2","X-A":"1","Authorization":"[secret]"}`, `"schedule":[5,90,0.25]`, `"timeout":5,`,
		`"filter":{"field":"data.n","operator":"gt","value":1}`, `"rate_limit":2.5`, `"max_in_flight":4`, `"state":"active"`, `"ordering":"key","skip_after":5`,
	} {
		if !strings.Contains(a.body, part) {
			t.Errorf("no %s in %s", part, a.body)
		}
	}
	got := b.want(http.StatusOK, "GET", path+"/"+id, "")
	if strings.Contains(got.body, secret) || strings.Contains(got.body, "Bearer customer") {
		t.Error("a secret is shown again")
	}
	// What was read can be sent back without losing the hidden credential.
	b.want(http.StatusOK, "PATCH", path+"/"+id, `{"headers":{"authorization":"[secret]","X-A":"9"}}`)
	e, _ := b.dir.EndpointByID("acme", id)
	if b.opens(e)[0].Value != "Bearer customer" || e.Headers[0].Value != "" || e.Headers[1].Value != "9" {
		t.Errorf("%+v", e.Headers)
	}
	got = b.want(http.StatusOK, "PATCH", path+"/"+id, `{"timeout":null,"schedule":null,"filter":null,"event_types":null,"rate_limit":null,"max_in_flight":null,"headers":null,"state":"paused","ordering":null}`)
	for _, part := range []string{`"timeout":null`, `"schedule":null`, `"filter":null`, `"event_types":[]`, `"rate_limit":null`, `"max_in_flight":null`, `"headers":{}`, `"description":"d"`, `"state":"paused"`, `"ordering":"none","skip_after":null`} {
		if !strings.Contains(got.body, part) {
			t.Errorf("no %s in %s", part, got.body)
		}
	}
	second := b.endpoint("acme", `{"url":"https://example.com/2"}`)
	for query, want := range map[string]string{"": id + " " + second, "?state=paused": id, "?url=https://example.com/2": second, "?state=disabled": ""} {
		var ids []string
		for _, item := range b.want(http.StatusOK, "GET", path+query, "").list("data") {
			ids = append(ids, item["id"].(string))
		}
		if strings.Join(ids, " ") != want {
			t.Errorf("%s: %v", query, ids)
		}
	}
	// A stored schedule without waits is not the dialect's.
	e, _ = b.dir.EndpointByID("acme", second)
	once := *e
	once.Schedule = []time.Duration{}
	_, err := b.store.Configure(t.Context(), &store.Change{Endpoints: []*hook.Endpoint{&once}})
	must(t, err)
	must(t, b.dir.Refresh(t.Context()))
	if got := b.want(http.StatusOK, "GET", path+"/"+second, ""); !strings.Contains(got.body, `"schedule":[]`) {
		t.Error(got.body)
	}
	b.want(http.StatusNoContent, "DELETE", path+"/"+id, "")
	b.want(http.StatusNotFound, "GET", path+"/"+id, "")
	b.want(http.StatusNotFound, "PATCH", path+"/"+id, "{}")
	b.want(http.StatusNoContent, "DELETE", path+"/"+id, "") // as often as one likes
	b.want(http.StatusNotFound, "DELETE", path+"/ep_never", "")
}

func TestRotateSecret(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.endpoint("acme", `{"url":"https://example.com/"}`)
	path := "/v1/tenants/acme/endpoints/" + id + "/secret/rotate"
	a := b.want(http.StatusOK, "POST", path, "")
	if !strings.HasPrefix(a.text("secret"), "whsec_") || len(a.list("secrets")) != 2 {
		t.Error(a.body)
	}
	given := "whsec_Z2l2ZW4tZ2l2ZW4tZ2l2ZW4tZ2l2ZW4tMDAwMQ=="
	a = b.want(http.StatusOK, "POST", path, `{"overlap":0,"secret":"`+given+`"}`)
	if a.text("secret") != given || len(a.list("secrets")) != 1 {
		t.Error(a.body)
	}
	if p := b.want(http.StatusBadRequest, "POST", path, `{"overlap":"soon"}`).pointer(); p != "/overlap" {
		t.Errorf("points at %q", p)
	}
	b.want(http.StatusNotFound, "POST", "/v1/tenants/acme/endpoints/ep_none/secret/rotate", "")
	owned := b.endpoint("acme", `{"url":"https://example.com/","dialect":"canceller"}`)
	b.want(http.StatusUnprocessableEntity, "POST", "/v1/tenants/acme/endpoints/"+owned+"/secret/rotate", "")
	if a := b.want(http.StatusUnprocessableEntity, "POST", "/v1/tenants/acme/endpoints", `{"url":"https://example.com/","dialect":"canceller","secret":"x"}`); a.pointer() != "/secret" {
		t.Error(a.body)
	}
}

// What verifies the signatures of a private key can be asked for at any time.
func TestPublicKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	private := signature.NewPrivate()
	public, err := signature.PublicKeyOf(private)
	if err != nil {
		t.Fatal(err)
	}
	path := "/v1/tenants/acme/endpoints/" + b.endpoint("acme", `{"url":"https://example.com/"}`)
	if a := b.want(http.StatusOK, "GET", path, ""); strings.Contains(a.body, "public_key") {
		t.Error(a.body)
	}
	b.want(http.StatusOK, "POST", path+"/secret/rotate", `{"secret":"`+string(private)+`"}`)
	a := b.want(http.StatusOK, "GET", path, "")
	if secrets := a.list("secrets"); len(secrets) != 2 || secrets[0]["public_key"] != public || secrets[1]["public_key"] != nil {
		t.Error(a.body)
	}
	if strings.Contains(a.body, string(private)) {
		t.Error("the answer shows the private key")
	}
}

func TestEventTypes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.want(http.StatusCreated, "PUT", "/v1/event-types/invoice.paid", `{"description":"d","sample":{"id": 12345678901234567890}}`)
	a := b.want(http.StatusOK, "PUT", "/v1/event-types/invoice.paid", `{"description":"e","schema":null,"versions":null}`)
	if !strings.Contains(a.body, "12345678901234567890") || a.text("description") != "e" {
		t.Error(a.body)
	}
	b.want(http.StatusOK, "GET", "/v1/event-types/invoice.paid", "")
	if n := len(b.want(http.StatusOK, "GET", "/v1/event-types", "").list("data")); n != 1 {
		t.Errorf("%d types", n)
	}
	for body, pointer := range map[string]string{`{"schema":{"type":1}}`: "/schema/type", `{"validate":true}`: "/validate", `{"versions":[{"convert":"."}]}`: "/versions/0/version", `{"versions":[{"version":"1","convert":"{"}]}`: "/versions/0/convert",
		`{"versions":[{"version":"1","conert":"."}]}`: "/versions/0/conert", `{"versions":{}}`: "/versions", `{"sample":[],"versions":[{"version":"2"},{"version":"1","convert":".a"}]}`: "/versions/1/convert", `{"descripton":"x"}`: "/descripton"} {
		if a := b.want(http.StatusBadRequest, "PUT", "/v1/event-types/x", body); a.pointer() != pointer {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	if a := b.want(http.StatusUnprocessableEntity, "PUT", "/v1/event-types/x", `{"schema":{"type":"string"},"sample":1}`); a.pointer() != "/sample" || a.text("type") != "/v1/problems/unfit" {
		t.Error(a.body)
	}
	b.want(http.StatusBadRequest, "PUT", "/v1/event-types/a%20b", "{}")
	const versions = `[{"version":"2022-02-01"},{"version":"2021-02-23","convert":".[\"a\"]"}]`
	a = b.want(http.StatusOK, "PUT", "/v1/event-types/invoice.paid", `{"sample":{"a":1},"versions":`+versions+`}`)
	if !strings.Contains(a.body, `"versions":`+versions) {
		t.Error(a.body)
	}
	if a = b.want(http.StatusOK, "GET", "/v1/event-types/invoice.paid", ""); !strings.Contains(a.body, `"versions":`+versions) {
		t.Error(a.body)
	}
	a = b.want(http.StatusOK, "PUT", "/v1/event-types/invoice.paid", `{"versions":null}`)
	if !strings.Contains(a.body, `"versions":[]`) {
		t.Error(a.body)
	}
	b.want(http.StatusNoContent, "DELETE", "/v1/event-types/invoice.paid", "")
	b.want(http.StatusNotFound, "GET", "/v1/event-types/invoice.paid", "")
	b.want(http.StatusNotFound, "DELETE", "/v1/event-types/invoice.paid", "")
}

func TestKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.want(http.StatusCreated, "POST", "/v1/keys", `{"tenant":"acme","scopes":["read"],"expires_at":"2999-01-01T00:00:00Z"}`)
	id, key := a.text("id"), a.text("key")
	b.want(http.StatusOK, "GET", "/v1/tenants/acme", "", as(key))
	legacy := "legacy secret of 2019"
	b.want(http.StatusCreated, "POST", "/v1/keys", `{"tenants":["acme","other"],"scopes":["read"],"key":"`+legacy+`"}`)
	b.want(http.StatusOK, "GET", "/v1/tenants/other", "", as(legacy))
	b.want(http.StatusConflict, "POST", "/v1/keys", `{"scopes":["read"],"key":"`+legacy+`"}`)
	got := b.want(http.StatusOK, "GET", "/v1/keys/"+id, "")
	if got.text("expires_at") != "2999-01-01T00:00:00.000Z" || strings.Contains(got.body, key) {
		t.Error(got.body)
	}
	if n := len(b.want(http.StatusOK, "GET", "/v1/keys", "").list("data")); n != 3 {
		t.Errorf("%d keys", n)
	}
	for body, pointer := range map[string]string{
		`{}`: "/scopes", `{"scopes":["all"]}`: "/scopes/0", `{"scopes":["read"],"tenant":"nobody"}`: "/tenants/0", `{"scopes":["read"],"tenants":[]}`: "/tenants",
		`{"scopes":["read"],"tenant":"acme","tenants":["other"]}`: "/tenant", `{"scopes":["read"],"expires_at":"tomorrow"}`: "/expires_at", `{"scopes":["read"],"key":"short"}`: "/key",
	} {
		if a := b.want(http.StatusBadRequest, "POST", "/v1/keys", body); a.pointer() != pointer {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	b.want(http.StatusNoContent, "DELETE", "/v1/keys/"+id, "")
	b.want(http.StatusUnauthorized, "GET", "/v1/tenants/acme", "", as(key)) // case 95
	b.want(http.StatusNotFound, "GET", "/v1/keys/"+id, "")
	b.want(http.StatusNotFound, "DELETE", "/v1/keys/"+id, "")
	// A revoked key can be taken over again.
	b.want(http.StatusCreated, "POST", "/v1/keys", `{"scopes":["read"],"key":"`+key+`"}`)
	b.want(http.StatusOK, "GET", "/v1/tenants/acme", "", as(key))
	// So it is after a restart, when the revoked one is read again as well.
	again, err := directory.Load(t.Context(), b.store)
	must(t, err)
	if _, ok := again.Key(sha256.Sum256([]byte(key))); !ok {
		t.Error("a key that was revoked and taken over again is lost at a restart")
	}
}

// Bodies of management are read strictly: what is not understood is refused,
// with its place.
func TestStrictBodies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct{ body, pointer, says string }{
		{`{"ulr":"https://example.com/"}`, "/ulr", `did you mean \"url\"?`},
		{`{"foo":1}`, "/foo", "want some of url"},
		{`{"URL":"https://example.com/"}`, "/URL", "did you mean"},
		{`{"url":"https://a.example/","url":"https://b.example/"}`, "/url", "twice"},
		{`{"headers":{"X-A":"1","X-A":"2"}}`, "/headers/X-A", "twice"},
		{`{"headers":{"X-A":1}}`, "/headers/X-A", "want a text"},
		{`{"headers":["X-A"]}`, "/headers", "object"},
		{`{"url":1}`, "/url", "want a text"},
		{`{"event_types":"a"}`, "/event_types", "want a list"},
		{`{"event_types":[1]}`, "/event_types/0", "want a text"},
		{`{"rate_limit":"fast"}`, "/rate_limit", "want a number"},
		{`{"max_in_flight":1.5}`, "/max_in_flight", "number"},
		{`{"url":"https://a.example/","ordering":"fifo"}`, "/ordering", "none, key or strict"},
		{`{"url":"https://a.example/","ordering":"strict","skip_after":-1}`, "/skip_after", "from 1 to 1000"},
		{`{"url":"https://a.example/","skip_after":3}`, "/skip_after", "no event waits for another"},
		{`{"timeout":true}`, "/timeout", "seconds"},
		{`{"timeout":1e300}`, "/timeout", "seconds"},
		{`{"schedule":[1,"x"]}`, "/schedule/1", "seconds"},
		{`{"url":"https://example.com/"} {}`, "", "not valid JSON"},
		{`{"url":"https://example.com/"`, "", ""},
		{`{"url":"\ud800"}`, "/url", "not valid JSON"},
		{"{\"url\":\"\xff\"}", "/url", "not valid JSON"},
		{"\ufeff{}", "", "not valid JSON"},
		{`[]`, "", "want"},
		{`"x"`, "", "want"},
		{`null`, "", "want a JSON object"},
		{`{}`, "/url", "is missing"},
		{`{"url":"http://127.0.0.1/"}`, "/url", ""}, // case 76
		{`{"url":"https://user:pw@example.com/"}`, "/url", ""},
		{`{"url":"https://example.com/","filter":{"nor":[]}}`, "/filter/nor", ""},
	} {
		a := b.want(http.StatusBadRequest, "POST", "/v1/tenants/acme/endpoints", c.body)
		if a.pointer() != c.pointer || !strings.Contains(a.body, c.says) {
			t.Errorf("%s: want %q at %q: %s", c.body, c.says, c.pointer, a.body)
		}
	}
	if a := b.want(http.StatusBadRequest, "PUT", "/v1/tenants/acme", `{"secrte":"hunter2-canary"}`); strings.Contains(a.body, "hunter2") {
		t.Errorf("an error quotes a value: %s", a.body)
	}
	if a := b.want(http.StatusBadRequest, "PUT", "/v1/tenants/acme", `{"secret":["hunter2-canary"]}`); strings.Contains(a.body, "hunter2") {
		t.Errorf("an error quotes a value: %s", a.body)
	}
	b.want(http.StatusRequestEntityTooLarge, "POST", "/v1/tenants/acme/endpoints", `{"url":"`+strings.Repeat("x", 2<<20)+`"}`)
}

func TestPaging(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var want []string
	for i := range 5 {
		want = append(want, b.endpoint("acme", fmt.Sprintf(`{"url":"https://example.com/%d"}`, i)))
	}
	var got []string
	next := "/v1/tenants/acme/endpoints?limit=2"
	for pages := 1; next != ""; pages++ {
		a := b.want(http.StatusOK, "GET", next, "")
		for _, item := range a.list("data") {
			got = append(got, item["id"].(string))
		}
		cursor, _ := a.json()["next_cursor"].(string)
		next = a.next()
		if (next == "") != (cursor == "") || next != "" && !strings.Contains(next, "limit=2") {
			t.Errorf("Link to %q, cursor %q", next, cursor)
		}
		if pages == 1 { // stable under inserts
			want = append(want, b.endpoint("acme", `{"url":"https://example.com/late"}`))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// case 111
func TestCursorsCannotBeMade(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 3 {
		b.endpoint("acme", fmt.Sprintf(`{"url":"https://example.com/%d"}`, i))
		b.publish("acme", fmt.Sprintf(`{"type":"a","data":%d}`, i))
	}
	const list = "/v1/tenants/acme/endpoints?limit=1"
	cursor := b.want(http.StatusOK, "GET", list, "").text("next_cursor")
	b.want(http.StatusOK, "GET", list+"&cursor="+cursor, "")
	changed := []byte(cursor)
	changed[3] ^= 1
	for _, url := range []string{
		list + "&cursor=" + string(changed),
		list + "&cursor=" + cursor[:len(cursor)-4],
		list + "&cursor=" + cursor + "AAAA",
		list + "&cursor=x",
		list + "&cursor=" + strings.Repeat("A", 5000),
		list + "&state=active&cursor=" + cursor,                // another filter
		"/v1/tenants/other/endpoints?limit=1&cursor=" + cursor, // another tenant
		"/v1/tenants/acme/events?limit=1&cursor=" + cursor,     // another list
		"/v1/tenants/acme/deliveries?limit=1&cursor=" + cursor, // another list
		"/v1/tenants?limit=x", "/v1/tenants?limit=251", "/v1/tenants?limit=0", "/v1/tenants?limit=-1",
	} {
		b.want(http.StatusBadRequest, "GET", url, "")
	}
}

func TestSchemas(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const schema = `{"type":"object","required":["amount"],"properties":{"amount":{"type":"integer","minimum":1},"lines":{"items":{"type":"string"}}}}`
	a := b.want(http.StatusCreated, "PUT", "/v1/event-types/invoice.paid", `{"group":"Invoices","deprecated":true,"schema":`+schema+`}`)
	if !strings.Contains(a.body, `"group":"Invoices","deprecated":true,"schema":`+schema+`,"validate":false`) {
		t.Error(a.body)
	}
	b.want(http.StatusAccepted, "POST", acmeEvents, `{"type":"invoice.paid","data":1}`) // the schema only describes
	b.want(http.StatusOK, "PUT", "/v1/event-types/invoice.paid", `{"validate":true}`)
	b.want(http.StatusAccepted, "POST", acmeEvents, `{"type":"invoice.paid","data":{"amount":1}}`)
	b.want(http.StatusAccepted, "POST", acmeEvents, `{"type":"invoice.sent","data":1}`)
	a = b.want(http.StatusUnprocessableEntity, "POST", acmeEvents, `{"type":"invoice.paid","data":{"amount":0,"lines":["a",2]}}`)
	if !strings.Contains(a.body, `"errors":[{"pointer":"/data/amount","detail":"does not satisfy the schema of invoice.paid: minimum: got 0, want 1"},{"pointer":"/data/lines/1","detail":"got number, want string"}]`) {
		t.Error(a.body)
	}
	// In a batch it is one event's trouble.
	a = b.want(http.StatusAccepted, "POST", "/v1/events", `[{"tenant":"acme","type":"invoice.paid","data":{"amount":2}},{"tenant":"acme","type":"invoice.paid","data":{}},{"tenant":"acme","type":"other","data":{}}]`)
	if !strings.Contains(a.body, `{"status":422,`) || !strings.Contains(a.body, `/1/data`) || strings.Count(a.body, `"pointer"`) != 1 || strings.Count(a.body, `"id"`) != 2 {
		t.Error(a.body)
	}
	b.want(http.StatusOK, "PUT", "/v1/event-types/invoice.paid", `{"schema":{"required":["total"]}}`)
	b.want(http.StatusUnprocessableEntity, "POST", acmeEvents, `{"type":"invoice.paid","data":{"amount":1}}`)
	b.want(http.StatusOK, "PUT", "/v1/event-types/invoice.paid", `{"schema":null,"validate":false}`)
	b.want(http.StatusAccepted, "POST", acmeEvents, `{"type":"invoice.paid","data":{}}`)

	b.want(http.StatusCreated, "PUT", "/v1/event-types/user.created", "{}")
	for query, n := range map[string]int{"?group=Invoices": 1, "?group=": 1, "?deprecated=true": 1, "?deprecated=false": 1, "?group=None": 0, "": 2} {
		if got := len(b.want(http.StatusOK, "GET", "/v1/event-types"+query, "").list("data")); got != n {
			t.Errorf("%s: %d types, want %d", query, got, n)
		}
	}
	b.want(http.StatusBadRequest, "GET", "/v1/event-types?deprecated=x", "")
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.want(http.StatusCreated, "PUT", "/v1/event-types/invoice.paid", `{"schema":{"type":"object"},"sample":{"amount":1}}`)
	for _, path := range []string{"/v1/catalogue", "/v1/tenants/acme/catalogue"} {
		for _, format := range catalogue.Formats {
			a := b.want(http.StatusOK, "GET", path+"?format="+string(format), "")
			types, err := catalogue.Read("", "", []byte(a.body))
			if err != nil || len(types) != 1 {
				t.Fatalf("%s: %v\n%s", format, err, a.body)
			}
			if got := types[0]; got.Name != "invoice.paid" || !got.Envelope || string(got.Schema) != `{"type":"object"}` || string(got.Sample) != `{"amount":1}` {
				t.Errorf("%s %s: %+v\n%s", path, format, got, a.body)
			}
		}
		b.want(http.StatusBadRequest, "GET", path+"?format=raml", "")
	}
}
