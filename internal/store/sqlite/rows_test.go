package sqlite_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/sqlite"
)

// together makes calls share a transaction: the writer is held while they come in,
// one after the other. It returns their errors.
func together(st *sqlite.Store, calls ...func() error) []error {
	release := st.HoldWrites()
	errs, done := make([]error, len(calls)), make(chan struct{})
	for i, call := range calls {
		go func() {
			errs[i] = call()
			done <- struct{}{}
		}()
		for st.WaitingWrites() <= i {
			runtime.Gosched()
		}
	}
	release()
	for range calls {
		<-done
	}
	return errs
}

// makeEvents makes events for endpoint 1 that follow the one with a sequence
// number.
func makeEvents(last *int64, n int) (events []*hook.Event) {
	now := time.Unix(1_800_000_000, 0).UTC()
	for i := range n {
		id := hook.NextEventID(*last, now, uint64(i))
		*last = id.Seq()
		events = append(events, &hook.Event{ID: id, Tenant: 1, Type: fmt.Sprintf("a.b%d", i%3), Time: now, Data: []byte(fmt.Sprint(*last)), Targets: []hook.Target{{Endpoint: 1}}})
	}
	return events
}

// deliveredAtOnce are outcomes of first attempts that succeeded.
func deliveredAtOnce(events []*hook.Event, detail string) (out []*store.Outcome) {
	for _, e := range events {
		k := hook.DeliveryKey{Event: e.ID, Endpoint: 1}
		out = append(out, &store.Outcome{Key: k, At: e.Time, State: hook.Delivered, Attempt: &hook.Attempt{
			Key: k, N: 1, At: e.Time, Status: 200, State: hook.Delivered, Detail: detail,
		}})
	}
	return out
}

// Calls that share a transaction with one that fails in the middle of its rows are
// stored whole, each once; of the one that fails nothing is.
func TestRowsOfACallThatFails(t *testing.T) {
	t.Parallel()
	st := newFolder(t, sqlite.Options{}).open(t)
	var last int64
	first, broken, second := makeEvents(&last, 37), makeEvents(&last, 40), makeEvents(&last, 35)
	broken[20].Targets = []hook.Target{{Endpoint: 2}, {Endpoint: 1}}
	appending := func(events []*hook.Event) func() error {
		return func() error { return st.Append(t.Context(), &store.Batch{Events: events}) }
	}
	if errs := together(st, appending(first), appending(broken), appending(second)); errs[0] != nil || errs[1] == nil || errs[2] != nil {
		t.Fatalf("appends answer %v", errs)
	}
	lease, err := st.Acquire(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	recording := func(o []*store.Outcome) func() error {
		return func() error { return st.Record(t.Context(), lease, o) }
	}
	bad := deliveredAtOnce(second[:30], "bad")
	bad[25].State = 9
	again := append(deliveredAtOnce(first[10:], "again"), deliveredAtOnce(second[30:], "once")...) // most numbers are taken
	if errs := together(st, recording(deliveredAtOnce(first, "once")), recording(bad), recording(again)); errs[0] != nil || errs[1] == nil || errs[2] != nil {
		t.Fatalf("records answer %v", errs)
	}
	for i, e := range append(first, second...) {
		got, err := st.Event(t.Context(), hook.AllTenants, e.ID)
		if err != nil || string(got.Data) != string(e.Data) || got.Type != e.Type || got.Number != int64(1+i) {
			t.Fatalf("event %d: %+v, %v", i, got, err)
		}
		list, err := st.Attempts(t.Context(), hook.AllTenants, hook.DeliveryKey{Event: e.ID, Endpoint: 1})
		done := e.ID.Seq() < second[0].ID.Seq() || e.ID.Seq() >= second[30].ID.Seq()
		if err != nil || len(list) > 1 || (len(list) == 1) != done || done && list[0].Detail != "once" {
			t.Fatalf("event %d has attempts %+v, %v", i, list, err)
		}
	}
	for _, e := range broken {
		if _, err := st.Event(t.Context(), hook.AllTenants, e.ID); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("an event of a call that failed: %v", err)
		}
	}
	p, err := st.Fresh(t.Context(), store.FreshQuery{Endpoint: 1, From: first[0].ID, Limit: 100})
	if err != nil || len(p.Work) != 30 || !p.Next.IsZero() {
		t.Errorf("%d deliveries are fresh, want 30, next %v, %v", len(p.Work), p.Next, err)
	}
}

// A key is taken by the call before in the same transaction, too.
func TestKeysOfCallsTogether(t *testing.T) {
	t.Parallel()
	st := newFolder(t, sqlite.Options{}).open(t)
	var last int64
	var calls []func() error
	for i := range 4 {
		b := &store.Batch{Events: makeEvents(&last, 2)}
		if i < 2 {
			b.Events[1].Key, b.Events[1].Fingerprint = "k", [16]byte{1}
		} else {
			b.Requests = []*store.Request{{RequestKey: store.RequestKey{Scope: "s", Key: "r"}, At: time.Unix(1_800_000_000, 0).UTC(), Answer: []byte("{}")}}
		}
		calls = append(calls, func() error { return st.Append(t.Context(), b) })
	}
	errs := together(st, calls...)
	if errs[0] != nil || !errors.Is(errs[1], store.ErrKeyTaken) || errs[2] != nil || !errors.Is(errs[3], store.ErrKeyTaken) {
		t.Errorf("the calls answer %v", errs)
	}
}
