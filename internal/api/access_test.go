package api_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"grapnel/internal/api"
	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/eithertest"
)

// credentials are the columns of the matrix: what each of them is. {fresh}
// stands for something that does not exist yet.
var credentials = []struct{ name, key string }{
	{"admin", ""},
	{"manage", `{"scopes":["manage"]}`},
	{"publish", `{"scopes":["publish"]}`},
	{"read", `{"scopes":["read"]}`},
	{"acme-manage", `{"tenant":"acme","scopes":["manage"]}`},
	{"acme-publish", `{"tenant":"acme","scopes":["publish"]}`},
	{"acme-read", `{"tenant":"acme","scopes":["read"]}`},
	{"other-all", `{"tenant":"other","scopes":["publish","manage","read"]}`},
	{"acme-portal", ""},
	{"other-portal", ""},
	{"revoked", `{"scopes":["admin"]}`},
	{"expired", `{"scopes":["publish","manage","read"]}`},
	{"unknown", ""},
	{"anonymous", ""},
}

// access is the matrix: for each route the status for each of the credentials
// in the order of the list, on things of the tenant acme. (case 93, case 94)
var access = []struct {
	route, path, body string
	want              [14]int
}{
	{"POST /v1/tenants/{tenant}/events", acmeEvents, `{"type":"a","data":1}`, [14]int{202, 403, 202, 403, 403, 202, 403, 404, 403, 404, 401, 401, 401, 401}},
	{"POST /v1/events", "/v1/events", `[{"tenant":"acme","type":"a","data":1}]`, [14]int{202, 403, 202, 403, 403, 202, 403, 202, 403, 403, 401, 401, 401, 401}},
	{"GET /v1/tenants", "/v1/tenants", "", [14]int{200, 200, 403, 200, 200, 403, 200, 200, 403, 403, 401, 401, 401, 401}},
	{"PUT /v1/tenants/{tenant}", "/v1/tenants/acme", `{}`, [14]int{200, 403, 403, 403, 403, 403, 403, 404, 403, 404, 401, 401, 401, 401}},
	{"GET /v1/tenants/{tenant}", "/v1/tenants/acme", "", [14]int{200, 200, 403, 200, 200, 403, 200, 404, 403, 404, 401, 401, 401, 401}},
	{"DELETE /v1/tenants/{tenant}", "/v1/tenants/{fresh tenant}", "", [14]int{204, 403, 403, 403, 404, 404, 404, 404, 404, 404, 401, 401, 401, 401}},
	{"POST /v1/tenants/{tenant}/connection", "/v1/tenants/acme/connection", `{"state":"restored"}`, [14]int{200, 200, 403, 403, 200, 403, 403, 404, 403, 404, 401, 401, 401, 401}},
	{"GET /v1/tenants/{tenant}/endpoints", "/v1/tenants/acme/endpoints", "", [14]int{200, 200, 403, 200, 200, 403, 200, 404, 200, 404, 401, 401, 401, 401}},
	{"POST /v1/tenants/{tenant}/endpoints", "/v1/tenants/acme/endpoints", `{"url":"https://example.com/"}`, [14]int{201, 201, 403, 403, 201, 403, 403, 404, 201, 404, 401, 401, 401, 401}},
	{"GET /v1/tenants/{tenant}/endpoints/{endpoint}", "/v1/tenants/acme/endpoints/{endpoint}", "", [14]int{200, 200, 403, 200, 200, 403, 200, 404, 200, 404, 401, 401, 401, 401}},
	{"PUT /v1/tenants/{tenant}/endpoints/{endpoint}", "/v1/tenants/acme/endpoints/{endpoint}", `{}`, [14]int{200, 200, 403, 403, 200, 403, 403, 404, 403, 404, 401, 401, 401, 401}},
	{"PATCH /v1/tenants/{tenant}/endpoints/{endpoint}", "/v1/tenants/acme/endpoints/{endpoint}", `{}`, [14]int{200, 200, 403, 403, 200, 403, 403, 404, 200, 404, 401, 401, 401, 401}},
	{"DELETE /v1/tenants/{tenant}/endpoints/{endpoint}", "/v1/tenants/acme/endpoints/{fresh endpoint}", "", [14]int{204, 204, 403, 403, 204, 403, 403, 404, 204, 404, 401, 401, 401, 401}},
	{"POST /v1/tenants/{tenant}/endpoints/{endpoint}/preview", "/v1/tenants/acme/endpoints/{endpoint}/preview", "", [14]int{200, 200, 403, 403, 200, 403, 403, 404, 200, 404, 401, 401, 401, 401}},
	{"POST /v1/tenants/{tenant}/endpoints/{endpoint}/test", "/v1/tenants/acme/endpoints/{endpoint}/test", "", [14]int{202, 202, 403, 403, 202, 403, 403, 404, 202, 404, 401, 401, 401, 401}},
	{"POST /v1/tenants/{tenant}/endpoints/{endpoint}/secret/rotate", "/v1/tenants/acme/endpoints/{endpoint}/secret/rotate", `{"overlap":0}`, [14]int{200, 200, 403, 403, 200, 403, 403, 404, 200, 404, 401, 401, 401, 401}},
	{"POST /v1/tenants/{tenant}/endpoints/{endpoint}/resume", "/v1/tenants/acme/endpoints/{endpoint}/resume", "", [14]int{200, 200, 403, 403, 200, 403, 403, 404, 200, 404, 401, 401, 401, 401}},
	{"POST /v1/tenants/{tenant}/endpoints/{endpoint}/secret/reveal", "/v1/tenants/acme/endpoints/{endpoint}/secret/reveal", "", [14]int{200, 200, 403, 403, 200, 403, 403, 404, 200, 404, 401, 401, 401, 401}},
	{"GET /v1/tenants/{tenant}/events", acmeEvents, "", [14]int{200, 200, 403, 200, 200, 403, 200, 404, 200, 404, 401, 401, 401, 401}},
	{"GET /v1/tenants/{tenant}/events/{event}", acmeEvents + "/{event}", "", [14]int{200, 200, 403, 200, 200, 403, 200, 404, 200, 404, 401, 401, 401, 401}},
	{"GET /v1/tenants/{tenant}/events/{event}/endpoints/{endpoint}/explanation", acmeEvents + "/{event}/endpoints/{endpoint}/explanation", "", [14]int{200, 200, 403, 200, 200, 403, 200, 404, 200, 404, 401, 401, 401, 401}},
	{"GET /v1/tenants/{tenant}/rejected-events", "/v1/tenants/acme/rejected-events", "", [14]int{200, 200, 403, 200, 200, 403, 200, 404, 403, 404, 401, 401, 401, 401}},
	{"GET /v1/tenants/{tenant}/deliveries", "/v1/tenants/acme/deliveries", "", [14]int{200, 200, 403, 200, 200, 403, 200, 404, 200, 404, 401, 401, 401, 401}},
	{"GET /v1/tenants/{tenant}/deliveries/{delivery}", "/v1/tenants/acme/deliveries/{delivery}", "", [14]int{200, 200, 403, 200, 200, 403, 200, 404, 200, 404, 401, 401, 401, 401}},
	{"POST /v1/tenants/{tenant}/deliveries/{delivery}/redeliver", "/v1/tenants/acme/deliveries/{delivery}/redeliver", "", [14]int{202, 202, 403, 403, 202, 403, 403, 404, 202, 404, 401, 401, 401, 401}},
	{"GET /v1/tenants/{tenant}/deliveries/live", "/v1/tenants/acme/deliveries/live", "", [14]int{200, 200, 403, 200, 200, 403, 200, 404, 200, 404, 401, 401, 401, 401}},
	{"GET /v1/deliveries/live", "/v1/deliveries/live", "", [14]int{200, 200, 403, 200, 200, 403, 200, 200, 403, 403, 401, 401, 401, 401}},
	{"GET /v1/tenants/{tenant}/requests/live", "/v1/tenants/acme/requests/live", "", [14]int{200, 200, 403, 403, 200, 403, 403, 404, 403, 404, 401, 401, 401, 401}},
	{"POST /v1/tenants/{tenant}/events/{event}/cancel", acmeEvents + "/{event}/cancel", "", [14]int{200, 200, 403, 403, 200, 403, 403, 404, 403, 404, 401, 401, 401, 401}},
	{"POST /v1/tenants/{tenant}/replays", "/v1/tenants/acme/replays", `{"states":["failed"],"dry_run":true}`, [14]int{200, 200, 403, 403, 200, 403, 403, 404, 200, 404, 401, 401, 401, 401}},
	{"GET /v1/tenants/{tenant}/replays", "/v1/tenants/acme/replays", "", [14]int{200, 200, 403, 200, 200, 403, 200, 404, 200, 404, 401, 401, 401, 401}},
	{"GET /v1/tenants/{tenant}/replays/{replay}", "/v1/tenants/acme/replays/{replay}", "", [14]int{200, 200, 403, 200, 200, 403, 200, 404, 200, 404, 401, 401, 401, 401}},
	{"POST /v1/tenants/{tenant}/replays/{replay}/cancel", "/v1/tenants/acme/replays/{replay}/cancel", "", [14]int{200, 200, 403, 403, 200, 403, 403, 404, 200, 404, 401, 401, 401, 401}},
	{"POST /v1/tenants/{tenant}/portal-links", "/v1/tenants/acme/portal-links", "", [14]int{201, 201, 403, 403, 201, 403, 403, 404, 403, 404, 401, 401, 401, 401}},
	{"DELETE /v1/tenants/{tenant}/portal-links", "/v1/tenants/{fresh tenant}/portal-links", "", [14]int{204, 204, 403, 403, 404, 404, 404, 404, 404, 404, 401, 401, 401, 401}},
	{"POST /v1/tenants/{tenant}/purge", "/v1/tenants/acme/purge?dry_run=true", `{"everything":true}`, [14]int{200, 403, 403, 403, 403, 403, 403, 404, 403, 404, 401, 401, 401, 401}},
	{"GET /v1/audit", "/v1/audit", "", [14]int{200, 403, 403, 403, 403, 403, 403, 403, 403, 403, 401, 401, 401, 401}},
	{"GET /v1/tenants/{tenant}/audit", "/v1/tenants/acme/audit", "", [14]int{200, 200, 403, 403, 200, 403, 403, 404, 403, 404, 401, 401, 401, 401}},
	{"GET /v1/event-types", "/v1/event-types", "", [14]int{200, 200, 403, 200, 200, 403, 200, 200, 200, 200, 401, 401, 401, 401}},
	{"PUT /v1/event-types/{type}", "/v1/event-types/invoice.paid", `{}`, [14]int{200, 403, 403, 403, 403, 403, 403, 403, 403, 403, 401, 401, 401, 401}},
	{"GET /v1/event-types/{type}", "/v1/event-types/invoice.paid", "", [14]int{200, 200, 403, 200, 200, 403, 200, 200, 200, 200, 401, 401, 401, 401}},
	{"DELETE /v1/event-types/{type}", "/v1/event-types/{fresh type}", "", [14]int{204, 403, 403, 403, 403, 403, 403, 403, 403, 403, 401, 401, 401, 401}},
	{"GET /v1/catalogue", "/v1/catalogue", "", [14]int{200, 200, 403, 200, 200, 403, 200, 200, 200, 200, 401, 401, 401, 401}},
	{"GET /v1/tenants/{tenant}/samples", "/v1/tenants/acme/samples?type=a", "", [14]int{200, 200, 403, 200, 200, 403, 200, 404, 200, 404, 401, 401, 401, 401}},
	{"GET /v1/tenants/{tenant}/catalogue", "/v1/tenants/acme/catalogue", "", [14]int{200, 200, 403, 200, 200, 403, 200, 404, 200, 404, 401, 401, 401, 401}},
	{"GET /v1/keys", "/v1/keys", "", [14]int{200, 403, 403, 403, 403, 403, 403, 403, 403, 403, 401, 401, 401, 401}},
	{"POST /v1/keys", "/v1/keys", `{"scopes":["read"]}`, [14]int{201, 403, 403, 403, 403, 403, 403, 403, 403, 403, 401, 401, 401, 401}},
	{"GET /v1/keys/{key}", "/v1/keys/{key}", "", [14]int{200, 403, 403, 403, 403, 403, 403, 403, 403, 403, 401, 401, 401, 401}},
	{"DELETE /v1/keys/{key}", "/v1/keys/{fresh key}", "", [14]int{204, 403, 403, 403, 403, 403, 403, 403, 403, 403, 401, 401, 401, 401}},
	{"POST /v1/import", "/v1/import", `[{"kind":"tenant","tenant":"acme"}]`, [14]int{200, 403, 403, 403, 403, 403, 403, 403, 403, 403, 401, 401, 401, 401}},
	{"GET /v1/nodes", "/v1/nodes", "", [14]int{200, 403, 403, 403, 403, 403, 403, 403, 403, 403, 401, 401, 401, 401}},
	{"GET /v1/store", "/v1/store", "", [14]int{200, 403, 403, 403, 403, 403, 403, 403, 403, 403, 401, 401, 401, 401}},
	{"POST /v1/backup", "/v1/backup", "", [14]int{200, 403, 403, 403, 403, 403, 403, 403, 403, 403, 401, 401, 401, 401}},
	{"GET /v1/openapi.json", "/v1/openapi.json", "", [14]int{200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200}},
	{"GET /v1/problems/{code}", "/v1/problems/not_found", "", [14]int{200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 200}},
}

// strangers are credentials that are nobody's, beyond those of the matrix: each
// gets on every route what an unknown key gets. A %s stands for a key that works.
var strangers = []struct{ name, key string }{
	{"cut short", "%.12s"},
	{"one too long", "%sx"},
	{"twice", "%[1]s,%[1]s"},
	{"in quotes", `"%s"`},
	{"too long to look at", "%02000s"},
	{"a JWT of no algorithm", "eyJhbGciOiJub25lIn0.eyJzY29wZXMiOlsiYWRtaW4iXX0."}, // case 103
	{"SQL", "' OR '1'='1"},
}

// case 93: every route, every kind of credential; case 103: among them tokens with
// tricks.
func TestAccessMatrix(t *testing.T) {
	t.Parallel()
	b := setup(t)
	keys := b.credentials()
	endpoint := b.endpoint("acme", `{"url":"https://example.com/"}`)
	event := b.publish("acme", `{"type":"a","data":1}`)
	delivery := b.want(http.StatusOK, "GET", acmeEvents+"/"+event, "").list("deliveries")[0]["id"].(string)
	b.want(http.StatusCreated, "PUT", "/v1/event-types/invoice.paid", "")
	anyKey := b.want(http.StatusCreated, "POST", "/v1/keys", `{"scopes":["read"]}`).text("id")
	replay := b.want(http.StatusAccepted, "POST", "/v1/tenants/acme/replays", `{"states":["failed"]}`).text("id")
	nobodys := b.endedLinks()
	nobodys["of a deleted tenant"] = b.keyOfDeleted()
	for _, c := range strangers {
		nobodys[c.name] = c.key
		if strings.Contains(c.key, "%") {
			nobodys[c.name] = fmt.Sprintf(c.key, adminKey)
		}
	}
	cells, allowed := 0, 0
	for _, row := range access {
		if row.route == "POST /v1/backup" && eithertest.Postgres() {
			row.want[0] = http.StatusNotFound
		}
		method, _, _ := strings.Cut(row.route, " ")
		there := strings.NewReplacer("{endpoint}", endpoint, "{event}", event, "{delivery}", delivery, "{key}", anyKey, "{replay}", replay).Replace(row.path)
		for i, c := range credentials {
			path := b.fresh(there, fmt.Sprint(i))
			a := b.do(method, path, row.body, as(keys[c.name]))
			if a.status != row.want[i] {
				t.Errorf("%s as %s: %d, want %d: %s", row.route, c.name, a.status, row.want[i], a.body)
			}
			cells++
			if a.status < 400 && row.want[i] >= 400 {
				allowed++
			}
			if a.status == http.StatusUnauthorized && a.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s as %s: no WWW-Authenticate", row.route, c.name)
			}
			if c.name == "other-all" && strings.Contains(a.body, endpoint) {
				t.Errorf("%s shows another tenant's endpoint: %s", row.route, a.body)
			}
		}
		path := b.fresh(there, "stranger")
		for name, key := range nobodys {
			want := row.want[slices.Index(credentialNames(), "unknown")]
			a := b.do(method, path, row.body, as(key))
			if a.status != want {
				t.Errorf("%s with a key %s: %d, want %d: %s", row.route, name, a.status, want, a.body)
			}
			cells++
			if a.status < 400 && want >= 400 {
				allowed++
			}
		}
	}
	t.Logf("%d routes × %d credentials: %d requests, %d wrongly allowed", len(access), len(credentials)+len(nobodys), cells, allowed)
	if n := len(b.want(http.StatusOK, "GET", "/v1/tenants/other/events", "").list("data")); n != 0 {
		t.Errorf("%d events reached another tenant", n)
	}
}

// Every route has its row in the matrix.
func TestAccessMatrixIsComplete(t *testing.T) {
	t.Parallel()
	rows := map[string]bool{}
	for _, row := range access {
		rows[row.route] = true
	}
	for _, route := range api.Routes() {
		if !rows[route] {
			t.Errorf("%s has no row", route)
		}
		delete(rows, route)
	}
	if len(rows) > 0 {
		t.Errorf("rows without a route: %v", rows)
	}
}

// credentials makes a key of each kind.
func (b *bundle) credentials() map[string]string {
	b.t.Helper()
	keys := map[string]string{
		"admin": adminKey, "unknown": "gk_0000000000000000000000000000000000000", "acme-portal": b.link("acme"), "other-portal": b.link("other"),
	}
	for _, c := range credentials {
		if c.key == "" {
			continue
		}
		a := b.want(http.StatusCreated, "POST", "/v1/keys", c.key)
		keys[c.name] = a.text("key")
		switch c.name {
		case "revoked":
			b.want(http.StatusNoContent, "DELETE", "/v1/keys/"+a.text("id"), "")
		case "expired":
			k, _ := b.dir.KeyByID(a.text("id"))
			expired := *k
			expired.ExpiresAt = k.CreatedAt
			_, err := b.store.Configure(b.t.Context(), &store.Change{Keys: []*hook.Key{&expired}})
			must(b.t, err)
			must(b.t, b.dir.Refresh(b.t.Context()))
		}
	}
	return keys
}

func credentialNames() (names []string) {
	for _, c := range credentials {
		names = append(names, c.name)
	}
	return names
}

// keyOfDeleted makes a key of a tenant that is deleted after.
func (b *bundle) keyOfDeleted() string {
	b.t.Helper()
	b.want(http.StatusCreated, "PUT", "/v1/tenants/gone", "")
	key := b.want(http.StatusCreated, "POST", "/v1/keys", `{"tenant":"gone","scopes":["publish","manage","read"]}`).text("key")
	b.want(http.StatusNoContent, "DELETE", "/v1/tenants/gone", "")
	return key
}

// link makes a portal link and returns its token.
func (b *bundle) link(tenant string, headers ...string) string {
	b.t.Helper()
	return b.want(http.StatusCreated, "POST", "/v1/tenants/"+tenant+"/portal-links", "", headers...).text("token")
}

// endedLinks are the tokens of portal links of acme that are no good any more, or
// never were.
func (b *bundle) endedLinks() map[string]string {
	b.t.Helper()
	token := b.link("acme")
	said, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "gp_"))
	must(b.t, err)
	forged := func(change func(b []byte) []byte) string {
		return "gp_" + base64.RawURLEncoding.EncodeToString(change(bytes.Clone(said)))
	}
	out := map[string]string{
		"of a link, changed":           forged(func(b []byte) []byte { b[len(b)-40]++; return b }),
		"of a link, cut":               forged(func(b []byte) []byte { return b[:len(b)-1] }),
		"of a link, without MAC":       forged(func(b []byte) []byte { return b[:len(b)-32] }),
		"of a link, with an empty one": forged(func(b []byte) []byte { return append(b[:len(b)-32], make([]byte, 32)...) }),
		"of a link, with more bits":    token + "=",
	}
	maker := b.want(http.StatusCreated, "POST", "/v1/keys", `{"tenant":"acme","scopes":["manage"]}`)
	out["of a link whose maker is revoked"] = b.link("acme", as(maker.text("key")))
	b.want(http.StatusNoContent, "DELETE", "/v1/keys/"+maker.text("id"), "")
	for _, tenant := range []string{"ended", "deleted", "again"} {
		b.want(http.StatusCreated, "PUT", "/v1/tenants/"+tenant, "")
		out["of a link of a tenant: "+tenant] = b.link(tenant)
	}
	b.want(http.StatusNoContent, "DELETE", "/v1/tenants/ended/portal-links", "")
	b.want(http.StatusNoContent, "DELETE", "/v1/tenants/deleted", "")
	b.want(http.StatusNoContent, "DELETE", "/v1/tenants/again", "")
	b.want(http.StatusCreated, "PUT", "/v1/tenants/again", "")
	return out
}

// fresh makes what a path says is to be there for this request alone.
func (b *bundle) fresh(path, n string) string {
	b.t.Helper()
	switch {
	case strings.Contains(path, "{fresh tenant}"):
		id := hook.NewID("fresh" + n)
		b.want(http.StatusCreated, "PUT", "/v1/tenants/"+id, "")
		return strings.Replace(path, "{fresh tenant}", id, 1)
	case strings.Contains(path, "{fresh endpoint}"):
		return strings.Replace(path, "{fresh endpoint}", b.endpoint("acme", `{"url":"https://example.com/"}`), 1)
	case strings.Contains(path, "{fresh type}"):
		b.want(http.StatusCreated, "PUT", "/v1/event-types/fresh"+n, "")
		return strings.Replace(path, "{fresh type}", "fresh"+n, 1)
	case strings.Contains(path, "{fresh key}"):
		return strings.Replace(path, "{fresh key}", b.want(http.StatusCreated, "POST", "/v1/keys", `{"scopes":["read"]}`).text("id"), 1)
	}
	return path
}

// case 94: what is another tenant's and what does not exist read alike.
func TestForeignIsMissing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	endpoint := b.endpoint("acme", `{"url":"https://example.com/"}`)
	event := b.publish("acme", `{"type":"a","data":1}`)
	delivery := b.want(http.StatusOK, "GET", acmeEvents+"/"+event, "").list("deliveries")[0]["id"].(string)
	key := b.key(`{"tenant":"other","scopes":["publish","manage","read"]}`)
	same := func(method, foreign, missing, body string) {
		t.Helper()
		told := func(path string) string {
			a := b.want(http.StatusNotFound, method, path, body, as(key))
			p := a.json()
			text := fmt.Sprint(p["type"], p["title"], p["detail"])
			for _, part := range strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune("/?=", r) }) {
				if len(part) > 4 {
					text = strings.ReplaceAll(text, part, "ID")
				}
			}
			return strings.ReplaceAll(strings.ReplaceAll(text, "acme", "T"), "none", "T")
		}
		if f, m := told(foreign), told(missing); f != m {
			t.Errorf("%s: %q against %q", foreign, f, m)
		}
	}
	missingEvent := strings.Replace(event, event[len(event)-4:], "0000", 1)
	missingDelivery := strings.Replace(delivery, delivery[10:14], "0000", 1)
	same("GET", "/v1/tenants/acme", "/v1/tenants/none", "")
	same("POST", "/v1/tenants/acme/events", "/v1/tenants/none/events", `{"type":"a","data":1}`)
	same("GET", "/v1/tenants/acme/endpoints/"+endpoint, "/v1/tenants/none/endpoints/ep_00000000000000000000000000", "")
	same("GET", "/v1/tenants/other/endpoints/"+endpoint, "/v1/tenants/other/endpoints/ep_00000000000000000000000000", "")
	same("PATCH", "/v1/tenants/other/endpoints/"+endpoint, "/v1/tenants/other/endpoints/ep_00000000000000000000000000", "{}")
	same("GET", "/v1/tenants/other/events/"+event, "/v1/tenants/other/events/"+missingEvent, "")
	same("GET", "/v1/tenants/other/deliveries/"+delivery, "/v1/tenants/other/deliveries/"+missingDelivery, "")
	same("POST", "/v1/tenants/other/deliveries/"+delivery+"/redeliver", "/v1/tenants/other/deliveries/"+missingDelivery+"/redeliver", "")
	same("GET", "/v1/tenants/other/deliveries?endpoint="+endpoint, "/v1/tenants/other/deliveries?endpoint=ep_00000000000000000000000000", "")

	results := func(tenant string) string {
		a := b.want(http.StatusAccepted, "POST", "/v1/events", `[{"tenant":"`+tenant+`","type":"a","data":1}]`, as(key))
		return strings.ReplaceAll(a.body, tenant, "T")
	}
	if f, m := results("acme"), results("none"); f != m {
		t.Errorf("in a batch: %s against %s", f, m)
	}
	if n := len(b.want(http.StatusOK, "GET", "/v1/tenants/other/deliveries?event="+event, "", as(key)).list("data")); n != 0 {
		t.Errorf("%d deliveries of another tenant's event", n)
	}
	var ids []string
	for _, item := range b.want(http.StatusOK, "GET", "/v1/tenants", "", as(key)).list("data") {
		ids = append(ids, item["id"].(string))
	}
	if strings.Join(ids, " ") != "other" {
		t.Errorf("sees the tenants %v", ids)
	}
}

// case 105: what was told once is told nowhere else.
func TestSecretsAreToldOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	given := "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LTAx"
	a := b.want(http.StatusCreated, "POST", "/v1/tenants/acme/endpoints", `{"url":"https://example.com/","secret":"`+given+`","headers":{"Authorization":"canary-token","X-Api-Key":"canary-api-key"}}`)
	path := "/v1/tenants/acme/endpoints/" + a.text("id")
	rotated := b.want(http.StatusOK, "POST", path+"/secret/rotate", "").text("secret")
	key := b.want(http.StatusCreated, "POST", "/v1/keys", `{"tenant":"acme","scopes":["publish","read","manage"]}`)
	tenant := b.want(http.StatusCreated, "PUT", "/v1/tenants/own", `{"dialect":"canceller","secret":"canary-of-the-tenant"}`)
	secrets := []string{given, rotated, key.text("key"), tenant.text("secret"), adminKey, "canary-token", "canary-api-key"}

	b.publish("acme", `{"type":"a","data":1}`)
	var said strings.Builder
	for _, row := range access {
		if method, _, _ := strings.Cut(row.route, " "); method == "GET" {
			p := strings.NewReplacer("{endpoint}", a.text("id"), "{key}", key.text("id"), "{event}", "x", "{delivery}", "x").Replace(row.path)
			said.WriteString(b.do("GET", p, "").body)
		}
	}
	for _, body := range []string{
		`{"url":1,"secret":"` + given + `"}`, `{"secret":"` + given + `","secret":"x"}`, `{"url":"https://example.com/","secret":"` + given + `!"}`, `{"secret":"` + given,
	} {
		said.WriteString(b.do("POST", "/v1/tenants/acme/endpoints", body).body)
		said.WriteString(b.do("PATCH", path, body).body)
		said.WriteString(b.do("POST", path+"/secret/rotate", body).body)
	}
	said.WriteString(b.do("POST", "/v1/keys", `{"scopes":["read"],"key":"`+key.text("key")+`"}`).body)
	said.WriteString(b.do("GET", "/v1/tenants/acme?api_key="+key.text("key"), "", as("")).body)
	said.WriteString(b.do("GET", "/v1/keys?key="+key.text("key"), "").body)
	said.WriteString(b.do("GET", "/nothing?key="+key.text("key"), "").body)
	said.WriteString(b.want(http.StatusUnauthorized, "GET", "/v1/tenants", "", as(key.text("key")+"x")).body)
	said.WriteString(b.log.String())
	for _, s := range secrets {
		if i := strings.Index(said.String(), s); i >= 0 {
			t.Errorf("%s… is shown: %s", s[:8], said.String()[max(0, i-200):i+20])
		}
	}
}
