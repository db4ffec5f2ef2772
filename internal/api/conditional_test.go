package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tag is the entity tag that a GET answers with.
func (b *bundle) tag(path string) string {
	b.t.Helper()
	tag := b.want(http.StatusOK, "GET", path, "").header.Get("ETag")
	if !strings.HasPrefix(tag, `"`) || len(tag) < 10 {
		b.t.Fatalf("GET %s: ETag %q", path, tag)
	}
	return tag
}

func TestETagsOfReads(t *testing.T) {
	t.Parallel()
	b := setup(t)
	endpoint := b.endpoint("acme", `{"url":"https://example.com/"}`)
	event := b.publish("acme", `{"type":"a","data":1}`)
	b.want(http.StatusCreated, "PUT", "/v1/event-types/a", `{}`)
	for _, path := range []string{
		"/v1/tenants", "/v1/tenants/acme", acmeEvents, acmeEvents + "/" + event, acmeDeliveries, acmeDeliveries + "/" + b.deliveryOf(event),
		"/v1/tenants/acme/endpoints", "/v1/tenants/acme/endpoints/" + endpoint, "/v1/event-types", "/v1/event-types/a", "/v1/problems/invalid",
	} {
		tag := b.tag(path)
		for _, header := range []string{tag, `"x", ` + tag, "W/" + tag, "*"} {
			a := b.want(http.StatusNotModified, "GET", path, "", "If-None-Match: "+header)
			if a.body != "" || a.header.Get("ETag") != tag || a.header.Get("Content-Type") != "" {
				t.Errorf("%s: %v %s", path, a.header, a.body)
			}
		}
		b.want(http.StatusOK, "GET", path, "", `If-None-Match: "x", W/"y"`)
		b.want(http.StatusOK, "GET", path, "", "If-Match: "+tag)
		b.want(http.StatusPreconditionFailed, "GET", path, "", `If-Match: "x"`)
		b.want(http.StatusPreconditionFailed, "GET", path, "", "If-Match: W/"+tag) // weak ones never match here
		if a := b.want(http.StatusOK, "HEAD", path, ""); a.header.Get("ETag") != tag {
			t.Errorf("HEAD %s: %v", path, a.header)
		}
	}
	for _, bad := range []string{"x", `"x`, `"x" y`, ",", "W/x", ""} {
		b.want(http.StatusBadRequest, "GET", "/v1/tenants/acme", "", "If-None-Match: "+bad)
	}
	// What becomes of an event changes its tag.
	before := b.tag(acmeEvents + "/" + event)
	b.want(http.StatusOK, "PATCH", "/v1/tenants/acme/endpoints/"+endpoint, `{"state":"paused"}`)
	if b.tag(acmeEvents+"/"+event) == before {
		t.Error("the tag of an event stays when its delivery is held")
	}
	if a := b.want(http.StatusNotFound, "GET", "/v1/tenants/none", "", "If-None-Match: *"); a.header.Get("ETag") != "" {
		t.Error("an error has an ETag")
	}
	b.want(http.StatusBadRequest, "POST", acmeDeliveries+"/"+b.deliveryOf(event)+"/redeliver", "", "If-Match: *")
}

// thing is something that can be changed: by PUT with a body, and deleted.
type thing struct{ path, body, change string }

func things() map[string]thing {
	return map[string]thing{
		"tenant":     {"/v1/tenants/t1", `{"name":"a"}`, `{"name":"b"}`},
		"endpoint":   {"/v1/tenants/acme/endpoints/own", `{"url":"https://example.com/"}`, `{"description":"b"}`},
		"event type": {"/v1/event-types/a.b", `{"description":"a"}`, `{"description":"b"}`},
	}
}

func TestConditionalChanges(t *testing.T) {
	t.Parallel()
	for name, x := range things() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.want(http.StatusPreconditionFailed, "PUT", x.path, x.body, "If-Match: *")
			b.want(http.StatusPreconditionFailed, "PUT", x.path, x.body, `If-Match: "x"`)
			b.want(http.StatusNotFound, "GET", x.path, "")
			a := b.want(http.StatusCreated, "PUT", x.path, x.body, "If-None-Match: *")
			first := b.tag(x.path)
			if a.header.Get("ETag") != first {
				t.Errorf("PUT answered ETag %q, GET %q", a.header.Get("ETag"), first)
			}
			p := b.want(http.StatusPreconditionFailed, "PUT", x.path, x.change, "If-None-Match: *")
			if p.text("type") != "/v1/problems/precondition_failed" {
				t.Error(p.body)
			}
			second := b.want(http.StatusOK, "PUT", x.path, x.change, "If-Match: "+first).header.Get("ETag")
			if second == first || second != b.tag(x.path) {
				t.Errorf("ETags %q, %q", first, second)
			}
			b.want(http.StatusPreconditionFailed, "PUT", x.path, x.body, "If-Match: "+first)
			b.want(http.StatusPreconditionFailed, "PUT", x.path, x.body, "If-None-Match: "+second)
			b.want(http.StatusPreconditionFailed, "DELETE", x.path, "", "If-Match: "+first)
			if b.tag(x.path) != second {
				t.Error("a refused change took place")
			}
			b.want(http.StatusOK, "PUT", x.path, x.body, "If-Match: *")
			b.want(http.StatusNoContent, "DELETE", x.path, "", `If-Match: "x", `+b.tag(x.path))
			b.want(http.StatusNotFound, "GET", x.path, "")
		})
	}
}

func TestConditionalPatchAndKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	path := "/v1/tenants/acme/endpoints"
	made := b.want(http.StatusCreated, "POST", path, `{"url":"https://example.com/"}`)
	path += "/" + made.text("id")
	first := b.tag(path)
	if made.header.Get("ETag") != first {
		t.Error("the ETag of a new endpoint is not that of its GET: does it hold the secret?")
	}
	b.want(http.StatusPreconditionFailed, "PATCH", path, `{"description":"x"}`, `If-Match: "old"`)
	second := b.want(http.StatusOK, "PATCH", path, `{"description":"x"}`, "If-Match: "+first).header.Get("ETag")
	if second != b.tag(path) {
		t.Error("the ETag of a PATCH is not that of the GET")
	}
	if tag := b.want(http.StatusOK, "POST", path+"/secret/rotate", `{}`).header.Get("ETag"); tag == second || tag != b.tag(path) {
		t.Error("the ETag of a rotation is not that of the GET")
	}
	b.want(http.StatusNotFound, "PATCH", path+"x", `{}`, "If-Match: *")
	key := "/v1/keys/" + b.want(http.StatusCreated, "POST", "/v1/keys", `{"scopes":["read"]}`).text("id")
	tag := b.tag(key)
	b.want(http.StatusPreconditionFailed, "DELETE", key, "", `If-Match: "x"`)
	b.want(http.StatusNoContent, "DELETE", key, "", "If-Match: "+tag)
}

// Of several who change the same state of a thing, one wins, however close
// they are.
func TestOneOfManyConditionalWritersWins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const path = "/v1/tenants/acme/endpoints/own"
	b.want(http.StatusCreated, "PUT", path, `{"url":"https://example.com/","headers":{"X-Token":"0"}}`)
	for round := range 5 {
		tag := b.tag(path)
		var wg sync.WaitGroup
		codes := make([]int, 8)
		for i := range codes {
			wg.Go(func() { // the value is hidden, so the answers differ in nothing but the time
				codes[i] = b.do("PUT", path, fmt.Sprintf(`{"headers":{"X-Token":"%d.%d"}}`, round, i), "If-Match: "+tag).status
			})
		}
		wg.Wait()
		won := map[int]int{}
		for _, code := range codes {
			won[code]++
		}
		if diff := cmp.Diff(map[int]int{http.StatusOK: 1, http.StatusPreconditionFailed: len(codes) - 1}, won); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestPutEndpoint(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const path = "/v1/tenants/acme/endpoints/billing:eu-1"
	made := b.want(http.StatusCreated, "PUT", path, `{"url":"https://example.com/%7e","event_types":["a.*"],"headers":{"X-B":"2","Authorization":"Bearer canary"},
		"filter":{"field":"data.n","operator":"gt","value":1.0},"schedule":["1m30s",0.25],"timeout":"5s","rate_limit":2.5,"max_in_flight":4,"state":"paused"}`)
	if made.text("id") != "billing:eu-1" || made.header.Get("Location") != path || !strings.HasPrefix(made.text("secret"), "whsec_") {
		t.Errorf("%v %s", made.header, made.body)
	}
	b.want(http.StatusOK, "PUT", path, `{"secret":"`+made.text("secret")+`"}`) // it is the one
	if a := b.want(http.StatusBadRequest, "PUT", path, `{"secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}`); a.pointer() != "/secret" {
		t.Error(a.body)
	}
	// What was read can be put back, and changes nothing but the time.
	read := b.want(http.StatusOK, "GET", path, "")
	if strings.Contains(read.body, "canary") {
		t.Error(read.body)
	}
	b.want(http.StatusOK, "PUT", path, read.body)
	again := b.want(http.StatusOK, "GET", path, "")
	want, got := read.json(), again.json()
	delete(want, "updated_at")
	delete(got, "updated_at")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if e, _ := b.dir.EndpointByID("acme", "billing:eu-1"); b.opens(e)[1].Value != "Bearer canary" {
		t.Error("a hidden value was lost")
	}
	// A part leaves the rest alone; null is the default, and an empty schedule is none.
	for body, part := range map[string]string{`{"schedule":[]}`: `"schedule":[]`, `{"schedule":null,"description":"d"}`: `"schedule":null`, `{}`: `"timeout":5,`} {
		if a := b.want(http.StatusOK, "PUT", path, body); !strings.Contains(a.body, part) {
			t.Errorf("%s: no %s in %s", body, part, a.body)
		}
		if a := b.want(http.StatusOK, "PATCH", path, body); !strings.Contains(a.body, part) {
			t.Errorf("%s: no %s in %s", body, part, a.body)
		}
	}
	for body, pointer := range map[string]string{`{"id":"other"}`: "/id", `{"tenant":"other"}`: "/tenant", `{"headers":{"X-New":"[secret]"}}`: "/headers/X-New", `{"ur":1}`: "/ur"} {
		if a := b.want(http.StatusBadRequest, "PUT", path, body); a.pointer() != pointer {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	for _, bad := range []string{"a%2Fb", "a b", strings.Repeat("x", 65), "%C3%A4"} {
		b.want(http.StatusBadRequest, "PUT", "/v1/tenants/acme/endpoints/"+strings.ReplaceAll(bad, " ", "%20"), `{"url":"https://example.com/"}`)
	}
	b.want(http.StatusNotFound, "PUT", "/v1/tenants/acme/endpoints/ep_mine", `{"url":"https://example.com/"}`)
	b.want(http.StatusBadRequest, "PUT", "/v1/tenants/acme/endpoints/other", `{}`) // a new one needs a URL
	// One that the server named can be put, too.
	id := b.endpoint("acme", `{"url":"https://example.com/2"}`)
	b.want(http.StatusOK, "PUT", "/v1/tenants/acme/endpoints/"+id, `{"description":"x"}`)
}

// An id of one's own works wherever an endpoint is named, is another tenant's
// too, and can be given again.
func TestOwnIDsEverywhere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, tenant := range []string{"acme", "other"} {
		b.want(http.StatusCreated, "PUT", "/v1/tenants/"+tenant+"/endpoints/main", `{"url":"https://example.com/"}`)
	}
	const path = "/v1/tenants/acme/endpoints/main"
	event := b.publish("acme", `{"type":"a","data":1}`)
	items := b.want(http.StatusOK, "GET", acmeDeliveries+"?endpoint=main", "").list("data")
	if len(items) != 1 || items[0]["endpoint"] != "main" || items[0]["event"] != event {
		t.Errorf("%v", items)
	}
	b.want(http.StatusOK, "POST", path+"/secret/rotate", `{}`)
	first := b.want(http.StatusAccepted, "POST", path+"/test", `{}`, "Idempotency-Key: k").text("id")
	second := b.want(http.StatusAccepted, "POST", "/v1/tenants/other/endpoints/main/test", `{}`, "Idempotency-Key: k")
	if second.text("id") == first || second.header.Get("Idempotency-Replayed") != "" {
		t.Error("tests of two tenants' endpoints of the same id were taken for one")
	}
	b.want(http.StatusNoContent, "DELETE", path, "")
	b.want(http.StatusNotFound, "GET", path, "")
	b.want(http.StatusNoContent, "DELETE", path, "")
	b.want(http.StatusPreconditionFailed, "DELETE", path, "", "If-Match: *")
	b.want(http.StatusCreated, "PUT", path, `{"url":"https://example.com/again"}`)
	third := b.want(http.StatusAccepted, "POST", path+"/test", `{}`, "Idempotency-Key: k").text("id")
	if third == first {
		t.Error("the new endpoint got the old one's test")
	}
	if n := len(b.want(http.StatusOK, "GET", acmeDeliveries+"?endpoint=main", "").list("data")); n != 1 {
		t.Errorf("%d deliveries, want the new one's alone", n)
	}
	b.want(http.StatusOK, "GET", "/v1/tenants/other/endpoints/main", "")
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	for name, x := range things() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			revision := b.dir.Revision()
			a := b.want(http.StatusOK, "PUT", x.path+"?dry_run=true", x.body)
			if a.header.Get("Dry-Run") != "true" || a.header.Get("ETag") != "" || strings.Contains(a.body, "whsec_") {
				t.Errorf("%v %s", a.header, a.body)
			}
			b.want(http.StatusNotFound, "GET", x.path, "")
			b.want(http.StatusBadRequest, "PUT", x.path+"?dry_run=true", `{"x":1}`)
			b.want(http.StatusPreconditionFailed, "PUT", x.path+"?dry_run=true", x.body, "If-Match: *")
			if b.dir.Revision() != revision {
				t.Error("a dry run was stored")
			}
			b.want(http.StatusCreated, "PUT", x.path+"?dry_run=false", x.body)
			tag := b.tag(x.path)
			b.want(http.StatusOK, "PUT", x.path+"?dry_run=true", x.change)
			if a := b.want(http.StatusOK, "DELETE", x.path+"?dry_run=true", ""); a.header.Get("Dry-Run") != "true" || len(a.json()) == 0 {
				t.Errorf("%v %s", a.header, a.body)
			}
			if b.tag(x.path) != tag {
				t.Error("a dry run changed something")
			}
			b.want(http.StatusBadRequest, "PUT", x.path+"?dry_run=maybe", x.change)
			b.want(http.StatusBadRequest, "GET", x.path+"?dry_run=true", "")
		})
	}
}

func TestDryRunSaysWhatWouldGo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.endpoint("acme", `{"url":"https://example.com/"}`)
	b.endpoint("acme", `{"url":"https://example.com/2"}`)
	b.key(`{"tenant":"acme","scopes":["read"]}`)
	b.key(`{"tenants":["acme","other"],"scopes":["read"]}`)
	if a := b.want(http.StatusOK, "DELETE", "/v1/tenants/acme?dry_run=true", ""); a.body != `{"tenants":1,"endpoints":2,"keys":1}` {
		t.Error(a.body)
	}
	if a := b.want(http.StatusOK, "DELETE", "/v1/tenants/acme/endpoints/"+id+"?dry_run=true", ""); a.body != `{"endpoints":1}` {
		t.Error(a.body)
	}
	if a := b.want(http.StatusOK, "PATCH", "/v1/tenants/acme/endpoints/"+id+"?dry_run=true", `{"state":"paused"}`); a.text("state") != "paused" {
		t.Error(a.body)
	}
	if e, _ := b.dir.EndpointByID("acme", id); !e.Active() {
		t.Error("a dry run paused an endpoint")
	}
	key := b.want(http.StatusCreated, "POST", "/v1/keys", `{"scopes":["read"]}`).text("id")
	if a := b.want(http.StatusOK, "DELETE", "/v1/keys/"+key+"?dry_run=true", ""); a.body != `{"keys":1}` {
		t.Error(a.body)
	}
	b.want(http.StatusNoContent, "DELETE", "/v1/tenants/acme/endpoints/"+id, "")
	if a := b.want(http.StatusOK, "DELETE", "/v1/tenants/acme/endpoints/"+id+"?dry_run=true", ""); a.body != `{}` {
		t.Error(a.body)
	}
}

func TestLastUseOfKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.want(http.StatusCreated, "POST", "/v1/keys", `{"scopes":["read"]}`)
	path := "/v1/keys/" + made.text("id")
	unused := b.want(http.StatusOK, "GET", path, "")
	if unused.json()["last_used_at"] != nil {
		t.Error(unused.body)
	}
	begun := time.Now().Truncate(time.Minute)
	b.want(http.StatusForbidden, "POST", "/v1/keys", `{}`, as(made.text("key"))) // that is a use, too
	at, err := time.Parse(time.RFC3339, b.want(http.StatusOK, "GET", path, "").text("last_used_at"))
	if err != nil || at.Before(begun) || at.After(time.Now()) || at.Second() != 0 {
		t.Errorf("%v, %v", at, err)
	}
	// A use does not stand in the way of a change.
	b.want(http.StatusNoContent, "DELETE", path, "", "If-Match: "+unused.header.Get("ETag"))
}
