package api_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"grapnel/internal/api"
	"grapnel/internal/hook"
	"grapnel/internal/ingest"
	"grapnel/internal/store"
)

// case 56: a tenant's quota is set member by member; null is what the server's
// settings say, 0 is no limit.
func TestTenantQuota(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, tt := range []struct {
		body string
		want any
		kept hook.Quota
	}{
		{`{}`, nil, hook.Quota{}},
		{`{"quota":{"events_per_second":2.5,"pending":1000}}`, map[string]any{"events_per_second": 2.5, "pending": 1000.0}, hook.Quota{Events: 2.5, Pending: 1000}},
		{`{"quota":{"pending":0}}`, map[string]any{"events_per_second": 2.5, "pending": 0.0}, hook.Quota{Events: 2.5, Pending: -1}},
		{`{"name":"Acme"}`, map[string]any{"events_per_second": 2.5, "pending": 0.0}, hook.Quota{Events: 2.5, Pending: -1}},
		{`{"quota":{"events_per_second":null}}`, map[string]any{"pending": 0.0}, hook.Quota{Pending: -1}},
		{`{"quota":null}`, nil, hook.Quota{}},
	} {
		a := b.do("PUT", "/v1/tenants/quota", tt.body)
		if got := a.json()["quota"]; a.status/100 != 2 || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %d %v, want %v", tt.body, a.status, got, tt.want)
		}
		if tenant, _ := b.dir.Tenant("quota"); tenant.Quota != tt.kept {
			t.Errorf("%s: kept %+v", tt.body, tenant.Quota)
		}
	}
	for _, body := range []string{`{"quota":{"pending":-1}}`, `{"quota":{"events_per_second":"many"}}`, `{"quota":{"events":1}}`, `{"quota":7}`} {
		b.want(http.StatusBadRequest, "PUT", "/v1/tenants/quota", body)
	}
}

// case 56: whoever is over a quota is told when there is room again.
func TestQuotaRefusalSaysWhen(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *api.Config) {
		c.Publisher = publisher(func(context.Context, *ingest.Submission) ([]ingest.Result, bool, error) {
			return nil, false, &hook.Error{Code: hook.CodeRateLimited, Message: "over the quota", RetryAfter: 4100 * time.Millisecond}
		})
	})
	for _, path := range []string{acmeEvents, "/v1/events"} {
		a := b.want(http.StatusTooManyRequests, "POST", path, `{"tenant":"acme","type":"a","data":1}`)
		if got := a.header.Get("Retry-After"); got != "5" {
			t.Errorf("%s: Retry-After %q", path, got)
		}
	}
}

// cases 56 and 113: back-pressure and a full disk leave no line in the log for each
// refusal; what else is our own trouble does.
func TestBackPressureIsNotLogged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    hook.Error
		logged bool
	}{
		{hook.Error{Code: hook.CodeUnavailable, Message: "too much", RetryAfter: time.Second}, false},
		{hook.Error{Code: hook.CodeUnavailable, Message: "full", RetryAfter: time.Second, Err: store.ErrFull}, false},
		{hook.Error{Code: hook.CodeUnavailable, Message: "away", Err: store.ErrUnavailable}, true},
	} {
		var log bytes.Buffer
		b := setup(t, func(cfg *api.Config) {
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			cfg.Publisher = publisher(func(context.Context, *ingest.Submission) ([]ingest.Result, bool, error) { return nil, false, &c.err })
		})
		b.want(http.StatusServiceUnavailable, "POST", acmeEvents, `{"type":"a","data":1}`)
		if got := strings.Contains(log.String(), "request failed"); got != c.logged {
			t.Errorf("%v, again in %s: logged %t: %s", c.err.Err, c.err.RetryAfter, got, log.String())
		}
	}
}
