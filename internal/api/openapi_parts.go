package api

import (
	"net/http"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/manage"
)

// sections are the sections of the document, in order.
func sections() []section {
	return []section{
		{"Events", "What was published, and publishing."},
		{"Deliveries", "What became of an event, endpoint by endpoint."},
		{"Replays", "Sending many deliveries again."},
		{"Tenants", "The customers whose endpoints get the events."},
		{"Endpoints", "Where deliveries go."},
		{"Event types", "The names of events, described for those who subscribe."},
		{"Keys", "Who may use this API."},
		{"Server", "The server itself."},
		{"Operational events", "What the server tells a tenant of its own accord."},
	}
}

// sectionOf is the section that a path belongs to: that of the last thing in it
// that has one.
func sectionOf(path string) string {
	of := map[string]string{
		"events": "Events", "requests": "Events", "deliveries": "Deliveries", "replays": "Replays", "tenants": "Tenants", "endpoints": "Endpoints",
		"event-types": "Event types", "catalogue": "Event types", "keys": "Keys",
	}
	out := "Server"
	for part := range strings.SplitSeq(path, "/") {
		if section, ok := of[part]; ok {
			out = section
		}
	}
	return out
}

// streamed is an answer that goes on.
type streamed interface{ events() any }

func (stream[T]) events() any { return *new(T) }

// success is the status of an answer when all is well.
func (r *routeRow) success() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}

// inJSON reports whether a route answers with a JSON value, if with anything.
func (r *routeRow) inJSON() bool {
	switch r.out.(type) {
	case streamed, archive:
		return false
	}
	return true
}

// hasETag reports whether a route's answers can be asked for again.
func (r *routeRow) hasETag(method string) bool { return method == http.MethodGet && r.inJSON() }

// conditional reports whether a route heeds If-Match.
func (r *routeRow) conditional(method string) bool {
	return method == http.MethodPut || method == http.MethodPatch || method == http.MethodDelete
}

// repeatable reports whether a route heeds an Idempotency-Key.
func (r *routeRow) repeatable(method string) bool {
	return method == http.MethodPost && r.inJSON() && !r.settled
}

// requestHeaders names the headers that a route heeds.
func (r *routeRow) requestHeaders(method string) []string {
	var out []string
	if r.repeatable(method) {
		out = append(out, "Idempotency-Key")
	}
	if r.publishes {
		out = append(out, "X-Suppress-Hooks")
	}
	if r.conditional(method) || r.hasETag(method) {
		out = append(out, "If-Match")
	}
	if method == http.MethodPut || r.hasETag(method) {
		out = append(out, "If-None-Match")
	}
	if _, ok := r.out.(streamed); ok {
		out = append(out, "Last-Event-ID")
	}
	return out
}

// answerHeaders names the headers of a route's success.
func (r *routeRow) answerHeaders(method string, status int) []string {
	out := []string{"Request-Id"}
	if r.hasETag(method) || status < http.StatusAccepted && method != http.MethodDelete && r.inJSON() {
		out = append(out, "ETag")
	}
	if r.lists() {
		out = append(out, "Link")
	}
	if r.repeatable(method) {
		out = append(out, "Idempotency-Replayed")
	}
	if status == http.StatusCreated || status == http.StatusAccepted && !r.publishes {
		out = append(out, "Location")
	}
	for _, p := range r.params {
		if p.name == "dry_run" && status == http.StatusOK {
			out = append(out, "Dry-Run")
		}
	}
	if !r.open {
		out = append(out, "RateLimit", "RateLimit-Policy")
	}
	return out
}

// problemHeaders names the headers of a problem.
func problemHeaders(status int) []string {
	out := []string{"Request-Id"}
	switch status {
	case http.StatusUnauthorized:
		return append(out, "WWW-Authenticate")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusConflict:
		out = append(out, "Retry-After")
	case http.StatusUnprocessableEntity: // that an event's own id is taken is remembered with the request, too
		out = append(out, "Idempotency-Replayed")
	}
	return append(out, "RateLimit", "RateLimit-Policy")
}

func text() *schema { return &schema{Type: kinds{"string"}} }

func number(least, most float64) *schema {
	s := &schema{Type: kinds{"integer"}, Minimum: &least}
	if most != 0 {
		s.Maximum = &most
	}
	return s
}

// answerHeaders describes the headers of all answers.
func answerHeaders() members[*parameter] {
	var out members[*parameter]
	add := func(name, doc string, of *schema) { out.add(name, &parameter{Description: doc, Schema: of}) }
	add("Request-Id", "Names the request; the server's log has it too.", text())
	add("ETag", "Changes whenever the answer does. If-None-Match and If-Match take it.", text())
	add("Link", "The next page and the one before (rel next and prev), where there are any.", text())
	add("Location", "The address of what was created.", text())
	add("Idempotency-Replayed", "`true`: this is the answer that the request got the first time.", &schema{Type: kinds{"string"}, Const: "true"})
	add("Dry-Run", "`true`: nothing was stored.", &schema{Type: kinds{"string"}, Const: "true"})
	add("Retry-After", "After how many seconds to send the request again.", number(0, 0))
	add("RateLimit", "What is left of the key's requests, where they are limited.", text())
	add("RateLimit-Policy", "How many requests the key may make, where they are limited.", text())
	add("WWW-Authenticate", "How to authenticate.", text())
	return out
}

func headerRefs(names ...string) members[*parameter] {
	var out members[*parameter]
	for _, name := range names {
		out.add(name, &parameter{Ref: "#/components/headers/" + name})
	}
	return out
}

// pathParameter describes a part of a path.
func pathParameter(name string) *parameter {
	out := &parameter{Name: name, In: "path", Required: true, Schema: text()}
	parts := map[string][2]string{
		"tenant":   {"The tenant's id, chosen by you: 1 to 128 of A-Z a-z 0-9 _ . : -", "acme"},
		"endpoint": {"The endpoint's id.", "ep_01JB2X3Y4Z"},
		"event":    {"The event's id, or the publisher's own.", "0198c3f1-f2a4-7d3a-8b1c-0e5d4f6a7b8c"},
		"delivery": {"The delivery's id.", "dlv_0198c3f1f2a47d3a8b1c0e5d4f6a7b8c_1"},
		"replay":   {"The replay's id.", "rpl_01JB2X3Y4Z"},
		"type":     {"The event type: 1 to 128 of A-Z a-z 0-9 _ . -", "invoice.paid"},
		"key":      {"The key's id, not the key itself.", "key_01JB2X3Y4Z"},
		"code":     {"The last part of a problem's type.", "not_found"},
	}
	out.Description, out.Example = parts[name][0], quoted(parts[name][1])
	return out
}

func quoted(s string) jsontext.Value {
	b, err := jsontext.AppendQuote(nil, s)
	if err != nil { // our own texts are valid
		return nil
	}
	return b
}

// queryParameter describes a parameter of a row.
func queryParameter(p param) *parameter {
	out := &parameter{Name: p.name, In: "query", Description: sentence(p.doc), Schema: text()}
	several := func(of *schema) {
		out.Schema, out.Style, out.Explode = &schema{Type: kinds{"array"}, Items: of}, "form", new(bool)
	}
	switch p.form {
	case formTime:
		out.Schema.Format, out.Example = "date-time", quoted("2026-01-31T08:00:00Z")
	case formBool:
		out.Schema = &schema{Type: kinds{"boolean"}}
	case formCount:
		out.Schema = number(1, 0)
	case formNames:
		several(text())
	case formDelivery:
		states := text()
		states.oneOf([]string{"pending", "held", "delivered", "failed", "cancelled"})
		several(states)
	case formEndpoint:
		out.Schema.oneOf([]string{"active", "paused", "disabled"})
	}
	return out
}

// shared refers to a parameter that several operations have, and describes it
// once.
func (d *describer) shared(name string) *parameter {
	ref := &parameter{Ref: "#/components/parameters/" + name}
	for _, p := range d.Components.Parameters {
		if p.name == name {
			return ref
		}
	}
	out := &parameter{Name: name, In: "header", Schema: text()}
	switch name {
	case "cursor":
		out.In, out.Description = "query", "Where the page begins: next_cursor or prev_cursor of another page of the same list with the same filters."
	case "limit":
		out.In, out.Description, out.Schema = "query", "How many items a page has, at most.", number(1, maxLimit)
		out.Schema.Default = new(int)
		*out.Schema.Default = defaultLimit
	case "Idempotency-Key":
		out.Description = "Makes the request repeatable: the same key with the same request gets the same answer, with Idempotency-Replayed, and another request under the key is refused. 1 to 255 printable ASCII characters."
	case "X-Suppress-Hooks":
		out.Description = "There with any value: do not send to endpoints whose contract knows suppression."
	case "If-Match":
		out.Description = "Only if the thing still has this ETag; `*`: only if it exists."
	case "If-None-Match":
		out.Description = "With GET: answer 304 if the ETag is still this. With PUT, `*`: only if it does not exist yet."
	case "Last-Event-ID":
		out.Description = "The id of the last event of a stream that broke off: go on behind it."
	}
	d.Components.Parameters.add(name, out)
	return ref
}

// addWebhooks adds the operational events, as the standard dialect sends them.
func (d *describer) addWebhooks() {
	for _, n := range manage.Notices() {
		name := strings.ToUpper(n.Name[:1]) + n.Name[1:] + "Event"
		t := reflect.TypeOf(n.Data)
		body := &schema{Type: kinds{"object"}, Required: []string{"type", "timestamp", "data"}}
		body.Properties.add("type", &schema{Type: kinds{"string"}, Const: n.Type})
		body.Properties.add("timestamp", &schema{Type: kinds{"string"}, Format: "date-time", Description: "When it happened."})
		body.Properties.add("data", d.answers.of(t))
		d.answers.named.add(name, body)
		sample := `{"type":"` + n.Type + `","timestamp":"2026-01-31T08:00:00.000Z","data":` + d.answers.example(t) + `}`
		out := &action{
			OperationID: n.Name, Summary: n.Summary, Tags: []string{"Operational events"}, Security: &[]map[string][]string{},
			Description: n.Doc + "\n\nSent to the tenant's endpoints that name `" + n.Type + "` among their event_types, and only to those: no wildcard covers it. It is signed and tried again as any other event; here is what an endpoint of the standard dialect gets.",
			Body:        &content{Required: true},
		}
		out.Body.Content.add("application/json", &media{Schema: &schema{Ref: refPrefix + name}, Example: jsontext.Value(sample)})
		out.Responses.add("2XX", &content{Description: "The endpoint took it."})
		out.Responses.add("default", &content{Description: "It will be sent again."})
		d.Webhooks.add(n.Type, map[string]*action{"post": out})
	}
}
