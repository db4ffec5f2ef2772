package filter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"grapnel/internal/hook"
)

// The limits of a tree, so that evaluating one is cheap.
const (
	MaxDepth      = 8
	MaxConditions = 64
	maxListLength = 256
	maxPattern    = 256
	maxText       = 16 << 10 // a longer text satisfies neither like nor not_like
)

// Filter is a checked condition tree.
type Filter struct{ root node }

// node is one level of the tree: and, or and not have kids, a condition has
// none.
type node struct {
	kind  byte // 'a'nd, 'o'r, 'n'ot, 'c'ondition
	kids  []node
	path  []string
	op    string
	id    bool // numbers count as the texts of their digits
	value any
	list  []any
	among map[scalarKey]bool // the list, to look up in
	plain bool               // the pattern of like or not_like has no other sign than %
	like  []piece            // the pattern otherwise; nil: nothing is like it
}

var operators = []string{"eq", "neq", "in", "not_in", "like", "not_like", "lt", "lte", "gt", "gte", "exists", "changed"}

// Parse checks a condition tree. Errors are hook.Errors of CodeInvalid whose
// Field points into the tree.
func Parse(raw []byte) (*Filter, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, hook.Invalid("", "the filter is not JSON: %v", err)
	}
	left := MaxConditions
	root, err := parseNode(tree, "", MaxDepth, &left)
	if err != nil {
		return nil, err
	}
	return &Filter{root}, nil
}

func parseNode(v any, at string, depth int, left *int) (node, error) {
	obj, ok := v.(map[string]any)
	if !ok {
		return node{}, hook.Invalid(at, "want an object with and, or, not, or field, operator and value")
	}
	if depth == 0 {
		return node{}, hook.Invalid(at, "the filter is nested more than %d deep", MaxDepth)
	}
	if _, ok := obj["field"]; ok {
		return parseCondition(obj, at, left)
	}
	if len(obj) != 1 {
		return node{}, hook.Invalid(at, "want exactly one of and, or, not, or field, operator and value")
	}
	for name, inner := range obj {
		at := at + "/" + name
		switch name {
		case "and", "or":
			list, ok := inner.([]any)
			if !ok || len(list) == 0 {
				return node{}, hook.Invalid(at, "%s wants a list of at least one condition", name)
			}
			n := node{kind: name[0]}
			for i, item := range list {
				kid, err := parseNode(item, fmt.Sprintf("%s/%d", at, i), depth-1, left)
				if err != nil {
					return node{}, err
				}
				n.kids = append(n.kids, kid)
			}
			return n, nil
		case "not":
			kid, err := parseNode(inner, at, depth-1, left)
			return node{kind: 'n', kids: []node{kid}}, err
		default:
			return node{}, hook.Invalid(at, "%q is not known here: want and, or, not, or field, operator and value", name)
		}
	}
	return node{}, nil // not reached: the object has one member
}

func parseCondition(obj map[string]any, at string, left *int) (node, error) {
	if *left--; *left < 0 {
		return node{}, hook.Invalid(at, "the filter has more than %d conditions", MaxConditions)
	}
	for name := range obj {
		if name != "field" && name != "operator" && name != "value" && name != "as" {
			return node{}, hook.Invalid(at+"/"+name, "%q is not known here: a condition has field, operator and value, and maybe as", name)
		}
	}
	field, _ := obj["field"].(string)
	path := strings.Split(field, ".")
	if slices.Contains(path, "") || !slices.Contains([]string{"type", "data", "previous", "metadata"}, path[0]) {
		return node{}, hook.Invalid(at+"/field", "a field is type, or a path such as data.customer.country, previous.status or metadata.store_id")
	}
	n := node{kind: 'c', path: path}
	n.op, _ = obj["operator"].(string)
	if !slices.Contains(operators, n.op) {
		return node{}, hook.Invalid(at+"/operator", "want one of %s", strings.Join(operators, ", "))
	}
	if as, given := obj["as"]; given && as != "id" {
		return node{}, hook.Invalid(at+"/as", `the one thing that a condition may be as is "id": a number there counts as the text of its digits`)
	}
	n.id = obj["as"] != nil
	if n.op == "changed" && path[0] != "data" {
		return node{}, hook.Invalid(at+"/field", "changed compares a field of data, such as data.status, with the same one of previous")
	}
	value, given := obj["value"]
	if !given && n.op != "exists" && n.op != "changed" {
		return node{}, hook.Invalid(at+"/value", "is missing")
	}
	return n, n.setValue(value, at+"/value")
}

// setValue checks that a condition's value is of a kind that its operator can
// use.
func (n *node) setValue(v any, at string) error {
	n.value = n.known(v)
	switch n.op {
	case "in", "not_in":
		list, ok := v.([]any)
		if !ok || len(list) == 0 || len(list) > maxListLength {
			return hook.Invalid(at, "%s wants a list of 1 to %d values", n.op, maxListLength)
		}
		for _, item := range list {
			if !scalar(item) {
				return hook.Invalid(at, "%s compares texts, numbers, true, false and null only", n.op)
			}
			n.list = append(n.list, n.known(item))
		}
		n.among = make(map[scalarKey]bool, len(n.list))
		for _, item := range n.list {
			n.among[keyOf(item)] = true
		}
	case "like", "not_like":
		s, ok := v.(string)
		if !ok || len(s) > maxPattern {
			return hook.Invalid(at, "%s wants a text of at most %d bytes: %% stands for any text, _ for any character, \\ before one of them for itself", n.op, maxPattern)
		}
		pattern := strings.ToLower(s)
		n.value = pattern
		if n.plain = !strings.ContainsAny(pattern, `_\`); !n.plain {
			n.like = split(pattern)
		}
	case "lt", "lte", "gt", "gte":
		switch v.(type) {
		case string, json.Number:
		default:
			return hook.Invalid(at, "%s compares numbers or texts", n.op)
		}
	case "exists", "changed":
		if _, ok := v.(bool); !ok && v != nil {
			return hook.Invalid(at, "%s wants true or false", n.op)
		}
	default:
		if !scalar(v) {
			return hook.Invalid(at, "%s compares texts, numbers, true, false and null only", n.op)
		}
	}
	return nil
}

// known is a value as the condition compares it.
func (n *node) known(v any) any {
	if x, ok := v.(json.Number); ok && n.id {
		return string(x)
	}
	return v
}

func scalar(v any) bool {
	switch v.(type) {
	case nil, bool, string, json.Number:
		return true
	}
	return false
}

// Subject is an event as filters see it. Its data is decoded once, when the
// first filter asks for it.
type Subject struct {
	event                    *hook.Event
	data, previous, metadata any
	decoded                  bool

	text, lowered string // the last text that a pattern was held against
	steps         int    // that are left for the filter's patterns
}

// NewSubject prepares an event for any number of filters.
func NewSubject(e *hook.Event) *Subject { return &Subject{event: e} }

func decode(raw []byte) any {
	if len(raw) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber() // so that no digit is lost
	var v any
	if dec.Decode(&v) != nil {
		return nil // ingest takes valid JSON only
	}
	return v
}

// lower is a text in lower case, made once for all patterns in a row.
func (s *Subject) lower(text string) string {
	if s.text != text || s.lowered == "" {
		s.text, s.lowered = text, strings.ToLower(text)
	}
	return s.lowered
}

// field finds the value at a path and whether it is there.
func (s *Subject) field(path []string) (any, bool) {
	if path[0] == "type" {
		return s.event.Type, len(path) == 1
	}
	if !s.decoded {
		s.data, s.previous, s.metadata, s.decoded = decode(s.event.Data), decode(s.event.Previous), decode(s.event.Metadata), true
	}
	switch path[0] {
	case "previous":
		return member(s.previous, len(s.event.Previous) > 0, path)
	case "metadata":
		return member(s.metadata, true, path)
	}
	return member(s.data, true, path)
}

// member finds the value at a path, whose first name is that of v itself.
func member(v any, there bool, path []string) (any, bool) {
	for _, name := range path[1:] {
		obj, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = obj[name]; !ok {
			return nil, false
		}
	}
	return v, there
}

// Match reports whether an event satisfies the filter.
func (f *Filter) Match(s *Subject) bool {
	s.steps = maxSteps
	return f.root.match(s)
}

func (n *node) match(s *Subject) bool {
	switch n.kind {
	case 'a':
		return !slices.ContainsFunc(n.kids, func(k node) bool { return !k.match(s) })
	case 'o':
		return slices.ContainsFunc(n.kids, func(k node) bool { return k.match(s) })
	case 'n':
		return !n.kids[0].match(s)
	}
	v, there := s.field(n.path)
	if n.op == "changed" {
		changed, known := s.changed(v, there, n.path)
		return known && changed == (n.value != false)
	}
	v = n.known(v)
	switch n.op {
	case "exists":
		return there != (n.value == false)
	case "eq":
		return there && equal(v, n.value)
	case "neq":
		return !there || !equal(v, n.value)
	case "in":
		return there && n.inList(v)
	case "not_in":
		return !there || !n.inList(v)
	case "like", "not_like":
		text, ok := v.(string)
		if !ok || len(text) > maxText {
			return false
		}
		if n.plain {
			return plainLike(s.lower(text), n.value.(string)) == (n.op == "like")
		}
		matches, known := like(s.lower(text), n.like, &s.steps)
		return known && matches == (n.op == "like")
	}
	order, ok := compare(v, n.value)
	if n.id {
		order, ok = compareIDs(v, n.value)
	}
	if !ok {
		return false
	}
	switch n.op {
	case "lt":
		return order < 0
	case "lte":
		return order <= 0
	case "gt":
		return order > 0
	default:
		return order >= 0
	}
}

func (n *node) inList(v any) bool {
	key := keyOf(v)
	return key.kind != 0 && n.among[key]
}

func equal(a, b any) bool {
	if x, ok := a.(json.Number); ok {
		if y, ok := b.(json.Number); ok {
			order, ok := compare(x, y)
			return ok && order == 0
		}
		return false
	}
	return scalar(a) && a == b
}

// compare orders two numbers or two texts. Numbers are compared exactly, but
// for very long ones: these only equal themselves.
func compare(a, b any) (int, bool) {
	switch x := a.(type) {
	case string:
		y, ok := b.(string)
		return strings.Compare(x, y), ok
	case json.Number:
		y, ok := b.(json.Number)
		if !ok {
			return 0, false
		}
		p, ok1 := decimalOf(x)
		q, ok2 := decimalOf(y)
		if !ok1 || !ok2 {
			return 0, x == y
		}
		return p.compare(q), true
	}
	return 0, false
}

// compareIDs orders two texts: as numbers, if both are some.
func compareIDs(a, b any) (int, bool) {
	x, _ := a.(string)
	y, _ := b.(string)
	if isNumber(x) && isNumber(y) {
		return compare(json.Number(x), json.Number(y))
	}
	return compare(a, b)
}

// isNumber reports whether a text is a number as JSON writes it.
func isNumber(s string) bool {
	return s != "" && len(s) <= 64 && (s[0] == '-' || s[0] >= '0' && s[0] <= '9') && s[len(s)-1] > ' ' && json.Valid([]byte(s))
}
