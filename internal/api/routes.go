package api

import (
	"grapnel/internal/hook"
)

// routeRow is one route and what it takes to use it.
type routeRow struct {
	pattern   string
	scope     hook.Scope
	handle    func(*call) error
	creates   bool // the tenant in the path need not exist
	open      bool // needs no key
	publishes bool // its bodies share a budget until they are stored
}

// routes is the whole API.
func (a *API) routes() []routeRow {
	const (
		tenant     = "/v1/tenants/{tenant}"
		endpoint   = tenant + "/endpoints/{endpoint}"
		delivery   = tenant + "/deliveries/{delivery}"
		eventTypes = "/v1/event-types"
	)
	return []routeRow{
		{pattern: "POST " + tenant + "/events", scope: hook.ScopePublish, handle: a.publish, publishes: true},
		{pattern: "POST /v1/events", scope: hook.ScopePublish, handle: a.publishBatch, publishes: true},

		{pattern: "GET /v1/tenants", scope: hook.ScopeRead, handle: a.listTenants},
		{pattern: "PUT " + tenant, scope: hook.ScopeAdmin, handle: a.putTenant, creates: true},
		{pattern: "GET " + tenant, scope: hook.ScopeRead, handle: a.getTenant},
		{pattern: "DELETE " + tenant, scope: hook.ScopeAdmin, handle: a.deleteTenant},

		{pattern: "GET " + tenant + "/endpoints", scope: hook.ScopeRead, handle: a.listEndpoints},
		{pattern: "POST " + tenant + "/endpoints", scope: hook.ScopeManage, handle: a.createEndpoint},
		{pattern: "GET " + endpoint, scope: hook.ScopeRead, handle: a.getEndpoint},
		{pattern: "PATCH " + endpoint, scope: hook.ScopeManage, handle: a.patchEndpoint},
		{pattern: "DELETE " + endpoint, scope: hook.ScopeManage, handle: a.deleteEndpoint},
		{pattern: "POST " + endpoint + "/test", scope: hook.ScopeManage, handle: a.testEndpoint, publishes: true},
		{pattern: "POST " + endpoint + "/secret/rotate", scope: hook.ScopeManage, handle: a.rotateSecret},

		{pattern: "GET " + tenant + "/events", scope: hook.ScopeRead, handle: a.listEvents},
		{pattern: "GET " + tenant + "/events/{event}", scope: hook.ScopeRead, handle: a.getEvent},

		{pattern: "GET " + tenant + "/deliveries", scope: hook.ScopeRead, handle: a.listDeliveries},
		{pattern: "GET " + delivery, scope: hook.ScopeRead, handle: a.getDelivery},
		{pattern: "POST " + delivery + "/redeliver", scope: hook.ScopeManage, handle: a.redeliver},

		{pattern: "GET " + eventTypes, scope: hook.ScopeRead, handle: a.listEventTypes},
		{pattern: "PUT " + eventTypes + "/{type}", scope: hook.ScopeAdmin, handle: a.putEventType},
		{pattern: "GET " + eventTypes + "/{type}", scope: hook.ScopeRead, handle: a.getEventType},
		{pattern: "DELETE " + eventTypes + "/{type}", scope: hook.ScopeAdmin, handle: a.deleteEventType},

		{pattern: "GET /v1/keys", scope: hook.ScopeAdmin, handle: a.listKeys},
		{pattern: "POST /v1/keys", scope: hook.ScopeAdmin, handle: a.createKey},
		{pattern: "GET /v1/keys/{key}", scope: hook.ScopeAdmin, handle: a.getKey},
		{pattern: "DELETE /v1/keys/{key}", scope: hook.ScopeAdmin, handle: a.revokeKey},

		{pattern: "GET /v1/problems/{code}", handle: a.explainProblem, open: true},
	}
}
