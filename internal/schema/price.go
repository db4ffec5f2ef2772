package schema

import (
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"grapnel/internal/hook"
)

// What checking data may cost. A price bounds how often the schemas of a schema look
// at the values on one path through data, from the outermost to an innermost, each
// look weighed by what it does. So values times price bounds the looks at all of the
// data, and bytes times price the work on texts and lists in it. At these bounds it
// takes about a second, which takes a schema and data that were made for it.
const (
	maxValues = 4 << 20
	maxWork   = 64 << 20
)

// dear is the price above which nothing can be checked, and to which prices are cut.
const dear = maxWork

// node is a schema with what it leads to.
type node struct {
	weight int64
	same   []*node // look at the same value
	named  []*node // at one member or item each: for a value inside, one of these
	some   []*node // at members or items that also others look at
	others []*node // at one that none of named and some looks at

	state  int // of the search for circles
	chain  int // the longest one of same that begins here
	prices [maxDepth + 1]int64
}

// price computes the prices of a schema, and refuses one whose price nobody could pay.
func (s *Schema) price() error {
	w := walk{nodes: map[*jsonschema.Schema]*node{}}
	root, err := w.node(s.root)
	if err != nil {
		return err
	}
	for _, n := range w.order {
		if err := n.circle(); err != nil {
			return hook.Invalid(w.places[n], "%v", err)
		}
	}
	for depth := range maxDepth + 1 {
		for _, n := range w.order {
			n.prices[depth] = -1
		}
		for _, n := range w.order {
			n.priceAt(depth)
		}
	}
	s.prices = root.prices
	// Data of three levels and a hundred values is nothing out of the ordinary.
	if s.prices[3] > maxValues/100 {
		return hook.Invalid("", "takes too much to check: schemas within it lead to each other too often. Lessen what anyOf, oneOf and allOf refer to more than once")
	}
	return nil
}

// priceAt computes a node's price for data of a depth, those of lesser depths being known.
func (n *node) priceAt(depth int) int64 {
	if n.prices[depth] >= 0 {
		return n.prices[depth]
	}
	sum := n.weight
	for _, t := range n.same {
		sum = min(sum+t.priceAt(depth), dear)
	}
	if depth > 0 {
		var one, all, rest int64
		for _, t := range n.named {
			one = max(one, t.prices[depth-1])
		}
		for _, t := range n.some {
			all = min(all+t.prices[depth-1], dear)
		}
		for _, t := range n.others {
			rest = max(rest, t.prices[depth-1])
		}
		sum = min(sum+max(one+all, rest+all), dear)
	}
	n.prices[depth] = sum
	return sum
}

type circleError string

// Error is the text.
func (e circleError) Error() string { return string(e) }

const (
	errCircle circleError = "leads back to itself for one and the same value, so that nothing could ever be decided"
	errChain  circleError = "leads to too many schemas for one and the same value, one after the other"
)

// circle looks for a way from a node back to itself that stays with one value, and
// measures the longest one that is no circle.
func (n *node) circle() error {
	switch n.state {
	case 1:
		return errCircle
	case 2:
		return nil
	}
	n.state = 1
	for _, t := range n.same {
		if err := t.circle(); err != nil {
			return err
		}
		n.chain = max(n.chain, t.chain+1)
	}
	n.state = 2
	if n.chain > maxChain {
		return errChain
	}
	return nil
}

// walk makes nodes of compiled schemas.
type walk struct {
	nodes  map[*jsonschema.Schema]*node
	order  []*node
	places map[*node]string
}

func (w *walk) node(s *jsonschema.Schema) (*node, error) {
	if n := w.nodes[s]; n != nil {
		return n, nil
	}
	at, inside := strings.CutPrefix(s.Location, name+"#")
	if !inside {
		return nil, hook.Invalid("", "refers to %s, and nothing is fetched: put it under $defs, and refer to #/$defs/…", hook.Clip(s.Location))
	}
	if s.DynamicRef != nil || s.RecursiveRef != nil { // where they lead depends on the way
		return nil, hook.Invalid(at, "has a $dynamicRef, which is not supported: within one schema $ref says the same")
	}
	n := &node{weight: weight(s)}
	w.nodes[s], w.order = n, append(w.order, n)
	if w.places == nil {
		w.places = map[*node]string{}
	}
	w.places[n] = at
	if len(w.order) > maxSubschemas {
		return nil, hook.Invalid("", "holds more than %d schemas", maxSubschemas)
	}
	if s.Format != nil && s.Format.Name == "regex" { // of another language than RE2's, as a rule
		s.Format = nil
	}
	if s.UniqueItems { // the library compares each with each where it can be led to
		s.UniqueItems = false
		s.Extensions = append(slices.Clone(s.Extensions), unique{})
	}
	return n, w.edges(n, s)
}

func (w *walk) edges(n *node, s *jsonschema.Schema) (err error) {
	add := func(to *[]*node, schemas ...*jsonschema.Schema) {
		for _, sub := range schemas {
			if sub == nil || err != nil {
				continue
			}
			var t *node
			if t, err = w.node(sub); err == nil {
				*to = append(*to, t)
			}
		}
	}
	add(&n.same, s.Ref, s.Not, s.If, s.Then, s.Else)
	add(&n.same, s.AllOf...)
	add(&n.same, s.AnyOf...)
	add(&n.same, s.OneOf...)
	for _, sub := range s.DependentSchemas {
		add(&n.same, sub)
	}
	for _, sub := range s.Properties {
		add(&n.named, sub)
	}
	add(&n.named, s.PrefixItems...)
	add(&n.named, s.Items2020)
	for _, sub := range s.PatternProperties {
		add(&n.some, sub)
	}
	add(&n.some, s.PropertyNames, s.Contains, s.UnevaluatedProperties, s.UnevaluatedItems)
	if sub, ok := s.AdditionalProperties.(*jsonschema.Schema); ok {
		add(&n.others, sub)
	}
	return err
}

// weight is what one look costs, as far as it is more than that of a small schema.
func weight(s *jsonschema.Schema) int64 {
	w := 1 + len(s.Required)/8
	for _, list := range s.DependentRequired {
		w += 1 + len(list)/8
	}
	for p := range s.PatternProperties {
		w += patternWeight(p)
	}
	if s.Pattern != nil {
		w += patternWeight(s.Pattern)
	}
	if s.UniqueItems {
		w += 8
	}
	if s.MultipleOf != nil || s.Minimum != nil || s.Maximum != nil || s.ExclusiveMinimum != nil || s.ExclusiveMaximum != nil {
		w += 2
	}
	if s.Enum != nil {
		w += len(s.Enum.Values)/4 + size(s.Enum.Values)/64
	}
	if s.Const != nil {
		w += size(*s.Const) / 64
	}
	return int64(w)
}

func patternWeight(r jsonschema.Regexp) int {
	if p, ok := r.(*pattern); ok {
		return 1 + p.cost/4
	}
	return maxProgram
}

// size is about how many bytes a value is written in.
func size(v any) int {
	switch v := v.(type) {
	case string:
		return len(v) + 2
	case json.Number:
		return 16 * len(v)
	case map[string]any:
		n := 2
		for name, of := range v {
			n += len(name) + 4 + size(of)
		}
		return n
	case []any:
		n := 2
		for _, of := range v {
			n += 1 + size(of)
		}
		return n
	}
	return 4
}

// unique is uniqueItems in time that grows with the data alone.
type unique struct{}

// Validate looks for two items that are the same.
func (unique) Validate(ctx *jsonschema.ValidatorContext, v any) {
	list, ok := v.([]any)
	if !ok || len(list) < 2 {
		return
	}
	seen := make(map[string]int, len(list))
	for i, item := range list {
		key := string(canonical(nil, item))
		if first, ok := seen[key]; ok {
			ctx.AddError(&kind.UniqueItems{Duplicates: [2]int{first, i}})
			return
		}
		seen[key] = i
	}
}

// canonical writes a value so that equal ones read the same: 1 and 1.0 are equal.
func canonical(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, 'n')
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return strconv.AppendQuote(b, v)
	case json.Number:
		if r, ok := new(big.Rat).SetString(string(v)); ok {
			return append(b, r.RatString()...)
		}
		return append(b, v...)
	case []any:
		b = append(b, '[')
		for _, item := range v {
			b = append(canonical(b, item), ',')
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for _, name := range slices.Sorted(maps.Keys(v)) {
			b = append(strconv.AppendQuote(b, name), ':')
			b = append(canonical(b, v[name]), ',')
		}
		return append(b, '}')
	}
	return b
}
