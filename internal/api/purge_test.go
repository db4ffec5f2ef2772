package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"grapnel/internal/api"
	"grapnel/internal/hook"
)

// about are the ids of events of acme that tell of a person, and of others.
func (b *bundle) about(person string, n int) (of, others []string) {
	for i := range n {
		of = append(of, b.publish("acme", fmt.Sprintf(`{"id":"of-%s-%d","type":"a","data":{"user":{"id":%q},"n":%d}}`, person, i, person, i)))
		others = append(others, b.publish("acme", fmt.Sprintf(`{"type":"a","data":{"user":{"id":"other"},"n":%d}}`, i)))
	}
	return of, others
}

// What events hold of a person goes, by a filter: a dry run counts it, the receipt says
// what it was, and the audit log has it.
func TestPurgeAPerson(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.endpoint("acme", `{"url":"https://example.com/"}`)
	of, others := b.about("u_17-MARKER", 4)
	body := `{"filter":{"field":"data.user.id","operator":"eq","value":"u_17-MARKER"}}`
	const path = "/v1/tenants/acme/purge"
	dry := b.want(http.StatusOK, "POST", path+"?dry_run=true", body).json()
	if dry["selected"] != 4.0 || dry["events"] != 0.0 || dry["dry_run"] != true || !strings.Contains(b.want(http.StatusOK, "GET", acmeEvents+"/"+of[0], "").body, "MARKER") {
		t.Fatalf("the dry run says %v", dry)
	}
	done := b.want(http.StatusOK, "POST", path, body).json()
	if done["selected"] != 4.0 || done["events"] != 4.0 || done["digest"] != dry["digest"] {
		t.Errorf("the receipt is %v", done)
	}
	for i, id := range of {
		a := b.want(http.StatusOK, "GET", acmeEvents+"/"+id, "")
		if strings.Contains(a.body, "MARKER") || a.json()["data"].(map[string]any)["purged"] != true {
			t.Errorf("a purged event is told as %s", a.body)
		}
		if d := a.list("deliveries")[0]; d["state"] != "cancelled" || d["reason"] != hook.ByPurge {
			t.Errorf("its delivery is %v", d)
		}
		b.want(http.StatusNotFound, "GET", acmeEvents+"/of-u_17-MARKER-"+fmt.Sprint(i), "")
		if a := b.want(http.StatusOK, "GET", acmeEvents+"/"+others[i], ""); !strings.Contains(a.body, `"id":"other"`) || a.list("deliveries")[0]["state"] != "pending" {
			t.Errorf("another event is told as %s", a.body)
		}
	}
	if again := b.want(http.StatusOK, "POST", path, body).json(); again["selected"] != 0.0 {
		t.Errorf("purged again: %v", again)
	}
	log := b.want(http.StatusOK, "GET", "/v1/tenants/acme/audit", "").body
	if !strings.Contains(log, `"action":"events.purge"`) || !strings.Contains(log, done["digest"].(string)) || strings.Contains(log, "MARKER") {
		t.Errorf("the audit log has %s", log)
	}
	one := b.want(http.StatusOK, "POST", path, `{"events":["`+others[0]+`"]}`).json()
	if one["events"] != 1.0 {
		t.Errorf("purged by its id: %v", one)
	}
	for _, bad := range []string{`{}`, `{"everything":true,"events":["x"]}`, `{"filter":{"field":"x"}}`} {
		b.want(http.StatusBadRequest, "POST", path, bad)
	}
	b.want(http.StatusNotFound, "POST", path, `{"events":["nothing"]}`)
}

// A whole tenant goes, with what is told of its endpoints.
func TestPurgeATenant(t *testing.T) {
	t.Parallel()
	b := setup(t)
	gone := b.endpoint("acme", `{"url":"https://example.com/MARKER"}`)
	b.want(http.StatusNoContent, "DELETE", "/v1/tenants/acme/endpoints/"+gone, "")
	id := b.endpoint("acme", `{"url":"https://example.com/MARKER","description":"MARKER"}`)
	key := b.want(http.StatusCreated, "POST", "/v1/keys", `{"tenant":"acme","scopes":["read"]}`).text("key")
	b.about("MARKER", 3)
	acme, _ := b.dir.Tenant("acme")
	endpoint, _ := b.dir.EndpointByID("acme", id)
	done := b.want(http.StatusOK, "POST", "/v1/tenants/acme/purge", `{"everything":true}`).json()
	if done["selected"] != 6.0 || done["events"] != 6.0 || done["endpoints"] != 1.0 || done["keys"] != 1.0 {
		t.Errorf("the receipt is %v", done)
	}
	b.want(http.StatusNotFound, "GET", "/v1/tenants/acme", "")
	b.want(http.StatusUnauthorized, "GET", "/v1/tenants/acme", "", as(key))
	c, err := b.store.Configuration(t.Context(), 0)
	must(t, err)
	for _, e := range c.Endpoints {
		if e.TenantNum == acme.Num && (!e.Deleted || e.URL != "" || e.Description != "") {
			t.Errorf("of an endpoint %+v is left", e)
		}
	}
	if e, ok := b.dir.Endpoint(endpoint.Num); !ok || e.URL != "" {
		t.Errorf("of the endpoint %+v is left", e)
	}
	if log := b.want(http.StatusOK, "GET", "/v1/audit", "").body; !strings.Contains(log, `"action":"tenant.purge"`) || strings.Contains(log, "MARKER") {
		t.Errorf("the audit log has %s", log)
	}
}

// busyCanceller says that attempts run.
type busyCanceller struct{}

func (busyCanceller) Cancel(context.Context, []*hook.Delivery, string) (int, error) { return 1, nil }

// While an attempt runs, nothing is overwritten: what it records would stay.
func TestPurgeWaitsForAttempts(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *api.Config) { c.Canceller = busyCanceller{} })
	b.endpoint("acme", `{"url":"https://example.com/"}`)
	id := b.publish("acme", `{"type":"a","data":"kept"}`)
	b.want(http.StatusServiceUnavailable, "POST", "/v1/tenants/acme/purge", `{"everything":true}`)
	if a := b.want(http.StatusOK, "GET", acmeEvents+"/"+id, ""); !strings.Contains(a.body, "kept") {
		t.Errorf("overwritten: %s", a.body)
	}
	log := b.want(http.StatusOK, "GET", "/v1/tenants/acme/audit?since="+time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), "").body
	if !strings.Contains(log, `"result":"failed"`) {
		t.Errorf("the audit log has %s", log)
	}
}
