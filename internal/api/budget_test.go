package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"grapnel/internal/api"
	"grapnel/internal/hook"
	"grapnel/internal/ingest"
)

// What publishes hold is bounded in bytes: beyond that they are sent away, and
// what was held is given back however a request ends.
func TestPublishesHoldBoundedMemory(t *testing.T) {
	t.Parallel()
	inside, release := make(chan struct{}), make(chan struct{})
	results := []ingest.Result{{ID: hook.EventIDFrom(1, 1)}}
	b := setup(t, func(c *api.Config) {
		c.MaxBatchBytes, c.MaxHeldBytes = 1, 1 // the least: one request of 72 KiB, and a step
		c.Publisher = publisher(func(context.Context, *ingest.Submission) ([]ingest.Result, bool, error) {
			inside <- struct{}{}
			<-release
			return results, false, nil
		})
	})
	endpoint := b.endpoint("acme", `{"url":"https://example.com/"}`)
	const event = `{"tenant":"acme","type":"a","data":1}`
	large := event + strings.Repeat(" ", 68<<10) // two steps
	chunked := func(body string) *http.Request {
		r := httptest.NewRequestWithContext(t.Context(), "POST", acmeEvents, strings.NewReader(body))
		r.ContentLength = -1
		r.Header.Set("Authorization", "Bearer "+adminKey)
		return r
	}
	for range 5 { // refused for other reasons, which keeps nothing
		b.want(http.StatusBadRequest, "POST", acmeEvents, "{"+large)
	}
	for name, hold := range map[string][]func() *answer{
		"small ones":         {func() *answer { return b.do("POST", acmeEvents, event) }, func() *answer { return b.do("POST", "/v1/events", event) }},
		"one":                {func() *answer { return b.do("POST", acmeEvents, large) }},
		"one without length": {func() *answer { return b.serve(chunked(large)) }},
	} {
		var wg sync.WaitGroup
		for _, publish := range hold {
			wg.Go(func() {
				if a := publish(); a.status != http.StatusAccepted {
					t.Errorf("%s: %d: %s", name, a.status, a.body)
				}
			})
			<-inside
		}
		for _, path := range []string{acmeEvents, "/v1/events", "/v1/tenants/acme/endpoints/" + endpoint + "/test"} {
			a := b.want(http.StatusServiceUnavailable, "POST", path, event)
			if a.header.Get("Retry-After") == "" {
				t.Errorf("%s: %s: no Retry-After", name, path)
			}
		}
		if a := b.serve(chunked(event)); a.status != http.StatusServiceUnavailable {
			t.Errorf("%s: without a length: %d", name, a.status)
		}
		b.want(http.StatusOK, "PATCH", "/v1/tenants/acme/endpoints/"+endpoint, `{"description":"configuring goes on"}`)
		for range hold {
			release <- struct{}{}
		}
		wg.Wait()
	}
}
