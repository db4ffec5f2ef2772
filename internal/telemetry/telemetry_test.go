package telemetry_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"grapnel/internal/hook"
	"grapnel/internal/telemetry"
)

// filled returns metrics in which everything has been counted once.
func filled() *telemetry.Metrics {
	m := telemetry.NewMetrics()
	m.Accepted("accepted", 3)
	m.Attempt("delivered", "2xx", "", hook.Timing{DNS: 1, Connect: 1, TLS: 1, Wait: 1, Body: 1, Total: 5})
	m.Attempt("pending", "", "timeout", hook.Timing{Total: time.Second})
	m.Delivered(2 * time.Millisecond)
	m.ScheduleLag(-time.Second)
	m.Commit(telemetry.Events, time.Millisecond)
	m.Commit(telemetry.Outcomes, time.Millisecond)
	m.HTTP("GET /livez", "200", time.Millisecond)
	m.SetQueue(func() telemetry.QueueGauges {
		return telemetry.QueueGauges{Due: 4, InFlight: 2, Lanes: 1, OldestAge: 1500 * time.Millisecond}
	})
	m.SetStore(func() telemetry.StoreGauges {
		return telemetry.StoreGauges{Events: 7, Units: 2, Bytes: 4096, Expired: 1, Writable: true}
	})
	m.SetEndpoints(func() map[string]int { return map[string]int{"active": 3, "paused": 1} })
	m.SetNode(func() telemetry.NodeGauges {
		return telemetry.NodeGauges{Partitions: 32, Gained: 64, Trips: map[string]int64{"append": 9}, InUse: 1, Idle: 2, Inbox: true, Waiting: 5, Moved: 6}
	})
	return m
}

func TestLint(t *testing.T) {
	t.Parallel()
	problems, err := testutil.GatherAndLint(filled().Registry())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	const want = `
# HELP grapnel_attempts_total Delivery attempts by outcome, class of the HTTP status, and class of the failure when no answer came.
# TYPE grapnel_attempts_total counter
grapnel_attempts_total{code_class="2xx",error_class="none",outcome="delivered"} 1
grapnel_attempts_total{code_class="none",error_class="timeout",outcome="pending"} 1
# HELP grapnel_queue_oldest_age_seconds How long the oldest due delivery has waited, in memory or in the store; those of endpoints that do not answer are left out.
# TYPE grapnel_queue_oldest_age_seconds gauge
grapnel_queue_oldest_age_seconds 1.5
# HELP grapnel_endpoints Endpoints by state.
# TYPE grapnel_endpoints gauge
grapnel_endpoints{state="active"} 3
grapnel_endpoints{state="paused"} 1
`
	if err := testutil.GatherAndCompare(filled().Registry(), strings.NewReader(want),
		"grapnel_attempts_total", "grapnel_queue_oldest_age_seconds", "grapnel_endpoints"); err != nil {
		t.Error(err)
	}
}

func TestHandler(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	filled().Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), `grapnel_build_info{`) {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}

func TestNilIsSafe(t *testing.T) {
	t.Parallel()
	var m *telemetry.Metrics
	m.Accepted("accepted", 1)
	m.Attempt("delivered", "2xx", "", hook.Timing{})
	m.Delivered(0)
	m.ScheduleLag(0)
	m.Commit(telemetry.Events, 0)
	m.HTTP("/", "200", 0)
	m.SetQueue(nil)
	m.SetStore(nil)
	m.SetEndpoints(nil)
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Error(w.Code)
	}
}

func TestLogger(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log, err := telemetry.NewLogger(&b, "json", "info")
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("hidden")
	log.Info("shown", "secret", hook.Secret("whsec_abc"))
	var line map[string]any
	if err := json.Unmarshal(b.Bytes(), &line); err != nil {
		t.Fatalf("%v in %q", err, b.String())
	}
	if line["msg"] != "shown" || strings.Contains(b.String(), "whsec_") {
		t.Error(b.String())
	}

	b.Reset()
	log, err = telemetry.NewLogger(&b, "text", "debug")
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("shown", "n", 1)
	if got := b.String(); !strings.Contains(got, "level=DEBUG msg=shown n=1") {
		t.Error(got)
	}

	for _, bad := range [][2]string{{"xml", "info"}, {"json", "loud"}, {"json", ""}} {
		if _, err := telemetry.NewLogger(&b, bad[0], bad[1]); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}
