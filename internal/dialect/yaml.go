package dialect

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// LoadError says where a dialect file is wrong and why.
type LoadError struct {
	File   string
	Line   int // from 1
	Reason string
}

// Error is "file:line: reason".
func (e *LoadError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason) }

// reader reads the syntax tree of a file. After the first error it keeps that
// one and gives zero values, so that its users ask once, at the end.
type reader struct {
	file string
	err  *LoadError
}

// open parses the text to its root mapping.
func (r *reader) open(src []byte) ast.Node {
	tokens := r.tokens(src)
	if r.err != nil {
		return nil
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		line, reason := 1, err.Error()
		var syntax yaml.Error
		if errors.As(err, &syntax) {
			reason = syntax.GetMessage()
			if tk := syntax.GetToken(); tk != nil && tk.Position != nil {
				line = tk.Position.Line
			}
		}
		r.failLine(line, "%s", reason)
		return nil
	}
	if len(file.Docs) > 1 {
		r.failLine(startOf(file.Docs[1]), "a second YAML document begins here; the file must hold one")
		return nil
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		r.failLine(1, "the file must hold one YAML document")
		return nil
	}
	return file.Docs[0].Body
}

// startOf is the line where a document begins.
func startOf(d *ast.DocumentNode) int {
	if d.Start != nil {
		return d.Start.Position.Line
	}
	return lineOf(d.Body)
}

func (r *reader) failLine(line int, format string, args ...any) {
	if r.err == nil {
		r.err = &LoadError{File: r.file, Line: line, Reason: fmt.Sprintf(format, args...)}
	}
}

// fail keeps the first error, at a node's line.
func (r *reader) fail(n ast.Node, format string, args ...any) {
	r.failLine(lineOf(n), format, args...)
}

func lineOf(n ast.Node) int {
	if n != nil && n.GetToken() != nil && n.GetToken().Position != nil {
		return n.GetToken().Position.Line
	}
	return 1
}

// pair is one key of a mapping and its value, in the order of the file.
type pair struct {
	key   string
	at    ast.Node // the key, for its line
	value ast.Node
}

// pairs reads a mapping with any keys, but not too many.
func (r *reader) pairs(n ast.Node, what string) []pair {
	out := r.members(n, what)
	r.few(n, what, len(out))
	return out
}

// members reads a mapping with any keys.
func (r *reader) members(n ast.Node, what string) []pair {
	if r.err != nil {
		return nil
	}
	m, ok := n.(*ast.MappingNode)
	if !ok {
		r.fail(n, "%s must be a mapping of keys to values, this is %s", what, kindOf(n))
		return nil
	}
	out := make([]pair, 0, len(m.Values))
	for _, v := range m.Values {
		key, ok := v.Key.(*ast.StringNode)
		if !ok {
			r.fail(v.Key, "the keys of %s must be plain texts, this is %s", what, kindOf(v.Key))
			return nil
		}
		out = append(out, pair{key: key.Value, at: key, value: v.Value})
	}
	return out
}

// maxEntries is how many entries a section may have whose entries are compared
// with each other.
const maxEntries = 500

// few refuses a section with more entries than anybody needs.
func (r *reader) few(n ast.Node, what string, count int) {
	if count > maxEntries {
		r.fail(n, "%s has %d entries, more than %d", what, count, maxEntries)
	}
}

// member is the value of a key in a mapping, or the mapping itself.
func (r *reader) member(n ast.Node, key string) ast.Node {
	for _, p := range r.members(n, key) {
		if p.key == key {
			return p.value
		}
	}
	return n
}

// object is a mapping with known keys. A key that is not in the file is nil.
type object struct {
	at     ast.Node
	what   string
	fields map[string]ast.Node
}

// object reads a mapping whose keys are known. Those that end in "!" must be
// there.
func (r *reader) object(n ast.Node, what string, keys ...string) object {
	o := object{at: n, what: what, fields: map[string]ast.Node{}}
	known := make([]string, len(keys))
	for i, k := range keys {
		known[i] = strings.TrimSuffix(k, "!")
	}
	for _, p := range r.pairs(n, what) {
		if !slices.Contains(known, p.key) {
			r.fail(p.at, "unknown key %q in %s; known are %s", p.key, what, strings.Join(known, ", "))
			return o
		}
		o.fields[p.key] = p.value
	}
	for i, k := range keys {
		if k != known[i] && o.fields[known[i]] == nil {
			r.fail(n, "%s lacks the key %q", what, known[i])
		}
	}
	return o
}

// has reports whether the key is in the file.
func (o object) has(key string) bool { return o.fields[key] != nil }

// node is a key's value, or the object itself for the line of an error.
func (o object) node(key string) ast.Node {
	if n := o.fields[key]; n != nil {
		return n
	}
	return o.at
}

// text reads a text; a missing key gives def.
func (r *reader) text(o object, key, def string) string {
	if !o.has(key) {
		return def
	}
	return r.textOf(o.fields[key], key)
}

func (r *reader) textOf(n ast.Node, what string) string {
	if r.err != nil {
		return ""
	}
	s, ok := n.(*ast.StringNode)
	if !ok {
		r.fail(n, "%s must be a text, this is %s; put it in quotes", what, kindOf(n))
		return ""
	}
	return s.Value
}

// choice reads one of some words; a missing key gives the first.
func (r *reader) choice(o object, key string, words ...string) string {
	s := r.text(o, key, words[0])
	if r.err == nil && !slices.Contains(words, s) {
		r.fail(o.node(key), "%s cannot be %q; it is one of %s", key, s, strings.Join(words, ", "))
	}
	return s
}

// list reads a sequence.
func (r *reader) list(n ast.Node, what string) []ast.Node {
	if r.err != nil {
		return nil
	}
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		r.fail(n, "%s must be a list, this is %s", what, kindOf(n))
		return nil
	}
	r.few(n, what, len(s.Values))
	return s.Values
}

// duration reads a positive duration of at most max, such as 30s or 24h.
func (r *reader) duration(n ast.Node, what string, max time.Duration) time.Duration {
	s := r.textOf(n, what)
	if r.err != nil {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		r.fail(n, "%s is %q; want a duration such as 30s, 5m or 24h", what, s)
		return 0
	}
	if d <= 0 || d > max {
		r.fail(n, "%s is %s; it must be more than 0 and at most %s", what, d, max)
		return 0
	}
	return d
}

// number reads an integer or a decimal within bounds.
func (r *reader) number(n ast.Node, what string, low, high float64) float64 {
	if r.err != nil {
		return 0
	}
	switch n.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
	default:
		r.fail(n, "%s must be a number, this is %s", what, kindOf(n))
		return 0
	}
	f, err := strconv.ParseFloat(n.GetToken().Value, 64)
	if err != nil || !(f >= low && f <= high) {
		r.fail(n, "%s is %s; it must be %v to %v", what, n.GetToken().Value, low, high)
		return 0
	}
	return f
}

// flag reads true or false.
func (r *reader) flag(n ast.Node, what string) bool {
	if r.err != nil {
		return false
	}
	b, ok := n.(*ast.BoolNode)
	if !ok {
		r.fail(n, "%s must be true or false, this is %s", what, kindOf(n))
		return false
	}
	return b.Value
}

// count reads an integer within bounds.
func (r *reader) count(n ast.Node, what string, low, high int) int {
	if _, ok := n.(*ast.IntegerNode); !ok && r.err == nil {
		r.fail(n, "%s must be a whole number, this is %s", what, kindOf(n))
	}
	return int(r.number(n, what, float64(low), float64(high)))
}

// kindOf names a node's kind for an error.
func kindOf(n ast.Node) string {
	switch n.(type) {
	case nil, *ast.NullNode:
		return "empty"
	case *ast.MappingNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode:
		return "a text"
	case *ast.LiteralNode:
		return "a block of lines, which dialect files do not use"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		return "an anchor, alias or tag, which dialect files do not use"
	}
	return "something else"
}
