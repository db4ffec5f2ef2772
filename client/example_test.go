package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"grapnel/client"
)

// canned is a server that gives the answers of these examples, by method and
// path.
func canned(answers map[string]string) (*client.Client, func()) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := answers[r.Method+" "+r.URL.Path]
		switch {
		case !ok:
			w.WriteHeader(http.StatusNotFound)
			body = `{"type":"/v1/problems/not_found","title":"Not found","detail":"there is no such thing"}`
		case r.Header.Get("If-Match") == `"old"`:
			w.WriteHeader(http.StatusPreconditionFailed)
			body = `{"type":"/v1/problems/precondition_failed","title":"Changed meanwhile"}`
		default:
			w.Header().Set("ETag", `"new"`)
		}
		io.WriteString(w, body) // a test reads it to its end
	}))
	c, err := client.New(client.Config{URL: srv.URL, Key: "gk_example"})
	if err != nil {
		log.Fatal(err)
	}
	return c, srv.Close
}

// Publish an event with an id of your own: however often it is sent, it is
// taken in once.
func Example() {
	c, done := canned(map[string]string{"POST /v1/tenants/acme/events": `{"id":"0198c3f1-f2a4-7d3a-8b1c-0e5d4f6a7b8c","matched":2}`})
	defer done()
	receipt, err := c.Publish(context.Background(), "acme", client.Event{ID: "invoice-17-paid", Type: "invoice.paid", Data: json.RawMessage(`{"invoice":17}`)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s goes to %d endpoints\n", receipt.ID, receipt.Matched)
	// Output: 0198c3f1-f2a4-7d3a-8b1c-0e5d4f6a7b8c goes to 2 endpoints
}

// Look through what did not arrive. Pages are asked for as they are needed.
func ExampleClient_Deliveries() {
	c, done := canned(map[string]string{"GET /v1/tenants/acme/deliveries": `{"data":[{"id":"dlv_1","endpoint":"billing","state":"failed","status":503,"attempt_count":10}]}`})
	defer done()
	for d, err := range c.Deliveries(context.Background(), "acme", client.DeliveryFilter{State: client.Failed, Since: time.Now().Add(-2 * time.Hour)}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(d.ID, d.Endpoint, d.Status, d.AttemptCount)
	}
	// Output: dlv_1 billing 503 10
}

// Make an endpoint under an id of your own, if there is none yet.
func ExampleClient_PutEndpoint() {
	c, done := canned(map[string]string{"PUT /v1/tenants/acme/endpoints/billing": `{"id":"billing","url":"https://example.com/hooks","secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}`})
	defer done()
	e, err := c.PutEndpoint(context.Background(), "acme", "billing", client.EndpointInput{
		URL:        client.Set("https://example.com/hooks"),
		EventTypes: client.Set([]string{"invoice.*"}),
	}, client.IfAbsent())
	switch {
	case client.CodeOf(err) == client.CodePrecondition:
		fmt.Println("there is one already")
	case err != nil:
		log.Fatal(err)
	default:
		fmt.Println("keep this, it is not told again:", e.Secret)
	}
	// Output: keep this, it is not told again: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
}

// Change an endpoint only if nobody else has changed it since it was read. A
// field that is not set stays as it is; Null sets one back to its default.
func ExampleIfMatch() {
	c, done := canned(map[string]string{
		"GET /v1/tenants/acme/endpoints/billing":   `{"id":"billing","rate_limit":5}`,
		"PATCH /v1/tenants/acme/endpoints/billing": `{"id":"billing","rate_limit":null}`,
	})
	defer done()
	ctx := context.Background()
	e, err := c.Endpoint(ctx, "acme", "billing")
	if err != nil {
		log.Fatal(err)
	}
	change := client.EndpointInput{RateLimit: client.Null[float64]()}
	_, err = c.UpdateEndpoint(ctx, "acme", "billing", change, client.IfMatch(`"old"`))
	fmt.Println(client.CodeOf(err))
	e, err = c.UpdateEndpoint(ctx, "acme", "billing", change, client.IfMatch(e.Meta.ETag))
	fmt.Println(e.RateLimit, err)
	// Output:
	// precondition_failed
	// <nil> <nil>
}

// After an outage of a receiver, send again what it missed.
func ExampleClient_CreateReplay() {
	c, done := canned(map[string]string{
		"POST /v1/tenants/acme/replays":      `{"id":"rpl_1","state":"running","dry_run":true,"count":270,"exact":true}`,
		"GET /v1/tenants/acme/replays/rpl_1": `{"id":"rpl_1","state":"done","total":270,"redelivered":270}`,
	})
	defer done()
	ctx := context.Background()
	missed := client.ReplayFilter{Endpoint: "billing", Since: new(time.Now().Add(-2 * time.Hour))}
	preview, err := c.PreviewReplay(ctx, "acme", missed)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("this will be", preview.Count, "deliveries")
	r, err := c.CreateReplay(ctx, "acme", missed)
	for err == nil && !r.Over() { // wait a moment each time, in a real program
		r, err = c.Replay(ctx, "acme", r.ID)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.State, r.Redelivered)
	// Output:
	// this will be 270 deliveries
	// done 270
}
