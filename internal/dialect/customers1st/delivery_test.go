package customers1st_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/client"
	"grapnel/internal/hook"
	"grapnel/internal/vendortest"
)

// patience bounds a wait for what never comes.
const patience = time.Minute

// The retries, in virtual time.
func TestRetries(t *testing.T) {
	t.Parallel()
	const minute = time.Minute
	whole := []time.Duration{0, 30 * minute, 90 * minute, 210 * minute}
	no := func(class string) vendortest.Reply { return vendortest.Reply{Class: class} }
	for _, c := range []struct {
		name    string
		answers []vendortest.Reply
		after   []time.Duration
		state   hook.DeliveryState
		gone    bool // the hook
	}{
		{"C1-R6 2xx ends it", vendortest.Statuses(204), whole[:1], hook.Delivered, false},
		{"C1-R1 408", vendortest.Statuses(408, 200), whole[:2], hook.Delivered, false},
		{"C1-R1 429", vendortest.Statuses(429, 200), whole[:2], hook.Delivered, false},
		{"C1-R1 500", vendortest.Statuses(500, 200), whole[:2], hook.Delivered, false},
		{"C1-R1 599", vendortest.Statuses(599, 200), whole[:2], hook.Delivered, false},
		{"C1-R2 C1-R3 C1-R4 three retries at 30, 90 and 210 minutes, then failed", vendortest.Statuses(500), whole, hook.Failed, false},
		{"C1-R3 delivered at last", vendortest.Statuses(503, 429, 408, 200), whole, hook.Delivered, false},
		{"C1-R5 301", vendortest.Statuses(301), whole[:1], hook.Failed, false},
		{"C1-R5 400", vendortest.Statuses(400), whole[:1], hook.Failed, false},
		{"C1-R5 401, the snippet's own refusal", vendortest.Statuses(401), whole[:1], hook.Failed, false},
		{"C1-R5 403", vendortest.Statuses(403), whole[:1], hook.Failed, false},
		{"C1-R5 404 on a retry", vendortest.Statuses(500, 404), whole[:2], hook.Failed, false},
		{"C1-R7 timeout", []vendortest.Reply{no("timeout"), {Status: 200}}, whole[:2], hook.Delivered, false},
		{"C1-R7 no answer at all", []vendortest.Reply{no("refused"), no("dns"), no("tls"), no("timeout")}, whole, hook.Failed, false},
		{"C1-R8 410 unsubscribes", vendortest.Statuses(410), whole[:1], hook.Failed, true},
		{"C1-R8 410 on a retry", vendortest.Statuses(500, 503, 410), whole[:3], hook.Failed, true},
		{"C1-R9 Retry-After changes nothing", []vendortest.Reply{
			{Status: 503, Header: http.Header{"Retry-After": {"1"}}}, {Status: 429, Header: http.Header{"Retry-After": {"86400"}}}, {Status: 200}},
			whole[:3], hook.Delivered, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := vendortest.Timeline(t, vendortest.Case{Dialect: "customers1st", Type: "product.created", Answers: c.answers}, 24*time.Hour)
			if diff := cmp.Diff(c.after, s.After); diff != "" {
				t.Errorf("attempts (-want +got):\n%s", diff)
			}
			if s.Delivery.State != c.state {
				t.Errorf("the delivery is %s: %s", s.Delivery.State, s.Delivery.Reason)
			}
			if gone := s.Endpoint == nil || s.Endpoint.Deleted; gone != c.gone {
				t.Errorf("the hook is gone: %v", gone)
			}
			if !c.gone && !s.Endpoint.Active() { // C1-R4
				t.Errorf("the hook is %s", s.Endpoint.State)
			}
			for _, r := range s.Requests {
				if string(r.Body) != string(s.Requests[0].Body) {
					t.Error("the attempts have different bodies")
				}
			}
		})
	}
}

// eventually asks until the answer is yes.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !yes(); {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// C1-S2: the snippet of the document takes everything that the server sends,
// and nothing that was changed.
func TestPrintedReceiver(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	tap := vendortest.NewTap(t, vendortest.PHP(t, "testdata/receiver.php", ""))
	s.want("PUT", "/api/settings/configs", `{"content":[{"key":"resthook_signing_secret","value":"`+printed+`"}]}`, 200,
		`{"content":[{"key":"resthook_signing_secret","value":"`+printed+`"}]}`)
	s.want("POST", "/api/hooks", `{"event":"product.created","url":"`+tap.URL+`/hook.php"}`, 201, `{"id":1}`)
	corpus := vendortest.Data()
	for _, data := range corpus {
		s.Send("acme", client.Event{Type: "product.created", Data: []byte(data), Metadata: []byte(`{"source":"ø/🚀"}`)}, 1)
	}
	seen := slices.Clone(tap.Wait(len(corpus)))
	t.Run("C1-S1 C1-S2 all are signed, and all are taken", func(t *testing.T) {
		for i, r := range seen {
			if r.Status != 200 || len(r.Get("X-C1st-Webhook-Signature")) != 44 {
				t.Errorf("request %d: answered %d, header %q", i, r.Status, r.Header)
			}
		}
	})
	t.Run("C1-D1 a POST to the URL for each event, as JSON", func(t *testing.T) {
		var got []string
		for _, r := range seen {
			if r.Line != "POST /hook.php HTTP/1.1" || r.Get("Content-Type") != "application/json" {
				t.Errorf("%s, Content-Type %s", r.Line, r.Get("Content-Type"))
			}
			var body struct{ Content json.RawMessage }
			if err := json.Unmarshal(r.Body, &body); err != nil {
				t.Fatal(err)
			}
			got = append(got, string(body.Content))
		}
		want := slices.Clone(corpus)
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(trimmed(want), trimmed(got)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("C1-S2 nothing that was changed is taken", func(t *testing.T) {
		if n := tap.Tamper(seen, "x-c1st-webhook-signature"); n < len(seen)*3 {
			t.Errorf("only %d requests were changed", n)
		}
	})
	t.Run("C1-S3 nothing is taken under another secret", func(t *testing.T) {
		other := `{"content":[{"key":"resthook_signing_secret","value":"resthook_super_secret_1338"}]}`
		s.want("PUT", "/api/settings/configs", other, 200, other)
		for _, data := range corpus {
			s.Send("acme", client.Event{Type: "product.created", Data: []byte(data)}, 1)
		}
		for i, r := range tap.Wait(2 * len(corpus))[len(corpus):] {
			if r.Status != 401 {
				t.Errorf("request %d: answered %d", i, r.Status)
			}
		}
	})
}

// trimmed leaves out white space around documents: encoding/json drops what
// stands around a value.
func trimmed(texts []string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i] = strings.TrimSpace(text)
	}
	return out
}

// The log, and what ends a subscription.
func TestLog(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var status, unavailable atomic.Int32 // unavailable: how many requests get a 503 first
	status.Store(200)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if unavailable.Add(-1) >= 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(int(status.Load()))
	}))
	t.Cleanup(receiver.Close)
	publish := func(n int32, matched int) {
		t.Helper()
		status.Store(n)
		s.Send("acme", client.Event{Type: "product.created", Data: []byte(`{"id":"a/b"}`)}, matched)
	}
	log := func() []map[string]any {
		t.Helper()
		list, _ := s.Do("GET", "/api/hooks/log", s.header, "").JSON(t).(map[string]any)
		var out []map[string]any
		for _, e := range list["content"].([]any) {
			out = append(out, e.(map[string]any))
		}
		return out
	}
	until := func(n int, state string) map[string]any {
		t.Helper()
		var newest map[string]any
		eventually(t, "an entry that is "+state, func() bool {
			l := log()
			if len(l) != n {
				return false
			}
			newest = l[0]
			return newest["status"] == state
		})
		return newest
	}
	s.want("POST", "/api/hooks", `{"event":"product.created","url":"`+receiver.URL+`"}`, 201, `{"id":1}`)

	t.Run("C1-M9 successful", func(t *testing.T) {
		publish(200, 1)
		until(1, "successful")
		e := s.Do("GET", "/api/hooks/log", s.header, "").Body
		shape := `{"content":[{"id":1,"storeid":1,"resthookid":1,"job_uuid":"ID","event":"product.created","url":"` + receiver.URL +
			`","payload":"{\"content\":{\"id\":\"a/b\"},\"event\":\"product.created\",\"logid\":1,\"resthookid\":1,\"storeid\":1,\"initiated\":\"WHEN\",\"metadata\":[]}"` +
			`,"status":"successful","attempts":1,"last_failed_date":null,"succeeded_date":"TIME","last_http_status":"200","last_failed_reason":null,"initiated_date":"TIME"}],"count":1,"hasMore":false}`
		if got := masked(e); got != shape {
			t.Errorf("got  %s\nwant %s", got, shape)
		}
	})
	t.Run("C1-M7 the last activity of a hook", func(t *testing.T) {
		s.t = t
		s.want("GET", "/api/hooks/1", "", 200,
			`{"id":1,"event":"product.created","url":"`+receiver.URL+`","receiver":null,"active":1,"created":"TIME","lastactivity":"TIME","last_updated":"TIME"}`)
	})
	t.Run("C1-M9 in progress while retries are left", func(t *testing.T) {
		publish(503, 1)
		e := until(2, "in_progress")
		if e["attempts"] != 1.0 || e["last_http_status"] != "503" || e["last_failed_date"] == nil || e["last_failed_reason"] == nil || e["succeeded_date"] != nil {
			t.Errorf("the entry is %v", e)
		}
	})
	t.Run("C1-M7 the last activity while the newest delivery was suppressed", func(t *testing.T) {
		s.t = t
		for range 3 {
			if _, err := s.Publish(t.Context(), "acme", client.Event{Type: "product.created", Data: []byte("{}"), Suppress: true}); err != nil {
				t.Fatal(err)
			}
		}
		s.want("GET", "/api/hooks", "", 200, `{"content":[{"id":1,"event":"product.created","url":"`+receiver.URL+
			`","receiver":null,"active":1,"created":"TIME","lastactivity":"TIME","last_updated":"TIME"}],"count":1}`)
	})
	t.Run("C1-M9 the address is the one that was called", func(t *testing.T) {
		s.t = t
		s.want("PUT", "/api/hooks/1", `{"event":"product.created","url":"`+receiver.URL+`/moved"}`, 200, `{"updated":1}`)
		for _, e := range log() {
			if e["url"] != receiver.URL {
				t.Errorf("the url is %v", e["url"])
			}
		}
	})
	// The waits of the contract are seen in virtual time by TestRetries.
	soon := client.Duration(time.Second)
	for e, err := range s.Endpoints(t.Context(), "acme") {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.UpdateEndpoint(t.Context(), "acme", e.ID, client.EndpointInput{Schedule: client.Set([]client.Duration{soon, soon, soon})}); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("C1-M9 delivered after a failure", func(t *testing.T) {
		unavailable.Store(1)
		publish(200, 1)
		e := until(3, "successful")
		if e["attempts"] != 2.0 || e["last_http_status"] != "200" || e["succeeded_date"] == nil || e["last_failed_date"] == nil || e["last_failed_reason"] != "answered 503 Service Unavailable" {
			t.Errorf("the entry is %v", e)
		}
		if e["url"] != receiver.URL+"/moved" || !strings.HasPrefix(e["payload"].(string), `{"content":{"id":"a/b"},"event":"product.created","logid":`) {
			t.Errorf("the entry is %v", e)
		}
		if succeeded, failed := e["succeeded_date"].(string), e["last_failed_date"].(string); succeeded <= failed {
			t.Errorf("it succeeded at %s, and failed before at %s", succeeded, failed)
		}
	})
	t.Run("C1-M9 C1-R4 failed after three retries, and the hook stays", func(t *testing.T) {
		s.t = t
		publish(503, 1)
		e := until(4, "failed")
		if e["last_http_status"] != "503" || e["attempts"] != 4.0 || e["last_failed_date"] == nil || e["succeeded_date"] != nil || e["last_failed_reason"] != "answered 503 Service Unavailable; no attempt is left" {
			t.Errorf("the entry is %v", e)
		}
		if a := s.Do("GET", "/api/hooks/1", s.header, ""); !strings.Contains(a.Body, `"active":1,`) {
			t.Errorf("the hook is %s", a.Body)
		}
	})
	t.Run("C1-M9 C1-R5 failed at once", func(t *testing.T) {
		publish(401, 1)
		if e := until(5, "failed"); e["last_http_status"] != "401" || e["attempts"] != 1.0 {
			t.Errorf("the entry is %v", e)
		}
	})
	t.Run("C1-M9 C1-M10 pages", func(t *testing.T) {
		list, _ := s.Do("GET", "/api/hooks/log?paginationStart=3&paginationPageLength=1", s.header, "").JSON(t).(map[string]any)
		content, _ := list["content"].([]any)
		if len(content) != 1 || list["count"] != 5.0 || list["hasMore"] != true || content[0].(map[string]any)["status"] != "in_progress" {
			t.Errorf("the fourth page is %v", list)
		}
	})
	t.Run("C1-M4 DELETE drops waiting retries and ends the subscription", func(t *testing.T) {
		s.t = t
		s.want("DELETE", "/api/hooks/1", "", 200, `{"deleted":1}`)
		eventually(t, "the retry is dropped", func() bool {
			for _, e := range log() {
				if e["status"] == "in_progress" {
					return false
				}
			}
			return true
		})
		publish(200, 0)
	})
	t.Run("C1-R8 410 unsubscribes as DELETE does, and is logged", func(t *testing.T) {
		s.t = t
		s.want("POST", "/api/hooks", `{"event":"product.created","url":"`+receiver.URL+`"}`, 201, `{"id":2}`)
		publish(503, 1)
		until(6, "in_progress")
		publish(410, 1)
		eventually(t, "the hook is gone", func() bool { return s.Do("GET", "/api/hooks", s.header, "").Body == `{"content":[],"count":0}` })
		eventually(t, "both are over", func() bool { return log()[0]["status"] == "failed" && log()[1]["status"] == "failed" })
		if e := log()[0]; e["last_http_status"] != "410" {
			t.Errorf("the entry is %v", e)
		}
		publish(200, 0)
		s.want("DELETE", "/api/hooks/2", "", 200, `{"deleted":0}`)
	})
}

var (
	uuids   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)
	offsets = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00`)
)

// masked takes ids and times out of an entry of the log.
func masked(text string) string {
	text = stamps.ReplaceAllString(text, `"TIME"`)
	text = uuids.ReplaceAllString(text, "ID")
	return offsets.ReplaceAllString(text, "WHEN")
}

// C1-M9: what is delivered was so when the attempt ended, not when it began.
func TestC1M9Succeeded(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	began := make(chan time.Time, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		began <- time.Now()
		time.Sleep(1100 * time.Millisecond) // into the next second, which is all that the log shows
	}))
	t.Cleanup(receiver.Close)
	s.want("POST", "/api/hooks", `{"event":"product.created","url":"`+receiver.URL+`"}`, 201, `{"id":1}`)
	s.Send("acme", client.Event{Type: "product.created", Data: []byte(`{}`)}, 1)
	var entry map[string]any
	eventually(t, "it is delivered", func() bool {
		list, _ := s.Do("GET", "/api/hooks/log", s.header, "").JSON(t).(map[string]any)
		entry, _ = list["content"].([]any)[0].(map[string]any)
		return entry["status"] == "successful"
	})
	if got, least := entry["succeeded_date"], (<-began).Add(time.Second).UTC().Format(time.DateTime); got.(string) < least {
		t.Errorf("it succeeded at %s, want %s or later", got, least)
	}
}

// C1-M9: a delivery that has not been tried is pending.
func TestLogPending(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	release := make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(receiver.Close)
	t.Cleanup(func() { close(release) })
	s.want("POST", "/api/hooks", `{"event":"product.created","url":"`+receiver.URL+`"}`, 201, `{"id":1}`)
	s.Send("acme", client.Event{Type: "product.created", Data: []byte(`{}`)}, 1)
	a := s.Do("GET", "/api/hooks/log", s.header, "")
	for _, want := range []string{`"status":"pending","attempts":0,"last_failed_date":null,"succeeded_date":null,"last_http_status":null,"last_failed_reason":null`, `"payload":"{\"content\":{}`} {
		if !strings.Contains(a.Body, want) {
			t.Errorf("the log is %s, want %s", a.Body, want)
		}
	}
}

// C1-S5: each attempt is signed with the secret that the store has then; the
// body stays.
func TestC1S5CurrentSecret(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	tap := vendortest.NewTap(t, "")
	s.want("POST", "/api/hooks", `{"event":"product.created","url":"`+tap.URL+`"}`, 201, `{"id":1}`)
	s.Send("acme", client.Event{Type: "product.created", Data: []byte(`{"id":1}`)}, 1)
	first := tap.Wait(1)[0]
	set := `{"content":[{"key":"resthook_signing_secret","value":"another"}]}`
	s.want("PUT", "/api/settings/configs", set, 200, set)
	var id string
	eventually(t, "it is delivered", func() bool {
		for d := range s.Deliveries(t.Context(), "acme", client.DeliveryFilter{}) {
			id = d.ID
			return d.State == "delivered"
		}
		return false
	})
	if _, err := s.Redeliver(t.Context(), "acme", id); err != nil {
		t.Fatal(err)
	}
	again := tap.Wait(2)[1]
	if string(again.Body) != string(first.Body) {
		t.Error("the attempts have different bodies")
	}
	for _, c := range []struct {
		seen   vendortest.Seen
		secret string
	}{{first, s.secret}, {again, "another"}} {
		if got, want := c.seen.Get("X-C1st-Webhook-Signature"), sign(c.secret, c.seen.Body); got != want {
			t.Errorf("the signature is %s, want %s", got, want)
		}
	}
}

// Suppression, as a change through the vendor's API has it.
func TestSuppression(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	tap := vendortest.NewTap(t, "")
	var standard string
	for i, dialect := range []string{"customers1st", "customers1st@bare", "standard"} {
		standard = s.MakeEndpoint("acme", client.EndpointInput{
			URL: client.Set(tap.URL + "/" + string(rune('1'+i))), EventTypes: client.Set([]string{"product.created"}), Dialect: client.Set(dialect),
		}).ID
	}
	fired := map[string]bool{} // the events that were not suppressed
	publish := func(header ...string) {
		t.Helper()
		a := s.Do("POST", "/v1/tenants/acme/events", append([]string{"Authorization: Bearer " + s.Admin, "Content-Type: application/json"}, header...),
			fmt.Sprintf(`{"type":"product.created","data":{"suppressed":%t}}`, len(header) > 0))
		if a.Status != http.StatusAccepted {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		if out, _ := a.JSON(t).(map[string]any); len(header) == 0 {
			fired[out["id"].(string)] = true
		}
	}
	came := func(n int, paths ...string) {
		t.Helper()
		seen := tap.Wait(n)[n-len(paths):]
		var got []string
		for _, r := range seen {
			got = append(got, strings.Fields(r.Line)[1])
		}
		slices.Sort(got)
		if diff := cmp.Diff(paths, got); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	}
	n := 0
	for _, header := range []string{"X-Suppress-Hooks:", "X-Suppress-Hooks: 0", "X-Suppress-Hooks: false", "x-suppress-hooks: no", "X-SUPPRESS-HOOKS: 1"} {
		t.Run("C1-X1 C1-X2 "+header, func(t *testing.T) {
			publish(header)
			n++
			came(n, "/3") // the contract is that of customers1st alone
		})
	}
	t.Run("C1-X3 without the header it fires", func(t *testing.T) {
		publish()
		n += 3
		came(n, "/1", "/2", "/3")
	})
	t.Run("C1-X4 on a batch it covers every event", func(t *testing.T) {
		a := s.Do("POST", "/v1/events", []string{"Authorization: Bearer " + s.Admin, "Content-Type: application/json", "X-Suppress-Hooks:"},
			`[{"tenant":"acme","type":"product.created","data":{"suppressed":true}},{"tenant":"acme","type":"product.created","data":{"suppressed":true}}]`)
		if a.Status != http.StatusAccepted {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		n += 2
		came(n, "/3", "/3")
	})
	t.Run("C1-X1 C1-X4 it is recorded as suppressed, and never sent", func(t *testing.T) {
		publish() // comes last to every endpoint
		n += 3
		came(n, "/1", "/2", "/3")
		suppressed, sent := 0, 0
		for d, err := range s.Deliveries(t.Context(), "acme", client.DeliveryFilter{}) {
			switch {
			case err != nil:
				t.Fatal(err)
			case fired[d.Event] || d.Endpoint == standard:
				sent++
			case d.State == client.Cancelled && strings.Contains(d.Reason, "suppressed") && d.AttemptCount == 0: // so that it is over
				suppressed++
			default:
				t.Errorf("a delivery of a suppressed event is %+v", d)
			}
		}
		if suppressed != 7*2 || sent != n {
			t.Errorf("%d deliveries were suppressed and %d sent, want 14 and %d", suppressed, sent, n)
		}
		for _, r := range tap.Wait(n) {
			if _, path, _ := strings.Cut(r.Line, " "); !strings.HasPrefix(path, "/3 ") && !strings.Contains(string(r.Body), `{"suppressed":false}`) {
				t.Errorf("%s got %s", r.Line, r.Body)
			}
		}
		if all := tap.Wait(n); len(all) != n {
			t.Errorf("%d requests came, want %d", len(all), n)
		}
		log := s.Do("GET", "/api/hooks/log?paginationPageLength=250", s.header, "").JSON(t).(map[string]any)
		if log["count"] != 4.0 {
			t.Errorf("the log has %v entries, want those of the events that fired", log["count"])
		}
	})
}
