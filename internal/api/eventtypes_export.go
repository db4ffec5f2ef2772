package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"

	"grapnel/internal/catalogue"
	"grapnel/internal/hook"
)

// catalogueDocument is the catalogue of event types as a document of its format.
type catalogueDocument struct{}

func (*catalogueDocument) describe(*shapes) (*schema, string) {
	return &schema{Type: kinds{"object"}, Description: "A document of the format that was asked for."}, `{"openapi":"3.1.0"}`
}

func (a *API) catalogueRoutes() []routeRow {
	format := []param{{"format", "openapi (3.1, with webhooks), asyncapi (3.0) or jsonschema (2020-12); openapi if it is absent", formText}}
	return []routeRow{
		{
			pattern: "GET /v1/catalogue", name: "exportCatalogue", summary: "The event types as an OpenAPI, AsyncAPI or JSON Schema document",
			doc:   "Bodies are those of Standard Webhooks: type, timestamp, data.",
			scope: hook.ScopeRead, portal: true, handle: a.exportCatalogue, out: catalogueDocument{}, params: format,
		},
		{
			pattern: "GET " + pathTenant + "/catalogue", name: "exportTenantCatalogue", summary: "The event types in the shape that a tenant gets them in",
			doc:   "Examples are made of the types' samples as deliveries are, under the tenant's dialect and api_version. Where these make a body that the type's schema does not describe, the document has the example alone.",
			scope: hook.ScopeRead, portal: true, handle: a.exportTenantCatalogue, out: catalogueDocument{}, params: format,
		},
	}
}

func (a *API) exportCatalogue(c *call) error {
	var bodies []catalogue.Body
	for _, t := range a.Directory.Types() {
		b := bodyOf(t)
		b.Envelope = true
		if len(t.Sample) > 0 {
			b.Example, _ = json.Marshal(map[string]any{"type": t.Name, "timestamp": t.UpdatedAt.UTC(), "data": json.RawMessage(t.Sample)})
		}
		bodies = append(bodies, b)
	}
	return a.answerCatalogue(c, "Webhooks", bodies)
}

func (a *API) exportTenantCatalogue(c *call) error {
	var bodies []catalogue.Body
	for _, t := range a.Directory.Types() {
		bodies = append(bodies, a.tenantBody(c.tenant, t))
	}
	title := "Webhooks of " + c.tenant.ID
	if c.tenant.Name != "" {
		title = "Webhooks of " + c.tenant.Name
	}
	return a.answerCatalogue(c, title, bodies)
}

func bodyOf(t *hook.EventType) catalogue.Body {
	return catalogue.Body{Type: catalogue.Type{Name: t.Name, Description: t.Description, Group: t.Group, Deprecated: t.Deprecated, Schema: t.Schema, Sample: t.Sample}}
}

func (a *API) answerCatalogue(c *call, title string, bodies []catalogue.Body) error {
	q, err := a.query(c)
	if err != nil {
		return err
	}
	format := catalogue.OpenAPI
	if q.values.Has("format") {
		format = catalogue.Format(q.values.Get("format"))
	}
	if !slices.Contains(catalogue.Formats, format) {
		return hook.Invalid("", "format is openapi, asyncapi or jsonschema")
	}
	doc, err := catalogue.Write(format, catalogue.About{Title: title, Description: "What is sent to your endpoints.", Version: "1"}, bodies)
	if err != nil {
		return err
	}
	if c.reads() {
		return c.read(doc, tagOf(doc))
	}
	c.Header().Set("Content-Type", "application/json")
	c.WriteHeader(http.StatusOK)
	c.Write(doc)
	return nil
}

// tenantBody is what an endpoint of a tenant, of the tenant's own dialect, gets of a type.
func (a *API) tenantBody(t *hook.Tenant, eventType *hook.EventType) catalogue.Body {
	b := bodyOf(eventType)
	data := eventType.Sample
	if len(data) == 0 {
		data = []byte("{}")
	}
	body, err := a.Composer.Render(a.exampleEvent(t, eventType, data), a.exampleEndpoint(t), t)
	if err != nil || !json.Valid(body) { // a contract that has no such event, or no JSON
		b.Schema, b.Sample = nil, nil
		return b
	}
	if len(eventType.Sample) > 0 {
		b.Example = body
	}
	var whole map[string]json.RawMessage
	inner := body
	if json.Unmarshal(body, &whole) == nil && len(whole) == 3 && whole["type"] != nil && whole["timestamp"] != nil && whole["data"] != nil {
		inner, b.Envelope = whole["data"], true
	}
	if !sameJSON(inner, data) { // another shape than that of the schema
		b.Schema, b.Envelope = nil, false
	}
	return b
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
