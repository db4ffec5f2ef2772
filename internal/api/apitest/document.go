package apitest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// resource is what the compiler calls the document.
const resource = "openapi.json"

// reader reads the document and keeps its first error.
type reader struct {
	doc      any
	compiler *jsonschema.Compiler
	err      error
}

// node is a part of the document and where it is.
type node struct {
	value   any
	pointer string // a JSON pointer, escaped
}

var escape = strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")

// at goes down from a part, following references.
func (r *reader) at(n node, names ...string) node {
	for _, name := range names {
		switch v := n.value.(type) {
		case map[string]any:
			n = r.followed(node{v[name], n.pointer + "/" + escape.Replace(name)})
		default:
			return node{}
		}
	}
	return n
}

func (r *reader) followed(n node) node {
	object, _ := n.value.(map[string]any)
	ref, _ := object["$ref"].(string)
	if ref == "" {
		return n
	}
	out := node{r.doc, "#"}
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		out = r.at(out, name)
	}
	if out.value == nil && r.err == nil {
		r.err = fmt.Errorf("%s refers to %s, which is not there", n.pointer, ref)
	}
	return out
}

// names are the members of a part, sorted.
func (n node) names() []string {
	object, _ := n.value.(map[string]any)
	return slices.Sorted(maps.Keys(object))
}

// items are the parts of a list.
func (r *reader) items(n node) []node {
	list, _ := n.value.([]any)
	out := make([]node, len(list))
	for i, v := range list {
		out[i] = r.followed(node{v, fmt.Sprintf("%s/%d", n.pointer, i)})
	}
	return out
}

func (n node) text() string {
	s, _ := n.value.(string)
	return s
}

func (r *reader) schema(n node) *jsonschema.Schema {
	if n.value == nil {
		return nil
	}
	s, err := r.compiler.Compile(resource + n.pointer)
	if err != nil && r.err == nil {
		r.err = err
	}
	return s
}

// operations reads all operations.
func (r *reader) operations() []*operation {
	var out []*operation
	root := node{r.doc, "#"}
	for _, path := range r.at(root, "paths").names() {
		for _, method := range r.at(root, "paths", path).names() {
			if method != "parameters" {
				out = append(out, r.operation(r.at(root, "paths", path, method), strings.ToUpper(method)+" "+path))
			}
		}
	}
	return out
}

func (r *reader) operation(n node, pattern string) *operation {
	op := &operation{pattern: pattern, query: map[string]parameter{}, headers: map[string]parameter{}, answers: map[string]answer{}}
	for _, p := range r.items(r.at(n, "parameters")) {
		schema := r.at(p, "schema")
		kind := r.at(schema, "type").text()
		found := parameter{schema: r.schema(schema), list: kind == "array", kind: kind}
		if r.at(p, "in").text() == "query" {
			op.query[r.at(p, "name").text()] = found
		} else {
			op.headers[strings.ToLower(r.at(p, "name").text())] = found
		}
	}
	op.required, _ = r.at(n, "requestBody", "required").value.(bool)
	op.body = r.schema(r.at(n, "requestBody", "content", "application/json", "schema"))
	for _, status := range r.at(n, "responses").names() {
		op.answers[status] = r.answer(r.at(n, "responses", status))
	}
	return op
}

func (r *reader) answer(n node) answer {
	a := answer{headers: map[string]bool{}, content: map[string]*jsonschema.Schema{}, events: map[string]*jsonschema.Schema{}}
	for _, name := range r.at(n, "headers").names() {
		a.headers[strings.ToLower(name)] = true
	}
	for _, kind := range r.at(n, "content").names() {
		a.content[kind] = r.schema(r.at(n, "content", kind, "schema"))
		for _, event := range r.at(n, "content", kind, "x-events").names() {
			a.events[event] = r.schema(r.at(n, "content", kind, "x-events", event))
		}
	}
	return a
}
