package api_test

import (
	"net/http"
	"strings"
	"testing"
)

// Programs are the provider's to write, and a tenant's own where the operator lets it.
func TestWhoMayWritePrograms(t *testing.T) {
	t.Parallel()
	b := setup(t)
	own := []string{"Authorization: Bearer " + b.key(`{"tenants":["acme"],"scopes":["manage"]}`)}
	ours := []string{"Authorization: Bearer " + b.key(`{"scopes":["manage"]}`)}
	link := []string{"Authorization: Bearer " + b.want(http.StatusCreated, "POST", "/v1/tenants/acme/portal-links", `{}`).text("token")}
	const program = `{"url":"https://example.com/1","transform":"."}`
	for name, who := range map[string][]string{"a tenant's key": own, "a portal link": link} {
		a := b.want(http.StatusForbidden, "POST", acmeEndpoints, program, who...)
		if a.pointer() != "/transform" || !strings.Contains(string(a.body), "programs of the tenant to true") {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	id := b.want(http.StatusCreated, "POST", acmeEndpoints, program, ours...).text("id")
	at := acmeEndpoints + "/" + id
	shown := b.want(http.StatusOK, "GET", at, "", own...)
	if shown.text("transform") != "." {
		t.Errorf("%s", shown.body)
	}
	b.want(http.StatusOK, "PATCH", at, `{"transform":".","description":"as it was"}`, own...)
	b.want(http.StatusForbidden, "PATCH", at, `{"transform":".body"}`, own...)
	b.want(http.StatusForbidden, "PUT", acmeEndpoints+"/mine", program, own...)
	b.want(http.StatusForbidden, "POST", at+"/preview", `{"transform":".body"}`, link...)
	b.want(http.StatusOK, "POST", at+"/preview", `{}`, link...)

	b.want(http.StatusForbidden, "PUT", "/v1/tenants/acme", `{"programs":true}`, own...)
	b.want(http.StatusOK, "PUT", "/v1/tenants/acme", `{"programs":true}`)
	b.want(http.StatusOK, "PATCH", at, `{"transform":".body.a = 1"}`, own...)
	b.want(http.StatusCreated, "POST", acmeEndpoints, program, link...)
	b.want(http.StatusCreated, "PUT", acmeEndpoints+"/mine", program, own...)
	if a := b.want(http.StatusOK, "PATCH", at, `{"transform":null}`, own...); !strings.Contains(string(a.body), `"transform":null`) {
		t.Errorf("%s", a.body)
	}
}

// A program that is none is refused with the place, and nothing is changed.
func TestTransformRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.endpoint("acme", `{"url":"https://example.com/1","transform":".body.n = 1"}`)
	for program, want := range map[string]string{
		`{`: "is not jq", `now`: "no access to the clock", `env`: "no access to the environment", ` `: "is empty", strings.Repeat(".", 17000): "at most 16384",
	} {
		for method, path := range map[string]string{"PATCH": acmeEndpoints + "/" + id, "PUT": "/v1/event-types/a"} {
			a := b.want(http.StatusBadRequest, method, path, `{"transform":"`+program+`"}`)
			if a.pointer() != "/transform" || !strings.Contains(string(a.body), want) {
				t.Errorf("%s %.20s: %s", method, program, a.body)
			}
		}
	}
	if a := b.want(http.StatusOK, "GET", acmeEndpoints+"/"+id, ""); a.text("transform") != ".body.n = 1" {
		t.Errorf("%s", a.body)
	}
	b.want(http.StatusNotFound, "GET", "/v1/event-types/a", "")
}

// What an endpoint would get of an event is shown before anything is set, with the clause
// that keeps it from the event, or with what is wrong with the program.
func TestPreview(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.want(http.StatusCreated, "PUT", "/v1/event-types/invoice.paid", `{"sample":{"total":5},"transform":".body.data.of_type = true"}`)
	id := b.endpoint("acme", `{"url":"https://example.com/1","event_types":["none"],"headers":{"X-Region":"eu","Authorization":"Bearer hidden-1"}}`)
	at := acmeEndpoints + "/" + id + "/preview"
	event := b.publish("acme", `{"id":"mine","type":"invoice.paid","data":{"total":7.50}}`)
	for body, wants := range map[string][]string{
		`{"event":"mine"}`: {`"event":"` + event + `"`, `"matches":false`, "it subscribes to none", `\"total\":7.50`, `\"of_type\":true`, `["X-Region","eu"]`, `["Authorization","[secret]"]`, `["webhook-id","` + event + `"]`},
		`{"event":"mine","event_types":["*"],"transform":".body = {text: .event.type} | .headers[\"X-T\"] = \"1\""}`: {
			`"matches":true`, `"body":"{\"text\":\"invoice.paid\"}"`, `["X-T","1"]`, `"before":{"body":"{\"`,
		},
		`{"type":"invoice.paid","event_types":["invoice.*"],"filter":{"and":[{"field":"data.total","operator":"gt","value":10}]}}`: {`"matches":false`, `"filter_clause":"/and/0"`, `\"total\":5`},
		`{"type":"x","data":{"a":1},"event_types":[],"transform":"error(\"why\")"}`:                                                {`"matches":true`, "the transformation of the endpoint failed: the program failed"},
		`{"event":"mine","transform":"{"}`: {"the program is not jq"},
	} {
		a := b.want(http.StatusOK, "POST", at, body)
		for _, want := range wants {
			if !strings.Contains(string(a.body), want) {
				t.Errorf("%s: no %s in %s", body, want, a.body)
			}
		}
		if strings.Contains(string(a.body), "hidden-1") {
			t.Errorf("%s: a credential is shown", body)
		}
	}
	for body, pointer := range map[string]string{
		`{"event":"mine","type":"x"}`: "/event", `{"filter":{"field":"data.x"}}`: "/filter/operator", `{"type":"a b"}`: "/type", `{"programm":"."}`: "/programm",
	} {
		if a := b.want(http.StatusBadRequest, "POST", at, body); a.pointer() != pointer {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	b.want(http.StatusNotFound, "POST", at, `{"event":"nobody's"}`)
	if a := b.want(http.StatusOK, "GET", acmeEndpoints+"/"+id, ""); !strings.Contains(string(a.body), `"transform":null`) {
		t.Errorf("a preview has changed the endpoint: %s", a.body)
	}
}
