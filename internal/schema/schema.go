package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"grapnel/internal/hook"
)

// The limits of a schema and of a check.
const (
	MaxSize  = 256 << 10 // of a schema's text, in bytes
	maxDepth = 64        // of a schema's JSON, and of data that is checked
	// maxObjects bounds the objects in a schema's text: to compile them takes the
	// square of their number. Schemas among them, with those that are referred to,
	// are counted as maxSubschemas.
	maxObjects    = 5000
	maxSubschemas = 2000
	maxChain      = 64 // schemas that look at one and the same value, one because of the other
	// Numbers are compared exactly, as fractions, which an exponent can make as large as
	// the memory.
	maxExponent = 400
	maxDigits   = 1000
	maxFailures = 5 // that are told of one check
)

// name is what the schema is called inside of the compiler.
const name = "grapnel:schema"

// Schema is a checked schema. Its methods may be called from many goroutines at once.
type Schema struct {
	root   *jsonschema.Schema
	prices [maxDepth + 1]int64 // of a path through data of a depth: see price.go
}

// Parse checks a schema. Errors are hook.Errors of CodeInvalid that say which part of
// it is wrong.
func Parse(raw []byte) (*Schema, error) {
	if len(raw) > MaxSize {
		return nil, hook.Invalid("", "has %d bytes, at most %d are allowed", len(raw), MaxSize)
	}
	document, err := decode(raw)
	if err != nil {
		return nil, hook.Invalid("", "%v", err)
	}
	if err := within(document, "", maxDepth); err != nil {
		return nil, err
	}
	if n := objects(document); n > maxObjects {
		return nil, hook.Invalid("", "holds %d objects, at most %d are allowed", n, maxObjects)
	}
	s := &Schema{}
	if s.root, err = compile(document); err != nil {
		return nil, refusal(err)
	}
	if err := s.price(); err != nil {
		return nil, err
	}
	return s, nil
}

// extent is how large a value is.
type extent struct {
	depth  int   // 0 for what holds no values
	values int64 // that there are in it, itself included
}

// measure tells how large a value is.
func measure(v any) extent {
	out := extent{values: 1}
	add := func(inner any) {
		in := measure(inner)
		out.depth = max(out.depth, in.depth+1)
		out.values += in.values
	}
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			add(inner)
		}
	case []any:
		for _, inner := range v {
			add(inner)
		}
	}
	return out
}

// decode reads one JSON value and keeps its numbers as they are written.
func decode(raw []byte) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("is not valid JSON: %w", err)
	}
	if dec.More() {
		return nil, errors.New("holds more than one JSON value")
	}
	return v, nil
}

// within refuses a value that is nested too deep, or has a number that is too dear to
// be compared.
func within(v any, at string, depth int) error {
	if depth == 0 {
		return hook.Invalid(at, "is nested too deep")
	}
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(keys(v)) {
			if err := within(v[name], at+"/"+token(name), depth-1); err != nil {
				return err
			}
		}
	case []any:
		for i, item := range v {
			if err := within(item, at+"/"+strconv.Itoa(i), depth-1); err != nil {
				return err
			}
		}
	case json.Number:
		return exact(string(v), at)
	}
	return nil
}

// objects counts the objects in a value.
func objects(v any) (n int) {
	switch v := v.(type) {
	case map[string]any:
		n = 1
		for _, inner := range v {
			n += objects(inner)
		}
	case []any:
		for _, inner := range v {
			n += objects(inner)
		}
	}
	return n
}

func keys(m map[string]any) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// exact refuses a number that would not be compared exactly in reasonable time.
func exact(n, at string) error {
	digits, exponent, _ := strings.Cut(strings.ToLower(n), "e")
	e := 0
	if exponent != "" {
		var err error
		if e, err = strconv.Atoi(exponent); err != nil || e > maxExponent || e < -maxExponent {
			return hook.Invalid(at, "has the exponent %s; numbers that are checked have one of at most %d", hook.Clip(exponent), maxExponent)
		}
	}
	if len(digits) > maxDigits {
		return hook.Invalid(at, "has %d digits; numbers that are checked have at most %d", len(digits), maxDigits)
	}
	return nil
}

// token is a name as a part of a JSON Pointer.
func token(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// nothing loads no document: what a schema refers to is inside of it.
type nothing struct{}

func (nothing) Load(url string) (any, error) {
	return nil, fmt.Errorf("it refers to %s, and nothing is fetched: put it under $defs, and refer to #/$defs/…", hook.Clip(strings.TrimPrefix(url, name)))
}

// compile makes a schema ready.
func compile(document any) (*jsonschema.Schema, error) {
	patterns := &patterns{left: maxPrograms}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(nothing{})
	c.UseRegexpEngine(patterns.compile)
	if err := c.AddResource(name, document); err != nil {
		return nil, err
	}
	return c.Compile(name)
}

// refusal says what is wrong with a schema.
func refusal(err error) error {
	var invalid *jsonschema.SchemaValidationError
	var failed *jsonschema.ValidationError
	if errors.As(err, &invalid) && errors.As(invalid.Err, &failed) {
		first := leaves(failed)[0]
		return hook.Invalid(pointer(first.InstanceLocation), "%s", first.text())
	}
	text := strings.ReplaceAll(err.Error(), name, "")
	return hook.Invalid("", "cannot be used: %s", text)
}

// Failure is one place of data that does not fit a schema.
type Failure struct {
	At   string // JSON Pointer into the data; "" is all of it
	Text string // what is there and what is wanted
}

// Check holds data against the schema: nil if it fits, else the first few places where it
// does not. The error is of CodeInvalid where it cannot be told in bounded time.
func (s *Schema) Check(data []byte) (failures []Failure, err error) {
	v, err := decode(data)
	if err != nil {
		return nil, hook.Invalid("", "%v", err)
	}
	if err := within(v, "", maxDepth+1); err != nil {
		return nil, err
	}
	of := measure(v)
	if price := s.prices[of.depth]; price > maxValues/of.values || price > maxWork/int64(len(data)+1) {
		return nil, hook.Invalid("", "is too large, or nested too deep, to be held against the schema of its type in bounded time")
	}
	var failed *jsonschema.ValidationError
	if errors.As(s.root.Validate(v), &failed) {
		for _, l := range leaves(failed) {
			failures = append(failures, Failure{At: pointer(l.InstanceLocation), Text: l.text()})
		}
	}
	return failures, nil
}

// leaf is a failure that no other one is the cause of.
type leaf struct{ *jsonschema.ValidationError }

var english = message.NewPrinter(language.English)

func (l leaf) text() string { return l.ErrorKind.LocalizedString(english) }

// leaves are the first few, in the order of their places.
func leaves(e *jsonschema.ValidationError) []leaf {
	var all []leaf
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(e.Causes) == 0 && len(all) < 100 {
			all = append(all, leaf{e})
		}
		for _, c := range e.Causes {
			walk(c)
		}
	}
	walk(e)
	slices.SortStableFunc(all, func(a, b leaf) int { return slices.Compare(a.InstanceLocation, b.InstanceLocation) })
	return all[:min(len(all), maxFailures)]
}

func pointer(path []string) string {
	var b strings.Builder
	for _, p := range path {
		b.WriteString("/" + token(p))
	}
	return b.String()
}
