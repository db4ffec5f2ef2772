package storetest

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Harness is an engine under test with one open store.
type Harness struct {
	Store store.Store
	// Reopen closes the store and opens it again.
	Reopen func(t *testing.T) store.Store
	// Crash opens the store again as after a kill of the process: nothing is
	// flushed or closed before. nil if the engine cannot.
	Crash func(t *testing.T) store.Store
	// Cuts says that the log is cut into units every few events, which the tests
	// of Prune need.
	Cuts bool
	// Raises says that the engine raises ids that are not above the last one, as one
	// does that many nodes write to, instead of refusing them.
	Raises bool
	// Another opens the store once more, as another node does that shares it, until the
	// test ends. nil if one process has it to itself.
	Another func(t *testing.T) store.Store
	// Settle waits until the engine's background work is done. nil if there is
	// none.
	Settle func(t *testing.T)
}

// Run runs the suite. open makes a new, empty store. An engine that keeps the
// log in units should run it twice: cut every few events, so that every test
// meets several units, and as it is used.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	groups := []struct {
		name  string
		tests []test
	}{
		{"Configure", configureTests},
		{"Audit", auditTests},
		{"Lease", leaseTests},
		{"Append", appendTests},
		{"Known", knownTests},
		{"Fresh", freshTests},
		{"Retries", retriesTests},
		{"Pending", pendingTests},
		{"Record", recordTests},
		{"Redeliver", redeliverTests},
		{"List", listTests},
		{"Prune", pruneTests},
		{"Reopen", reopenTests},
		{"Nodes", nodesTests},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			for _, tt := range g.tests {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					tt.run(newWorld(t, t, open(t)))
				})
			}
		})
	}
	t.Run("Model", func(t *testing.T) {
		t.Parallel()
		RunModel(t, open)
	})
}

// test is one test of the suite.
type test struct {
	name string
	run  func(w *world)
}

// world is a store with what the tests need around it: ids, a clock that only
// moves when told to, and helpers that fail the test.
type world struct {
	tb
	t     *testing.T // for the harness
	h     Harness
	st    store.Store
	lease store.Lease
	now   time.Time
	seq   int64
	seed  uint64
}

// tb is what of a test the helpers need. A rapid.T is one too.
type tb interface {
	Helper()
	Context() context.Context
	Error(args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// epoch is when the tests' clock begins.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newWorld(tb tb, t *testing.T, h Harness) *world {
	w := &world{tb: tb, t: t, h: h, st: h.Store, now: epoch}
	w.acquire()
	return w
}

func (w *world) acquire() {
	w.Helper()
	l, err := w.st.Acquire(w.Context(), "test")
	w.ok(err)
	w.lease = l
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// wholeBytes compares bytes at once, for a big body takes seconds one by one.
var wholeBytes = cmp.FilterValues(func(a, b []byte) bool { return len(a) > 0 && len(b) > 0 }, cmp.Comparer(bytes.Equal))

// same compares; slices and maps that are empty equal nil ones.
func (w *world) same(want, got any) {
	w.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty(), wholeBytes); d != "" {
		w.Fatalf("difference (-want +got):\n%s", d)
	}
}

// reopen closes and opens the store.
func (w *world) reopen() {
	w.Helper()
	w.st = w.h.Reopen(w.t)
	w.acquire()
}

// crash opens the store as after a kill, or in an orderly way if the engine
// cannot.
func (w *world) crash() {
	w.Helper()
	if w.h.Crash == nil {
		w.reopen()
		return
	}
	w.st = w.h.Crash(w.t)
	w.acquire()
}

func (w *world) settle() {
	w.Helper()
	if w.h.Settle != nil {
		w.h.Settle(w.t)
	}
}

// id makes the next event id, a second after the last one.
func (w *world) id() hook.EventID {
	w.now = w.now.Add(time.Second)
	w.seed++
	id := hook.NextEventID(w.seq, w.now, w.seed*0x9e3779b97f4a7c15)
	w.seq = id.Seq()
	return id
}

// event makes an event for endpoints.
func (w *world) event(tenant hook.TenantNum, endpoints ...hook.EndpointNum) *hook.Event {
	e := &hook.Event{ID: w.id(), Tenant: tenant, Type: "thing.made", Time: w.now.Add(-time.Minute)}
	e.Data = fmt.Appendf(nil, `{"seq":%d}`, e.ID.Seq())
	for _, n := range endpoints {
		e.Targets = append(e.Targets, hook.Target{Endpoint: n})
	}
	return e
}

// keyed makes an event with a key.
func (w *world) keyed(tenant hook.TenantNum, key string, endpoints ...hook.EndpointNum) *hook.Event {
	e := w.event(tenant, endpoints...)
	e.Key = key
	e.Fingerprint = [16]byte{1, 2, 3, byte(w.seed)}
	return e
}

func (w *world) append(events ...*hook.Event) {
	w.Helper()
	w.ok(w.st.Append(w.Context(), &store.Batch{Revision: 1 << 40, Events: events}))
}

// fill appends events one by one, so that an engine cuts units between them.
func (w *world) fill(n int, tenant hook.TenantNum, endpoints ...hook.EndpointNum) []*hook.Event {
	w.Helper()
	var out []*hook.Event
	for range n {
		e := w.event(tenant, endpoints...)
		w.append(e)
		out = append(out, e)
	}
	return out
}

func key(e *hook.Event, endpoint hook.EndpointNum) hook.DeliveryKey {
	return hook.DeliveryKey{Event: e.ID, Endpoint: endpoint}
}

// attempt makes an attempt with all its fields set.
func (w *world) attempt(k hook.DeliveryKey, n, status int, state hook.DeliveryState) *hook.Attempt {
	a := &hook.Attempt{
		Key: k, N: n, At: w.now.Add(time.Duration(n) * time.Millisecond), Method: "POST", URL: "https://example.com/hook?a=b",
		RequestHeader: []byte("content-type: application/json\r\n"), BodySHA256: [32]byte{1, 2, byte(n)}, BodySize: 1234,
		Status: status, Proto: "HTTP/1.1", ResponseHeader: []byte("x: \xff\x00\r\n"), ResponseBody: []byte("no\x00\xffdice"),
		RemoteAddr: "192.0.2.1:443", TLSVersion: "TLS 1.3", Reused: n%2 == 0, Truncated: n%2 == 1, Omitted: n % 2 * 70_000,
		Timing: hook.Timing{DNS: 1, Connect: 2, TLS: 3, Wait: 4 * time.Millisecond, Body: 5, Total: 6 * time.Second},
		State:  state, Reason: "because",
	}
	if status == 0 {
		a.Class, a.Detail = "refused", "connection refused"
	}
	return a
}

// outcome makes an outcome by an attempt. A pending one is due in a minute.
func (w *world) outcome(k hook.DeliveryKey, n int, state hook.DeliveryState) *store.Outcome {
	status := 500
	if state == hook.Delivered {
		status = 200
	}
	o := &store.Outcome{Key: k, Attempt: w.attempt(k, n, status, state), At: w.now, State: state, FirstAt: w.now}
	if state == hook.Pending {
		o.NextAt = w.now.Add(time.Minute)
		o.Attempt.NextAt = o.NextAt
		o.Body = []byte("body of " + k.String())
	}
	if state == hook.Failed {
		o.Reason = "given up"
	}
	return o
}

// change makes an outcome without an attempt.
func (w *world) change(k hook.DeliveryKey, state hook.DeliveryState, reason string) *store.Outcome {
	return &store.Outcome{Key: k, At: w.now, State: state, Reason: reason}
}

func (w *world) record(outcomes ...*store.Outcome) {
	w.Helper()
	w.ok(w.st.Record(w.Context(), w.lease, outcomes))
}

// delivery reads a delivery.
func (w *world) delivery(k hook.DeliveryKey) *hook.Delivery {
	w.Helper()
	d, err := w.st.Delivery(w.Context(), hook.AllTenants, k)
	w.ok(err)
	return d
}

// state checks a delivery's state and number of attempts.
func (w *world) state(k hook.DeliveryKey, state hook.DeliveryState, attempts int) {
	w.Helper()
	d := w.delivery(k)
	if d.State != state || d.Attempts != attempts {
		w.Fatalf("delivery is %v after %d attempts, want %v after %d", d.State, d.Attempts, state, attempts)
	}
	list, err := w.st.Attempts(w.Context(), hook.AllTenants, k)
	w.ok(err)
	if len(list) != attempts {
		w.Fatalf("there are %d attempts, want %d", len(list), attempts)
	}
}

// fresh reads all fresh deliveries of a lane from an id on.
func (w *world) fresh(endpoint hook.EndpointNum, from hook.EventID, limit int) []hook.EventID {
	w.Helper()
	var out []hook.EventID
	for range 10_000 {
		p, err := w.st.Fresh(w.Context(), store.FreshQuery{Endpoint: endpoint, From: from, Limit: limit})
		w.ok(err)
		if len(p.Work) > limit {
			w.Fatalf("page of %d with a limit of %d", len(p.Work), limit)
		}
		for _, x := range p.Work {
			out = append(out, x.Event.ID)
		}
		if p.Next.IsZero() {
			return out
		}
		if string(p.Next[:]) <= string(from[:]) {
			w.Fatalf("the next page begins at %v, not after %v", p.Next, from)
		}
		from = p.Next
	}
	w.Fatal("fresh deliveries have no end")
	return nil
}

func ids(events ...*hook.Event) []hook.EventID {
	var out []hook.EventID
	for _, e := range events {
		out = append(out, e.ID)
	}
	return out
}

// lanes reads the lanes with work. How much waits in each, which is not exact, is
// left out.
func (w *world) lanes() map[hook.EndpointNum]store.Lane {
	w.Helper()
	out := w.waiting()
	for e, a := range out {
		a.Waiting = 0
		out[e] = a
	}
	return out
}

// waiting reads the lanes with work.
func (w *world) waiting() map[hook.EndpointNum]store.Lane {
	w.Helper()
	l, err := w.st.Lanes(w.Context(), w.lease)
	w.ok(err)
	out := map[hook.EndpointNum]store.Lane{}
	for _, a := range l {
		out[a.Endpoint] = a
	}
	return out
}
