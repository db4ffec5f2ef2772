package vendortest

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/ingest"
	"grapnel/internal/keyring"
	"grapnel/internal/manage"
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
	w := &wire{replies: c.Answers}
	site := NewSite(t, dir, keyring.Source{Env: base64.StdEncoding.EncodeToString(make([]byte, 32))}, w, nil)
	defer site.Close(t)

	_, err := site.Manager.PutTenant(ctx, tenant, manage.TenantInput{Dialect: &c.Dialect})
	check(err)
	url, types := "https://receiver.example.com/hooks", []string{c.Type}
	input := manage.EndpointInput{URL: &url, EventTypes: &types, Dialect: &c.Dialect}
	if c.Endpoint != nil {
		c.Endpoint(&input)
	}
	e, _, err := site.Manager.CreateEndpoint(ctx, tenant, input)
	check(err)
	results, _, err := site.Ingest.Publish(ctx, &ingest.Submission{Items: []ingest.Item{
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
		story.Delivery, err = site.Store.Delivery(ctx, hook.AllTenants, key)
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
	story.Endpoint, _ = site.Book.Endpoint(e.Num)
	return story
}
