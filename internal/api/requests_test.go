package api_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/api"
	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/verify"
)

const acmeRequests = "/v1/tenants/acme/requests/live"

// hello is the first message of a stream of requests.
func (w *watching) hello() map[string]any {
	w.t.Helper()
	m := w.next()
	if m.event != "hello" {
		w.t.Fatalf("begins with %+v", m)
	}
	return m.json(w.t)
}

// types are the types of the next n requests, whose ids must ascend.
func (w *watching) types(n int) (out []string, last string) {
	w.t.Helper()
	for range n {
		m := w.next()
		v := m.json(w.t)
		if m.event != "" || m.id != v["event"] || m.id <= last {
			w.t.Errorf("%+v after %s", m, last)
		}
		last = m.id
		out = append(out, v["type"].(string))
	}
	return out, last
}

// check verifies a request as a receiver does.
func check(t *testing.T, secret string, v map[string]any) {
	t.Helper()
	verifier, err := verify.New(secret)
	must(t, err)
	h := http.Header{}
	for _, pair := range v["headers"].([]any) {
		p := pair.([]any)
		h.Add(p[0].(string), p[1].(string))
	}
	if err := verifier.Verify(h, []byte(v["body"].(string)), time.Now()); err != nil {
		t.Error(err)
	}
}

// Without an endpoint, all of the tenant's events come, signed with the secret
// that hello tells; with one, those that go to it, as they go to it.
func TestListen(t *testing.T) {
	inBubble(t, func(b *bundle, dial *http.Client) {
		made := b.want(http.StatusCreated, "POST", "/v1/tenants/acme/endpoints", `{"url":"https://example.com/","event_types":["a"],"headers":{"X-Custom":"yes"}}`)
		b.publish("acme", `{"type":"before","data":1}`)
		all := b.opened(dial, acmeRequests, adminKey)
		one := b.opened(dial, acmeRequests+"?endpoint="+made.text("id"), adminKey)
		secret := all.hello()["secret"].(string)
		if hello := one.hello(); hello["secret"] != nil || hello["endpoint"] != made.text("id") || hello["dialect"] != "standard" {
			t.Errorf("hello %v", hello)
		}
		begin := time.Now()
		b.publish("other", `{"type":"a","data":1}`)
		b.publish("acme", `{"type":"b","data":1}`)
		event := b.publish("acme", `{"type":"a","data":{"x": 1.0}}`)
		if got, _ := all.types(1); got[0] != "b" {
			t.Errorf("first %v", got)
		}
		m := all.next().json(t)
		check(t, secret, m)
		m = one.next().json(t)
		check(t, made.text("secret"), m)
		if took := time.Since(begin); took > 0 {
			t.Errorf("waited %s for a poll", took)
		}
		want := map[string]any{"event": event, "type": "a", "method": "POST", "delivery": m["delivery"], "signed_at": m["signed_at"]}
		if headers := m["headers"].([]any); cmp.Diff([]any{"X-Custom", "yes"}, headers[len(headers)-1]) != "" {
			t.Errorf("headers %v", headers)
		}
		if body, _ := m["body"].(string); !strings.Contains(body, `{"x": 1.0}`) {
			t.Errorf("body %s", body)
		}
		delete(m, "headers")
		delete(m, "body")
		if diff := cmp.Diff(want, m); diff != "" {
			t.Error(diff)
		}
		d := b.want(http.StatusOK, "GET", "/v1/tenants/acme/deliveries/"+want["delivery"].(string), "")
		if d.text("event") != event {
			t.Errorf("the delivery is one of %s", d.text("event"))
		}
		again := b.opened(dial, acmeRequests, adminKey)
		if again.hello()["secret"] != secret {
			t.Error("another secret the second time")
		}
		if b.opened(dial, "/v1/tenants/other/requests/live", adminKey).hello()["secret"] == secret {
			t.Error("two tenants share a secret")
		}
	})
}

// Whatever cursor a client comes with, it gets what follows and nothing else.
func TestListenResumes(t *testing.T) {
	inBubble(t, func(b *bundle, dial *http.Client) {
		empty := b.opened(dial, acmeRequests+"?types=none", adminKey)
		if cursor := empty.hello()["cursor"]; cursor != "start" {
			t.Errorf("an empty store has the cursor %v", cursor)
		}
		var ids, names []string
		for i := range 50 {
			name := "a." + strconv.Itoa(i)
			names = append(names, name)
			ids = append(ids, b.publish("acme", `{"type":"`+name+`","data":1}`))
			b.publish("other", `{"type":"b","data":1}`)
		}
		for _, c := range []struct {
			query, header string
			from          int
		}{{"?after=start", "", 0}, {"?after=" + ids[0], "", 1}, {"", ids[24], 25}, {"?after=" + ids[0], ids[47], 48}} {
			w := b.opened(dial, acmeRequests+c.query, adminKey, "Last-Event-ID: "+c.header)
			w.hello()
			got, _ := w.types(50 - c.from)
			if diff := cmp.Diff(names[c.from:], got); diff != "" {
				t.Errorf("%+v: %s", c, diff)
			}
			w.res.Body.Close()
		}
		now := b.opened(dial, acmeRequests+"?types=a.*,c", adminKey)
		hello := now.hello()["cursor"]
		for _, name := range []string{"b", "c", "ab", "a.x"} {
			b.publish("acme", `{"type":"`+name+`","data":1}`)
		}
		if got, _ := now.types(2); cmp.Diff([]string{"c", "a.x"}, got) != "" {
			t.Errorf("filtered %v", got)
		}
		if hello.(string) <= ids[49] {
			t.Errorf("begins at %v, before the last event", hello)
		}
		// What is left out moves the cursor too.
		if m := empty.next(); m.event != "" || m.data != "" || m.id <= hello.(string) {
			t.Errorf("no position but %+v", m)
		}
		for q, status := range map[string]int{"after=x": 400, "types=a*b": 400, "endpoint=none": 404, "state=failed": 400} {
			b.want(status, "GET", acmeRequests+"?"+q, "")
		}
	})
}

// Commits that nobody told of are found by looking.
func TestListenPolls(t *testing.T) {
	inBubble(t, func(b *bundle, dial *http.Client) {
		w := b.opened(dial, acmeRequests, adminKey)
		w.hello()
		tenant, _ := b.dir.Tenant("acme")
		e := &hook.Event{ID: hook.NextEventID(0, time.Now(), 1), Tenant: tenant.Num, Type: "quiet", Time: time.Now(), Data: []byte("1"), Revision: b.dir.Revision()}
		must(t, b.store.Append(t.Context(), &store.Batch{Revision: b.dir.Revision(), Events: []*hook.Event{e}}))
		begin := time.Now()
		if got, _ := w.types(1); got[0] != "quiet" || time.Since(begin) > 2*time.Second {
			t.Errorf("%v after %s", got, time.Since(begin))
		}
	})
}

// extent is a store that has lost its oldest events.
type extent struct {
	api.Extent
	oldest time.Time
}

func (e *extent) Stats(context.Context) (store.Stats, error) {
	return store.Stats{Oldest: e.oldest}, nil
}

func TestListenTellsOfGaps(t *testing.T) {
	lost := &extent{}
	inBubble(t, func(b *bundle, dial *http.Client) {
		first := b.publish("acme", `{"type":"a","data":1}`)
		time.Sleep(time.Hour)
		lost.oldest = time.Now()
		second := b.publish("acme", `{"type":"b","data":1}`)
		w := b.opened(dial, acmeRequests+"?after="+first, adminKey)
		w.hello()
		m := w.next()
		want := map[string]any{"after": first, "oldest": lost.oldest.UTC().Format("2006-01-02T15:04:05.000Z"), "detail": m.json(t)["detail"]}
		if diff := cmp.Diff(want, m.json(t)); diff != "" || m.event != "gap" {
			t.Errorf("%s: %s", m.event, diff)
		}
		if got, _ := w.types(1); got[0] != "b" {
			t.Errorf("then %v", got)
		}
		for _, after := range []string{second, "start", "now"} {
			w = b.opened(dial, acmeRequests+"?after="+after, adminKey)
			w.hello()
			b.publish("acme", `{"type":"c","data":1}`)
			if m := w.next(); m.event == "gap" {
				t.Errorf("a gap after %s", after)
			}
		}
	}, func(c *api.Config) {
		lost.Extent = c.Extent
		c.Extent = lost
	})
}

// A stream ends when its endpoint is gone or its tenant speaks another dialect;
// what signs with the tenant's secret tells none.
func TestListenEndsWithItsEndpoint(t *testing.T) {
	inBubble(t, func(b *bundle, dial *http.Client) {
		id := b.endpoint("acme", `{"url":"https://example.com/"}`)
		one, all := b.opened(dial, acmeRequests+"?endpoint="+id, adminKey), b.opened(dial, acmeRequests, adminKey)
		one.hello()
		all.hello()
		b.publish("acme", `{"type":"a","data":1}`)
		one.next()
		all.next()
		b.publish("acme", `{"type":"a","data":1}`)
		synctest.Wait()
		one.next()
		all.next()
		b.want(http.StatusOK, "PUT", "/v1/tenants/acme", `{"dialect":"canceller"}`)
		b.publish("acme", `{"type":"a","data":1}`)
		all.ends()
		one.next()
		again := b.opened(dial, acmeRequests, adminKey)
		if hello := again.hello(); hello["dialect"] != "canceller" || hello["secret"] != nil {
			t.Errorf("hello %v", hello)
		}
		b.publish("acme", `{"type":"a","data":1}`)
		if m := again.next(); m.event != "" || !strings.Contains(m.data, "X-Signature") {
			t.Errorf("unsigned: %+v", m)
		}
	})
}
