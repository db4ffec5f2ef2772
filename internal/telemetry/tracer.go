package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"grapnel/internal/hook"
)

// Tracer tells an OpenTelemetry collector of requests, publishes and attempts.
// A nil *Tracer is one that is off: its methods do nothing and allocate
// nothing. Spans are sent in the background; when the collector does not keep
// up they are dropped, and nobody waits.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// VariableError says which environment variable cannot be used, why, and what
// to write instead.
type VariableError struct{ Variable, Reason, Remedy string }

// Error is the whole of it.
func (e *VariableError) Error() string { return e.Variable + " " + e.Reason + ": " + e.Remedy }

// CheckTracing finds OTEL_* variables that NewTracer would refuse, as a
// *VariableError.
func CheckTracing(getenv func(string) string) error {
	_, err := tracing(getenv)
	return err
}

// tracing reports whether the environment asks for traces. The variables are
// OpenTelemetry's own; none is Grapnel's.
func tracing(getenv func(string) string) (bool, error) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	endpoint := getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") + getenv("OTEL_EXPORTER_OTLP_ENDPOINT")
	switch exporter := getenv("OTEL_TRACES_EXPORTER"); {
	case exporter == "none", exporter == "" && endpoint == "":
		return false, nil
	case exporter != "otlp" && exporter != "":
		return false, &VariableError{"OTEL_TRACES_EXPORTER", fmt.Sprintf("is %q", exporter), "write otlp or none"}
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if v := getenv(name); v != "" && v != "http/protobuf" {
			return false, &VariableError{name, fmt.Sprintf("is %q", v), "write http/protobuf, the one way that traces leave by (port 4318 of most collectors)"}
		}
	}
	return true, nil
}

// NewTracer makes what the OTEL_* variables ask for: nil when they ask for
// nothing. getenv reads them for what is decided here; the exporter and the
// SDK read those of the process itself (endpoint, headers, limits, batches).
// Failures to export go to the logger, from all tracers of the process to that
// of the last one made, for the SDK has one place for them.
func NewTracer(ctx context.Context, getenv func(string) string, logger *slog.Logger) (*Tracer, error) {
	on, err := tracing(getenv)
	if err != nil || !on {
		return nil, err
	}
	sampler, err := samplerOf(getenv)
	if err != nil {
		return nil, err
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", namespace), attribute.String("service.version", ReadVersion().Version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("make the exporter of traces: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { logger.Warn("traces could not be exported", "error", err) }))
	p := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about), sdk.WithSampler(linked{sampler}))
	return &Tracer{provider: p, tracer: p.Tracer(namespace)}, nil
}

// Close sends what waits, as long as ctx allows.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("send the last traces: %w", err)
	}
	return nil
}

// RequestSpan is a request to this server being answered. The zero value does
// nothing.
type RequestSpan struct{ span trace.Span }

// Request begins the span of a request, as part of the trace that its caller
// names in traceparent. The request that it returns carries the span.
func (t *Tracer) Request(r *http.Request) (*http.Request, RequestSpan) {
	if t == nil {
		return r, RequestSpan{}
	}
	ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, span := t.tracer.Start(ctx, knownMethod(r.Method), trace.WithSpanKind(trace.SpanKindServer))
	return r.WithContext(ctx), RequestSpan{span}
}

// End ends the span. route is the pattern that matched, such as
// "GET /v1/tenants"; id is the request's own.
func (s RequestSpan) End(method, route, id string, status int) {
	if s.span == nil {
		return
	}
	method = knownMethod(method)
	if _, path, ok := strings.Cut(route, " "); ok {
		s.span.SetName(method + " " + path)
		s.span.SetAttributes(attribute.String("http.route", path))
	}
	s.span.SetAttributes(attribute.String("http.request.method", method), attribute.Int("http.response.status_code", status),
		attribute.String("grapnel.request_id", id))
	if status >= 500 {
		s.span.SetAttributes(attribute.String("error.type", strconv.Itoa(status)))
		s.span.SetStatus(codes.Error, "")
	}
	s.span.End()
}

// knownMethod is the method in the form of the conventions: a caller can make
// up as many as it likes.
func knownMethod(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE":
		return method
	}
	return "_OTHER"
}

// PublishSpan is a publish on its way into the store. The zero value does
// nothing.
type PublishSpan struct{ span trace.Span }

// Publish begins the span of a publish of n events, under that of ctx.
func (t *Tracer) Publish(ctx context.Context, n int) PublishSpan {
	if t == nil {
		return PublishSpan{}
	}
	_, span := t.tracer.Start(ctx, "publish", trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(attribute.Int("messaging.batch.message_count", n)))
	return PublishSpan{span}
}

// Trace names the span, for the events to carry to their attempts.
func (s PublishSpan) Trace() *hook.Trace {
	if s.span == nil {
		return nil
	}
	c := s.span.SpanContext()
	return &hook.Trace{TraceID: c.TraceID(), SpanID: c.SpanID(), Sampled: c.IsSampled()}
}

// End ends the span when its events are stored, or with why they are not. id
// is that of the event if it is a single one, else "".
func (s PublishSpan) End(id string, err error) {
	if s.span == nil {
		return
	}
	if id != "" {
		s.span.SetAttributes(attribute.String("grapnel.event_id", id))
	}
	if err != nil {
		// The message may quote what was published; its code never does.
		s.span.SetAttributes(attribute.String("error.type", string(hook.CodeOf(err))))
		s.span.SetStatus(codes.Error, "")
	}
	s.span.End()
}

// Attempt tells of an attempt that is over, in a trace of its own with a link
// to the publish, for it may come days later. Where a delivery was read back
// from the store there is no link; grapnel.event_id leads to the publish. URL
// and address of the endpoint are not told: they may hold secrets.
func (t *Tracer) Attempt(e *hook.Event, endpoint string, a *hook.Attempt) {
	if t == nil {
		return
	}
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(a.At), trace.WithNewRoot()}
	if e.Trace != nil {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: spanContext(e.Trace)}))
	}
	_, span := t.tracer.Start(context.Background(), "attempt", options...)
	end := a.At.Add(max(a.Timing.Total, time.Microsecond))
	defer func() { span.End(trace.WithTimestamp(end)) }()
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String("http.request.method", a.Method),
		attribute.String("grapnel.event_id", e.ID.String()), attribute.String("grapnel.event_type", e.Type),
		attribute.String("grapnel.delivery_id", a.Key.String()), attribute.String("grapnel.endpoint_id", endpoint),
		attribute.Int("grapnel.attempt", a.N), attribute.String("grapnel.delivery_state", a.State.String()))
	if a.Status != 0 {
		span.SetAttributes(attribute.Int("http.response.status_code", a.Status))
	}
	if a.State != hook.Delivered {
		span.SetAttributes(attribute.String("error.type", errorType(a)))
		span.SetStatus(codes.Error, "")
	}
}

func errorType(a *hook.Attempt) string {
	if a.Class != "" {
		return a.Class
	}
	return strconv.Itoa(a.Status)
}

func spanContext(t *hook.Trace) trace.SpanContext {
	c := trace.SpanContextConfig{TraceID: t.TraceID, SpanID: t.SpanID, Remote: true}
	if t.Sampled {
		c.TraceFlags = trace.FlagsSampled
	}
	return trace.NewSpanContext(c)
}
