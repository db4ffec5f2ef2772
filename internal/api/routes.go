package api

import (
	"net/url"
	"slices"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// routeRow is one route: what it takes to use it, and all that the OpenAPI
// document says of it. A query parameter that is not in its row is refused.
type routeRow struct {
	pattern string
	name    string // the operation's name, in camelCase; clients are generated with it
	summary string // one line
	doc     string // more, where one line is not enough
	scope   hook.Scope
	handle  func(*call) error

	params   []param     // of the query; a list has cursor and limit besides
	in       any         // the zero value of the body's shape; nil: no body
	needs    []string    // members of the body that must be there, beside those that its shape requires
	out      any         // the zero value of the answer's shape; nil: no body
	status   int         // of success; 0: 200
	also     map[int]any // other successes, with the zero value of their shape
	forms    []string    // other media types that the answer can have
	problems []hook.Code // those that do not follow from the rest of the row

	creates   bool // the tenant in the path need not exist
	open      bool // needs no key
	portal    bool // a portal link of the tenant does, too
	publishes bool // its bodies share a budget until they are stored
	settled   bool // done again it changes nothing, so that its answers are not remembered for an Idempotency-Key
}

// param is a parameter of a query.
type param struct {
	name string
	doc  string
	form form
}

// form is what a parameter's text has to look like.
type form string

// The forms.
const (
	formText     form = "text"
	formTime     form = "time" // RFC 3339
	formBool     form = "bool"
	formCount    form = "count"          // a whole number, 1 or more
	formNames    form = "names"          // several, separated by commas
	formDelivery form = "delivery state" // one or several, separated by commas
	formEndpoint form = "endpoint state"
)

// stream is the out of a route that answers with server-sent events. T is a
// struct with a member for each event, whose type is that of the data, as JSON;
// message is the event without a name.
type stream[T any] struct{}

// archive is the out of a route that answers with a tar file.
type archive struct{}

// listed is an answer that is a page of a list.
type listed interface{ listed() }

func (list[T]) listed() {}

// lists reports whether a route answers with pages.
func (r *routeRow) lists() bool {
	_, ok := r.out.(listed)
	return ok
}

// known are the names of a route's query parameters.
func (r *routeRow) known() []string {
	out := make([]string, 0, len(r.params)+2)
	for _, p := range r.params {
		out = append(out, p.name)
	}
	if r.lists() {
		out = append(out, "cursor", "limit")
	}
	return out
}

// checkQuery refuses parameters that are not in the row, and what cannot be told
// what it means, so that a typing error does not ask for something else: a
// parameter of one value that is there twice, or one of two values with neither.
func (r *routeRow) checkQuery(asked *url.URL) error {
	if asked.RawQuery == "" || r.open {
		return nil
	}
	values, err := url.ParseQuery(asked.RawQuery)
	if err != nil {
		return hook.Invalid("", "the query cannot be read")
	}
	known := r.known()
	for name := range values {
		switch {
		case slices.Contains(known, name):
		case len(known) == 0:
			return hook.Invalid("", "the parameter %q is not known here: this address takes none", hook.Clip(name))
		default:
			return hook.Invalid("", "the parameter %q is not known here: %s", hook.Clip(name), suggest(name, known))
		}
		if err := r.checkValues(name, values[name]); err != nil {
			return err
		}
	}
	return nil
}

func (r *routeRow) checkValues(name string, values []string) error {
	form := formText
	for i := range r.params {
		if r.params[i].name == name {
			form = r.params[i].form
		}
	}
	if len(values) > 1 && form != formNames && form != formDelivery {
		return hook.Invalid("", "the parameter %s is there %d times: give it once", name, len(values))
	}
	if form != formBool {
		return nil
	}
	_, err := parseBool(name, values[0])
	return err
}

// parseBool reads a parameter of two values.
func parseBool(name, text string) (bool, error) {
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, hook.Invalid("", "%s is true or false, not %q", name, hook.Clip(text))
}

// flag is a parameter of two values; absent: false.
func (c *call) flag(name string) (bool, error) {
	values := c.r.URL.Query()
	if !values.Has(name) {
		return false, nil
	}
	return parseBool(name, values.Get(name))
}

const (
	pathTenant    = "/v1/tenants/{tenant}"
	pathEndpoint  = pathTenant + "/endpoints/{endpoint}"
	pathEvent     = pathTenant + "/events/{event}"
	pathDelivery  = pathTenant + "/deliveries/{delivery}"
	pathEventType = "/v1/event-types/{type}"
)

// routes is the whole API.
func (a *API) routes() []routeRow {
	return slices.Concat(a.publishRoutes(), a.tenantRoutes(), a.endpointRoutes(), a.logRoutes(), a.replayRoutes(), a.liveDeliveriesRoutes(), a.liveRequestsRoutes(), a.auditRoutes(), a.linkRoutes(), a.purgeRoutes(), a.eventTypeRoutes(), a.catalogueRoutes(), a.sampleRoutes(), a.keyRoutes(), a.importRoutes(), a.storeRoutes(), a.serverRoutes())
}

func (a *API) publishRoutes() []routeRow {
	return []routeRow{
		{
			pattern: "POST " + pathTenant + "/events", name: "publishEvent", summary: "Publish an event",
			doc:   "Accepts one event. A 202 means that the event and the endpoints it goes to are on stable storage.",
			scope: hook.ScopePublish, handle: a.publish, publishes: true,
			in: eventInput{}, out: acceptedShape{}, status: 202, problems: []hook.Code{hook.CodeUnfit},
		},
		{
			pattern: "POST /v1/events", name: "publishEvents", summary: "Publish up to 1,000 events of one or several tenants",
			doc:   "Takes a JSON array, or one event a line (NDJSON). Each event has a result of its own, in order: those that failed have a problem in place of an id, and the others stand.",
			scope: hook.ScopePublish, handle: a.publishBatch, publishes: true,
			in: []eventInput{}, out: acceptedBatch{}, status: 202,
		},
	}
}

func (a *API) tenantRoutes() []routeRow {
	return []routeRow{
		{
			pattern: "GET /v1/tenants", name: "listTenants", summary: "List the tenants that the key covers",
			scope: hook.ScopeRead, handle: a.listTenants, out: list[tenantShape]{},
		},
		{
			pattern: "PUT " + pathTenant, name: "putTenant", summary: "Create or change a tenant",
			doc:   "An absent field stays as it is, null sets it back to its default.",
			scope: hook.ScopeAdmin, handle: a.putTenant, creates: true, in: tenantInput{}, out: tenantShape{}, also: map[int]any{201: tenantShape{}},
			params: []param{dryParam}, problems: []hook.Code{manage.CodeUnsuitable},
		},
		{
			pattern: "GET " + pathTenant, name: "getTenant", summary: "Show a tenant",
			scope: hook.ScopeRead, handle: a.getTenant, out: tenantShape{},
		},
		{
			pattern: "DELETE " + pathTenant, name: "deleteTenant", summary: "Delete a tenant with its endpoints",
			scope: hook.ScopeAdmin, handle: a.deleteTenant, status: 204,
			params: []param{dryParam}, also: map[int]any{200: wouldGo{}},
		},
		{
			pattern: "POST " + pathTenant + "/connection", name: "setConnection", summary: "Say that the connection with a tenant's store is lost, or restored",
			doc:   "For contracts that tell their endpoints of it, as api2cart does. Told of a loss, the tenant's active endpoints get a notification at once, and again after 1, 2, 4 and 8 hours; after the fifth they are disabled, unless the connection was restored before. While that goes on, another loss only changes what is told from then on. Restoring activates no endpoint.",
			scope: hook.ScopeManage, handle: a.setConnection, in: storeConnectionInput{}, out: storeConnection{},
		},
	}
}

func (a *API) endpointRoutes() []routeRow {
	return []routeRow{
		{
			pattern: "GET " + pathTenant + "/endpoints", name: "listEndpoints", summary: "List a tenant's endpoints",
			scope: hook.ScopeRead, portal: true, handle: a.listEndpoints, out: list[endpointShape]{},
			params: []param{
				{"url", "only endpoints with exactly this URL", formText},
				{"state", "only endpoints in this state", formEndpoint},
			},
		},
		{
			pattern: "POST " + pathTenant + "/endpoints", name: "createEndpoint", summary: "Create an endpoint",
			doc:   "The answer holds the endpoint's secret, which is told again only where it is revealed.",
			scope: hook.ScopeManage, portal: true, handle: a.createEndpoint, in: endpointInput{}, needs: []string{"url"}, out: createdEndpoint{}, status: 201,
			problems: []hook.Code{hook.CodeConflict, manage.CodeUnsuitable},
		},
		{
			pattern: "GET " + pathEndpoint, name: "getEndpoint", summary: "Show an endpoint",
			scope: hook.ScopeRead, portal: true, handle: a.getEndpoint, out: endpointShape{},
		},
		{
			pattern: "PUT " + pathEndpoint, name: "putEndpoint", summary: "Create an endpoint under an id of your own, or change one",
			doc:   "An absent field stays as it is, null sets it back to its default. The same input can be put again and again, and what was read can be put back. An id of your own has 1 to 64 of A-Z a-z 0-9 _ . : - and does not begin with ep_. Where the endpoint is created, the answer holds its secret, which is told again only where it is revealed.",
			scope: hook.ScopeManage, handle: a.putEndpoint, in: endpointPut{}, out: endpointShape{}, also: map[int]any{201: createdEndpoint{}},
			params:   []param{dryParam},
			problems: []hook.Code{hook.CodeConflict, manage.CodeUnsuitable},
		},
		{
			pattern: "PATCH " + pathEndpoint, name: "updateEndpoint", summary: "Change, pause or resume an endpoint",
			doc:   `An absent field stays as it is, null sets it back to its default. {"state":"paused"} holds its deliveries, {"state":"active"} lets them go on.`,
			scope: hook.ScopeManage, portal: true, handle: a.patchEndpoint, in: endpointInput{}, out: endpointShape{},
			params:   []param{dryParam},
			problems: []hook.Code{hook.CodeConflict, manage.CodeUnsuitable},
		},
		{
			pattern: "DELETE " + pathEndpoint, name: "deleteEndpoint", summary: "Delete an endpoint",
			doc:   "What still waits for it ends as cancelled. Deleting it again is no error.",
			scope: hook.ScopeManage, portal: true, handle: a.deleteEndpoint, status: 204,
			params: []param{dryParam}, also: map[int]any{200: wouldGo{}},
		},
		{
			pattern: "POST " + pathEndpoint + "/resume", name: "resumeEndpoint", summary: "Resume an endpoint, and choose what becomes of what is held",
			doc:   `Without a choice all that is held is sent, as PATCH {"state":"active"} has it. What is to be discarded ends as cancelled before the endpoint becomes active, so that nothing of it is sent. One request discards for a few seconds: 202 says that there is more, and that the endpoint is still inactive; send the request again. dry_run counts what would be sent and discarded.`,
			scope: hook.ScopeManage, portal: true, handle: a.resumeEndpoint, in: resumeInput{}, out: resumeAnswer{}, also: map[int]any{202: resumeAnswer{}},
			params:   []param{dryParam},
			problems: []hook.Code{hook.CodeConflict},
		},
		{
			pattern: "POST " + pathEndpoint + "/preview", name: "previewRequest", summary: "Show the request that an endpoint would get of an event",
			doc:   "Nothing is sent or stored. With transform, filter or event_types it shows what these would do before they are set.",
			scope: hook.ScopeManage, portal: true, handle: a.previewRequest, in: previewInput{}, out: preview{}, settled: true,
		},
		{
			pattern: "POST " + pathEndpoint + "/test", name: "testEndpoint", summary: "Send a test event to one endpoint alone",
			doc:   "The event takes the same way as any other, whatever the endpoint subscribes to.",
			scope: hook.ScopeManage, portal: true, handle: a.testEndpoint, publishes: true, in: testInput{}, out: testAnswer{}, status: 202,
		},
		{
			pattern: "POST " + pathEndpoint + "/secret/rotate", name: "rotateSecret", summary: "Give an endpoint a new secret",
			doc:   "Until the overlap ends, requests are signed with both. The answer holds the new secret, which is told again only where it is revealed.",
			scope: hook.ScopeManage, portal: true, handle: a.rotateSecret, in: rotateInput{}, out: createdEndpoint{},
			problems: []hook.Code{hook.CodeConflict, manage.CodeUnsuitable},
		},
		{
			pattern: "POST " + pathEndpoint + "/secret/reveal", name: "revealSecret", summary: "Show the secrets that an endpoint's requests are signed with",
			doc:   "Those that sign now. Each time, the audit log notes who asked. Of private keys the public ones are shown, which is what receivers need.",
			scope: hook.ScopeManage, portal: true, handle: a.revealSecret, out: revealedSecrets{}, settled: true,
			problems: []hook.Code{manage.CodeUnsuitable},
		},
	}
}

func (a *API) logRoutes() []routeRow {
	window := []param{
		{"since", "nothing older than this time", formTime},
		{"until", "nothing from this time on", formTime},
	}
	eventType := param{"type", "only this event type", formText}
	return []routeRow{
		{
			pattern: "GET " + pathTenant + "/events", name: "listEvents", summary: "List a tenant's events, newest first",
			scope: hook.ScopeRead, portal: true, handle: a.listEvents, out: list[eventShape]{}, params: slices.Concat([]param{eventType}, window),
		},
		{
			pattern: "GET " + pathEvent, name: "getEvent", summary: "Show an event with its deliveries",
			doc:   "An event is found by its id or by the publisher's own.",
			scope: hook.ScopeRead, portal: true, handle: a.getEvent, out: eventDetail{},
		},
		{
			pattern: "GET " + pathEvent + "/endpoints/{endpoint}/explanation", name: "explainEvent", summary: "Explain why an event reached an endpoint, or why not",
			doc:   "One situation with a name for programs, a sentence with the cause, and what to do about it. Of an event that is on its way, the server that is asked knows best if it is the one that sends to the endpoint.",
			scope: hook.ScopeRead, portal: true, handle: a.explainEvent, out: explanation{},
		},
		{
			pattern: "GET " + pathTenant + "/rejected-events", name: "listRejectedEvents", summary: "List events that were published in the database and rejected, latest first",
			doc:   "What applications publish with grapnel.publish is checked in full once their transaction is committed. What turns out not to be an event is kept here as it was, for the retention. Where the store is a data folder, there are none.",
			scope: hook.ScopeRead, handle: a.listRejected, out: list[rejectedShape]{},
			params: []param{{"id", "only those with this id, as grapnel.publish returned it", formText}},
		},
		{
			pattern: "GET " + pathTenant + "/deliveries", name: "listDeliveries", summary: "List a tenant's deliveries, newest first",
			scope: hook.ScopeRead, portal: true, handle: a.listDeliveries, out: list[deliveryShape]{},
			params: slices.Concat([]param{
				{"endpoint", "only those to this endpoint", formText},
				{"event", "only those of the event with this id", formText},
				eventType,
				{"state", "only those in one of these states", formDelivery},
			}, window),
		},
		{
			pattern: "GET " + pathDelivery, name: "getDelivery", summary: "Show a delivery with every attempt",
			scope: hook.ScopeRead, portal: true, handle: a.getDelivery, out: deliveryDetail{},
		},
		{
			pattern: "POST " + pathDelivery + "/redeliver", name: "redeliver", summary: "Send an event to an endpoint again",
			doc:   "Whatever became of the delivery, it is pending again, and its schedule begins anew.",
			scope: hook.ScopeManage, portal: true, handle: a.redeliver, in: struct{}{}, out: deliveryShape{}, status: 202,
			problems: []hook.Code{hook.CodeConflict},
		},
	}
}

func (a *API) eventTypeRoutes() []routeRow {
	return []routeRow{
		{
			pattern: "GET /v1/event-types", name: "listEventTypes", summary: "List the event types",
			scope: hook.ScopeRead, portal: true, handle: a.listEventTypes, out: list[eventTypeShape]{},
			params: []param{{"group", "only those of this group", formText}, {"deprecated", "only those that are deprecated, or that are not", formBool}},
		},
		{
			pattern: "PUT " + pathEventType, name: "putEventType", summary: "Create or change an event type",
			doc:   "An absent field stays as it is, null sets it back to its default.",
			scope: hook.ScopeAdmin, handle: a.putEventType, in: eventTypeInput{}, out: eventTypeShape{}, also: map[int]any{201: eventTypeShape{}},
			params: []param{dryParam}, problems: []hook.Code{hook.CodeUnfit},
		},
		{
			pattern: "GET " + pathEventType, name: "getEventType", summary: "Show an event type",
			scope: hook.ScopeRead, portal: true, handle: a.getEventType, out: eventTypeShape{},
		},
		{
			pattern: "DELETE " + pathEventType, name: "deleteEventType", summary: "Delete an event type",
			scope: hook.ScopeAdmin, handle: a.deleteEventType, status: 204,
			params: []param{dryParam}, also: map[int]any{200: wouldGo{}},
		},
	}
}

func (a *API) keyRoutes() []routeRow {
	return []routeRow{
		{
			pattern: "GET /v1/keys", name: "listKeys", summary: "List the keys, without the keys themselves",
			scope: hook.ScopeAdmin, handle: a.listKeys, out: list[keyShape]{},
		},
		{
			pattern: "POST /v1/keys", name: "createKey", summary: "Create a key, or take over an existing one",
			doc:   "The answer holds the key, which is not told again.",
			scope: hook.ScopeAdmin, handle: a.createKey, in: keyInput{}, out: createdKey{}, status: 201,
			problems: []hook.Code{hook.CodeConflict},
		},
		{
			pattern: "GET /v1/keys/{key}", name: "getKey", summary: "Show what a key may do",
			scope: hook.ScopeAdmin, handle: a.getKey, out: keyShape{},
		},
		{
			pattern: "DELETE /v1/keys/{key}", name: "revokeKey", summary: "Revoke a key",
			scope: hook.ScopeAdmin, handle: a.revokeKey, status: 204,
			params: []param{dryParam}, also: map[int]any{200: wouldGo{}},
			problems: []hook.Code{hook.CodeConflict},
		},
	}
}

// serverRoutes tell of the server itself.
func (a *API) serverRoutes() []routeRow {
	return []routeRow{
		{
			pattern: "GET /v1/openapi.json", name: "getDocument", summary: "The OpenAPI document of this API",
			handle: a.serveDocument, open: true, out: apiDocument{},
		},
		{
			pattern: "GET /v1/problems/{code}", name: "explainProblem", summary: "Explain what the type of a problem means",
			doc:    "JSON, or a page or text for those who ask for text/html or text/plain.",
			handle: a.explainProblem, open: true, out: problemMeaning{}, forms: []string{"text/html", "text/plain"},
		},
	}
}
