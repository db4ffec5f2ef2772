package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A server that cannot reach any endpoint is believed; one that does not tell is
// not taken for one that is well.
func TestDoctorAsksForTheWayOut(t *testing.T) {
	t.Parallel()
	const hint = "look at this machine's routes, firewall and name servers, and at --egress-proxy; deliveries go on by themselves"
	for answer, want := range map[string]finding{
		"ready\nstore ok: a\nnetwork ok: no sign of an outage\n": {Result: checkOK, Detail: "says: no sign of an outage"},
		"ready\nnetwork warning: no endpoint can be reached since 2026-01-02T03:04:05Z: deliveries wait until one can\n": {
			Result: checkFailed, Detail: "says: no endpoint can be reached since 2026-01-02T03:04:05Z: deliveries wait until one can", Hint: hint,
		},
		"ready\n": {Result: checkSkipped, Detail: "does not tell", Hint: "name its admin listener with --url"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RequestURI() != "/readyz?verbose" {
				w.WriteHeader(http.StatusNotFound)
			}
			_, _ = io.WriteString(w, answer)
		}))
		t.Cleanup(server.Close)
		d := &doctor{url: server.URL, timeout: time.Minute}
		d.checkWayOut()
		want.Check, want.Detail = "way out", server.URL+" "+want.Detail
		if diff := cmp.Diff([]finding{want}, d.report.Checks); diff != "" {
			t.Error(diff)
		}
	}
	d := &doctor{url: "http://127.0.0.1:1", timeout: time.Minute}
	d.checkWayOut()
	if got := d.report.Checks[0]; got.Result != checkSkipped {
		t.Errorf("without a server: %+v", got)
	}
}
