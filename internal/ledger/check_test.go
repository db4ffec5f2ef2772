package ledger_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/ledger"
)

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// sound is a run without violations: a kill at 500 ms, a restart in good order
// at 900 ms. Event e1 goes to two endpoints, e2 was in flight at the kill and
// came twice, e3 was never answered and exists, k4 was never answered and does
// not exist, k5 was refused, e6 waits for its retry.
func sound() *ledger.Record {
	publish := func(key, event string, state ledger.PublishState, to ...string) ledger.Publish {
		return ledger.Publish{Key: key, Tenant: "t", DataSHA256: "data-" + key, To: to, At: at(0), State: state, ID: event}
	}
	request := func(seq, ms int, key, event, endpoint string, connAt, status int) ledger.Request {
		return ledger.Request{
			Seq: int64(seq), At: at(ms), Endpoint: endpoint, Event: event, Key: key, SHA256: "body-" + event,
			DataSHA256: "data-" + key, Conn: int64(connAt), ConnAt: at(connAt), Status: status,
		}
	}
	delivery := func(event, endpoint, state string, attempts int) ledger.Delivery {
		return ledger.Delivery{ID: "dlv_" + event, Event: event, Endpoint: endpoint, State: state, Attempts: attempts}
	}
	r := &ledger.Record{
		Publishes: []ledger.Publish{
			publish("k1", "e1", ledger.Acknowledged, "a", "b"),
			publish("k2", "e2", ledger.Acknowledged, "a"),
			publish("k3", "", ledger.Unknown, "a"),
			publish("k4", "", ledger.Unknown, "a"),
			publish("k5", "", ledger.Refused, "a"),
			publish("k6", "e6", ledger.Acknowledged, "b"),
		},
		Requests: []ledger.Request{
			request(1, 100, "k1", "e1", "a", 1, 200),
			request(2, 110, "k1", "e1", "b", 2, 200),
			request(3, 490, "k2", "e2", "a", 1, 200),
			request(4, 600, "k2", "e2", "a", 590, 204),
			request(5, 700, "k3", "e3", "a", 590, 200),
			request(6, 800, "k6", "e6", "b", 591, 503),
		},
		Deliveries: []ledger.Delivery{
			delivery("e1", "a", "delivered", 1),
			delivery("e1", "b", "delivered", 1),
			delivery("e2", "a", "delivered", 1),
			delivery("e3", "a", "delivered", 1),
			delivery("e6", "b", "pending", 1),
		},
		Faults:   []ledger.Fault{{At: at(500), Kind: "kill"}, {At: at(900), Kind: "restart", Orderly: true}},
		DumpedAt: at(1000),
		Window:   200 * time.Millisecond,
		Grace:    5 * time.Second,
		Before:   &ledger.Usage{Descriptors: 20, Sockets: 3, Goroutines: 30},
		After:    &ledger.Usage{Descriptors: 22, Sockets: 3, Goroutines: 30},
		Slack:    ledger.Usage{Descriptors: 4},
	}
	r.Deliveries[4].NextAt = at(5800)
	return r
}

func TestSoundRunHasNoFindings(t *testing.T) {
	t.Parallel()
	findings, summary := ledger.Check(sound())
	for _, f := range findings {
		t.Error(f)
	}
	want := ledger.Summary{
		Acknowledged: 3, Unknown: 2, Requests: 6, Delivered: 4,
		Duplicates: 1, InFlight: 1, Oldest: 10 * time.Millisecond,
	}
	if diff := cmp.Diff(want, summary); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}

// Each planted violation is found, under its own name and with no other.
func TestPlantedViolationIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plant func(*ledger.Record)
		want  string // the invariant and a part of the sentence
	}{
		"acknowledged and gone": {func(r *ledger.Record) {
			r.Deliveries, r.Requests = r.Deliveries[:4], r.Requests[:5]
		}, "I1 e6 at b (key k6): acked, but the store has no delivery"},
		"one of two endpoints forgotten": {func(r *ledger.Record) { // case 6
			r.Deliveries = append(r.Deliveries[:1], r.Deliveries[2:]...)
			r.Requests = append(r.Requests[:1], r.Requests[2:]...)
		}, "I1 e1 at b (key k1): acked, but the store has no delivery"},
		"an unanswered publish exists by half": {func(r *ledger.Record) {
			r.Publishes[2].To = []string{"a", "b"}
		}, "I1 e3 at b (key k3): unknown, but the store has no delivery"},
		"called delivered, never arrived": {func(r *ledger.Record) {
			r.Deliveries[4].State = "delivered"
		}, "I1 e6 at b (key k6): is called delivered"},
		"two deliveries of one pair": {func(r *ledger.Record) {
			r.Deliveries = append(r.Deliveries, r.Deliveries[0])
		}, "I1 e1 at a (key k1): the store has 2 deliveries"},
		"dropped in silence": {func(r *ledger.Record) {
			r.Deliveries[4].State = "cancelled"
		}, "I1 e6 at b (key k6): was cancelled without a reason"},
		"one id for two events": {func(r *ledger.Record) {
			r.Publishes = append(r.Publishes, ledger.Publish{Key: "k7", State: ledger.Acknowledged, ID: "e6"})
			r.Publishes[5].State, r.Publishes[5].ID = ledger.Unknown, ""
			r.Publishes[6].DataSHA256 = "data-k6"
			r.Requests[5].Key = "k7"
			r.Publishes = append(r.Publishes, ledger.Publish{Key: "k8", State: ledger.Acknowledged, ID: "e6", DataSHA256: "data-k6"})
		}, "I1 k8: was given the event id e6, and so was k7"},
		"a request of nobody's": {func(r *ledger.Record) {
			r.Requests[5].Key, r.Requests[5].Event = "k9", "e9"
			r.Deliveries[4].Attempts = 0
		}, `I2 e9 at b: request 6 carries key "k9", which nobody published`},
		"a refused publish was sent": {func(r *ledger.Record) {
			r.Publishes[4].DataSHA256 = "data-k3"
			r.Requests[4].Key = "k5"
		}, `I2 e3 at a: request 5 carries key "k5", whose publish was refused`},
		"one key became two events": {func(r *ledger.Record) { // case 5
			r.Requests[5].Key, r.Publishes[5].To = "k1", nil
			r.Requests[5].DataSHA256 = "data-k6"
		}, `I2 e6 at b: request 6: key "k1" was acknowledged as event e1`},
		"the store made an event up": {func(r *ledger.Record) {
			for _, e := range []string{"x1", "x2"} {
				r.Deliveries = append(r.Deliveries, ledger.Delivery{Event: e, Endpoint: "a", State: "delivered", Attempts: 1})
			}
		}, "I2 store: holds 2 events that nobody was promised, but only 1"},
		"other data than published": {func(r *ledger.Record) {
			r.Requests[0].DataSHA256 = "other"
		}, "I3 e1 at a: request 1: data has SHA-256"},
		"a retry with other bytes": {func(r *ledger.Record) {
			r.Requests[3].SHA256 = "other"
		}, "I3 e2 at a: request 4 has other bytes than request 3"},
		"a row with other bytes": {func(r *ledger.Record) {
			r.Deliveries[0].Rows = []ledger.Attempt{{N: 1, Status: 200, BodySHA256: "other"}}
		}, "I3 e1 at a: attempt 1 is recorded with a body"},
		"a request without a row": {func(r *ledger.Record) {
			r.Deliveries[1].Attempts = 0
		}, "I4 e1 at b: 1 requests came, 0 attempts are recorded"}, // 390 ms before the kill
		"unrecorded at a restart in good order": {func(r *ledger.Record) { // case 12
			r.Deliveries[4].Attempts = 0
		}, "I4 e6 at b: 1 requests came, 0 attempts are recorded"},
		"unrecorded in the life that runs on": {func(r *ledger.Record) {
			r.Faults = r.Faults[:1]
			r.Deliveries[4].Attempts = 0
		}, "I4 e6 at b: 1 requests came, 0 attempts are recorded"},
		"sent twice without a fault": {func(r *ledger.Record) {
			again := r.Requests[4]
			again.Seq, again.At = 7, at(710)
			r.Requests, r.Deliveries[3].Attempts = append(r.Requests, again), 2
		}, "I5 e3 at a: request 7 succeeded again after request 5"},
		"sent twice around a restart in good order": {func(r *ledger.Record) { // case 12
			again := r.Requests[4]
			again.Seq, again.At, again.ConnAt = 7, at(950), at(940)
			r.Requests, r.Deliveries[3].Attempts = append(r.Requests, again), 2
		}, "I5 e3 at a: request 7 succeeded again after request 5"},
		"sent again although its success was recorded": {func(r *ledger.Record) {
			r.Deliveries[2].Attempts = 2
			r.Deliveries[2].Rows = []ledger.Attempt{{N: 1, Status: 200}, {N: 2, Status: 204}}
		}, "I5 e2 at a: 2 successes are recorded"},
		"in flight for too long": {func(r *ledger.Record) { // case 7
			r.Requests[2].At, r.Deliveries[2].Attempts = at(200), 2
		}, "I5 e2 at a: request 4 succeeded again after request 3"},
		"overdue": {func(r *ledger.Record) {
			r.DumpedAt = at(12000)
		}, "I6 e6 at b: is pending and has been due for 6.2s"},
		"never sent": {func(r *ledger.Record) {
			r.Deliveries[4].NextAt, r.Deliveries[4].Attempts = time.Time{}, 0
			r.Requests, r.DumpedAt = r.Requests[:5], at(6000)
		}, "I6 e6 at b: is pending and has been due for 6s"},
		"a bad signature": {func(r *ledger.Record) {
			r.Requests[0].Problem = "signature: no matching signature found"
		}, "I9 e1 at a: request 1: signature"},
		"descriptors leak": {func(r *ledger.Record) {
			r.After.Descriptors = 25
		}, "I11 server: 25 open descriptors at the end, 20 at the beginning (allowed: 4 more)"},
		"goroutines leak": {func(r *ledger.Record) {
			r.After.Goroutines = 31
		}, "I11 server: 31 goroutines"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sound()
			c.plant(r)
			findings, _ := ledger.Check(r)
			found := false
			for _, f := range findings {
				found = found || strings.HasPrefix(f.String(), c.want)
			}
			if !found || len(findings) != 1 {
				t.Errorf("want one finding %q, got %d:", c.want, len(findings))
				for _, f := range findings {
					t.Log(f)
				}
			}
		})
	}
}

// What is allowed is not reported.
func TestExcusedIsNotFound(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*ledger.Record){
		"a redelivery that somebody asked for": func(r *ledger.Record) {
			again := r.Requests[4]
			again.Seq, again.At = 7, at(710)
			r.Requests = append(r.Requests, again)
			r.Deliveries[3].Attempts = 2
			r.Deliveries[3].Rows = []ledger.Attempt{{N: 1, Status: 200}, {N: 2, Status: 200, Trigger: "manual"}}
		},
		"overdue at a sick endpoint": func(r *ledger.Record) {
			r.DumpedAt, r.Sick = at(60000), map[string]bool{"b": true}
		},
		"given up on record": func(r *ledger.Record) { r.Deliveries[4].State = "failed" },
		"deleted by name": func(r *ledger.Record) {
			r.Deliveries[4].State, r.Deliveries[4].Reason = "cancelled", "endpoint deleted"
		},
		"an unanswered publish that was stored and waits": func(r *ledger.Record) {
			r.Deliveries = append(r.Deliveries, ledger.Delivery{Event: "e4", Endpoint: "a", State: "pending", NextAt: at(1000)})
		},
		"read late from a connection older than the kill": func(r *ledger.Record) { r.Requests[2].At = at(505) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sound()
			change(r)
			findings, _ := ledger.Check(r)
			for _, f := range findings {
				t.Error(f)
			}
		})
	}
}
