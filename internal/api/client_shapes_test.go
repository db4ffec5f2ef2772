package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/client"
	"grapnel/internal/hook"
	"grapnel/internal/hostile"
)

// The Go client knows every field of every answer: what it reads and writes
// again is what the server sent.
func TestGoClientKnowsEveryField(t *testing.T) {
	t.Parallel()
	b := setup(t)
	server := httptest.NewServer(b.api)
	defer server.Close()
	c, err := client.New(client.Config{URL: server.URL, Key: adminKey})
	must(t, err)
	ctx := t.Context()
	_, err = c.PutTenant(ctx, "acme", client.TenantInput{Name: client.Set("Acme"), Programs: client.Set(true), Settings: client.Set(map[string]string{"region": "eu"}),
		Quota: client.Set(client.QuotaInput{EventsPerSecond: client.Set(2.5), Pending: client.Set[int64](1000)})})
	must(t, err)
	_, err = c.SetConnection(ctx, "acme", client.StoreConnectionInput{State: client.Lost, Reason: "r"})
	must(t, err)
	authority, err := hostile.NewAuthority(time.Now())
	must(t, err)
	chain, private, err := authority.Client("acme", time.Now().Add(time.Hour))
	must(t, err)
	full, err := c.PutEndpoint(ctx, "acme", "own-1", client.EndpointInput{
		URL: client.Set("https://example.com/"), EventTypes: client.Set([]string{"a", "b.*"}), Description: client.Set("d"),
		Headers: client.Set(client.Headers{{Name: "X-B", Value: "2"}, {Name: "X-A", Value: "1"}}), Filter: client.Set(json.RawMessage(`{"field":"data.n","operator":"gt","value":0}`)), Transform: client.Set(".body.more = 1"),
		Schedule: client.Set([]client.Duration{client.Duration(1500 * time.Millisecond)}), Timeout: client.Set(client.Duration(5 * time.Second)),
		RateLimit: client.Set(2.5), MaxInFlight: client.Set(3), Ordering: client.Set(client.ByKey), SkipAfter: client.Set(5), Settings: client.Set(map[string]string{"store_id": "2"}),
		Auth: client.Set(client.EndpointAuth{Type: client.AuthOAuth2, TokenURL: "https://example.com/token", ClientID: "i", ClientSecret: "s", Scope: "s", Audience: "a", ClientAuth: client.ClientAuthBody}),
		TLS:  client.Set(client.TLSInput{Certificate: client.Set(string(chain)), Key: client.Set(string(private)), CA: client.Set(string(authority.PEM()))}),
	})
	must(t, err)
	_, err = c.RotateSecret(ctx, "acme", full.ID, client.Rotation{})
	must(t, err)
	if r, err := c.RevealSecret(ctx, "acme", full.ID); err != nil || len(r.Secrets) != 2 || *r.Secrets[1].Secret != full.Secret || r.Secrets[1].ExpiresAt == nil {
		t.Errorf("%+v, %v", r, err)
	}
	_, err = c.CreateEndpoint(ctx, "acme", client.EndpointInput{URL: client.Set("https://example.com/bare"), EventTypes: client.Set([]string{"none"})})
	must(t, err)
	_, err = c.PutEventType(ctx, "a", client.EventTypeInput{Description: client.Set("d"), Sample: client.Set(json.RawMessage(`{"n":1}`)), Transform: client.Set(".")})
	must(t, err)
	key, err := c.CreateKey(ctx, client.KeyInput{Scopes: []string{client.ScopeRead}, Tenants: []string{"acme"}, ExpiresAt: new(time.Now().Add(time.Hour))})
	must(t, err)
	receipt, err := c.Publish(ctx, "acme", client.Event{ID: "mine", Type: "a", Ordering: "customer-17", Data: json.RawMessage(`{"n":1}`), Previous: json.RawMessage(`{"n":0}`), Metadata: json.RawMessage(`{"m":1}`)})
	must(t, err)
	b.attempt(receipt.ID, full.ID, hook.Attempt{
		N: 1, At: time.Now(), State: hook.Pending, Reason: "answered 500", NextAt: time.Now().Add(time.Hour), Status: 500, Class: "body_timeout", Detail: "slow", BodySize: 2,
		Method: "POST", URL: "https://example.com/", RequestHeader: []byte("webhook-id: 1\r\nX-A: 1\r\nX-A: 2\r\n"), Proto: "HTTP/1.1", ResponseHeader: []byte("Server: x\r\n"),
		ResponseBody: []byte("\xff"), Truncated: true, Omitted: 9, RemoteAddr: "192.0.2.1:443", TLSVersion: "TLS 1.3", Reused: true,
		Timing: hook.Timing{DNS: 1e6, Connect: 2e6, TLS: 3e6, Wait: 4e6, Body: 5e6, Total: 15e6},
	})
	event, err := c.Event(ctx, "acme", receipt.ID)
	must(t, err)
	replay, err := c.CreateReplay(ctx, "acme", client.ReplayFilter{
		Endpoint: full.ID, Types: []string{"a"}, States: []string{client.Failed}, Since: new(time.Now().Add(-time.Hour)), Until: new(time.Now()), Limit: 7,
	})
	must(t, err)
	_, err = c.CancelReplay(ctx, "acme", replay.ID)
	must(t, err)
	preview, err := c.PreviewReplay(ctx, "acme", client.ReplayFilter{States: []string{client.Pending}})
	if err != nil || !preview.DryRun || preview.Count != 1 || preview.Oldest == nil {
		t.Errorf("%+v, %v", preview, err)
	}
	_, err = c.UpdateEndpoint(ctx, "acme", full.ID, client.EndpointInput{State: client.Set(client.Paused)})
	must(t, err)

	link, err := c.CreatePortalLink(ctx, "acme", client.PortalLinkInput{ExpiresIn: client.Set(client.Duration(time.Minute))})
	if err != nil || link.Token == "" || link.Tenant != "acme" || time.Until(link.ExpiresAt) > time.Minute {
		t.Errorf("%+v, %v", link, err)
	}
	must(t, c.EndPortalLinks(ctx, "acme"))

	for path, shape := range map[string]any{
		"/tenants":                           new(client.Page[client.Tenant]),
		"/tenants/acme":                      new(client.Tenant),
		"/tenants/acme/endpoints?limit=1":    new(client.Page[client.Endpoint]),
		"/tenants/acme/endpoints":            new(client.Page[client.Endpoint]),
		"/tenants/acme/endpoints/" + full.ID: new(client.Endpoint),
		"/tenants/acme/events":               new(client.Page[client.EventInfo]),
		"/tenants/acme/events/mine":          new(client.PublishedEvent),
		"/tenants/acme/events/mine/endpoints/" + full.ID + "/explanation": new(client.Explanation),
		"/tenants/acme/deliveries":                                        new(client.Page[client.Delivery]),
		"/tenants/acme/deliveries/" + event.Deliveries[0].ID:              new(client.DeliveryDetail),
		"/tenants/acme/replays":                                           new(client.Page[client.Replay]),
		"/tenants/acme/replays/" + replay.ID:                              new(client.Replay),
		"/event-types":                                                    new(client.Page[client.EventType]),
		"/event-types/a":                                                  new(client.EventType),
		"/keys":                                                           new(client.Page[client.Key]),
		"/keys/" + key.ID:                                                 new(client.Key),
		"/audit":                                                          new(client.Page[client.AuditEntry]),
		"/tenants/acme/audit":                                             new(client.Page[client.AuditEntry]),
		"/problems/not_found":                                             new(client.ProblemInfo),
		"/tenants/nobody/keys":                                            new(client.Error),
	} {
		sameAgain(t, server.URL+"/v1"+path, shape)
	}
}

// sameAgain reads an answer into a shape, strictly, and holds what the shape
// writes against it.
func sameAgain(t *testing.T, url string, shape any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+adminKey)
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	var sent bytes.Buffer
	_, err = sent.ReadFrom(res.Body)
	must(t, err)
	strict := json.NewDecoder(bytes.NewReader(sent.Bytes()))
	strict.DisallowUnknownFields()
	if err := strict.Decode(shape); err != nil {
		t.Errorf("%s: %v in %s", url, err, sent.Bytes())
		return
	}
	again, err := json.Marshal(shape)
	must(t, err)
	if d := cmp.Diff(anything(t, sent.Bytes()), anything(t, again), cmp.Comparer(sameText)); d != "" {
		t.Errorf("%s: %s", url, d)
	}
}

func anything(t *testing.T, text []byte) (v any) {
	t.Helper()
	must(t, json.Unmarshal(text, &v))
	return v
}

// sameText takes two ways to write a moment for the same.
func sameText(a, b string) bool {
	at, err := time.Parse(time.RFC3339Nano, a)
	if err != nil {
		return a == b
	}
	bt, err := time.Parse(time.RFC3339Nano, b)
	return err == nil && at.Equal(bt)
}
