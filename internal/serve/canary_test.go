package serve_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"grapnel/internal/hook"
	"grapnel/internal/serve"
	"grapnel/internal/store/eithertest"
	"grapnel/internal/telemetry"
	"grapnel/internal/testaid"
)

// canary is in everything of the story that nobody but its owner may see:
// payloads, secrets, header values, queries, paths, answers.
const canary = "canary7"

// forger wants to end a record and begin one of its own, in colour.
const forger = "\r\n\x1b[31m\u2028\u0085time=now {\"level\":\"ERROR\",\"msg\":\"forged\"}"

// recorded is a server whose whole output is kept: log, metrics, traces.
type recorded struct {
	t      *testing.T
	server *serve.Server
	log    *testaid.Buffer
	mu     sync.Mutex
	traces bytes.Buffer // as they came
	spans  []*otlp.Span
	seen   chan *hook.Attempt
}

const adminKey = "gk_" + canary + "_admin"

// record starts such a server. It sets the process's environment, so that a
// test with it cannot be parallel.
func record(t *testing.T, format string, exempt netip.AddrPort) *recorded {
	t.Helper()
	r := &recorded{t: t, log: &testaid.Buffer{}, seen: make(chan *hook.Attempt, 100)}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		body, err := io.ReadAll(req.Body)
		var in collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &in)
		}
		if err != nil {
			t.Error(err)
		}
		r.traces.Write(body)
		for _, of := range in.ResourceSpans {
			for _, scope := range of.ScopeSpans {
				r.spans = append(r.spans, scope.Spans...)
			}
		}
	}))
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	logger, err := telemetry.NewLogger(r.log, format, "debug")
	if err != nil {
		t.Fatal(err)
	}
	cfg := serve.Config{Settings: settings(t, t.TempDir()), Logger: logger, Now: time.Now, Exempt: []netip.AddrPort{exempt}, Observe: func(a *hook.Attempt) { r.seen <- a }}
	cfg.Settings.AdminKey = adminKey
	if r.server, err = serve.New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if err := r.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *recorded) stop() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.server.Stop(ctx); err != nil {
		r.t.Error(err)
	}
}

// call asks the API, whatever it answers, and returns the answer's id.
func (r *recorded) call(method, path, key, body string, want int) string {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.server.URL()+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("X-Canary", canary)
	res, err := (&http.Transport{}).RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		r.t.Fatalf("%s %s: %s, want %d: %s, %v", method, path, res.Status, want, b, err)
	}
	var answer struct{ ID string }
	if res.StatusCode < 300 && len(b) > 0 {
		if err := json.Unmarshal(b, &answer); err != nil {
			r.t.Fatal(err)
		}
	}
	return answer.ID
}

func jsonText(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// story does what an installation sees in a day.
func (r *recorded) story(target string) {
	r.t.Helper()
	const acme = "/v1/tenants/acme"
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte(canary+"-signing-secret-32-bytes-"))
	r.call("PUT", acme, adminKey, `{"name":`+jsonText("Acme"+forger)+`}`, 201)
	id := r.call("POST", acme+"/endpoints", adminKey,
		`{"url":"`+target+`","secret":"`+secret+`","headers":{"Authorization":"Bearer `+canary+`"},"schedule":["1h"],"description":`+jsonText(canary+forger)+`}`, 201)
	event := `{"type":"user.created","id":` + jsonText("k-1") + `,"data":{"x":"` + canary + `"},"previous":{"x":"` + canary + `"},"metadata":{"x":"` + canary + `"}}`
	for _, status := range []int{500, 200, 410} {
		r.call("POST", acme+"/events", adminKey, strings.Replace(event, "k-1", "k-"+http.StatusText(status), 1), 202)
		if a := <-r.seen; a.Status != status {
			r.t.Errorf("an attempt got %d, want %d", a.Status, status)
		}
	}
	await(r.t, "the endpoint to be disabled", func() bool { return strings.Contains(r.log.String(), "endpoint disabled") })
	r.call("POST", acme+"/endpoints/"+id+"/secret/rotate", adminKey, `{}`, 200)
	r.call("PATCH", acme+"/endpoints/"+id, adminKey, `{"state":"paused"}`, 200)
	r.call("POST", "/v1/keys", adminKey, `{"tenant":"acme","scopes":["publish"],"key":"gk_`+canary+`_second"}`, 201)
	// What is refused is not told either.
	r.call("POST", acme+"/events?token="+canary, "gk_"+canary+"_wrong", event, 401)
	r.call("POST", acme+"/events", adminKey, `{"type":"user.created","data":"`+canary, 400)
	r.call("POST", acme+"/events", adminKey, strings.Replace(event, `{"x"`, `{"y"`, 1), 202)
	r.call("GET", "/v1/"+canary+"%0d%0a"+url.PathEscape(forger)+"?token="+canary, adminKey, "", 404)
	r.call("PUT", "/v1/event-types/a%0d%0ab", adminKey, `{}`, 400)
}

// case 105: no payload, secret, header value, query or URL is in what the
// program tells. case 112: one record is one line, whatever callers write.
func TestNothingOfTheStoryIsTold(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			statuses := make(chan int, 3)
			for _, s := range []int{500, 200, 410} {
				statuses <- s
			}
			receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Answer", canary)
				w.WriteHeader(<-statuses)
				io.WriteString(w, canary+forger)
			}))
			defer receiver.Close()
			u, err := url.Parse(receiver.URL)
			if err != nil {
				t.Fatal(err)
			}
			r := record(t, format, netip.MustParseAddrPort(u.Host))
			r.story(receiver.URL + "/" + canary + "?token=" + canary)
			_, metrics := testaid.Get(t, r.server.URL()+"/metrics")
			r.stop()
			log, traces := r.log.String(), r.traces.String()
			for what, text := range map[string]string{"log": log, "metrics": metrics, "traces": traces} {
				if i := strings.Index(text, canary); i >= 0 {
					t.Errorf("the %s shows a secret: …%s…", what, text[max(0, i-100):min(len(text), i+100)])
				}
				if secret := regexp.MustCompile(`whsec_\S+|gk_\S+`).FindString(text); secret != "" {
					t.Errorf("the %s shows %s", what, secret)
				}
			}
			for what, text := range map[string]string{"endpoint disabled": log, "grapnel_attempts_total": metrics, "grapnel.delivery_id": traces} {
				if !strings.Contains(text, what) {
					t.Errorf("there is no %q, so this test shows nothing", what)
				}
			}
			checkLines(t, format, log)
			checkSpans(t, r.spans)
		})
	}
}

// checkLines holds each line against its format, and looks for the lines of
// attempts and requests.
func checkLines(t *testing.T, format, log string) {
	t.Helper()
	attempts, requests, next := 0, 0, 0
	for line := range strings.Lines(log) {
		line = strings.TrimSuffix(line, "\n")
		if i := strings.IndexFunc(line, func(r rune) bool { return r < ' ' || r >= 0x7f && r <= 0x9f || r == '\u2028' || r == '\u2029' }); i >= 0 {
			t.Errorf("a line has a control character at %d: %q", i, line)
		}
		if format == "text" {
			if !strings.HasPrefix(line, "time=") {
				t.Errorf("no record: %q", line)
			}
			continue
		}
		var record struct {
			Time, Level, Msg, Next string
			Delivery               string   `json:"delivery_id"`
			Endpoint               string   `json:"endpoint_id"`
			Request                string   `json:"request_id"`
			Duration               *float64 `json:"duration_ms"`
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil || record.Time == "" || record.Level == "" {
			t.Errorf("%v: %q", err, line)
		}
		switch record.Msg {
		case "attempt":
			attempts++
			if record.Next != "" {
				next++
			}
			if record.Delivery == "" || record.Endpoint == "" || record.Duration == nil {
				t.Errorf("an attempt's line lacks something: %q", line)
			}
		case "request":
			requests++
			if record.Request == "" {
				t.Errorf("a request's line lacks its id: %q", line)
			}
		case "forged":
			t.Errorf("a caller wrote a record: %q", line)
		}
	}
	if format == "json" && (attempts != 3 || next != 2 || requests < 10) {
		t.Errorf("%d attempts, %d with another, %d requests", attempts, next, requests)
	}
}

// checkSpans follows each attempt by its link to its publish, and that to the
// request which asked for it.
func checkSpans(t *testing.T, spans []*otlp.Span) {
	t.Helper()
	by := map[string]*otlp.Span{}
	for _, s := range spans {
		by[string(s.SpanId)] = s
	}
	attempts, linked := 0, 0
	for _, s := range spans {
		if s.Name != "attempt" {
			continue
		}
		attempts++
		linked += len(s.Links)
		if len(s.Links) == 0 && eithertest.Postgres() {
			continue // it was read back from the database, which does not know its trace
		}
		if len(s.Links) != 1 {
			t.Errorf("an attempt has %d links: %v", len(s.Links), s)
			continue
		}
		publish := by[string(s.Links[0].SpanId)]
		request := by[string(publish.GetParentSpanId())]
		if publish.GetName() != "publish" || request.GetName() != "POST /v1/tenants/{tenant}/events" {
			t.Errorf("an attempt leads to %v and %v", publish, request)
		}
	}
	if attempts != 3 || linked == 0 {
		t.Errorf("%d attempts were traced, %d with their publish", attempts, linked)
	}
}
