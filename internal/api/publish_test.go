package api_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/api"
	"grapnel/internal/hook"
	"grapnel/internal/ingest"
	"grapnel/internal/store"
)

const acmeEvents = "/v1/tenants/acme/events"

func TestPublish(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.endpoint("acme", `{"url":"https://example.com/","event_types":["invoice.*"]}`)
	data := `{ "n": 12345678901234567890, "e":1e99, "u":"\u00e9\ud83d\ude00","z":"\u0000" }`
	a := b.want(http.StatusAccepted, "POST", acmeEvents, `{"id":"mine 1","type":"invoice.paid","data":`+data+`,"previous":{"a":1},"metadata":{"store_id":"7"},"time":"2026-01-31T08:00:00+01:00"}`)
	id := a.text("id")
	if _, err := hook.ParseEventID(id); err != nil || a.json()["matched"] != 1.0 || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("%s, %v", a.body, err)
	}
	stored, err := b.store.Event(t.Context(), hook.AllTenants, eventID(t, id))
	must(t, err)
	if diff := cmp.Diff(data, string(stored.Data)); diff != "" { // case 63, case 65: kept byte by byte
		t.Error(diff)
	}
	got := b.want(http.StatusOK, "GET", acmeEvents+"/"+id, "")
	for _, part := range []string{
		`"key":"mine 1"`, `"tenant":"acme"`, `12345678901234567890`, `1e99`, `\u00e9\ud83d\ude00`, `\u0000`, `"previous":{"a":1}`,
		`"metadata":{"store_id":"7"}`, `"time":"2026-01-31T07:00:00.000Z"`, `"outcome":"routed"`, `"state":"pending"`,
	} {
		if !strings.Contains(got.body, part) {
			t.Errorf("no %s in %s", part, got.body)
		}
	}
	if byKey := b.want(http.StatusOK, "GET", acmeEvents+"/mine%201", ""); byKey.text("id") != id {
		t.Error(byKey.body)
	}
	b.want(http.StatusAccepted, "POST", acmeEvents, `{"type":"a","data":[1e999,-0,1E+2]}`)
	// case 66: nobody wants it, and that can be seen
	nobody := b.want(http.StatusAccepted, "POST", acmeEvents, `{"type":"user.created","data":null}`)
	if nobody.json()["matched"] != 0.0 {
		t.Error(nobody.body)
	}
	if a := b.want(http.StatusOK, "GET", acmeEvents+"/"+nobody.text("id"), ""); a.text("outcome") != "no endpoint matched" || len(a.list("deliveries")) != 0 {
		t.Error(a.body)
	}
	b.want(http.StatusNotFound, "POST", "/v1/tenants/nobody/events", `{"type":"a","data":1}`)
	b.want(http.StatusNotFound, "GET", "/v1/tenants/other/events/"+id, "") // case 94
	b.want(http.StatusNotFound, "GET", "/v1/tenants/other/events/mine%201", "")
	b.want(http.StatusNotFound, "GET", acmeEvents+"/nothing", "")
}

func eventID(t *testing.T, s string) hook.EventID {
	t.Helper()
	id, err := hook.ParseEventID(s)
	must(t, err)
	return id
}

// case 63, case 65, case 73
func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	deep := strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001)
	for _, c := range []struct{ body, pointer string }{
		{``, ""}, {`{`, ""}, {`{"type":"a"`, ""}, {`[]`, ""}, {`"x"`, ""}, {`null`, ""},
		{`{"type":"a","data":1} x`, ""}, {`{"type":"a","data":1}{}`, ""},
		{"\ufeff" + `{"type":"a","data":1}`, ""},
		{`{"type":"a","data":{"a":1,"a":2}}`, "/data/a"},
		{`{"type":"a","type":"b","data":1}`, "/type"},
		{`{"type":"a","Type":"b","data":1}`, "/Type"},
		{`{"type":"a","data":NaN}`, "/data"},
		{"{\"type\":\"a\",\"data\":\"\xff\"}", "/data"},
		{`{"type":"a","data":"\ud800"}`, "/data"},
		{`{"type":"a","data":01}`, ""},
		{`{"type":"a","data":` + deep[:4000] + `}`, ""},
		{`{"type":"a","data":1,"extra":1}`, "/extra"},
		{`{"type":"a b","data":1}`, "/type"}, {`{"type":"","data":1}`, "/type"}, {`{"type":7,"data":1}`, "/type"},
		{`{"data":1}`, "/type"}, {`{"type":"a"}`, "/data"},
		{`{"type":"a","data":1,"id":""}`, "/id"}, {`{"type":"a","data":1,"id":"` + strings.Repeat("x", 257) + `"}`, "/id"}, {`{"type":"a","data":1,"id":"ü"}`, "/id"},
		{`{"type":"a","data":1,"tenant":"other"}`, "/tenant"},
		{`{"type":"a","data":1,"time":"yesterday"}`, "/time"},
		{`{"type":"a","data":1,"metadata":[]}`, "/metadata"},
		{`{"type":"a","data":1,"suppress":"yes"}`, "/suppress"},
	} {
		a := b.want(http.StatusBadRequest, "POST", acmeEvents, c.body)
		if c.pointer != "" && !strings.HasPrefix(a.pointer(), c.pointer) {
			t.Errorf("%.60s: points at %q, want %q: %s", c.body, a.pointer(), c.pointer, a.body)
		}
	}
	if n := len(b.want(http.StatusOK, "GET", acmeEvents, "").list("data")); n != 0 {
		t.Errorf("%d refused events were stored", n)
	}
}

// case 64
func TestSizeLimits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const limit = 4096
	event := func(size int) string { return `{"type":"a","data":"` + strings.Repeat("x", size-2) + `"}` }
	for _, c := range []struct{ size, status int }{
		{limit - 1, http.StatusAccepted}, {limit, http.StatusAccepted}, {limit + 1, http.StatusRequestEntityTooLarge}, {1 << 20, http.StatusRequestEntityTooLarge},
	} {
		for _, chunked := range []bool{false, true} {
			r := httptest.NewRequestWithContext(t.Context(), "POST", acmeEvents, strings.NewReader(event(c.size)))
			if chunked {
				r.ContentLength = -1
			}
			r.Header.Set("Authorization", "Bearer "+adminKey)
			if a := b.serve(r); a.status != c.status {
				t.Errorf("data of %d bytes, chunked %t: %d: %.200s", c.size, chunked, a.status, a.body)
			}
		}
	}
	if n := len(b.want(http.StatusOK, "GET", acmeEvents, "").list("data")); n != 4 {
		t.Errorf("%d events stored, want 4", n)
	}
	b.want(http.StatusUnsupportedMediaType, "POST", acmeEvents, "\x1f\x8b", "Content-Encoding: gzip")
	b.want(http.StatusUnsupportedMediaType, "POST", "/v1/tenants/acme/endpoints", "\x1f\x8b", "Content-Encoding: br")
	b.want(http.StatusAccepted, "POST", acmeEvents, event(10), "Content-Encoding: identity")
	b.want(http.StatusRequestEntityTooLarge, "POST", "/v1/events", strings.Repeat(" ", 1<<20+1))
}

// A Content-Length that is not true ends in an error, over a real connection.
func TestLyingContentLength(t *testing.T) {
	t.Parallel()
	b := setup(t)
	server := httptest.NewServer(b.held)
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+acmeEvents, io.MultiReader(strings.NewReader(`{"type":"a",`), cut{}))
	must(t, err)
	r.ContentLength = 100
	r.Header.Set("Authorization", "Bearer "+adminKey)
	if res, err := http.DefaultTransport.RoundTrip(r); err == nil {
		res.Body.Close()
		if res.StatusCode/100 == 2 {
			t.Error("a cut body was accepted")
		}
	}
	if n := len(b.want(http.StatusOK, "GET", acmeEvents, "").list("data")); n != 0 {
		t.Errorf("%d events stored", n)
	}
}

type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.endpoint("acme", `{"url":"https://example.com/"}`)
	// case 72: one bad event, and one that is there twice, do no harm to others.
	body := `[
		{"tenant":"acme","type":"a","data":1},
		{"tenant":"other","type":"a","data":2},
		{"tenant":"nobody","type":"a","data":3},
		{"type":"a","data":4},
		{"tenant":"acme","type":"a b","data":5},
		{"tenant":"acme","type":"a","data":6,"id":"same"},
		{"tenant":"acme","type":"a","data":6,"id":"same"},
		{"tenant":"acme","type":"a","data":7,"id":"same"},
		{"tenant":"other","type":"a","data":8,"id":"same"}]`
	a := b.want(http.StatusAccepted, "POST", "/v1/events", body)
	results := a.list("results")
	var statuses []float64
	for _, r := range results {
		statuses = append(statuses, r["status"].(float64))
	}
	if diff := cmp.Diff([]float64{202, 202, 404, 400, 400, 202, 202, 422, 202}, statuses); diff != "" {
		t.Fatalf("%s\n%s", diff, a.body)
	}
	if results[5]["id"] != results[6]["id"] || results[6]["duplicate"] != true || results[5]["duplicate"] != nil {
		t.Errorf("twice in one batch: %v, %v", results[5], results[6])
	}
	if results[8]["id"] == results[5]["id"] { // case 96
		t.Error("two tenants share an event")
	}
	for i, want := range map[int]string{2: "/2/tenant", 3: "/3/tenant", 4: "/4/type"} {
		e := results[i]["error"].(map[string]any)
		if got := e["errors"].([]any)[0].(map[string]any)["pointer"]; got != want {
			t.Errorf("result %d points at %v", i, got)
		}
	}
	if n := len(b.want(http.StatusOK, "GET", acmeEvents, "").list("data")); n != 2 {
		t.Errorf("%d events of acme", n)
	}
	b.want(http.StatusBadRequest, "POST", "/v1/events", `[{"tenant":"acme","type":"a","data":1},{]`)
	b.want(http.StatusBadRequest, "POST", "/v1/events", `[]`)
	b.want(http.StatusBadRequest, "POST", "/v1/events", ``)
	b.want(http.StatusRequestEntityTooLarge, "POST", "/v1/events", "["+strings.Repeat(`{"tenant":"acme","type":"a","data":1},`, 1000)+`{"tenant":"acme","type":"a","data":1}]`)
	if n := len(b.want(http.StatusOK, "GET", acmeEvents, "").list("data")); n != 2 {
		t.Errorf("%d events of acme after refused batches", n)
	}
	full := b.want(http.StatusAccepted, "POST", "/v1/events", "["+strings.Repeat(`{"tenant":"acme","type":"a","data":1},`, 999)+`{"tenant":"acme","type":"a","data":1}]`)
	if n := len(full.list("results")); n != 1000 {
		t.Errorf("%d results", n)
	}
}

func TestBatchForms(t *testing.T) {
	t.Parallel()
	b := setup(t)
	acme := b.key(`{"tenant":"acme","scopes":["publish"]}`)
	for _, c := range []struct {
		name, body, kind string
		statuses         []float64
	}{
		{"lines", "{\"type\":\"a\",\"data\":1}\n{\"type\":\"a\"}\n\n{\"type\":\"b\",\"data\":2}", "application/x-ndjson", []float64{202, 400, 202}},
		{"lines of a tool that says otherwise", "{\"type\":\"a\",\"data\":1}\n{\"type\":\"b\",\"data\":2}\n", "application/x-www-form-urlencoded", []float64{202, 202}},
		{"one object", "{\n \"type\":\"a\",\n \"data\":1\n}", "application/json", []float64{202}},
		{"array", ` [{"type":"a","data":1}]`, "", []float64{202}},
		{"lines, the first one wrong", "{\"type\":7,\"type\":\"a\"}\r\n{\"type\":\"b\",\"data\":2}\r\n", "", []float64{400, 202}},
		{"another's tenant", `[{"type":"a","data":1,"tenant":"other"}]`, "", []float64{404}},
	} {
		a := b.want(http.StatusAccepted, "POST", "/v1/events", c.body, as(acme), "Content-Type: "+c.kind)
		var got []float64
		for _, r := range a.list("results") {
			got = append(got, r["status"].(float64))
		}
		if diff := cmp.Diff(c.statuses, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

// One object over several lines with a mistake is not taken for lines.
func TestOneObjectOverSeveralLines(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for body, pointer := range map[string]string{
		"{\n \"tenant\": \"acme\",\n \"type\": \"a b\",\n \"data\": {}\n}":                "/type",
		"\n{ \"tenant\": \"acme\", \"type\": \"a\",\r\n \"data\": {},\r\n \"extra\": 1 }": "/extra",
		"{\"tenant\":\"acme\",\n\"type\":\"a\",\n\"data\":{},}":                           "",
	} {
		if a := b.want(http.StatusBadRequest, "POST", "/v1/events", body); a.pointer() != pointer {
			t.Errorf("%q: %s", body, a.body)
		}
	}
}

// case 67, case 68, case 70, case 96
func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const key = "Idempotency-Key: k 1"
	first := b.want(http.StatusAccepted, "POST", acmeEvents, `{"type":"a","data":1}`, key)
	again := b.want(http.StatusAccepted, "POST", acmeEvents, `{"type":"a","data":1}`, key)
	if first.body != again.body || again.header.Get("Idempotency-Replayed") != "true" || first.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("%s\n%s\n%v", first.body, again.body, again.header)
	}
	b.want(http.StatusUnprocessableEntity, "POST", acmeEvents, `{"type":"a","data":2}`, key)
	b.want(http.StatusUnprocessableEntity, "POST", acmeEvents, `{"type":"a","data":1}`, key, "X-Suppress-Hooks: ")
	other := b.want(http.StatusAccepted, "POST", "/v1/tenants/other/events", `{"type":"a","data":1}`, key)
	if other.text("id") == first.text("id") {
		t.Error("a key reached into another tenant")
	}
	batch := `[{"tenant":"acme","type":"a","data":1}]`
	one := b.want(http.StatusAccepted, "POST", "/v1/events", batch, key)
	two := b.want(http.StatusAccepted, "POST", "/v1/events", batch, key)
	if one.body != two.body || two.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("batch: %s\n%s", one.body, two.body)
	}
	if n := len(b.want(http.StatusOK, "GET", acmeEvents, "").list("data")); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
	for _, bad := range []string{"", strings.Repeat("k", 256), "schlüssel", "a\tb", strings.Repeat("k", 10_240)} {
		b.want(http.StatusBadRequest, "POST", acmeEvents, `{"type":"a","data":1}`, "Idempotency-Key: "+bad)
	}
	b.want(http.StatusAccepted, "POST", acmeEvents, `{"type":"a","data":1}`, "Idempotency-Key: "+strings.Repeat("k", 255))

	// The event's own id does the same without a header.
	mine := b.want(http.StatusAccepted, "POST", acmeEvents, `{"id":"e1","type":"a","data":1}`)
	dup := b.want(http.StatusAccepted, "POST", acmeEvents, `{"id":"e1","type":"a","data":1}`)
	if dup.text("id") != mine.text("id") || dup.json()["duplicate"] != true {
		t.Error(dup.body)
	}
	b.want(http.StatusUnprocessableEntity, "POST", acmeEvents, `{"id":"e1","type":"a","data":2}`)
}

// case 69
func TestSameKeyAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := make([]string, 100)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			if a := b.do("POST", acmeEvents, `{"type":"a","data":1}`, "Idempotency-Key: same"); a.status == http.StatusAccepted {
				ids[i] = a.text("id")
			} else if a.status != http.StatusConflict || a.header.Get("Retry-After") == "" {
				t.Errorf("%d: %s", a.status, a.body)
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, id := range ids {
		if id != "" {
			seen[id] = true
		}
	}
	if len(seen) != 1 {
		t.Errorf("%d events", len(seen))
	}
}

// publisher answers as a test wants.
type publisher func(ctx context.Context, s *ingest.Submission) ([]ingest.Result, bool, error)

func (p publisher) Publish(ctx context.Context, s *ingest.Submission) ([]ingest.Result, bool, error) {
	return p(ctx, s)
}

func TestPublishTroubles(t *testing.T) {
	t.Parallel()
	slow := func(ctx context.Context, _ *ingest.Submission) ([]ingest.Result, bool, error) {
		<-ctx.Done()
		return nil, false, hook.Errorf(hook.CodeUnavailable, "still being stored")
	}
	fails := func(err error) publisher {
		return func(context.Context, *ingest.Submission) ([]ingest.Result, bool, error) { return nil, false, err }
	}
	for _, c := range []struct {
		name   string
		p      publisher
		status int
		retry  bool
	}{
		{"in flight for too long", slow, http.StatusServiceUnavailable, true},
		{"full", fails(store.ErrFull), http.StatusServiceUnavailable, true},
		{"stopping", fails(hook.Errorf(hook.CodeUnavailable, "stopping")), http.StatusServiceUnavailable, true},
		{"too fast", fails(hook.Errorf(hook.CodeRateLimited, "slow down")), http.StatusTooManyRequests, true},
		{"bug", fails(fmt.Errorf("row 17 of /var/lib is odd")), http.StatusInternalServerError, false},
		{"panic", func(context.Context, *ingest.Submission) ([]ingest.Result, bool, error) { panic("/var/lib canary") }, http.StatusInternalServerError, false},
		{"no results", func(context.Context, *ingest.Submission) ([]ingest.Result, bool, error) { return nil, false, nil }, http.StatusInternalServerError, false},
	} {
		b := setup(t, func(cfg *api.Config) { cfg.Publisher = c.p; cfg.PublishDeadline = time.Millisecond })
		for _, path := range []string{acmeEvents, "/v1/events"} {
			a := b.want(c.status, "POST", path, `{"tenant":"acme","type":"a","data":1}`)
			if (a.header.Get("Retry-After") != "") != c.retry {
				t.Errorf("%s: Retry-After %q", c.name, a.header.Get("Retry-After"))
			}
			if strings.Contains(a.body, "/var/lib") {
				t.Errorf("%s: an internal error is shown: %s", c.name, a.body)
			}
			if id := a.text("instance"); c.status == http.StatusInternalServerError && strings.Count(b.log.String(), `"request_id":"`+id) != 2 { // its line, and the request's
				t.Errorf("%s: the log does not tell of the error once:\n%s", c.name, b.log)
			}
		}
	}
}

func TestSuppress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.endpoint("acme", `{"url":"https://example.com/c","dialect":"canceller"}`)
	b.endpoint("acme", `{"url":"https://example.com/s"}`)
	states := func(a *answer) string {
		var out []string
		for _, d := range b.want(http.StatusOK, "GET", acmeEvents+"/"+a.text("id"), "").list("deliveries") {
			out = append(out, d["state"].(string))
		}
		return strings.Join(out, " ") // highest endpoint number first: the standard one
	}
	for _, c := range []struct{ body, header, want string }{
		{`{"type":"a","data":1}`, "", "pending pending"},
		{`{"type":"a","data":1,"suppress":true}`, "", "pending cancelled"},
		{`{"type":"a","data":1}`, "X-Suppress-Hooks: ", "pending cancelled"},      // its presence counts
		{`{"type":"a","data":1}`, "x-suppress-hooks: false", "pending cancelled"}, // not its value
	} {
		var headers []string
		if c.header != "" {
			headers = []string{c.header}
		}
		if got := states(b.want(http.StatusAccepted, "POST", acmeEvents, c.body, headers...)); got != c.want {
			t.Errorf("%s %q: %s", c.body, c.header, got)
		}
	}
	a := b.want(http.StatusAccepted, "POST", "/v1/events", `[{"tenant":"acme","type":"a","data":1},{"tenant":"acme","type":"b","data":1}]`, "X-Suppress-Hooks: ")
	for _, r := range a.list("results") {
		got := b.want(http.StatusOK, "GET", acmeEvents+"/"+r["id"].(string), "")
		if !strings.Contains(got.body, `"state":"cancelled"`) {
			t.Error(got.body)
		}
	}
}

func TestEndpointTest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.endpoint("acme", `{"url":"https://example.com/","event_types":["nothing"]}`)
	b.endpoint("acme", `{"url":"https://example.com/2"}`)
	path := "/v1/tenants/acme/endpoints/" + id + "/test"
	b.want(http.StatusCreated, "PUT", "/v1/event-types/invoice.paid", `{"sample":{"id": 7}}`)
	for body, part := range map[string]string{
		``:                                      `"type":"webhook.test"`,
		`{"type":"invoice.paid"}`:               `"data":{"id":7}`,
		`{"type":"x","data":[1, 1.0]}`:          `"data":[1,1.0]`,
		`{"type":"invoice.paid","data":"mine"}`: `"data":"mine"`,
	} {
		a := b.want(http.StatusAccepted, "POST", path, body)
		got := b.want(http.StatusOK, "GET", acmeEvents+"/"+a.text("id"), "")
		if !strings.Contains(got.body, part) || len(got.list("deliveries")) != 1 {
			t.Errorf("%s: %s", body, got.body)
		}
		if d := b.want(http.StatusOK, "GET", "/v1/tenants/acme/deliveries/"+a.text("delivery"), ""); d.text("endpoint") != id {
			t.Error(d.body)
		}
	}
	one := b.want(http.StatusAccepted, "POST", path, ``, "Idempotency-Key: t")
	if two := b.want(http.StatusAccepted, "POST", path, ``, "Idempotency-Key: t"); one.body != two.body {
		t.Error("a repeated test was sent twice")
	}
	b.want(http.StatusUnprocessableEntity, "POST", path, `{"data":1}`, "Idempotency-Key: t")
	// A test that would only wait is refused.
	endpoint := strings.TrimSuffix(path, "/test")
	b.want(http.StatusOK, "PATCH", endpoint, `{"state":"paused"}`)
	b.want(http.StatusConflict, "POST", path, ``)
	b.want(http.StatusOK, "PATCH", endpoint, `{"state":"active"}`)
	b.want(http.StatusBadRequest, "POST", path, `{"type":"a b"}`)
	b.want(http.StatusBadRequest, "POST", path, `{"typ":"a"}`)
	b.want(http.StatusNotFound, "POST", "/v1/tenants/other/endpoints/"+id+"/test", ``)
	if a := b.want(http.StatusBadRequest, "POST", path, `{"type":"grapnel.endpoint.removed"}`); !strings.Contains(a.body, "the server itself") {
		t.Error(a.body)
	}
}
