package smake_test

import (
	"errors"
	"net/http/httptest"
	"testing"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// Errors have Laravel's shape, whatever they are.
func TestSMM1RefusalsInTheVendorsShape(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		body   string
	}{
		{hook.Errorf(hook.CodeUnauthorized, "x"), 401, `{"message":"Unauthenticated."}`},
		{hook.Errorf(hook.CodeForbidden, "x"), 403, `{"message":"This action is unauthorized."}`},
		{hook.Errorf(hook.CodeNotFound, "x"), 404, `{"message":"Not Found."}`},
		{hook.Errorf(dialect.CodeMethod, "x"), 405, `{"message":"The method is not supported for this route."}`},
		{hook.Errorf(hook.CodeTooLarge, "x"), 413, `{"message":"Payload Too Large."}`},
		{hook.Errorf(hook.CodeRateLimited, "x"), 429, `{"message":"Too Many Attempts."}`},
		{hook.Errorf(hook.CodeInternal, "a secret of ours"), 500, `{"message":"Server Error."}`},
		{errors.New("a secret of ours"), 500, `{"message":"Server Error."}`},
		{hook.Errorf(hook.CodeUnavailable, "x"), 503, `{"message":"Service Unavailable."}`},
		{hook.Errorf(hook.CodeConflict, "is too much"), 400, `{"message":"is too much"}`},
		{hook.Invalid("/event_types/0", "is none"), 422, `{"message":"The given data was invalid.","errors":{"event_types.0":["is none"]}}`},
		{hook.Invalid("/secret", "is too long"), 422, `{"message":"The given data was invalid.","errors":{"token":["is too long"]}}`},
	} {
		w := httptest.NewRecorder()
		load(t).Refuse(w, httptest.NewRequest("GET", "/v2/apps/1/webhooks", nil), c.err)
		if w.Code != c.status || w.Body.String() != c.body || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%v: got %d %s, want %d %s", c.err, w.Code, w.Body, c.status, c.body)
		}
	}
}
