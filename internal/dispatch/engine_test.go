package dispatch_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/eithertest"
)

// startOn starts a dispatcher on the engine itself.
func (w *world) startOn(t *testing.T, dir string, segmentEvents int) (store.Store, *dispatch.Dispatcher) {
	t.Helper()
	s := eithertest.At(t, dir, eithertest.Options{Events: segmentEvents})
	lease, err := s.Acquire(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	d, err := dispatch.New(dispatch.Config{
		Queue: s, Lease: lease, Directory: w.book, Dialects: registry(t), Egress: w, Ring: w.ring, Manager: w,
		Logger: slog.New(slog.DiscardHandler), Memory: 32 << 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, d
}

// The whole way on the real engine: small segments, an endpoint that fails half
// of the time, one that is paused, a window that overflows, and restarts.
func TestOnAnEngine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	w.answers(2, func(ctx context.Context, n int) *egress.Result { return status(200 + 300*(n%2)) })
	w.change(2, func(e *hook.Endpoint) {
		e.Schedule = []time.Duration{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
	})
	w.change(3, func(e *hook.Endpoint) { e.State = hook.EndpointPaused })
	dir := t.TempDir()
	last, total := int64(0), 0
	for range 3 {
		s, d := w.startOn(t, dir, 150)
		for range 20 {
			b := &store.Batch{}
			for range 10 {
				id := hook.NextEventID(last, time.Now(), 9)
				last = id.Seq()
				b.Events = append(b.Events, &hook.Event{ID: id, Tenant: 1, Type: "a.b", Time: time.Now(), Data: []byte(`{}`),
					Targets: []hook.Target{{Endpoint: 1}, {Endpoint: 2}, {Endpoint: 3}}})
			}
			if err := s.Append(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			total += len(b.Events)
			d.Offer(b.Events)
		}
		if err := d.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w.change(3, func(e *hook.Endpoint) { e.State = hook.EndpointActive })
	w.finish(t, dir, total)
	if got := len(w.seen(1)) + len(w.seen(3)); got != 2*total {
		t.Errorf("%d requests to the two good endpoints, want %d", got, 2*total) // case 12: none is repeated
	}
}

// Retries far off are in the store alone. They end when their endpoint is
// deleted, or its tenant is, or it is inactive under a contract that cancels
// then; and if the server was down by then, when it is back.
func TestFarRetriesEndWithTheirEndpoint(t *testing.T) {
	t.Parallel()
	gone := func(e *hook.Endpoint) { e.Deleted = true }
	disabled := func(e *hook.Endpoint) { e.State = hook.EndpointDisabled }
	for name, c := range map[string]struct {
		dialect string
		change  func(*hook.Endpoint)
		tenant  bool
	}{"deleted": {"holds", gone, false}, "disabled": {"cancels", disabled, false}, "tenant deleted": {"holds", nil, true}} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restarted: %v", name, restart), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, 1)
				w.answers(1, always(0, 500))
				w.change(1, func(e *hook.Endpoint) {
					e.Dialect, e.Schedule = c.dialect, []time.Duration{10 * time.Minute, 10 * time.Minute}
				})
				end := func() {
					if c.tenant {
						w.deleteTenant(1)
					} else {
						w.change(1, c.change)
					}
				}
				w.farRetries(t, restart, end)
			})
		}
	}
}

// deleteTenant marks a tenant as deleted and tells the watchers.
func (w *world) deleteTenant(num hook.TenantNum) {
	w.book.mu.Lock()
	gone := *w.book.tenants[num]
	gone.Deleted = true
	w.book.tenants[num] = &gone
	watchers := w.book.watchers
	w.book.mu.Unlock()
	for _, f := range watchers {
		f(&store.Configuration{Tenants: []*hook.Tenant{&gone}})
	}
}

// farRetries makes three deliveries fail, and end meanwhile or before a restart.
func (w *world) farRetries(t *testing.T, restart bool, end func()) {
	const n = 3
	s := eithertest.At(t, t.TempDir(), eithertest.Options{})
	defer s.Close()
	lease, err := s.Acquire(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	recorded := make(chan struct{}, 10*n)
	start := func() *dispatch.Dispatcher {
		d, err := dispatch.New(dispatch.Config{
			Queue: s, Lease: lease, Directory: w.book, Dialects: registry(t), Egress: w, Ring: w.ring, Manager: w,
			Logger: slog.New(slog.DiscardHandler), Recorded: func(hook.TenantNum, hook.DeliveryKey, string, *hook.Attempt) { recorded <- struct{}{} },
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return d
	}
	stop := func(d *dispatch.Dispatcher) {
		if err := d.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	d := start()
	defer func() { stop(d) }()
	b := &store.Batch{}
	for i := range n {
		b.Events = append(b.Events, &hook.Event{ID: hook.NextEventID(int64(i), time.Now().Add(time.Duration(i)*time.Millisecond), 9), Tenant: 1, Type: "a.b",
			Time: time.Now(), Data: []byte(`{}`), Targets: []hook.Target{{Endpoint: 1}}})
	}
	if err := s.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	d.Offer(b.Events)
	for range n {
		<-recorded
	}
	if diff := cmp.Diff(map[hook.DeliveryState]int{hook.Pending: n}, countStates(t, s)); diff != "" {
		t.Fatal(diff)
	}
	if restart {
		stop(d)
		end()
		d = start()
	} else {
		end()
	}
	patience := time.After(30 * time.Second)
	for i := range n {
		select {
		case <-recorded:
		case <-patience:
			t.Fatalf("%d of %d deliveries have ended: %v", i, n, countStates(t, s))
		}
	}
	if diff := cmp.Diff(map[hook.DeliveryState]int{hook.Cancelled: n}, countStates(t, s)); diff != "" {
		t.Error(diff)
	}
}

// finish runs until everything of the store in dir is delivered.
func (w *world) finish(t *testing.T, dir string, total int) {
	t.Helper()
	s := eithertest.At(t, dir, eithertest.Options{})
	defer s.Close()
	lease, err := s.Acquire(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	waiting := countStates(t, s)[hook.Pending]
	delivered := make(chan struct{}, 3*total)
	d, err := dispatch.New(dispatch.Config{
		Queue: s, Lease: lease, Directory: w.book, Dialects: registry(t), Egress: w, Ring: w.ring, Manager: w,
		Logger: slog.New(slog.DiscardHandler), Observe: func(a *hook.Attempt) {
			if a.State == hook.Delivered {
				delivered <- struct{}{}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range waiting {
		<-delivered
	}
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[hook.DeliveryState]int{hook.Delivered: 3 * total}, countStates(t, s)); diff != "" {
		t.Error(diff)
	}
}

// countStates counts all deliveries of a store.
func countStates(t *testing.T, s store.Reader) map[hook.DeliveryState]int {
	t.Helper()
	states := map[hook.DeliveryState]int{}
	q := store.DeliveryQuery{Tenant: hook.AllTenants, Limit: 500}
	for {
		page, err := s.Deliveries(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, dl := range page.Deliveries {
			states[dl.State]++
		}
		if q.Before = page.Next; q.Before == (hook.DeliveryKey{}) {
			return states
		}
	}
}
