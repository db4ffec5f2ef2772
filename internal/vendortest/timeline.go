package vendortest

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/dialect/all"
	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/filter"
	"grapnel/internal/hook"
	"grapnel/internal/ingest"
	"grapnel/internal/keyring"
	"grapnel/internal/manage"
	"grapnel/internal/store/directory"
	"grapnel/internal/store/sqlite"
)

// Case is a delivery whose way through hours and days is to be seen.
type Case struct {
	Dialect  string
	Type     string // the event's; "": thing.created
	Data     string // "": {"id":1}
	Metadata string
	// Endpoint changes what the endpoint is made of; nil: it only has a URL and
	// the event's type.
	Endpoint func(in *manage.EndpointInput)
	// Answers are what the endpoint answers, one after the other, the last for
	// ever: a status, or a failure class of egress such as "timeout".
	Answers []Reply
}

// Reply is one answer of an endpoint.
type Reply struct {
	Status int
	Class  string // no answer came: egress's word for why
	Header http.Header
}

// Statuses are replies with nothing but these.
func Statuses(statuses ...int) []Reply {
	var out []Reply
	for _, s := range statuses {
		out = append(out, Reply{Status: s})
	}
	return out
}

// Story is what became of a delivery in virtual time.
type Story struct {
	// After are the times of the attempts, counted from the first one.
	After    []time.Duration
	Requests []*egress.Request
	Delivery *hook.Delivery
	Endpoint *hook.Endpoint // as it was in the end
}

// Waits are the times between the attempts.
func (s Story) Waits() []time.Duration {
	var out []time.Duration
	for i := 1; i < len(s.After); i++ {
		out = append(out, s.After[i]-s.After[i-1])
	}
	return out
}

// Timeline publishes one event to one endpoint on a real store, and lets time
// run in a bubble until the delivery is over, at most for span. Answers take no
// time.
func Timeline(t *testing.T, c Case, span time.Duration) (story Story) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { story = c.run(t, dir, span) })
	return story
}

// wire answers in place of the network.
type wire struct {
	mu       sync.Mutex
	replies  []Reply
	begin    time.Time
	after    []time.Duration
	requests []*egress.Request
}

// Do implements dispatch.Egress.
func (w *wire) Do(_ context.Context, r *egress.Request) *egress.Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if len(w.after) == 0 {
		w.begin = now
	}
	w.after = append(w.after, now.Sub(w.begin))
	kept := *r
	kept.Header, kept.Body = slices.Clone(r.Header), slices.Clone(r.Body)
	w.requests = append(w.requests, &kept)
	reply := w.replies[min(len(w.after), len(w.replies))-1]
	return &egress.Result{At: now, Status: reply.Status, Class: reply.Class, Header: reply.Header, Proto: "HTTP/1.1"}
}

const tenant = "acme"

func (c *Case) run(t *testing.T, dir string, span time.Duration) Story {
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if c.Type == "" {
		c.Type = "thing.created"
	}
	if c.Data == "" {
		c.Data = `{"id":1}`
	}
	dialects, err := all.Registry()
	check(err)
	ring, err := keyring.Open(keyring.Source{Env: base64.StdEncoding.EncodeToString(make([]byte, 32))})
	check(err)
	log := slog.New(slog.DiscardHandler)
	s, err := sqlite.Open(ctx, sqlite.Options{Dir: dir, Logger: log})
	check(err)
	defer s.Close()
	lease, err := s.Acquire(ctx, "test")
	check(err)
	book, err := directory.Load(ctx, s)
	check(err)
	manager, err := manage.New(manage.Config{
		Store: s, Deliveries: s, Directory: book, Dialects: dialects, Ring: ring, Logger: log,
		CheckURL:    func(string) error { return nil },
		CheckFilter: func(tree []byte) error { _, err := filter.Parse(tree); return err },
	})
	check(err)
	w := &wire{replies: c.Answers}
	d, err := dispatch.New(dispatch.Config{
		Queue: s, Lease: lease, Directory: book, Dialects: dialects, Egress: w, Ring: ring, Manager: manager,
		Logger: log, PublicURL: "https://hooks.example.com",
	})
	check(err)
	check(d.Start(ctx))
	defer func() { check(d.Stop(context.WithoutCancel(ctx))) }()
	in, err := ingest.New(ctx, ingest.Config{
		Log: s, Directory: book, Offer: d.Offer, Window: time.Hour, Logger: log,
		Policy: ingest.Policies(dialects),
	})
	check(err)
	defer in.Close()

	_, err = manager.PutTenant(ctx, tenant, manage.TenantInput{Dialect: &c.Dialect})
	check(err)
	url, types := "https://receiver.example.com/hooks", []string{c.Type}
	input := manage.EndpointInput{URL: &url, EventTypes: &types, Dialect: &c.Dialect}
	if c.Endpoint != nil {
		c.Endpoint(&input)
	}
	e, _, err := manager.CreateEndpoint(ctx, tenant, input)
	check(err)
	results, _, err := in.Publish(ctx, &ingest.Submission{Items: []ingest.Item{
		{Tenant: tenant, Type: c.Type, Data: []byte(c.Data), Metadata: []byte(c.Metadata)},
	}})
	check(err)
	if r := results[0]; r.Err != nil || r.Matched != 1 {
		t.Fatalf("the event goes to %d endpoints: %v", r.Matched, r.Err)
	}
	key := hook.DeliveryKey{Event: results[0].ID, Endpoint: e.Num}
	story := Story{}
	for end := time.Now().Add(span); ; {
		time.Sleep(time.Second)
		synctest.Wait()
		story.Delivery, err = s.Delivery(ctx, 0, key)
		check(err)
		if story.Delivery.State.Terminal() || story.Delivery.State == hook.Held || time.Now().After(end) {
			break
		}
		if next := story.Delivery.NextAt; next.After(time.Now()) {
			time.Sleep(time.Until(next))
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	story.After, story.Requests = w.after, w.requests
	story.Endpoint, _ = book.Endpoint(e.Num)
	return story
}
