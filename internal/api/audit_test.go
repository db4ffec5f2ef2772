package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"grapnel/internal/store/eithertest"
)

// case 118: every kind of change leaves an entry that says who did what to what, with
// no secret in it; a tenant's own are told to who manages that tenant.
func TestAuditLog(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.want(http.StatusCreated, "POST", "/v1/keys", `{"tenant":"acme","scopes":["manage"]}`)
	manager, id := made.text("key"), made.text("id")
	secret := "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5"
	created := b.want(http.StatusCreated, "POST", "/v1/tenants/acme/endpoints", `{"url":"https://example.com/hidden-path?token=hidden-token","secret":"`+secret+`","headers":{"Authorization":"hidden-header"},"description":"hidden-text"}`, as(manager))
	endpoint := created.text("id")
	at := "/v1/tenants/acme/endpoints/" + endpoint
	changed := b.want(http.StatusOK, "PATCH", at, `{"state":"paused","rate_limit":5,"event_types":["a"]}`, as(manager))
	rotated := b.want(http.StatusOK, "POST", at+"/secret/rotate", `{}`).text("secret")
	b.want(http.StatusOK, "PATCH", at, `{}`) // changes nothing
	b.want(http.StatusOK, "PATCH", at, `{"state":"active"}`)
	b.want(http.StatusCreated, "PUT", "/v1/event-types/a", `{"description":"hidden-text"}`)
	event := b.publish("acme", `{"type":"a","data":"hidden-data"}`)
	delivery := b.want(http.StatusOK, "GET", acmeEvents+"/"+event, "").list("deliveries")[0]["id"].(string)
	b.want(http.StatusAccepted, "POST", "/v1/tenants/acme/deliveries/"+delivery+"/redeliver", "")
	b.want(http.StatusOK, "POST", acmeEvents+"/"+event+"/cancel", "")
	over := b.replayed()
	replay := b.want(http.StatusAccepted, "POST", "/v1/tenants/acme/replays", `{"states":["failed"]}`).text("id")
	<-over // its end has an entry
	b.want(http.StatusOK, "POST", "/v1/import", `[{"kind":"tenant","tenant":"imported","name":"hidden-text"}]`)
	if !eithertest.Postgres() {
		b.want(http.StatusOK, "POST", "/v1/backup", "")
	}
	b.want(http.StatusNoContent, "DELETE", at, "")
	b.want(http.StatusNoContent, "DELETE", "/v1/event-types/a", "")
	b.want(http.StatusNoContent, "DELETE", "/v1/keys/"+id, "")
	b.want(http.StatusNoContent, "DELETE", "/v1/tenants/imported", "")

	all := b.auditLog("/v1/audit")
	seen := map[string]bool{}
	for _, e := range all {
		seen[fmt.Sprint(e["action"], " ", e["object"], " ", e["tenant"], " ", e["result"])] = true
		actor := e["actor"].(map[string]any)
		if actor["kind"] != "server" && (actor["key"] == nil || actor["address"] != "192.0.2.1" || actor["request"] == nil) {
			t.Errorf("nobody is named: %v", e)
		}
	}
	for _, want := range []string{
		"key.create " + id + " acme done", "endpoint.create " + endpoint + " acme done", "endpoint.update " + endpoint + " acme done", "endpoint.secret " + endpoint + " acme done",
		"event_type.create a <nil> done", "delivery.redeliver " + delivery + " acme asked", "event.cancel " + event + " acme asked", "replay.create " + replay + " acme done",
		"tenant.create imported imported done", "endpoint.delete " + endpoint + " acme done", "event_type.delete a <nil> done",
		"key.delete " + id + " acme done", "tenant.delete imported imported done",
	} {
		if !seen[want] {
			t.Errorf("there is no entry %q", want)
		}
	}
	if !eithertest.Postgres() && !seen["store.backup <nil> <nil> asked"] {
		t.Error("the backup has no entry")
	}
	text, _ := json.Marshal(all)
	for _, hidden := range []string{"hidden", secret, rotated, manager, adminKey} {
		if strings.Contains(string(text), hidden) {
			t.Errorf("the audit log holds %q", hidden)
		}
	}

	i := slices.IndexFunc(all, func(e map[string]any) bool {
		return e["action"] == "endpoint.update" && e["actor"].(map[string]any)["key"] == id
	})
	changes, _ := json.Marshal(all[i]["changes"])
	if want := `[{"after":["a"],"before":null,"field":"event_types"},{"after":5,"before":0,"field":"rate_limit"},{"after":"paused","before":"active","field":"state"}]`; string(changes) != want {
		t.Errorf("changes %s, want %s", changes, want)
	}
	if got := all[i]["actor"].(map[string]any)["request"]; got != changed.header.Get("Request-Id") {
		t.Errorf("request %v, want %s", got, changed.header.Get("Request-Id"))
	}
	if n := len(slices.DeleteFunc(slices.Clone(all), func(e map[string]any) bool { return e["action"] != "endpoint.update" })); n != 2 {
		t.Errorf("%d entries of changed endpoints, want 2: one changed nothing", n)
	}

	own := b.auditLog("/v1/tenants/acme/audit")
	for _, e := range own {
		if e["tenant"] != "acme" {
			t.Errorf("told to another tenant: %v", e)
		}
	}
	if len(own) < 9 || len(own) >= len(all) {
		t.Errorf("%d of %d entries are the tenant's", len(own), len(all))
	}
}

// auditLog reads a list of the audit log in small pages, and back again.
func (b *bundle) auditLog(path string) []map[string]any {
	b.t.Helper()
	var all, before []map[string]any
	last := ""
	for at := path + "?limit=3"; at != ""; {
		a := b.want(http.StatusOK, "GET", at, "")
		all = append(all, a.list("data")...)
		last, at = at, a.next()
	}
	p := b.want(http.StatusOK, "GET", last, "").json()
	for p["prev_cursor"] != nil {
		a := b.want(http.StatusOK, "GET", path+"?limit=3&cursor="+p["prev_cursor"].(string), "")
		before, p = append(a.list("data"), before...), a.json()
	}
	first := len(all) - len(before)
	if first < 1 || first > 3 || fmt.Sprint(all[:len(before)]) != fmt.Sprint(before) {
		b.t.Errorf("%s: %d entries forth, %d back", path, len(all), len(before))
	}
	return all
}

// case 118: what was configured under a name that is somebody else's by now is not told
// to that one.
func TestAuditLogOfAnEarlierTenant(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.want(http.StatusCreated, "PUT", "/v1/tenants/short", `{}`)
	first := b.endpoint("short", `{"url":"https://example.com/"}`)
	b.want(http.StatusNoContent, "DELETE", "/v1/tenants/short", "")
	b.want(http.StatusCreated, "PUT", "/v1/tenants/short", `{}`)
	if a := b.want(http.StatusOK, "GET", "/v1/tenants/short/audit", ""); len(a.list("data")) != 1 || strings.Contains(a.body, first) {
		t.Errorf("the tenant is told %s", a.body)
	}
}
