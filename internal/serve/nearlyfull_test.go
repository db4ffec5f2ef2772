package serve_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"grapnel/internal/dialect/all"
	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/ingest"
	"grapnel/internal/keyring"
	"grapnel/internal/manage"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
	"grapnel/internal/store/eithertest"
)

// crowded is an ingester, a dispatcher and the retention on one store, on a disk that has
// room for so many events.
type crowded struct {
	t        *testing.T
	store    store.Store
	dir      *directory.Directory
	ingest   *ingest.Ingester
	dispatch *dispatch.Dispatcher
	room     int64

	clock    atomic.Int64 // of the publishers, in seconds
	stored   atomic.Int64 // events that are there
	pruned   int64        // events that have gone
	answered atomic.Int64 // deliveries that were recorded as taken
	sent     sync.Map     // of each event's id, how many requests
}

// Do answers every request.
func (c *crowded) Do(_ context.Context, r *egress.Request) *egress.Result {
	for _, h := range r.Header {
		if strings.EqualFold(h.Name, "webhook-id") {
			n, _ := c.sent.LoadOrStore(h.Value, new(atomic.Int64))
			n.(*atomic.Int64).Add(1)
		}
	}
	return &egress.Result{Status: http.StatusOK, Proto: "HTTP/1.1", Header: http.Header{}}
}

func newCrowded(t *testing.T, room int64) *crowded {
	t.Helper()
	c := &crowded{t: t, room: room}
	// The log's units on PostgreSQL are days, so that the events are of the last weeks.
	c.clock.Store(time.Now().Add(-21 * 24 * time.Hour).Unix())
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	logger := slog.New(slog.DiscardHandler)
	c.store = eithertest.At(t, t.TempDir(), eithertest.Options{Events: 50})
	t.Cleanup(func() { c.store.Close() })
	var err error
	c.dir, err = directory.Load(t.Context(), c.store)
	must(err)
	ring, err := keyring.Open(keyring.Source{Env: keyring.NewKey()})
	must(err)
	dialects, err := all.Registry()
	must(err)
	manager, err := manage.New(manage.Config{
		Store: c.store, Deliveries: c.store, Directory: c.dir, Dialects: dialects, Ring: ring, Logger: logger,
		CheckURL: func(string) error { return nil }, CheckFilter: func([]byte) error { return nil },
	})
	must(err)
	_, err = manager.PutTenant(t.Context(), "acme", manage.TenantInput{})
	must(err)
	url := "https://a.example/"
	_, _, err = manager.CreateEndpoint(t.Context(), "acme", manage.EndpointInput{URL: &url})
	must(err)
	lease, err := c.store.Acquire(t.Context(), "test")
	must(err)
	c.dispatch, err = dispatch.New(dispatch.Config{
		Queue: c.store, Lease: lease, Directory: c.dir, Dialects: dialects, Egress: c, Ring: ring, Manager: manager, Logger: logger,
		Recorded: func(_ hook.TenantNum, _ hook.DeliveryKey, _ string, a *hook.Attempt) {
			if a != nil && a.State == hook.Delivered {
				c.answered.Add(1)
			}
		},
	})
	must(err)
	must(c.dispatch.Start(t.Context()))
	c.ingest, err = ingest.New(t.Context(), ingest.Config{
		Log: c.store, Directory: c.dir, Offer: c.dispatch.Offer, Window: time.Hour, Logger: logger, Policy: ingest.Policies(dialects),
		Now: func() time.Time { return time.Unix(c.clock.Load(), 0) },
		Room: func() error {
			if c.stored.Load() >= c.room {
				return fmt.Errorf("%w: the disk of the test", store.ErrFull)
			}
			return nil
		},
	})
	must(err)
	return c
}

// publish publishes one batch after the other until so many events are taken. It tells of
// each time that there is no room.
func (c *crowded) publish(total int, full chan<- struct{}) (refused int, err error) {
	for taken := 0; taken < total; {
		s := &ingest.Submission{}
		for i := range 20 {
			s.Items = append(s.Items, ingest.Item{Tenant: "acme", Type: "a", Data: fmt.Appendf(nil, "%d", taken+i)})
		}
		results, _, err := c.ingest.Publish(c.t.Context(), s)
		for _, r := range results {
			if r.Err != nil {
				err = r.Err
			}
		}
		switch {
		case errors.Is(err, store.ErrFull):
			refused++
			full <- struct{}{}
			continue
		case err != nil:
			return refused, err
		}
		taken += len(s.Items)
		c.stored.Add(int64(len(s.Items)))
		c.clock.Add(2 * 3600)
	}
	return refused, nil
}

// keep removes what is older than three days whenever there is no room, until ctx ends. An
// event of which a delivery is not over yet must not be among that.
func (c *crowded) keep(ctx context.Context, full <-chan struct{}) (removals int, err error) {
	for {
		select {
		case <-ctx.Done():
			return removals, nil
		case <-full:
		}
		p, err := c.store.Prune(ctx, store.PruneQuery{Before: time.Unix(c.clock.Load(), 0).Add(-3 * 24 * time.Hour), Inactive: func(hook.EndpointNum) bool { return false }})
		switch {
		case ctx.Err() != nil:
			return removals, nil
		case err != nil:
			return removals, err
		case len(p.Expired) > 0:
			return removals, fmt.Errorf("deliveries have ended unsent: %v", p.Expired)
		}
		if p.Units > 0 {
			removals++
		}
		c.stored.Add(-p.Events)
		c.pruned += p.Events
	}
}

// case 63b: on a disk that is full again and again, publishing, deliveries and the retention
// go on beside each other: what is refused finds room when the retention has made some,
// which takes nothing that is still to be sent, and all that was taken is sent once.
func TestNearlyFullDisk(t *testing.T) {
	t.Parallel()
	const total, room = 2000, 1100
	c := newCrowded(t, room)
	full := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	type outcome struct {
		n   int
		err error
	}
	kept, published := make(chan outcome, 1), make(chan outcome, 1)
	go func() {
		n, err := c.keep(ctx, full)
		kept <- outcome{n, err}
	}()
	go func() {
		n, err := c.publish(total, full)
		published <- outcome{n, err}
	}()
	select {
	case o := <-published:
		if o.err != nil || o.n == 0 {
			t.Errorf("refused %d times, %v", o.n, o.err)
		}
	case o := <-kept:
		t.Fatalf("the retention has ended after %d removals: %v", o.n, o.err)
	case <-time.After(2 * time.Minute):
		t.Fatalf("publishing does not come to an end: %d events there, %d gone", c.stored.Load(), c.pruned)
	}
	await(t, "all deliveries", func() bool { return c.answered.Load() >= total })
	stop()
	if o := <-kept; o.err != nil || o.n < 2 {
		t.Errorf("the retention has removed something %d times, %v", o.n, o.err)
	}
	c.ingest.Close()
	if err := c.dispatch.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	events := 0
	c.sent.Range(func(id, n any) bool {
		if events++; n.(*atomic.Int64).Load() != 1 {
			t.Errorf("%s was sent %d times", id, n.(*atomic.Int64).Load())
		}
		return true
	})
	if stats, err := c.store.Stats(t.Context()); err != nil || events != total || stats.Events != total-c.pruned {
		t.Errorf("%d events were sent of %d, %d are stored after %d have gone, %v", events, total, stats.Events, c.pruned, err)
	}
}
