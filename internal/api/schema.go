package api

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// schema is a JSON Schema (2020-12), as far as our shapes need one.
type schema struct {
	Ref         string           `json:"$ref,omitzero"`
	Description string           `json:"description,omitzero"`
	Type        kinds            `json:"type,omitempty"`
	Format      string           `json:"format,omitzero"`
	Pattern     string           `json:"pattern,omitzero"`
	Enum        []any            `json:"enum,omitempty"`
	Const       string           `json:"const,omitzero"`
	Minimum     *float64         `json:"minimum,omitzero"`
	Maximum     *float64         `json:"maximum,omitzero"`
	Default     *int             `json:"default,omitzero"`
	Items       *schema          `json:"items,omitzero"`
	MinItems    int              `json:"minItems,omitzero"`
	MaxItems    int              `json:"maxItems,omitzero"`
	Properties  members[*schema] `json:"properties,omitempty"`
	Required    []string         `json:"required,omitempty"`
	Additional  any              `json:"additionalProperties,omitzero"` // false or a *schema
	AllOf       []*schema        `json:"allOf,omitempty"`
	AnyOf       []*schema        `json:"anyOf,omitempty"`
	Examples    []jsontext.Value `json:"examples,omitempty"`
}

// kinds are the types that a value may have: one as a text, several as a list.
type kinds []string

// MarshalJSONTo writes them.
func (k kinds) MarshalJSONTo(enc *jsontext.Encoder) error {
	if len(k) == 1 {
		return enc.WriteToken(jsontext.String(k[0]))
	}
	return json.MarshalEncode(enc, []string(k))
}

// members is a JSON object that keeps its order.
type members[T any] []member[T]

type member[T any] struct {
	name  string
	value T
}

func (m *members[T]) add(name string, value T) { *m = append(*m, member[T]{name, value}) }

// MarshalJSONTo writes the object.
func (m members[T]) MarshalJSONTo(enc *jsontext.Encoder) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, e := range m {
		if err := enc.WriteToken(jsontext.String(e.name)); err != nil {
			return err
		}
		if err := json.MarshalEncode(enc, e.value); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

// described is a shape that is written otherwise than its Go type shows.
type described interface {
	// describe is its schema, and an example of it.
	describe(s *shapes) (of *schema, example string)
}

// shapes makes schemas and examples of Go types, those of structs once and by
// name. Bodies of requests are closed, since we refuse what we do not know;
// answers are open, for they may get more members.
type shapes struct {
	named   members[*schema]
	seen    map[reflect.Type]string
	reading bool // the shape is a request's
}

const refPrefix = "#/components/schemas/"

// of is the schema of a type.
func (s *shapes) of(t reflect.Type) *schema {
	if d, ok := reflect.New(t).Interface().(described); ok {
		out, _ := d.describe(s)
		return out
	}
	switch t {
	case reflect.TypeFor[jsontext.Value]():
		return &schema{}
	case reflect.TypeFor[time.Time]():
		return s.of(reflect.TypeFor[stamp]())
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Bool:
		return &schema{Type: kinds{"boolean"}}
	case reflect.Int, reflect.Int64:
		return &schema{Type: kinds{"integer"}, Format: "int64"}
	case reflect.Float64:
		return &schema{Type: kinds{"number"}}
	case reflect.Slice:
		return &schema{Type: kinds{"array"}, Items: s.of(t.Elem())}
	case reflect.Array:
		n := t.Len()
		return &schema{Type: kinds{"array"}, Items: s.of(t.Elem()), MinItems: n, MaxItems: n}
	case reflect.Map:
		return &schema{Type: kinds{"object"}, Additional: s.of(t.Elem())}
	case reflect.Struct:
		return s.object(t)
	}
	return &schema{Type: kinds{"string"}}
}

// object refers to the schema of a struct.
func (s *shapes) object(t reflect.Type) *schema {
	if t.Name() == "" {
		return s.fields(t)
	}
	name, ok := s.seen[t]
	if !ok {
		name = shapeName(t)
		if s.seen == nil {
			s.seen = map[reflect.Type]string{}
		}
		s.seen[t] = name
		at := len(s.named)
		s.named.add(name, nil) // its own place, before those of its parts
		s.named[at].value = s.fields(t)
	}
	return &schema{Ref: refPrefix + name}
}

// shapeName is what the document calls a type: list[tenantShape] is a
// TenantList.
func shapeName(t reflect.Type) string {
	name, suffix := t.Name(), ""
	if inner, ok := strings.CutSuffix(name, "]"); ok {
		name, suffix = inner[strings.LastIndexAny(inner, ".[")+1:], "List"
	}
	return strings.ToUpper(name[:1]) + strings.TrimSuffix(name[1:], "Shape") + suffix
}

func (s *shapes) fields(t reflect.Type) *schema {
	out := &schema{Type: kinds{"object"}}
	if s.reading {
		out.Additional = false
	}
	for _, f := range flat(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		out.Properties.add(name, s.field(f, options != ""))
		if required := options == ""; required && !s.reading || f.Tag.Get("required") == "true" {
			out.Required = append(out.Required, name)
		}
	}
	return out
}

// field is the schema of a member, with what its tags say.
func (s *shapes) field(f reflect.StructField, absent bool) *schema {
	out := s.of(f.Type)
	if enum := f.Tag.Get("enum"); enum != "" {
		out.oneOf(strings.Split(enum, ","))
	}
	if format := f.Tag.Get("format"); format != "" {
		out.Format = format
	}
	if f.Type.Kind() == reflect.Pointer && (s.reading || !absent) {
		out = out.orNull()
	}
	out.Description = sentence(f.Tag.Get("doc"))
	return out
}

// oneOf names the only values that a text, or the items of a list, may have.
func (of *schema) oneOf(values []string) {
	if of.Items != nil {
		of = of.Items
	}
	for _, value := range values {
		of.Enum = append(of.Enum, value)
	}
	if slices.Contains(of.Type, "null") {
		of.Enum = append(of.Enum, nil)
	}
}

// orNull lets a value be null as well.
func (of *schema) orNull() *schema {
	null := &schema{Type: kinds{"null"}}
	switch {
	case of.Ref != "":
		return &schema{AnyOf: []*schema{of, null}}
	case of.AnyOf != nil:
		of.AnyOf = append(of.AnyOf, null)
	case of.Type != nil:
		of.Type = append(of.Type, "null")
		if of.Enum != nil {
			of.Enum = append(of.Enum, nil)
		}
	}
	return of
}

// flat lists the fields of a struct, with those that it embeds in their place.
func flat(t reflect.Type) []reflect.StructField {
	var out []reflect.StructField
	for i := range t.NumField() {
		switch f := t.Field(i); {
		case f.Anonymous:
			out = append(out, flat(f.Type)...)
		case f.Tag.Get("json") != "":
			out = append(out, f)
		}
	}
	return out
}

// example is a value of a type, made from what its fields' tags say. Members
// that may be absent are in it if they have an example of their own.
func (s *shapes) example(t reflect.Type) string {
	if d, ok := reflect.New(t).Interface().(described); ok {
		_, text := d.describe(s)
		return text
	}
	if t == reflect.TypeFor[time.Time]() {
		return s.example(reflect.TypeFor[stamp]())
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.example(t.Elem())
	case reflect.Bool:
		return "false"
	case reflect.Int, reflect.Int64, reflect.Float64:
		return "0"
	case reflect.Slice:
		if t == reflect.TypeFor[jsontext.Value]() {
			return "null"
		}
		return "[" + s.example(t.Elem()) + "]"
	case reflect.Map:
		return "{}"
	case reflect.Struct:
		return s.exampleObject(t)
	}
	return `""`
}

func (s *shapes) exampleObject(t reflect.Type) string {
	var b strings.Builder
	b.WriteByte('{')
	for _, f := range flat(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		text, given := f.Tag.Lookup("example")
		switch {
		case given && s.isText(f.Type):
			text = strconv.Quote(text)
		case given:
		case s.reading || options != "":
			continue
		default:
			text = s.example(f.Type)
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Quote(name) + ":" + text)
	}
	b.WriteByte('}')
	return b.String()
}

// isText reports whether a field's example is the text itself rather than JSON.
func (s *shapes) isText(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		return s.isText(t.Elem())
	}
	if inner, ok := reflect.New(t).Interface().(interface{ inner() reflect.Type }); ok {
		return s.isText(inner.inner())
	}
	return t.Kind() == reflect.String || t == reflect.TypeFor[seconds]() && s.reading || t == reflect.TypeFor[stamp]()
}

// sentence makes a field's words stand alone.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:] + "."
}

func (*field[T]) inner() reflect.Type { return reflect.TypeFor[T]() }

func (*field[T]) describe(s *shapes) (*schema, string) {
	return s.of(reflect.TypeFor[T]()).orNull(), s.example(reflect.TypeFor[T]())
}

func (*raw) describe(*shapes) (*schema, string) { return &schema{}, "null" }

func (*stamp) describe(*shapes) (*schema, string) {
	return &schema{Type: kinds{"string"}, Format: "date-time"}, `"2026-01-31T08:00:00.000Z"`
}

func (*seconds) describe(s *shapes) (*schema, string) {
	number := &schema{Type: kinds{"number"}, Description: "A number of seconds."}
	if !s.reading {
		number.Description = ""
		return number, "20"
	}
	text := &schema{Type: kinds{"string"}, Description: "A text such as 1m30s.", Pattern: `^[-+]?([0-9.]+(ns|us|µs|μs|ms|s|m|h))+$|^[-+]?0$`}
	return &schema{AnyOf: []*schema{number, text}}, `"1m30s"`
}

func (*headers) describe(*shapes) (*schema, string) {
	return &schema{Type: kinds{"object"}, Additional: &schema{Type: kinds{"string"}}}, `{"content-type":"application/json"}`
}
