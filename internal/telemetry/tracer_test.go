package telemetry_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"grapnel/internal/hook"
	"grapnel/internal/telemetry"
)

// spans are what a collector got over OTLP/HTTP.
type spans struct {
	mu   sync.Mutex
	got  []*otlp.Span
	bad  []error
	auth string
}

func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var in collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &in)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || r.URL.Path != "/v1/traces" {
		s.bad = append(s.bad, err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.auth = r.Header.Get("x-tenant")
	for _, of := range in.ResourceSpans {
		for _, scope := range of.ScopeSpans {
			s.got = append(s.got, scope.Spans...)
		}
	}
}

// traced runs f with a tracer that reports to a collector, and returns what
// the collector got. The environment is the process's, so that tests with it
// cannot be parallel.
func traced(t *testing.T, env map[string]string, f func(*telemetry.Tracer)) []*otlp.Span {
	t.Helper()
	var s spans
	server := httptest.NewServer(&s)
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=ours")
	for k, v := range env {
		t.Setenv(k, v)
	}
	tracer, err := telemetry.NewTracer(t.Context(), func(k string) string {
		if k == "OTEL_EXPORTER_OTLP_ENDPOINT" {
			return server.URL
		}
		return env[k]
	}, slog.New(slog.DiscardHandler))
	if err != nil || tracer == nil {
		t.Fatal(tracer, err)
	}
	f(tracer)
	if err := tracer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(s.bad) > 0 || len(s.got) > 0 && s.auth != "ours" {
		t.Errorf("the collector refused %v; header %q", s.bad, s.auth)
	}
	return s.got
}

var failed = &hook.Attempt{
	N: 2, At: time.Unix(1_700_000_000, 0), Method: "POST", URL: "https://user:pass@example.com/?token=secret", Class: "timeout",
	Timing: hook.Timing{Total: 3 * time.Second}, State: hook.Pending, Reason: "a secret reason", Detail: "a secret detail", ResponseBody: []byte("secret"),
}

func story(tracer *telemetry.Tracer) {
	r := httptest.NewRequest("POST", "/v1/tenants/acme/events?token=secret", nil)
	r.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	r, request := tracer.Request(r)
	publish := tracer.Publish(r.Context(), 1)
	e := &hook.Event{Type: "user.created", Data: []byte(`"secret"`), Trace: publish.Trace()}
	publish.End("evt_1", nil)
	request.End(r.Method, "POST /v1/tenants/{tenant}/events", "req_1", 202)
	tracer.Attempt(e, "ep_1", failed)
}

func TestTracesLeadFromPublishToAttempt(t *testing.T) {
	got := traced(t, nil, func(tracer *telemetry.Tracer) { story(tracer) })
	by := map[string]*otlp.Span{}
	for _, s := range got {
		by[s.Name] = s
		if strings.Contains(s.String(), "secret") {
			t.Errorf("a secret is in %v", s)
		}
	}
	request, publish, attempt := by["POST /v1/tenants/{tenant}/events"], by["publish"], by["attempt"]
	if len(got) != 3 || request == nil || publish == nil || attempt == nil {
		t.Fatal(got)
	}
	const caller = "\xb7\xad\x6b\x71\x69\x20\x33\x31"
	if string(request.ParentSpanId) != caller || request.Kind != otlp.Span_SPAN_KIND_SERVER || attribute(request, "http.response.status_code") != "202" {
		t.Error(request)
	}
	if string(publish.ParentSpanId) != string(request.SpanId) || string(publish.TraceId) != string(request.TraceId) || attribute(publish, "grapnel.event_id") != "evt_1" {
		t.Error(publish)
	}
	if len(attempt.Links) != 1 || string(attempt.Links[0].SpanId) != string(publish.SpanId) || string(attempt.TraceId) == string(publish.TraceId) || len(attempt.ParentSpanId) > 0 {
		t.Error(attempt)
	}
	if attempt.Kind != otlp.Span_SPAN_KIND_CLIENT || attribute(attempt, "error.type") != "timeout" || attribute(attempt, "http.request.method") != "POST" ||
		attempt.EndTimeUnixNano-attempt.StartTimeUnixNano != 3e9 || attempt.Status.Code != otlp.Status_STATUS_CODE_ERROR {
		t.Error(attempt)
	}
}

func attribute(s *otlp.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			if n := a.Value.GetIntValue(); n != 0 {
				return strconv.FormatInt(n, 10)
			}
			return a.Value.GetStringValue()
		}
	}
	return ""
}

// An attempt is sampled exactly if its publish was, whatever the ratio for
// traces that begin with it.
func TestAttemptsAreSampledWithTheirPublish(t *testing.T) {
	env := map[string]string{"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}
	got := traced(t, env, func(tracer *telemetry.Tracer) {
		story(tracer) // its caller samples
		publish := tracer.Publish(context.Background(), 1)
		publish.End("", nil)
		tracer.Attempt(&hook.Event{Trace: publish.Trace()}, "ep_1", failed)
		tracer.Attempt(&hook.Event{}, "ep_1", failed) // read back from the store
	})
	if len(got) != 3 {
		t.Errorf("%d spans, want those of the story alone: %v", len(got), got)
	}
}

func TestTracesAreOffUnlessAskedFor(t *testing.T) {
	t.Parallel()
	for _, env := range []map[string]string{
		{},
		{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"},
		{"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"},
		{"OTEL_SERVICE_NAME": "hooks"},
	} {
		tracer, err := telemetry.NewTracer(t.Context(), func(k string) string { return env[k] }, slog.New(slog.DiscardHandler))
		if err != nil || tracer != nil {
			t.Errorf("%v: %v, %v", env, tracer, err)
		}
	}
}

func TestWrongTraceSettingsNameThemselves(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json",
		"OTEL_TRACES_SAMPLER": "sometimes", "OTEL_TRACES_SAMPLER_ARG": "2",
	} {
		env := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_TRACES_SAMPLER": "traceidratio", name: value}
		_, err := telemetry.NewTracer(t.Context(), func(k string) string { return env[k] }, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}

// Who does not trace pays nothing for it.
func TestNoTracerCostsNothing(t *testing.T) {
	var tracer *telemetry.Tracer
	r := httptest.NewRequest("POST", "/v1/events", nil)
	e := &hook.Event{}
	allocs := testing.AllocsPerRun(1000, func() {
		r, request := tracer.Request(r)
		publish := tracer.Publish(r.Context(), 1)
		e.Trace = publish.Trace()
		publish.End("evt_1", nil)
		request.End("POST", "POST /v1/events", "req_1", 202)
		tracer.Attempt(e, "ep_1", failed)
	})
	if allocs != 0 || e.Trace != nil {
		t.Errorf("%v allocations, trace %v", allocs, e.Trace)
	}
	if err := tracer.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
