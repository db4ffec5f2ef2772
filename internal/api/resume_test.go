package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"grapnel/internal/api"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// outcomes are the states of an endpoint's deliveries with their reasons, by event.
func (b *bundle) outcomes(endpoint string) map[string]string {
	b.t.Helper()
	out := map[string]string{}
	for _, d := range b.want(http.StatusOK, "GET", acmeDeliveries+"?limit=250&endpoint="+endpoint, "").list("data") {
		out[d["event"].(string)] = strings.TrimSuffix(fmt.Sprint(d["state"], " ", d["reason"]), " <nil>")
	}
	return out
}

func TestResume(t *testing.T) {
	t.Parallel()
	const cancelled = "cancelled " + hook.Discarded
	for what, choose := range map[string]func(last string) (body string, discards func(accepted, last string) bool){
		"all": func(string) (string, func(string, string) bool) {
			return `{}`, func(string, string) bool { return false }
		},
		"none": func(string) (string, func(string, string) bool) {
			return `{"held":"discard"}`, func(string, string) bool { return true }
		},
		"the last": func(last string) (string, func(string, string) bool) {
			return `{"since":"` + last + `"}`, func(a, l string) bool { return a < l }
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			e := b.endpoint("acme", `{"url":"https://example.com/1"}`)
			other := b.endpoint("acme", `{"url":"https://example.com/2","state":"paused"}`)
			b.want(http.StatusOK, "PATCH", "/v1/tenants/acme/endpoints/"+e, `{"state":"paused"}`)
			accepted := map[string]string{} // when, by event
			first, last := "", ""
			for n := 0; first == last || n < 5; n++ { // until some time has passed
				id := b.publish("acme", `{"type":"a","data":1}`)
				last = b.want(http.StatusOK, "GET", acmeEvents+"/"+id, "").text("accepted_at")
				accepted[id] = last
				if first == "" {
					first = last
				}
			}
			body, discards := choose(last)
			want := 0
			for _, at := range accepted {
				if discards(at, last) {
					want++
				}
			}
			path := "/v1/tenants/acme/endpoints/" + e + "/resume"
			a := b.want(http.StatusOK, "POST", path+"?dry_run=true", body)
			if got := fmt.Sprintf(`{"dry_run":true,"state":"paused","discarded":%d,"send":%d,"exact":true,`, want, len(accepted)-want); !strings.HasPrefix(a.body, got) {
				t.Errorf("%s, want %s", a.body, got)
			}
			for id, state := range b.outcomes(e) {
				if state != "held the endpoint is paused" {
					t.Errorf("after the dry run %s is %s", id, state)
				}
			}
			if a = b.want(http.StatusOK, "POST", path, body); a.body != fmt.Sprintf(`{"state":"active","discarded":%d}`, want) {
				t.Errorf("%s, want %d", a.body, want)
			}
			for id, state := range b.outcomes(e) {
				if wanted := map[bool]string{true: cancelled, false: "pending"}[discards(accepted[id], last)]; state != wanted {
					t.Errorf("%s: %s, want %s", id, state, wanted)
				}
			}
			for id, state := range b.outcomes(other) {
				if state != "held the endpoint is paused" {
					t.Errorf("another endpoint's %s: %s", id, state)
				}
			}
			// A second time there is nothing to choose.
			wanted := http.StatusConflict
			if what == "all" {
				wanted = http.StatusOK
			}
			b.want(wanted, "POST", path, body)
		})
	}
}

func TestResumeRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e := b.endpoint("acme", `{"url":"https://example.com/1","state":"paused"}`)
	path := "/v1/tenants/acme/endpoints/" + e + "/resume"
	for body, pointer := range map[string]string{
		`{"held":"drop"}`: "/held", `{"since":"yesterday"}`: "/since", `{"since":"2999-01-01T00:00:00Z"}`: "/since",
		`{"held":"discard","since":"2026-01-01T00:00:00Z"}`: "/since", `{"hold":"send"}`: "/hold",
	} {
		if a := b.want(http.StatusBadRequest, "POST", path, body); a.pointer() != pointer {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	if state := b.want(http.StatusOK, "GET", "/v1/tenants/acme/endpoints/"+e, "").text("state"); state != "paused" {
		t.Error(state)
	}
	b.want(http.StatusNotFound, "POST", "/v1/tenants/acme/endpoints/none/resume", "")
}

// What is too much for one request is discarded by several, and the endpoint stays as it
// is until all of it is.
func TestResumeBitByBit(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *api.Config) { c.Reader, c.DiscardAtOnce = onePage{c.Reader}, 1 })
	e := b.endpoint("acme", `{"url":"https://example.com/1","state":"paused"}`)
	for range 3 {
		b.publish("acme", `{"type":"a","data":1}`)
	}
	path := "/v1/tenants/acme/endpoints/" + e + "/resume"
	discarded, more := 0.0, 0
	for {
		a := b.do("POST", path, `{"held":"discard"}`)
		discarded += a.json()["discarded"].(float64)
		if a.status == http.StatusOK {
			break
		}
		if more++; a.status != http.StatusAccepted || a.text("state") != "paused" || more > 10 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if discarded != 3 || more == 0 {
		t.Errorf("%v were discarded by %d requests and one more", discarded, more)
	}
}

// onePage reads one delivery at a time.
type onePage struct{ store.Reader }

func (o onePage) Deliveries(ctx context.Context, q store.DeliveryQuery) (store.DeliveryPage, error) {
	q.Limit = 1
	return o.Reader.Deliveries(ctx, q)
}
