package api

import (
	"encoding/json"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// How many samples there are.
const (
	defaultSamples = 3
	maxSamples     = 20
)

// samples are bodies as they are delivered. They stand in an array and nothing else,
// for that is what automation platforms read (ZP-5).
type samples []jsontext.Value

func (*samples) describe(*shapes) (*schema, string) {
	return &schema{Type: kinds{"array"}, Description: "Bodies as they are delivered, newest first."}, `[{"type":"invoice.paid","timestamp":"2026-01-31T08:00:00Z","data":{"invoice":17}}]`
}

func (a *API) sampleRoutes() []routeRow {
	return []routeRow{{
		pattern: "GET " + pathTenant + "/samples", name: "listSamples", summary: "Bodies of a type as the tenant's endpoints get them",
		doc:   "Those of the newest events; if there are none, that of the type's sample; if it has none, nothing. For automation platforms, which let people map fields of them.",
		scope: hook.ScopeRead, portal: true, handle: a.listSamples, out: samples{}, params: []param{
			{"type", "the event type, by its name", formText},
			{"limit", "how many at most, from 1 to 20; 3 if it is absent", formText},
		},
	}}
}

func (a *API) listSamples(c *call) error {
	q, err := a.query(c)
	if err != nil {
		return err
	}
	eventType := q.values.Get("type")
	if err := hook.ValidType(eventType); err != nil {
		return hook.Invalid("", "type: %v", err)
	}
	limit := defaultSamples
	if q.values.Has("limit") {
		limit = q.limit
	}
	if limit > maxSamples {
		return hook.Invalid("", "limit is a number from 1 to %d here", maxSamples)
	}
	page, err := a.Reader.Events(c.r.Context(), store.EventQuery{Tenant: c.tenant.Num, Type: eventType, Limit: limit})
	if err != nil {
		return err
	}
	out, endpoint := samples{}, a.exampleEndpoint(c.tenant)
	add := func(e *hook.Event) {
		if body, err := a.Composer.Render(e, endpoint, c.tenant); err == nil && json.Valid(body) {
			out = append(out, body)
		}
	}
	for _, e := range page.Events {
		add(e)
	}
	if t, ok := a.Directory.Type(eventType); ok && len(out) == 0 && len(t.Sample) > 0 {
		add(a.exampleEvent(c.tenant, t, t.Sample))
	}
	return c.answer(http.StatusOK, out)
}

// exampleEndpoint is an endpoint as a tenant would make one.
func (a *API) exampleEndpoint(t *hook.Tenant) *hook.Endpoint {
	return &hook.Endpoint{ID: "ep_example", Tenant: t.ID, TenantNum: t.Num, URL: "https://example.com/", Dialect: a.Manager.DialectOf(t), State: hook.EndpointActive}
}

// exampleEvent is an event of a type as it would be published now.
func (a *API) exampleEvent(t *hook.Tenant, eventType *hook.EventType, data []byte) *hook.Event {
	return &hook.Event{ID: hook.EventIDFrom(0, 0), Tenant: t.Num, Type: eventType.Name, Time: eventType.UpdatedAt, Data: data, Revision: a.Directory.Revision()}
}
