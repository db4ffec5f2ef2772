package sixpark_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"grapnel/client"
	"grapnel/internal/config"
	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/vendortest"
)

// Errors have the vendor's shape, whatever they are, and none tells what is ours.
func TestSPM8RefusalsInTheVendorsShape(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{hook.Errorf(hook.CodeInvalid, "x"), 400, "bad_request"},
		{hook.Errorf(hook.CodeConflict, "x"), 400, "bad_request"},
		{hook.Errorf(hook.CodeUnauthorized, "x"), 401, "unauthorized"},
		{hook.Errorf(hook.CodeForbidden, "x"), 403, "forbidden"},
		{hook.Errorf(hook.CodeNotFound, "x"), 404, "url_invalid"},
		{hook.Errorf(dialect.CodeMethod, "x"), 405, "method_not_allowed"},
		{hook.Errorf(hook.CodeTooLarge, "x"), 413, "too_large"},
		{hook.Errorf(hook.CodeRateLimited, "x"), 429, "rate_limit_exceeded"},
		{hook.Errorf(hook.CodeInternal, "a secret of ours"), 500, "internal_server_error"},
		{errors.New("a secret of ours"), 500, "internal_server_error"},
		{hook.Errorf(hook.CodeUnavailable, "x"), 503, "service_unavailable"},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "https://other.example/api/v1/webhooks", nil)
		load(t).Refuse(w, dialect.WithLinkBase(r, "https://hooks.example"), c.err)
		wantError(t, vendortest.Answer{Status: w.Code, Body: w.Body.String()}, c.status, c.code)
		if !strings.Contains(w.Body.String(), `"links":{"error":"https://hooks.example/v1/problems/`) || strings.Contains(w.Body.String(), "ours") {
			t.Errorf("%v: %s", c.err, w.Body)
		}
	}
	w := httptest.NewRecorder()
	load(t).Refuse(w, httptest.NewRequest("POST", "/api/v1/webhooks", nil), hook.Invalid("/url", "cannot be reached"))
	if want := `{"code":"validation_failed","message":"Validation failed due to url.","errors":[{"message":"cannot be reached","field":"url"}]}`; w.Code != 422 || w.Body.String() != want {
		t.Errorf("got  %d %s\nwant 422 %s", w.Code, w.Body, want)
	}
}

// Links are under the public URL, whatever host a client names.
func TestSPM8LinksAreUnderThePublicURL(t *testing.T) {
	t.Parallel()
	s := vendortest.Start(t, func(c *config.Config) { c.PublicURL = "https://hooks.example" })
	s.MakeTenant("acme", "sixpark")
	for _, path := range []string{"/api/v1/webhooks", "/api/v1/webhooks/none", "/api/v1/webhooks/none/none"} {
		a := s.Do("GET", path, append(headers(s.MakeKey("acme")), "X-Forwarded-Proto: https", "X-Forwarded-Host: other.example"), "")
		if !strings.Contains(a.Body, `"links":{"error":"https://hooks.example/v1/problems/`) {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
}

// The contract's rules bind the native API too.
func TestSPD5SPS5NativeEndpointsKeepTheRules(t *testing.T) {
	t.Parallel()
	s := vendortest.Start(t)
	s.MakeTenant("acme", "sixpark")
	in := client.EndpointInput{URL: client.Set("https://example.com"), EventTypes: client.Set([]string{"ACCOUNT_OPENED"})}
	if _, err := s.CreateEndpoint(t.Context(), "acme", in); err == nil {
		t.Error("an endpoint chooses its events, which this contract does not know")
	}
	in.EventTypes = client.Field[[]string]{}
	if e, err := s.CreateEndpoint(t.Context(), "acme", in); err != nil || len(e.Secrets) != 1 {
		t.Errorf("%+v %v", e, err)
	}
}
