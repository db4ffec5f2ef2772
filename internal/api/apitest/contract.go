package apitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"grapnel/internal/api"
)

// Exchange is a request and its answer.
type Exchange struct {
	Request  *http.Request // its body has been read
	Sent     []byte        // that body, or what of it was read
	Status   int
	Header   http.Header
	Received []byte // the answer's body
}

// Contract is the document, ready to hold exchanges against. It may be used
// from many goroutines at once.
//
// What the server sends must be in the document to the last member. What a
// client sends must be, unless the server refused it.
type Contract struct {
	operations map[string]*operation // by pattern
	mux        *http.ServeMux        // finds the pattern

	mu   sync.Mutex
	seen map[string]map[int]bool // statuses by pattern
}

type operation struct {
	pattern  string
	query    map[string]parameter
	headers  map[string]parameter
	required bool // there must be a body
	body     *jsonschema.Schema
	answers  map[string]answer
}

type parameter struct {
	schema *jsonschema.Schema
	list   bool
	kind   string
}

type answer struct {
	headers map[string]bool
	content map[string]*jsonschema.Schema // by media type
	events  map[string]*jsonschema.Schema // of a stream, by name
}

// New reads the document.
func New() (*Contract, error) {
	text, err := api.OpenAPI("test")
	if err != nil {
		return nil, err
	}
	return Parse(text)
}

// Parse reads a document.
func Parse(text []byte) (*Contract, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	closeAnswers(doc)
	r := reader{doc: doc, compiler: jsonschema.NewCompiler()}
	r.compiler.DefaultDraft(jsonschema.Draft2020)
	r.compiler.AssertFormat()
	if err := r.compiler.AddResource(resource, doc); err != nil {
		return nil, err
	}
	c := &Contract{operations: map[string]*operation{}, mux: http.NewServeMux(), seen: map[string]map[int]bool{}}
	for _, op := range r.operations() {
		c.operations[op.pattern] = op
		c.mux.Handle(op.pattern, http.NotFoundHandler())
	}
	return c, r.err
}

// closeAnswers makes every object of an answer refuse members that the
// document does not name: to a client more members are fine, to us they are a
// document that is behind.
func closeAnswers(v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			closeAnswers(item)
		}
	case map[string]any:
		_, has := v["properties"].(map[string]any)
		if _, said := v["additionalProperties"]; has && !said && v["type"] == "object" {
			v["additionalProperties"] = false
		}
		for name, item := range v {
			if name != "example" && name != "examples" {
				closeAnswers(item)
			}
		}
	}
}

// Check holds an exchange against the document, and notes it.
func (c *Contract) Check(e *Exchange) error {
	if path.Clean(e.Request.URL.Path) != e.Request.URL.Path {
		return nil // it would be another address, and the server answers 404
	}
	_, pattern := c.mux.Handler(&http.Request{Method: e.Request.Method, URL: e.Request.URL, Host: "x"})
	op := c.operations[pattern]
	if op == nil {
		if e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed {
			return nil // there is no such operation, and the server says so
		}
		return fmt.Errorf("%s %s is not in the document, and was answered with %d", e.Request.Method, e.Request.URL.Path, e.Status)
	}
	c.note(op.pattern, e.Status)
	var errs []error
	if e.Status < 400 {
		errs = append(errs, op.checkRequest(e))
	}
	errs = append(errs, op.checkAnswer(e))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s: %w", op.pattern, err)
	}
	return nil
}

func (c *Contract) note(pattern string, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen[pattern] == nil {
		c.seen[pattern] = map[int]bool{}
	}
	c.seen[pattern][status] = true
}

// Missing lists the successes that the document promises and no exchange has
// shown, as "PATTERN STATUS".
func (c *Contract) Missing() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, pattern := range slices.Sorted(maps.Keys(c.operations)) {
		for _, status := range slices.Sorted(maps.Keys(c.operations[pattern].answers)) {
			if n, err := strconv.Atoi(status); err == nil && n < 300 && !c.seen[pattern][n] {
				out = append(out, pattern+" "+status)
			}
		}
	}
	return out
}

func (op *operation) checkRequest(e *Exchange) error {
	var errs []error
	values, err := url.ParseQuery(e.Request.URL.RawQuery)
	if err != nil {
		return err
	}
	for name, given := range values {
		p, ok := op.query[name]
		if !ok {
			errs = append(errs, fmt.Errorf("the parameter %q was accepted and is not in the document", name))
			continue
		}
		for _, text := range given {
			errs = append(errs, p.check(name, strings.ReplaceAll(text, " ", "+")))
		}
	}
	for _, name := range []string{"Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-Id", "X-Suppress-Hooks"} {
		p, ok := op.headers[strings.ToLower(name)]
		text, given := e.Request.Header[name]
		switch {
		case given && !ok:
			errs = append(errs, fmt.Errorf("the header %s was accepted and is not in the document", name))
		case given:
			errs = append(errs, p.check(name, text[0]))
		}
	}
	return errors.Join(append(errs, op.checkBody(e))...)
}

func (op *operation) checkBody(e *Exchange) error {
	trimmed := bytes.TrimSpace(e.Sent)
	switch {
	case len(trimmed) == 0 && op.required:
		return errors.New("a request without a body was accepted, and the document wants one")
	case len(trimmed) == 0:
		return nil
	case op.body == nil:
		return errors.New("a body was accepted, and the document knows of none")
	}
	var err error
	if op.pattern == batch {
		err = op.checkBatch(trimmed, e.Received)
	} else {
		err = validate(op.body, trimmed)
	}
	if err != nil {
		return fmt.Errorf("a body was accepted that the document does not describe: %w", err)
	}
	return nil
}

// batch takes several things in one request, and refuses them one by one.
const batch = "POST /v1/events"

// checkBatch looks at those events of a batch that were accepted.
func (op *operation) checkBatch(sent, received []byte) error {
	var said struct {
		Results []struct{ Status int }
	}
	if err := json.Unmarshal(received, &said); err != nil {
		return err
	}
	var items []json.RawMessage
	if err := json.Unmarshal(sent, &items); err != nil { // then it is one event a line, or one alone
		items = nil
		if json.Valid(sent) {
			items = []json.RawMessage{sent}
		} else {
			for line := range bytes.Lines(sent) {
				if line = bytes.TrimSpace(line); len(line) > 0 {
					items = append(items, line)
				}
			}
		}
	}
	if len(items) != len(said.Results) {
		return fmt.Errorf("%d events got %d results", len(items), len(said.Results))
	}
	var errs []error
	for i, item := range items {
		if said.Results[i].Status == http.StatusAccepted {
			errs = append(errs, validate(op.body, item))
		}
	}
	return errors.Join(errs...)
}

func (p *parameter) check(name, text string) error {
	values := []string{text}
	if p.list {
		values = strings.Split(text, ",")
	}
	list := make([]any, len(values))
	for i, s := range values {
		list[i] = p.value(s)
	}
	var v any = list
	if !p.list {
		v = list[0]
	}
	if err := p.schema.Validate(v); err != nil {
		return fmt.Errorf("%s=%q was accepted: %w", name, text, err)
	}
	return nil
}

// value is a parameter's text as the type that the document says it has.
func (p *parameter) value(text string) any {
	switch p.kind {
	case "boolean":
		return map[string]any{"true": true, "false": false}[text]
	case "integer":
		return json.Number(text)
	}
	return text
}

// common are headers that any answer of any server may have.
var common = []string{
	"Content-Type", "Content-Length", "Cache-Control", "X-Content-Type-Options", "Date", "Connection", "Vary", "Traceparent", "Tracestate", "Transfer-Encoding",
	"X-Accel-Buffering", "Content-Security-Policy", "Allow",
}

func (op *operation) checkAnswer(e *Exchange) error {
	want, ok := op.answers[strconv.Itoa(e.Status)]
	if !ok {
		return fmt.Errorf("answered with %d, which is not in the document: %.300s", e.Status, e.Received)
	}
	var errs []error
	for name := range e.Header {
		if !want.headers[strings.ToLower(name)] && !slices.Contains(common, name) {
			errs = append(errs, fmt.Errorf("%d with the header %s, which is not in the document", e.Status, name))
		}
	}
	if e.Header.Get("Request-Id") == "" {
		errs = append(errs, errors.New("an answer without Request-Id"))
	}
	return errors.Join(append(errs, want.check(e))...)
}

func (a *answer) check(e *Exchange) error {
	kind, _, _ := mime.ParseMediaType(e.Header.Get("Content-Type"))
	schema, ok := a.content[kind]
	switch {
	case len(e.Received) == 0 && (len(a.content) == 0 || e.Request.Method == http.MethodHead):
		return nil
	case !ok:
		return fmt.Errorf("%d with Content-Type %q, which is not in the document: %.300s", e.Status, kind, e.Received)
	case kind == "text/event-stream":
		return a.checkEvents(e.Received)
	case !strings.HasSuffix(kind, "json"):
		return nil
	}
	if err := validate(schema, e.Received); err != nil {
		return fmt.Errorf("%d with a body that the document does not describe: %w: %.500s", e.Status, err, e.Received)
	}
	return nil
}

// checkEvents looks at the events of a stream.
func (a *answer) checkEvents(body []byte) error {
	blocks := strings.Split(string(body), "\n\n")
	var errs []error
	for _, block := range blocks[:len(blocks)-1] { // the last one is not complete
		name, data := "message", ""
		for line := range strings.Lines(block) {
			field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
			switch value = strings.TrimPrefix(value, " "); field {
			case "event":
				name = value
			case "data":
				data += value
			}
		}
		if data == "" {
			continue // a comment, or an id alone
		}
		schema := a.events[name]
		if schema == nil {
			errs = append(errs, fmt.Errorf("event %q is not in the document", name))
		} else if err := validate(schema, []byte(data)); err != nil {
			errs = append(errs, fmt.Errorf("event %q: %w: %.500s", name, err, data))
		}
	}
	return errors.Join(errs...)
}

func validate(schema *jsonschema.Schema, text []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

// Patterns lists the operations, as patterns of a ServeMux.
func (c *Contract) Patterns() []string { return slices.Sorted(maps.Keys(c.operations)) }
