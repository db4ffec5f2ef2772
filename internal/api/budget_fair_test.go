package api_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"grapnel/internal/api"
	"grapnel/internal/hook"
	"grapnel/internal/ingest"
)

// case 56: what one tenant has under way leaves room for another's.
func TestPublishesLeaveRoomForOthers(t *testing.T) {
	t.Parallel()
	inside, release := make(chan struct{}, 8), make(chan struct{})
	results := []ingest.Result{{ID: hook.EventIDFrom(1, 1)}}
	b := setup(t, func(c *api.Config) {
		c.MaxBatchBytes, c.MaxHeldBytes = 1, 4*64<<10 // four steps
		c.Publisher = publisher(func(context.Context, *ingest.Submission) ([]ingest.Result, bool, error) {
			inside <- struct{}{}
			<-release
			return results, false, nil
		})
	})
	b.want(http.StatusCreated, "PUT", "/v1/tenants/bolt", `{}`)
	const event = `{"type":"a","data":1}`
	var wg sync.WaitGroup
	publish := func(path, body string) {
		wg.Go(func() { b.want(http.StatusAccepted, "POST", path, body) })
		<-inside
	}
	publish(acmeEvents, event)
	publish(acmeEvents, event)
	if a := b.want(http.StatusTooManyRequests, "POST", acmeEvents, event); a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	publish("/v1/tenants/bolt/events", event+strings.Repeat(" ", 68<<10)) // all that is left
	b.want(http.StatusServiceUnavailable, "POST", "/v1/events", `{"tenant":"acme","type":"a","data":1}`)
	close(release)
	wg.Wait()
}
