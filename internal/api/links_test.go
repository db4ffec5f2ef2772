package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"grapnel/internal/api"
)

const acmeLinks = "/v1/tenants/acme/portal-links"

// case 97: what a customer does with a portal link, and what it must not do. What it
// reaches at all is in the matrix of case 93.
func TestPortalLinks(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *api.Config) { c.MaxEventBytes = 64 << 10 })
	made := b.want(http.StatusCreated, "POST", acmeLinks, `{"expires_in":"15m"}`)
	token, id := made.text("token"), made.text("id")
	if until, err := time.Parse(time.RFC3339, made.text("expires_at")); err != nil || time.Until(until) > 15*time.Minute || time.Until(until) < 14*time.Minute {
		t.Errorf("expires at %s: %v", made.text("expires_at"), err)
	}
	for _, bad := range []string{`{"expires_in":"25h"}`, `{"expires_in":0}`, `{"expires_in":-5}`, `{"expires_in":"soon"}`} {
		if a := b.want(http.StatusBadRequest, "POST", acmeLinks, bad); a.pointer() != "/expires_in" {
			t.Errorf("%s: %s", bad, a.body)
		}
	}

	customer := as(token)
	const endpoints = "/v1/tenants/acme/endpoints"
	created := b.want(http.StatusCreated, "POST", endpoints, `{"url":"https://example.com/","event_types":["a"],"description":"mine","headers":{"X-Mine":"1"},"rate_limit":5}`, customer)
	at := endpoints + "/" + created.text("id")
	for _, field := range []string{`"schedule":[1]`, `"schedule":null`, `"timeout":5`, `"max_in_flight":100`, `"ordering":"strict"`, `"skip_after":1`, `"vendor_id":"17"`} {
		name, _, _ := strings.Cut(strings.TrimPrefix(field, `"`), `"`)
		for _, r := range []struct{ method, path string }{{"POST", endpoints}, {"PATCH", at}} {
			if a := b.want(http.StatusForbidden, r.method, r.path, `{"url":"https://example.com/",`+field+`}`, customer); a.pointer() != "/"+name {
				t.Errorf("%s %s: %s", r.method, field, a.body)
			}
		}
	}
	b.want(http.StatusAccepted, "POST", at+"/test", `{"data":"small"}`, customer)
	if a := b.want(http.StatusRequestEntityTooLarge, "POST", at+"/test", `{"data":"`+strings.Repeat("x", 16<<10)+`"}`, customer); a.pointer() != "/data" {
		t.Errorf("a large test: %s", a.body)
	}
	b.want(http.StatusOK, "PATCH", at, `{"state":"paused"}`, customer)
	b.want(http.StatusOK, "PATCH", at, `{"url":"https://example.com/other"}`, customer)
	b.want(http.StatusOK, "PATCH", at, `{"headers":{"Authorization":"Bearer provider"}}`)
	for _, body := range []string{`{"url":"https://elsewhere.example/"}`, `{"url":"https://elsewhere.example/","headers":{"Authorization":"[secret]"}}`} {
		if a := b.want(http.StatusForbidden, "PATCH", at, body, customer); a.pointer() != "/url" {
			t.Errorf("%s takes a credential elsewhere: %s", body, a.body)
		}
	}
	b.want(http.StatusOK, "PATCH", at, `{"url":"https://elsewhere.example/","headers":{"X-Mine":"2"}}`, customer)
	entries := b.auditLog("/v1/audit")
	if !slices.ContainsFunc(entries, func(e map[string]any) bool {
		actor := e["actor"].(map[string]any)
		return e["action"] == "endpoint.update" && actor["kind"] == "portal" && actor["key"] == id
	}) || !slices.ContainsFunc(entries, func(e map[string]any) bool {
		return e["action"] == "portal_link.create" && e["object"] == id && e["actor"].(map[string]any)["kind"] == "key"
	}) {
		t.Errorf("the audit log does not tell of the link and its holder: %v", entries)
	}

	b.want(http.StatusCreated, "PUT", "/v1/event-types/a", `{"versions":[{"version":"1","convert":"del(.inner)"}]}`)
	for _, path := range []string{"/v1/event-types", "/v1/event-types/a"} {
		if a := b.want(http.StatusOK, "GET", path, "", customer); strings.Contains(a.body, "inner") || !strings.Contains(a.body, `"version":"1"`) {
			t.Errorf("a customer sees %s", a.body)
		}
	}

	b.want(http.StatusNoContent, "DELETE", acmeLinks, "")
	a := b.want(http.StatusUnauthorized, "GET", at, "", customer)
	if !strings.Contains(a.body, "ask for a new one") {
		t.Errorf("an ended link: %s", a.body)
	}
	b.want(http.StatusOK, "GET", at, "", as(b.link("acme")))
}

// case 95, case 97: a stream ends with the link.
func TestStreamEndsWithTheLink(t *testing.T) {
	inBubble(t, func(b *bundle, dial *http.Client) {
		const live = "/v1/tenants/acme/deliveries/live"
		token := b.link("acme")
		ended := b.opened(dial, live, token)
		b.want(http.StatusNoContent, "DELETE", acmeLinks, "")
		ended.ends()
		expires := b.opened(dial, live, b.link("acme"))
		began := time.Now()
		expires.ends()
		if held := time.Since(began); held < 59*time.Minute || held > 61*time.Minute {
			t.Errorf("a stream of a link for an hour went on for %s", held)
		}
	})
}
