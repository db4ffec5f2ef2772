package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"grapnel/internal/api"
	"grapnel/internal/hook"
	"grapnel/internal/why"
)

// placed tells of every delivery that waits the same.
type placed struct {
	behindTheFirst
	place why.Place
}

func (p placed) Look(hook.DeliveryKey) why.Place { return p.place }

// Why an event came or did not is told from what the store, the matching and the queue
// know of it.
func TestExplanation(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *api.Config) {
		c.Queue = placed{place: why.Place{Here: true, Broken: true, Failed: 5, ProbeAt: time.Now().Add(time.Minute)}}
	})
	paid := b.endpoint("acme", `{"url":"https://example.com/","event_types":["invoice.*"]}`)
	large := b.endpoint("acme", `{"url":"https://example.com/","filter":{"and":[{"field":"data.n","operator":"gt","value":1},{"field":"data.n","operator":"gt","value":100}]}}`)
	all := b.endpoint("acme", `{"url":"https://example.com/"}`)
	dropped := b.endpoint("acme", `{"url":"https://example.com/","dialect":"canceller"}`)
	event := b.publish("acme", `{"id":"mine","type":"user.created","data":{"n":7},"suppress":true}`)
	late := b.endpoint("acme", `{"url":"https://example.com/"}`)
	explain := func(event, endpoint string) *answer {
		t.Helper()
		return b.want(http.StatusOK, "GET", acmeEvents+"/"+event+"/endpoints/"+endpoint+"/explanation", "")
	}
	for _, c := range []struct{ endpoint, situation, clause string }{
		{paid, "not_subscribed", ""}, {large, "filtered", "/and/1"}, {all, "not_answering", ""}, {dropped, "suppressed", ""}, {late, "made_later", ""},
	} {
		got := explain("mine", c.endpoint)
		if got.text("situation") != c.situation || strings.Contains(got.body, `"filter_clause":"`+c.clause+`"`) != (c.clause != "") || got.text("event") != event || got.text("endpoint") != c.endpoint || got.text("sentence") == "" || got.text("remedy") == "" {
			t.Errorf("%s: %s", c.situation, got.body)
		}
	}
	b.attempt(event, all, hook.Attempt{N: 1, At: time.Now(), State: hook.Failed, Reason: "answered 400 Bad Request", Status: 400})
	if got := explain(event, all); got.text("situation") != "final_answer" {
		t.Error(got.body)
	}
	b.want(http.StatusOK, "PATCH", "/v1/tenants/acme/endpoints/"+all, `{"state":"paused"}`)
	if got := explain(b.publish("acme", `{"type":"a","data":1}`), all); got.text("situation") != "paused" {
		t.Error(got.body)
	}
	ordered := b.endpoint("acme", `{"url":"https://example.com/","event_types":["o"],"ordering":"key"}`)
	if got := explain(b.publish("acme", `{"type":"o","data":1,"ordering_key":"k"}`), ordered); got.text("situation") != "waits_in_order" {
		t.Error(got.body)
	}
	b.want(http.StatusNotFound, "GET", acmeEvents+"/nothing/endpoints/"+all+"/explanation", "")
	b.want(http.StatusNotFound, "GET", acmeEvents+"/mine/endpoints/nothing/explanation", "")
	b.want(http.StatusNotFound, "GET", "/v1/tenants/other/events/mine/endpoints/"+all+"/explanation", "")
}
