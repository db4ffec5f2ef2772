package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"grapnel/internal/hook"
)

// The limits of a schema and of a check.
const (
	MaxSize  = 256 << 10 // of a schema's text, in bytes
	maxDepth = 64        // of a schema's JSON
	// maxObjects bounds the objects in a schema's text: to compile them takes the
	// square of their number.
	maxObjects = 5000
	// maxSteps is how many times a schema within a schema may be held against a
	// value in one check: what is written with references can ask for more than
	// anybody can wait for.
	maxSteps = 200_000
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
	document any
	ready    sync.Pool // of *compiled: each counts the steps of one check at a time
}

// compiled is a schema with the steps that are left for the check that uses it.
type compiled struct {
	schema *jsonschema.Schema
	left   int
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
	s := &Schema{document: document}
	c, err := s.compile()
	if err != nil {
		return nil, refusal(err)
	}
	s.ready.Put(c)
	return s, nil
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

// compile makes the schema ready for one check at a time.
func (s *Schema) compile() (*compiled, error) {
	out := &compiled{}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(nothing{})
	c.RegisterVocabulary(&jsonschema.Vocabulary{
		URL: "grapnel:steps",
		Compile: func(*jsonschema.CompilerContext, map[string]any) (jsonschema.SchemaExt, error) {
			return out, nil
		},
	})
	c.AssertVocabs()
	if err := c.AddResource(name, s.document); err != nil {
		return nil, err
	}
	var err error
	out.schema, err = c.Compile(name)
	return out, err
}

// errSteps ends a check that takes too long.
var errSteps = errors.New("no steps are left")

// Validate counts a step: the compiler calls it of every schema within the schema.
func (c *compiled) Validate(*jsonschema.ValidatorContext, any) {
	if c.left--; c.left < 0 {
		panic(errSteps)
	}
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
	if err := within(v, "", 10_000); err != nil {
		return nil, err
	}
	c, _ := s.ready.Get().(*compiled)
	if c == nil {
		if c, err = s.compile(); err != nil {
			return nil, refusal(err)
		}
	}
	c.left = maxSteps
	defer func() {
		switch r := recover(); r {
		case nil:
			s.ready.Put(c)
		case errSteps:
			failures, err = nil, hook.Invalid("", "takes more than %d steps to be held against the schema of its type, which has too many alternatives inside of each other", maxSteps)
		default:
			panic(r)
		}
	}()
	var failed *jsonschema.ValidationError
	if errors.As(c.schema.Validate(v), &failed) {
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
