package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

const acmeDeliveries = "/v1/tenants/acme/deliveries"

func (b *bundle) deliveryOf(event string) string {
	b.t.Helper()
	return b.want(http.StatusOK, "GET", acmeEvents+"/"+event, "").list("deliveries")[0]["id"].(string)
}

func TestDeliveryWithAttempts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	endpoint := b.endpoint("acme", `{"url":"https://example.com/"}`)
	event := b.publish("acme", `{"type":"invoice.paid","data":{"n":1},"time":"2026-01-31T08:00:00Z"}`)
	id := b.deliveryOf(event)
	if a := b.want(http.StatusOK, "GET", acmeDeliveries+"/"+id, ""); a.text("state") != "pending" || len(a.list("attempts")) != 0 || a.json()["request"] != nil {
		t.Error(a.body)
	}
	body := `{"type":"invoice.paid","timestamp":"2026-01-31T08:00:00.000Z","data":{"n":1}}`
	at := time.Date(2026, 11, 1, 12, 0, 0, 123456789, time.UTC)
	b.attempt(event, endpoint, hook.Attempt{
		N: 1, At: at, Method: "POST", URL: "https://example.com/", RequestHeader: []byte("webhook-id: x\r\nAuthorization: Bearer canary\r\nX-Two:  spaced\r\n"),
		BodySHA256: sha256.Sum256([]byte(body)), BodySize: len(body), Class: "timeout", Detail: "no answer within 20s",
		Timing: hook.Timing{DNS: time.Millisecond, Total: 20 * time.Second}, State: hook.Pending, Reason: "will be tried again", NextAt: at.Add(time.Minute),
	})
	b.attempt(event, endpoint, hook.Attempt{
		N: 2, At: at.Add(time.Minute), Trigger: hook.Manual, Method: "POST", URL: "https://example.com/", BodySHA256: sha256.Sum256([]byte(body)), BodySize: len(body),
		Status: 500, Proto: "HTTP/1.1", ResponseHeader: []byte("Set-Cookie: a\r\nSet-Cookie: b\r\nX-Odd: \xff\r\n"), ResponseBody: []byte("\xff\x00odd"), Truncated: true, Omitted: 65024,
		RemoteAddr: "93.184.216.34:443", TLSVersion: "TLS 1.3", Reused: true, Timing: hook.Timing{Wait: 1500 * time.Microsecond, Total: 2 * time.Millisecond},
		State: hook.Failed, Reason: "given up",
	})
	a := b.want(http.StatusOK, "GET", acmeDeliveries+"/"+id, "")
	for _, part := range []string{
		`"state":"failed"`, `"reason":"given up"`, `"status":500`, `"last_attempt_at":"2026-11-01T12:01:00.123Z"`,
		`"request":{"body":"{\"type\":\"invoice.paid\",\"timestamp\":\"2026-01-31T08:00:00.000Z\",\"data\":{\"n\":1}}"}`,
		`"n":1,"at":"2026-11-01T12:00:00.123Z","trigger":"scheduled","state":"pending"`, `"class":"timeout","detail":"no answer within 20s"`,
		`"headers":{"webhook-id":"x","Authorization":"[secret]","X-Two":" spaced"}`, `"timing_ms":{"dns":1,"total":20000}`,
		`"trigger":"manual"`, `"headers":{"Set-Cookie":"a","Set-Cookie":"b","X-Odd":"` + "\ufffd" + `"}`, `"truncated":true,"omitted":65024,"body":"/wBvZGQ=","body_encoding":"base64"`,
		`"connection":{"remote_address":"93.184.216.34:443","tls":"TLS 1.3","reused":true}`, `"timing_ms":{"wait":1.5,"total":2}`,
		`"body_sha256":"` + fmt.Sprintf("%x", sha256.Sum256([]byte(body))) + `"`,
	} {
		if !strings.Contains(a.body, part) {
			t.Errorf("no %s in %s", part, a.body)
		}
	}
	if strings.Contains(a.body, "canary") {
		t.Error("a credential is shown")
	}
	if item := b.want(http.StatusOK, "GET", acmeDeliveries, "").list("data")[0]; item["attempt_count"] != 2.0 || item["endpoint"] != endpoint || item["event"] != event {
		t.Errorf("%v", item)
	}
	// A body that does not come out as the one that was sent is not shown.
	other := b.publish("acme", `{"type":"x","data":1}`)
	b.attempt(other, endpoint, hook.Attempt{N: 1, At: at, Method: "POST", BodySHA256: [32]byte{1}, Status: 200, State: hook.Delivered})
	if a := b.want(http.StatusOK, "GET", acmeDeliveries+"/"+b.deliveryOf(other), ""); a.json()["request"] != nil || !strings.Contains(a.body, hex.EncodeToString(append([]byte{1}, make([]byte, 31)...))) {
		t.Error(a.body)
	}
	for _, bad := range []string{"x", "dlv_", "dlv_zzz", id + "0"} {
		b.want(http.StatusNotFound, "GET", acmeDeliveries+"/"+bad, "")
	}
}

func TestDeliveryFilters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.endpoint("acme", `{"url":"https://example.com/1"}`)
	second := b.endpoint("acme", `{"url":"https://example.com/2","event_types":["b"]}`)
	at := time.Now()
	var events []string
	for i := range 6 {
		events = append(events, b.publish("acme", fmt.Sprintf(`{"type":"%c","data":%d}`, 'a'+i%2, i)))
	}
	b.publish("other", `{"type":"a","data":1}`)
	b.attempt(events[0], first, hook.Attempt{N: 1, At: at, Status: 200, State: hook.Delivered})
	b.attempt(events[1], first, hook.Attempt{N: 1, At: at, Status: 500, State: hook.Failed})
	count := func(query string) int {
		t.Helper()
		return len(b.want(http.StatusOK, "GET", acmeDeliveries+query, "").list("data"))
	}
	for query, want := range map[string]int{
		"": 9, "?endpoint=" + first: 6, "?endpoint=" + second: 3, "?type=b": 6, "?event=" + events[1]: 2, "?state=delivered": 1, "?state=failed,delivered": 2,
		"?state=failed&state=delivered": 2, "?state=pending": 7, "?state=held": 0, "?since=2999-01-01T00:00:00Z": 0, "?until=2999-01-01T00:00:00Z": 9,
		"?until=2000-01-01T00:00:00%2B01:00": 0, "?until=2999-01-01T00:00:00+01:00": 9, "?type=b&endpoint=" + second + "&state=pending": 3,
	} {
		if got := count(query); got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
	// What waits for a paused endpoint is held, by name and by filter.
	b.want(http.StatusOK, "PATCH", "/v1/tenants/acme/endpoints/"+first, `{"state":"paused"}`)
	for query, want := range map[string]int{"?state=held": 4, "?state=pending": 3, "?state=held,pending": 7, "?state=delivered": 1, "": 9} {
		if got := count(query); got != want {
			t.Errorf("paused: %s: %d, want %d", query, got, want)
		}
	}
	held := b.want(http.StatusOK, "GET", acmeDeliveries+"?state=held", "").list("data")[0]
	if held["state"] != "held" || held["reason"] != "the endpoint is paused" {
		t.Errorf("%v", held)
	}
	e, _ := b.dir.EndpointByID("acme", second)
	must(t, b.manager.DisableEndpoint(t.Context(), e.Num, "410 Gone"))
	if got := count("?state=held"); got != 7 {
		t.Errorf("%d held", got)
	}
	b.want(http.StatusOK, "PATCH", "/v1/tenants/acme/endpoints/"+second, `{"state":"active"}`)
	if got := count("?state=held"); got != 4 {
		t.Errorf("%d held after the endpoint came back", got)
	}
	for _, bad := range []string{"?state=done", "?since=yesterday", "?until=1", "?event=x", "?status=failed", "?limit=999", "?a=%zz"} {
		b.want(http.StatusBadRequest, "GET", acmeDeliveries+bad, "")
	}
	b.want(http.StatusNotFound, "GET", acmeDeliveries+"?endpoint=ep_none", "")
	if a := b.want(http.StatusBadRequest, "GET", acmeDeliveries+"?stat=failed", ""); !strings.Contains(a.body, `did you mean \"state\"?`) {
		t.Error(a.body)
	}
}

func TestLogPaging(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.endpoint("acme", `{"url":"https://example.com/1"}`)
	b.endpoint("acme", `{"url":"https://example.com/2"}`)
	for i := range 7 {
		b.publish("acme", fmt.Sprintf(`{"type":"a","data":%d}`, i))
	}
	walk := func(next string) (ids []string) {
		t.Helper()
		for next != "" {
			a := b.want(http.StatusOK, "GET", next, "")
			for _, item := range a.list("data") {
				ids = append(ids, item["id"].(string))
			}
			next = a.next()
		}
		return ids
	}
	for _, path := range []string{acmeEvents, acmeDeliveries} {
		all := walk(path + "?limit=250")
		if diff := cmp.Diff(all, walk(path+"?limit=3")); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	if n := len(walk(acmeEvents)); n != 7 {
		t.Errorf("%d events", n)
	}
	if n := len(walk(acmeDeliveries)); n != 14 {
		t.Errorf("%d deliveries", n)
	}
	b.want(http.StatusOK, "PATCH", "/v1/tenants/acme/endpoints/"+first, `{"state":"paused"}`)
	if n := len(walk(acmeDeliveries + "?state=held&limit=2")); n != 7 {
		t.Errorf("%d held deliveries page by page", n)
	}
	if n := len(walk(acmeEvents + "?type=b")); n != 0 {
		t.Errorf("%d events of another type", n)
	}
	if n := len(walk(acmeEvents + "?since=2999-01-01T00:00:00Z")); n != 0 {
		t.Errorf("%d events of the future", n)
	}
}

func TestRedeliver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	endpoint := b.endpoint("acme", `{"url":"https://example.com/"}`)
	event := b.publish("acme", `{"type":"a","data":1}`)
	id := b.deliveryOf(event)
	b.attempt(event, endpoint, hook.Attempt{N: 1, At: time.Now(), Status: 500, State: hook.Failed})
	a := b.want(http.StatusAccepted, "POST", acmeDeliveries+"/"+id+"/redeliver", "")
	if a.text("state") != "pending" || a.text("id") != id {
		t.Error(a.body)
	}
	if key, err := hook.ParseDeliveryKey(id); err != nil || !cmp.Equal([]hook.DeliveryKey{key}, b.woken.keys) {
		t.Errorf("dispatch was told of %v", b.woken.keys)
	}
	b.want(http.StatusBadRequest, "POST", acmeDeliveries+"/"+id+"/redeliver", `{"now":true}`)
	b.want(http.StatusNotFound, "POST", acmeDeliveries+"/dlv_x/redeliver", "")
	b.want(http.StatusNoContent, "DELETE", "/v1/tenants/acme/endpoints/"+endpoint, "")
	b.want(http.StatusConflict, "POST", acmeDeliveries+"/"+id+"/redeliver", "")
	if len(b.woken.keys) != 1 {
		t.Error("dispatch was told of a refused redelivery")
	}
}

// case 98, and what an unknown address gets.
func TestProblems(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for err, status := range map[error]int{
		store.ErrUnavailable: http.StatusServiceUnavailable, store.ErrClosed: http.StatusServiceUnavailable, store.ErrNotFound: http.StatusNotFound,
		fmt.Errorf("segment 7 of /var/lib/canary: odd"): http.StatusInternalServerError,
	} {
		b.reader.err = err
		a := b.want(status, "GET", acmeEvents, "")
		if strings.Contains(a.body, "canary") || strings.Contains(a.body, "segment") {
			t.Errorf("an internal error is shown: %s", a.body)
		}
		if (status == http.StatusServiceUnavailable) != (a.header.Get("Retry-After") != "") {
			t.Errorf("%v: Retry-After %q", err, a.header.Get("Retry-After"))
		}
	}
	for _, path := range []string{"/", "/v1", "/v1/", "/v1/nothing", "/v1/tenants/", "/v1/tenants/acme/", "/v1//tenants", "/v1/tenants/../tenants", "/v1/tenants/acme/nothing", "/v1/./tenants", "/v1/x/.."} {
		b.want(http.StatusNotFound, "GET", path, "")
	}
	for route, allow := range map[string]string{
		"DELETE /v1/tenants": "GET, HEAD", "POST /v1/tenants/acme": "GET, HEAD, PUT, DELETE", "PUT /v1/tenants/acme/events": "GET, HEAD, POST", "OPTIONS /v1/keys": "GET, HEAD, POST",
	} {
		method, path, _ := strings.Cut(route, " ")
		if a := b.want(http.StatusMethodNotAllowed, method, path, ""); a.header.Get("Allow") != allow {
			t.Errorf("%s: Allow %q", route, a.header.Get("Allow"))
		}
	}
	// The type of every problem can be looked up.
	p := b.want(http.StatusNotFound, "GET", "/v1/nothing", "")
	if a := b.want(http.StatusOK, "GET", p.text("type"), "", as("")); a.text("advice") == "" || a.json()["status"] != 404.0 {
		t.Error(a.body)
	}
	b.want(http.StatusNotFound, "GET", "/v1/problems/none", "")
}

func TestCountsAndLogs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.want(http.StatusOK, "GET", "/v1/tenants/acme", "")
	b.want(http.StatusBadRequest, "GET", "/v1/tenants?x=canary", "")
	b.want(http.StatusNotFound, "GET", "/canary?canary", "")
	b.want(http.StatusNotFound, "GET", "/v1/tenants/canary", "")
	b.publish("acme", `{"type":"a","data":"canary"}`)
	got := b.counts.all()
	for _, want := range []string{"GET /v1/tenants/{tenant} 200", "none 404", "GET /v1/tenants/{tenant} 404", "POST /v1/tenants/{tenant}/events 202"} {
		if got[want] != 1 {
			t.Errorf("%s: %d in %v", want, got[want], got)
		}
	}
	if strings.Contains(b.log.String(), "canary") {
		t.Errorf("the log tells a path, a query or a payload:\n%s", b.log)
	}
}
