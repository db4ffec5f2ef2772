package api

import (
	"grapnel/internal/manage"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/hook"
)

// OpenAPI is the OpenAPI 3.1 document of the API, made from the table of
// routes and the shapes that the handlers read and write. version is that of
// the program.
func OpenAPI(version string) ([]byte, error) {
	return json.Marshal(describeAPI(version), jsontext.WithIndent("  "), json.Deterministic(true))
}

// The objects of the document, as OpenAPI 3.1 has them.
type (
	document struct {
		OpenAPI    string                      `json:"openapi"`
		Info       info                        `json:"info"`
		Servers    []server                    `json:"servers"`
		Tags       []section                   `json:"tags"`
		Security   []map[string][]string       `json:"security"`
		Paths      members[members[any]]       `json:"paths"`
		Webhooks   members[map[string]*action] `json:"webhooks,omitempty"`
		Components components                  `json:"components"`
	}
	info struct {
		Title       string  `json:"title"`
		Version     string  `json:"version"`
		Summary     string  `json:"summary"`
		Description string  `json:"description"`
		License     license `json:"license"`
	}
	license struct {
		Name       string `json:"name"`
		Identifier string `json:"identifier"`
	}
	server struct {
		URL         string `json:"url"`
		Description string `json:"description"`
	}
	section struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	}
	action struct {
		OperationID string                 `json:"operationId"`
		Summary     string                 `json:"summary"`
		Description string                 `json:"description,omitzero"`
		Tags        []string               `json:"tags"`
		Security    *[]map[string][]string `json:"security,omitzero"`
		Parameters  []*parameter           `json:"parameters,omitempty"`
		Body        *content               `json:"requestBody,omitzero"`
		Responses   members[*content]      `json:"responses"`
	}
	parameter struct {
		Ref         string         `json:"$ref,omitzero"`
		Name        string         `json:"name,omitzero"`
		In          string         `json:"in,omitzero"`
		Description string         `json:"description,omitzero"`
		Required    bool           `json:"required,omitzero"`
		Style       string         `json:"style,omitzero"`
		Explode     *bool          `json:"explode,omitzero"`
		Schema      *schema        `json:"schema,omitzero"`
		Example     jsontext.Value `json:"example,omitzero"`
	}
	// content is a body, or an answer.
	content struct {
		Ref         string              `json:"$ref,omitzero"`
		Description string              `json:"description,omitzero"`
		Required    bool                `json:"required,omitzero"`
		Headers     members[*parameter] `json:"headers,omitempty"`
		Content     members[*media]     `json:"content,omitempty"`
	}
	media struct {
		Schema   *schema          `json:"schema,omitzero"`
		Events   members[*schema] `json:"x-events,omitempty"` // of a stream: the data of each
		Example  jsontext.Value   `json:"example,omitzero"`
		Examples members[example] `json:"examples,omitempty"`
	}
	example struct {
		Summary string         `json:"summary"`
		Value   jsontext.Value `json:"value"`
	}
	components struct {
		Schemas    members[*schema]        `json:"schemas"`
		Responses  members[*content]       `json:"responses"`
		Parameters members[*parameter]     `json:"parameters"`
		Headers    members[*parameter]     `json:"headers"`
		Security   map[string]securityForm `json:"securitySchemes"`
	}
	securityForm struct {
		Type        string `json:"type"`
		Scheme      string `json:"scheme"`
		Description string `json:"description"`
	}
)

// securityKey is the document's name for a key of ours.
const securityKey = "key"

// describer makes the document.
type describer struct {
	document
	requests, answers shapes
}

func describeAPI(version string) *document {
	d := describer{document: document{
		OpenAPI: "3.1.0",
		Info: info{
			Title: "Grapnel", Version: version, Summary: "A server that delivers webhooks",
			Description: "Takes events over HTTP, makes them durable, and delivers each to every endpoint that wants it, again and again until it is taken or given up.",
			License:     license{"Apache License 2.0", "Apache-2.0"},
		},
		Servers:  []server{{"/", "The server that serves this document"}},
		Tags:     sections(),
		Security: []map[string][]string{{securityKey: {}}},
	}}
	d.requests.reading = true
	d.Components.Security = map[string]securityForm{securityKey: {"http", "bearer", "A key, sent as Authorization: Bearer KEY. Its scopes say what it may do, and it may be bound to tenants. Where a route says so, the token of a portal link, too."}}
	for _, r := range new(API).routes() {
		d.addRoute(&r)
	}
	d.addWebhooks()
	d.Components.Schemas = slices.Concat(d.requests.named, d.answers.named)
	d.Components.Headers = answerHeaders()
	return &d.document
}

// addRoute adds an operation to its path.
func (d *describer) addRoute(r *routeRow) {
	method, path, _ := strings.Cut(r.pattern, " ")
	at := slices.IndexFunc(d.Paths, func(m member[members[any]]) bool { return m.name == path })
	if at < 0 {
		at = len(d.Paths)
		d.Paths.add(path, pathItem(path))
	}
	d.Paths[at].value.add(strings.ToLower(method), d.action(r, method, path))
}

// pathItem begins a path with its own parameters.
func pathItem(path string) members[any] {
	var params []*parameter
	for part := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			params = append(params, pathParameter(strings.TrimSuffix(name, "}")))
		}
	}
	var out members[any]
	if params != nil {
		out.add("parameters", params)
	}
	return out
}

func (d *describer) action(r *routeRow, method, path string) *action {
	out := &action{OperationID: r.name, Summary: r.summary, Description: r.doc, Tags: []string{sectionOf(path)}}
	if r.open {
		out.Security = &[]map[string][]string{}
	} else {
		out.Security = &[]map[string][]string{{securityKey: {string(r.scope)}}}
		scope := "Needs a key with the scope `" + string(r.scope) + "`."
		if r.portal {
			scope = strings.TrimSuffix(scope, ".") + ", or a portal link of the tenant."
		}
		out.Description = strings.TrimSpace(out.Description + "\n\n" + scope)
	}
	for _, p := range r.params {
		out.Parameters = append(out.Parameters, queryParameter(p))
	}
	if r.lists() {
		out.Parameters = append(out.Parameters, d.shared("cursor"), d.shared("limit"))
	}
	for _, name := range r.requestHeaders(method) {
		out.Parameters = append(out.Parameters, d.shared(name))
	}
	if r.in != nil {
		out.Body = d.body(r)
	}
	d.addSuccesses(out, r, method)
	d.addProblems(out, r, method, path)
	return out
}

// body is what a route reads.
func (d *describer) body(r *routeRow) *content {
	t := reflect.TypeOf(r.in)
	of := d.requests.of(t)
	if r.needs != nil {
		of = &schema{AllOf: []*schema{of, {Required: r.needs}}}
	}
	sample := jsontext.Value(d.requests.example(t))
	out := &content{Required: of.Required != nil || r.needs != nil || t.Kind() == reflect.Slice || d.needsSome(of)}
	if t.Kind() == reflect.Slice {
		of = &schema{AnyOf: []*schema{of, of.Items}}
	}
	out.Content.add("application/json", &media{Schema: of, Example: sample})
	if t.Kind() == reflect.Slice {
		lines := jsontext.Value(strconv.Quote(d.requests.example(t.Elem()) + "\n"))
		what := "One event a line."
		if !r.publishes {
			what = "One record a line."
		}
		out.Content.add("application/x-ndjson", &media{Schema: &schema{Type: kinds{"string"}, Description: what}, Example: lines})
	}
	return out
}

// needsSome reports whether a request's schema has members that must be there,
// so that the body cannot be left out.
func (d *describer) needsSome(of *schema) bool {
	for _, s := range d.requests.named {
		if refPrefix+s.name == of.Ref {
			return s.value.Required != nil
		}
	}
	return false
}

// addSuccesses adds what a route answers when all is well.
func (d *describer) addSuccesses(out *action, r *routeRow, method string) {
	shapes := map[int]any{r.success(): r.out}
	for status, shape := range r.also {
		shapes[status] = shape
	}
	statuses := make([]int, 0, len(shapes))
	for status := range shapes {
		statuses = append(statuses, status)
	}
	slices.Sort(statuses)
	for _, status := range statuses {
		out.Responses.add(strconv.Itoa(status), d.answer(r, method, status, shapes[status]))
	}
	if r.hasETag(method) {
		out.Responses.add("304", &content{Description: "Not changed since the answer whose ETag If-None-Match names.", Headers: headerRefs("ETag", "Request-Id")})
	}
}

func (d *describer) answer(r *routeRow, method string, status int, shape any) *content {
	out := &content{Description: http.StatusText(status) + ".", Headers: headerRefs(r.answerHeaders(method, status)...)}
	if shape == nil {
		return out
	}
	switch shape := shape.(type) {
	case streamed:
		t := reflect.TypeOf(shape.events())
		out.Description = "Server-sent events, until the caller leaves. x-events names them, message being those without a name, and says what JSON their data is."
		out.Content.add("text/event-stream", &media{
			Schema: text(), Events: d.answers.fields(t).Properties, Example: quoted("data: " + d.answers.example(t.Field(0).Type) + "\n\n"),
		})
	case archive:
		out.Content.add("application/x-tar", &media{Schema: &schema{Type: kinds{"string"}, Format: "binary"}})
	default:
		t := reflect.TypeOf(shape)
		out.Content.add("application/json", &media{Schema: d.answers.of(t), Example: jsontext.Value(d.answers.example(t))})
		for _, kind := range r.forms {
			out.Content.add(kind, &media{Schema: text()})
		}
	}
	return out
}

// addProblems adds what can go wrong, status by status.
func (d *describer) addProblems(out *action, r *routeRow, method, path string) {
	codes := r.mayFail(method, path)
	for status, group := range byStatus(codes) {
		name := responseName(group)
		if !slices.ContainsFunc(d.Components.Responses, func(m member[*content]) bool { return m.name == name }) {
			d.Components.Responses.add(name, d.problemResponse(status, group))
		}
		out.Responses.add(strconv.Itoa(status), &content{Ref: "#/components/responses/" + name})
	}
}

// mayFail are the codes of the problems that a route may answer with.
func (r *routeRow) mayFail(method, path string) []hook.Code {
	out := slices.Clone(r.problems)
	if strings.Contains(path, "{") {
		out = append(out, hook.CodeNotFound)
	}
	if !r.open {
		out = append(out, hook.CodeInvalid, hook.CodeUnauthorized, hook.CodeForbidden, hook.CodeRateLimited, hook.CodeUnavailable)
	}
	if r.in != nil {
		out = append(out, hook.CodeTooLarge, codeUnsupported)
	}
	if !r.open && r.mayLoop() {
		out = append(out, codeLoop)
	}
	if r.hasETag(method) {
		out = append(out, hook.CodeInvalid) // tags that cannot be read
	}
	if r.repeatable(method) {
		out = append(out, hook.CodeConflict, hook.CodeMismatch)
	}
	if r.conditional(method) || r.hasETag(method) {
		out = append(out, manage.CodePrecondition)
	}
	if r.conditional(method) {
		out = append(out, hook.CodeConflict)
	}
	return append(out, hook.CodeInternal)
}

// byStatus groups codes by their status, in the order of the catalogue.
func byStatus(codes []hook.Code) func(yield func(int, []meaning) bool) {
	return func(yield func(int, []meaning) bool) {
		var group []meaning
		for _, m := range problemCatalogue() {
			if !slices.Contains(codes, m.code) {
				continue
			}
			if len(group) > 0 && group[0].status != m.status {
				if !yield(group[0].status, group) {
					return
				}
				group = nil
			}
			group = append(group, m)
		}
		if len(group) > 0 {
			yield(group[0].status, group)
		}
	}
}

// responseName joins the names of codes: MismatchOrUnsuitable.
func responseName(group []meaning) string {
	names := make([]string, len(group))
	for i, m := range group {
		for word := range strings.SplitSeq(string(m.code), "_") {
			names[i] += strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(names, "Or")
}

func (d *describer) problemResponse(status int, group []meaning) *content {
	out := &content{}
	kind := &media{Schema: d.answers.of(reflect.TypeFor[problem]())}
	var words []string
	for _, m := range group {
		words = append(words, m.title+": "+m.meaning)
		text, err := marshal(problem{Type: problemType(m.code), Title: m.title, Status: m.status, Detail: m.advice, Instance: "req_2v6c0q8d1k"})
		if err == nil { // texts and numbers always marshal
			kind.Examples.add(string(m.code), example{m.title, text})
		}
	}
	out.Description = strings.Join(words, " ")
	out.Content.add("application/problem+json", kind)
	out.Headers = headerRefs(problemHeaders(status)...)
	return out
}
