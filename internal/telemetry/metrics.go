package telemetry

import (
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"grapnel/internal/hook"
)

const namespace = "grapnel"

// None is the label value for "there is none": an attempt without an answer
// has no code class, one with an answer no error class.
const None = "none"

// Metrics is one process's metrics, with a registry of its own. A nil
// *Metrics is safe to use and does nothing.
type Metrics struct {
	registry *prometheus.Registry
	gauges   *gauges

	accepted *prometheus.CounterVec
	refused  *prometheus.CounterVec
	attempts *prometheus.CounterVec
	phases   phases
	latency  prometheus.Histogram
	lag      prometheus.Histogram
	commits  [2]prometheus.Observer // by Kind
	requests *prometheus.CounterVec
	handling *prometheus.HistogramVec
}

// phases are the histograms of an attempt's phases, looked up once.
type phases struct{ dns, connect, tls, wait, body, total prometheus.Observer }

// Buckets in seconds. Attempts are bounded by their deadline; a delivery's
// latency reaches from a millisecond to days of retries.
var (
	attemptBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15, 20, 30}
	latencyBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 28800, 86400, 259200}
	lagBuckets     = []float64{.001, .005, .01, .05, .1, .5, 1, 5, 10, 30, 60, 300, 1800, 3600}
	commitBuckets  = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	httpBuckets    = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
)

// NewMetrics makes metrics with nothing counted yet.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		gauges:   newGauges(),
		accepted: counters("events_accepted_total", "Published events by what became of them.", "result"),
		refused:  counters("events_refused_total", "Published events that were refused, to be published again later, by why: the tenant's rate or its pending deliveries, those of all tenants, a store that is too slow, or a disk that is nearly full.", "reason"),
		attempts: counters("attempts_total", "Delivery attempts by outcome, class of the HTTP status, and class of the failure when no answer came.", "outcome", "code_class", "error_class"),
		latency:  histogram("delivery_latency_seconds", "Time from an event's acceptance to its delivery to an endpoint.", latencyBuckets),
		lag:      histogram("schedule_lag_seconds", "How long after it was due an attempt began.", lagBuckets),
		requests: counters("http_requests_total", "Requests to this server by route and status.", "route", "code"),
		handling: histograms("http_request_duration_seconds", "Time to answer a request to this server.", httpBuckets, "route"),
	}
	durations := histograms("attempt_duration_seconds", "Time that an attempt's phases took; a phase that did not happen is not counted.", attemptBuckets, "phase")
	m.phases = phases{
		dns: durations.WithLabelValues("dns"), connect: durations.WithLabelValues("connect"), tls: durations.WithLabelValues("tls"),
		wait: durations.WithLabelValues("wait"), body: durations.WithLabelValues("body"), total: durations.WithLabelValues("total"),
	}
	commits := histograms("db_commit_duration_seconds", "Time that the store took for one group of published events, or of outcomes of attempts, until it was synced to the disk.", commitBuckets, "kind")
	for _, result := range []string{"accepted", "duplicate", "refused", "failed"} {
		m.accepted.WithLabelValues(result) // a counter that appears with its first event hides that event from rate()
	}
	for _, reason := range []string{"rate", "pending", "all_pending", "overload", "storage"} {
		m.refused.WithLabelValues(reason)
	}
	m.commits = [...]prometheus.Observer{Events: commits.WithLabelValues("events"), Outcomes: commits.WithLabelValues("outcomes")}
	m.registry.MustRegister(m.accepted, m.refused, m.attempts, durations, commits, m.latency, m.lag, m.requests, m.handling, m.gauges, buildInfo(),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets})
}

func histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
}

// buildInfo is the constant 1 with what was built as its labels.
func buildInfo() prometheus.Collector {
	v := ReadVersion()
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "What this program was built from; the value is always 1.",
		ConstLabels: prometheus.Labels{"version": v.Version, "revision": v.Revision, "go_version": v.Go},
	}, func() float64 { return 1 })
}

// Accepted counts n published events with the same result: "accepted",
// "duplicate", "invalid", …
func (m *Metrics) Accepted(result string, n int) {
	if m != nil {
		m.accepted.WithLabelValues(result).Add(float64(n))
	}
}

// Refused counts n events that were refused for a reason that passes: "rate",
// "pending", "all_pending", "overload" or "storage".
func (m *Metrics) Refused(reason string, n int) {
	if m != nil {
		m.refused.WithLabelValues(reason).Add(float64(n))
	}
}

// Attempt counts one delivery attempt. outcome is what its delivery became,
// codeClass "2xx" to "5xx", errorClass the failure's class; where one of the
// two does not apply it is "".
func (m *Metrics) Attempt(outcome, codeClass, errorClass string, t hook.Timing) {
	if m == nil {
		return
	}
	m.attempts.WithLabelValues(outcome, orNone(codeClass), orNone(errorClass)).Inc()
	observe(m.phases.dns, t.DNS)
	observe(m.phases.connect, t.Connect)
	observe(m.phases.tls, t.TLS)
	observe(m.phases.wait, t.Wait)
	observe(m.phases.body, t.Body)
	observe(m.phases.total, t.Total)
}

func orNone(label string) string {
	if label == "" {
		return None
	}
	return label
}

func observe(o prometheus.Observer, d time.Duration) {
	if d > 0 {
		o.Observe(d.Seconds())
	}
}

// Delivered counts a delivery's success, latency after the event's acceptance.
func (m *Metrics) Delivered(latency time.Duration) {
	if m != nil {
		m.latency.Observe(latency.Seconds())
	}
}

// ScheduleLag counts how late an attempt began.
func (m *Metrics) ScheduleLag(d time.Duration) {
	if m != nil {
		m.lag.Observe(max(d, 0).Seconds())
	}
}

// Kind is what a commit stores.
type Kind uint8

// The kinds of commits.
const (
	Events Kind = iota
	Outcomes
)

// Commit counts one transaction of the store, successful or not.
func (m *Metrics) Commit(k Kind, d time.Duration) {
	if m != nil {
		m.commits[k].Observe(d.Seconds())
	}
}

// HTTP counts one request to this server. route is the pattern that matched,
// never the path itself.
func (m *Metrics) HTTP(route, code string, d time.Duration) {
	if m != nil {
		m.requests.WithLabelValues(route, code).Inc()
		m.handling.WithLabelValues(route).Observe(d.Seconds())
	}
}

// Registry is where the metrics are gathered from.
func (m *Metrics) Registry() prometheus.Gatherer {
	if m == nil {
		return prometheus.NewRegistry()
	}
	return m.registry
}

// Handler serves the metrics in the Prometheus text form.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.Registry(), promhttp.HandlerOpts{})
}

// Version says what a program was built from.
type Version struct {
	Version  string `json:"version"`            // a release such as "v1.2.0", or "devel"
	Revision string `json:"revision,omitempty"` // of the source, with "+dirty" if it was changed
	Time     string `json:"time,omitempty"`     // of that revision, RFC 3339
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// ReadVersion reads what the build recorded in the running program.
func ReadVersion() Version {
	v := Version{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		v.Version = info.Main.Version
	}
	dirty := ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "+dirty"
			}
		}
	}
	if v.Revision != "" {
		v.Revision += dirty
	}
	return v
}
