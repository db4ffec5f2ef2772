package vendors_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// api2cart calls a method of that vendor's API, for the store of a tenant.
func (w *world) api2cart(verb, tenant, path string) string {
	w.t.Helper()
	query := "&store_key=" + url.QueryEscape("store-key-of-"+tenant)
	got := w.do(verb, path+query, "", http.Header{"X-Api-Key": {w.key([]string{tenant}, hook.ScopeManage)}})
	if got.Code != http.StatusOK {
		w.t.Errorf("%s %s: %d", verb, path, got.Code)
	}
	return got.Body.String()
}

// What was tried for the last time a day ago is not in the failed log any more.
func TestFailedLogOfADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tenant("acme")
	e := w.endpoint("acme", "api2cart", "https://a.example/")
	for data, ago := range map[string]time.Duration{`{"id":"old"}`: 24*time.Hour + time.Minute, `{"id":"young"}`: 24*time.Hour - time.Minute} {
		w.attempt(w.publish("acme", "product.add", data), e, hook.Attempt{N: 2, State: hook.Failed, Status: 500, At: time.Now().Add(-ago)})
	}
	t.Run("A2-R4 24 hours", func(t *testing.T) {
		got := w.api2cart("GET", "acme", "/v1.1/account.failed_webhooks.json?")
		if !strings.Contains(got, `"all_failed_webhook":"1","webhook":[{"webhook_id":1,"entity_id":"young",`) || strings.Contains(got, "old") {
			t.Error(got)
		}
	})
}

// A webhook that was disabled because its store stayed lost is activated by its
// owner, by the vendor's own method.
func TestActivatingAfterALoss(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tenant("acme")
	w.endpoint("acme", "api2cart", "https://a.example/")
	list := func(active string) {
		t.Helper()
		want := `{"return_code":0,"return_message":"","result":{"webhook":[{"active":` + active + `}]}}`
		if got := w.api2cart("GET", "acme", "/v1.1/webhook.list.json?params=active"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	t.Run("A2-LOST3 webhook.update activates it again", func(t *testing.T) {
		_, err := w.manager.LoseConnection(t.Context(), "acme", manage.Loss{Reason: "incorrect store key"})
		must(t, err)
		list("true")
		for at, end := time.Now(), time.Now().Add(24*time.Hour); at.Before(end); at = at.Add(time.Minute) {
			w.manager.TellLost(t.Context(), at)
		}
		list("false")
		for _, change := range []string{"label=x", "active=1"} {
			if got := w.api2cart("PUT", "acme", "/v1.1/webhook.update.json?id=1&"+change); got != `{"return_code":0,"return_message":"","result":{"updated":"1"}}` {
				t.Error(got)
			}
			list(map[string]string{"label=x": "false", "active=1": "true"}[change])
		}
		w.manager.TellLost(t.Context(), time.Now().Add(48*time.Hour))
		list("true")
	})
}
