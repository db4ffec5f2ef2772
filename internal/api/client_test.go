package api_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"grapnel/client"
	"grapnel/internal/hook"
)

// The Go client and this API understand each other.
func TestGoClient(t *testing.T) {
	t.Parallel()
	b := setup(t)
	server := httptest.NewServer(b.held)
	defer server.Close()
	c, err := client.New(client.Config{URL: server.URL, Key: adminKey})
	must(t, err)
	ctx := t.Context()
	if tenant, err := c.PutTenant(ctx, "acme", client.TenantInput{Name: client.Set("Acme")}); err != nil || tenant.Name != "Acme" || tenant.Dialect != "standard" {
		t.Errorf("%+v, %v", tenant, err)
	}
	made, err := c.CreateEndpoint(ctx, "acme", client.EndpointInput{URL: client.Set("https://example.com/"), EventTypes: client.Set([]string{"a"})})
	if err != nil || made.Secret == "" || made.State != "active" {
		t.Fatalf("%+v, %v", made, err)
	}
	if e, err := c.UpdateEndpoint(ctx, "acme", made.ID, client.EndpointInput{Description: client.Set("d")}); err != nil || e.Description != "d" || e.Secret != "" {
		t.Errorf("%+v, %v", e, err)
	}
	receipt, err := c.Publish(ctx, "acme", client.Event{ID: "mine", Type: "a", Data: json.RawMessage(`{ "n": 1 }`), Time: new(time.Now())}, client.IdempotencyKey("key"))
	if err != nil || receipt.Matched != 1 {
		t.Fatalf("%+v, %v", receipt, err)
	}
	b.attempt(receipt.ID, made.ID, hook.Attempt{N: 1, At: time.Now(), Status: 500, State: hook.Failed, Reason: "given up"})
	event, err := c.Event(ctx, "acme", receipt.ID)
	if err != nil || event.Key != "mine" || event.Tenant != "acme" || len(event.Deliveries) != 1 {
		t.Fatalf("%+v, %v", event, err)
	}
	n := 0
	for d, err := range c.Deliveries(ctx, "acme", client.DeliveryFilter{Endpoint: made.ID, State: client.Failed, Since: time.Now().Add(-time.Hour)}) {
		if err != nil || d.AttemptCount != 1 || d.Status != 500 || d.LastAt == nil || d.Reason != "given up" || !d.Terminal() {
			t.Errorf("%+v, %v", d, err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d deliveries", n)
	}
	if d, err := c.Delivery(ctx, "acme", event.Deliveries[0].ID); err != nil || len(d.Attempts) != 1 || d.Attempts[0].Status != 500 {
		t.Errorf("%+v, %v", d, err)
	}
	_, err = c.CreateEndpoint(ctx, "acme", client.EndpointInput{URL: client.Set("ftp://example.com/")})
	var problem *client.Error
	if !errors.As(err, &problem) || problem.Status != http.StatusBadRequest || len(problem.Errors) != 1 || problem.Errors[0].Pointer != "/url" {
		t.Errorf("%v", err)
	}
}
