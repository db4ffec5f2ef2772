package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"grapnel/internal/hostile"
)

const acmeEndpoints = "/v1/tenants/acme/endpoints"

// Whatever an endpoint authenticates itself with, what was read can be put back, and
// no answer shows a secret (case 105).
func TestAuthCanBePutBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ca, err := hostile.NewAuthority(time.Now())
	must(t, err)
	certificate, key, err := ca.Client("acme", time.Now().Add(time.Hour))
	must(t, err)
	text := func(v any) string {
		out, err := json.Marshal(v)
		must(t, err)
		return string(out)
	}
	for name, body := range map[string]string{
		"basic":  `"auth":{"type":"basic","username":"u","password":"canary"}`,
		"bearer": `"auth":{"type":"bearer","token":"canary"}`,
		"oauth2": `"auth":{"type":"oauth2","token_url":"https://example.com/token","client_id":"i","client_secret":"canary","scope":"s","audience":"a","client_auth":"body"}`,
		"tls":    `"tls":{"certificate":` + text(string(certificate)) + `,"key":` + text(string(key)) + `,"ca":` + text(string(ca.PEM())) + `}`,
	} {
		path := acmeEndpoints + "/" + name
		b.want(http.StatusCreated, "PUT", path, `{"url":"https://example.com/","event_types":["none"],`+body+`}`)
		was, _ := b.dir.EndpointByID("acme", name)
		shown := b.want(http.StatusOK, "GET", path, "")
		if strings.Contains(shown.body, "canary") || strings.Contains(shown.body, strings.Split(string(key), "\n")[1]) || !strings.Contains(shown.body, `"[secret]"`) {
			t.Errorf("%s is shown as %s", name, shown.body)
		}
		b.want(http.StatusOK, "PUT", path, shown.body)
		b.want(http.StatusOK, "PATCH", path, `{"description":"d"}`)
		is, _ := b.dir.EndpointByID("acme", name)
		if text(was.Auth) != text(is.Auth) || text(was.TLS) != text(is.TLS) {
			t.Errorf("%s: %s %s is now %s %s", name, text(was.Auth), text(was.TLS), text(is.Auth), text(is.TLS))
		}
		if name == "tls" {
			if tls := shown.json()["tls"].(map[string]any); tls["subject"] != "CN=acme" || len(tls["sha256"].(string)) != 64 || tls["not_after"] == nil {
				t.Errorf("%v", tls)
			}
		}
		a := b.want(http.StatusOK, "PATCH", path, `{"auth":null,"tls":null}`).json()
		if a["auth"] != nil || a["tls"] != nil {
			t.Errorf("%s is left: %v", name, a)
		}
	}
}

func TestAuthOfARequestIsChecked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for body, pointer := range map[string]string{
		`"auth":{}`: "/auth/type",
		`"auth":{"type":"bearer","password":"x"}`:                              "/auth/password",
		`"auth":{"type":"bearer","token":"[secret]"}`:                          "/auth/token",
		`"auth":{"type":"oauth2","client_auth":"post"}`:                        "/auth/client_auth",
		`"auth":{"type":"bearer","token":7}`:                                   "/auth/token",
		`"auth":{"type":"bearer","tokn":"x"}`:                                  "/auth/tokn",
		`"tls":{"key":"x"}`:                                                    "/tls/certificate",
		`"auth":{"type":"bearer","token":"x"},"headers":{"Authorization":"y"}`: "/headers/Authorization",
		// case 84: where no endpoint may be, no token endpoint is.
		`"auth":{"type":"oauth2","client_id":"i","client_secret":"s","token_url":"https://169.254.169.254/token"}`: "/auth/token_url",
		`"auth":{"type":"oauth2","client_id":"i","client_secret":"s","token_url":"https://10.0.0.1/token"}`:        "/auth/token_url",
		`"auth":{"type":"oauth2","client_id":"i","client_secret":"s","token_url":"http://example.com/token"}`:      "/auth/token_url",
		`"auth":{"type":"oauth2","client_id":"i","client_secret":"s","token_url":"file:///etc/passwd"}`:            "/auth/token_url",
	} {
		a := b.do("POST", acmeEndpoints, `{"url":"https://example.com/",`+body+`}`)
		if a.status != http.StatusUnprocessableEntity && a.status != http.StatusBadRequest || a.pointer() != pointer {
			t.Errorf("%s: %d at %q: %s", body, a.status, a.pointer(), a.body)
		}
	}
	a := b.do("POST", acmeEndpoints, `{"url":"http://example.com/","tls":{"ca":null,"certificate":null}}`)
	if a.status != http.StatusCreated {
		t.Errorf("nothing of tls over http: %s", a.body)
	}
}

// A customer sees and sets what their own endpoint wants, and has nothing that is not
// shown sent elsewhere.
func TestCustomersDoNotMoveAuth(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.want(http.StatusCreated, "PUT", acmeEndpoints+"/own", `{"url":"https://example.com/","auth":{"type":"bearer","token":"canary"}}`)
	token := b.want(http.StatusCreated, "POST", "/v1/tenants/acme/portal-links", "").text("token")
	for _, c := range []struct {
		body   string
		status int
	}{
		{`{"url":"https://evil.example/"}`, http.StatusForbidden},
		{`{"url":"https://evil.example/","auth":{"type":"bearer","token":"[secret]"}}`, http.StatusForbidden},
		{`{"url":"https://evil.example/","auth":{"type":"bearer"}}`, http.StatusForbidden},
		{`{"url":"https://moved.example/","auth":{"type":"bearer","token":"another"}}`, http.StatusOK},
		{`{"url":"https://again.example/","auth":null}`, http.StatusOK},
		{`{"url":"https://free.example/"}`, http.StatusOK},
	} {
		if a := b.do("PATCH", acmeEndpoints+"/own", c.body, as(token)); a.status != c.status {
			t.Errorf("%s: %d, want %d: %s", c.body, a.status, c.status, a.body)
		}
	}
}

func TestImportedAuth(t *testing.T) {
	t.Parallel()
	b := setup(t)
	record := `[{"kind":"tenant","tenant":"acme"},{"tenant":"acme","dialect":"standard","vendor_id":"h1","secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw","url":"https://example.com/","auth":{"type":"basic","username":"u","password":"p"}}]`
	if a := b.want(http.StatusOK, "POST", "/v1/import", record); a.json()["created"] != 1.0 {
		t.Error(a.body)
	}
	if a := b.want(http.StatusOK, "POST", "/v1/import", record); a.json()["unchanged"] != 2.0 {
		t.Error(a.body)
	}
	if a := b.want(http.StatusOK, "POST", "/v1/import", strings.Replace(record, `"p"`, `"q"`, 1)); a.json()["updated"] != 1.0 {
		t.Error(a.body)
	}
}

func TestRevealedSecretIsTheOneThatWasMade(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.want(http.StatusCreated, "PUT", acmeEndpoints+"/own", `{"url":"https://example.com/"}`).text("secret")
	got := b.want(http.StatusOK, "POST", acmeEndpoints+"/own/secret/reveal", "").list("secrets")
	if len(got) != 1 || got[0]["secret"] != made {
		t.Errorf("%v, want %s", got, made)
	}
	if log := b.want(http.StatusOK, "GET", "/v1/tenants/acme/audit?limit=1", "").body; !strings.Contains(log, "endpoint.reveal_secret") || strings.Contains(log, made) {
		t.Error(log)
	}
}
