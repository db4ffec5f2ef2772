package catalogue

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"grapnel/internal/hook"
	"grapnel/internal/schema"
)

// Format is a kind of document.
type Format string

// The formats.
const (
	OpenAPI    Format = "openapi"    // 3.1 with webhooks
	AsyncAPI   Format = "asyncapi"   // 3.0; 2.x is read, too
	JSONSchema Format = "jsonschema" // 2020-12
)

// Formats are all there are.
var Formats = []Format{OpenAPI, AsyncAPI, JSONSchema}

// Type is an event type as a document describes it.
type Type struct {
	Name, Description, Group string
	Deprecated               bool
	Schema                   []byte // of data, standing alone, or nil
	Sample                   []byte // of data, or nil
	// Envelope says that the document describes whole bodies of Standard Webhooks, of
	// which Schema and Sample are the data.
	Envelope bool
	Notes    []string // what could not be taken over, in words
}

// Read finds the event types of a document. file is the name that it has, or "", and
// format may be "" to find out. The types are sorted by name.
func Read(file string, format Format, raw []byte) ([]Type, error) {
	d, err := parse(raw)
	if err != nil {
		return nil, err
	}
	r := &reader{document: d, types: map[string]*Type{}}
	if format == "" {
		format = d.format()
	}
	switch format {
	case OpenAPI:
		err = r.openAPI()
	case AsyncAPI:
		err = r.asyncAPI()
	case JSONSchema:
		err = r.jsonSchema(file)
	default:
		err = hook.Errorf(hook.CodeInvalid, "there is no format %q: want openapi, asyncapi or jsonschema", hook.Clip(string(format)))
	}
	if err != nil {
		return nil, err
	}
	out := make([]Type, 0, len(r.types))
	for _, t := range r.types {
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b Type) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// format is what a document looks like.
func (d *document) format() Format {
	switch {
	case member(d.root, "openapi") != nil:
		return OpenAPI
	case member(d.root, "asyncapi") != nil:
		return AsyncAPI
	}
	return JSONSchema
}

type reader struct {
	*document
	types map[string]*Type
}

// add takes a type in whose bodies a schema at a place describes. It is called name
// unless the schema of an envelope says better.
func (r *reader) add(t Type, schema any, at string, example any) error {
	schema, at, err := r.follow(schema, at)
	if err != nil {
		return err
	}
	if data, dataAt, name, ok, err := r.envelope(schema, at); err != nil {
		return err
	} else if ok {
		t.Envelope = true
		if hook.ValidType(name) == nil {
			t.Name = name
		}
		schema, at = data, dataAt
		if example != nil {
			example = member(example, "data")
		}
	}
	if err := hook.ValidType(t.Name); err != nil {
		return hook.Errorf(hook.CodeInvalid, "a type of the document cannot be named: %v", err)
	}
	if _, twice := r.types[t.Name]; twice {
		return nil // one message in several channels
	}
	if schema != nil {
		if t.Schema, err = r.alone(schema, at); err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		if string(t.Schema) == "true" { // which says nothing
			t.Schema = nil
		}
	}
	t.setSample(example)
	r.types[t.Name] = &t
	return nil
}

// setSample takes an example over if it satisfies the schema, and says so if not.
func (t *Type) setSample(example any) {
	if example == nil {
		return
	}
	sample, err := json.Marshal(example)
	if err != nil {
		return
	}
	if t.Schema != nil {
		s, err := schema.Parse(t.Schema)
		if err != nil {
			return // the server says what is wrong with it
		}
		if failures, err := s.Check(sample); err != nil || len(failures) > 0 {
			note := "its example is left out: it does not satisfy its own schema"
			if len(failures) > 0 {
				note += fmt.Sprintf(" (%s: %s)", failures[0].At, failures[0].Text)
			}
			t.Notes = append(t.Notes, note)
			return
		}
	}
	t.Sample = sample
}

// envelope is the schema of data in that of a body of Standard Webhooks, which has type,
// timestamp and data (SW-6), with the one type that it is for, if it says so.
func (r *reader) envelope(schema any, at string) (data any, dataAt, eventType string, ok bool, err error) {
	parts := []any{schema}
	places := []string{at}
	if all, ok := member(schema, "allOf").([]any); ok {
		for i, part := range all {
			part, partAt, err := r.follow(part, fmt.Sprintf("%s/allOf/%d", at, i))
			if err != nil {
				return nil, "", "", false, err
			}
			parts, places = append(parts, part), append(places, partAt)
		}
	}
	var hasType, hasTime bool
	for i, part := range parts {
		properties := member(part, "properties")
		hasTime = hasTime || member(properties, "timestamp") != nil
		if of := member(properties, "type"); of != nil {
			hasType = true
			of, _, err := r.follow(of, "")
			if err != nil {
				return nil, "", "", false, err
			}
			if name := text(of, "const"); name != "" {
				eventType = name
			} else if one, _ := member(of, "enum").([]any); len(one) == 1 {
				eventType, _ = one[0].(string)
			}
		}
		if of := member(properties, "data"); of != nil {
			data, dataAt = of, places[i]+"/properties/data"
		}
	}
	return data, dataAt, eventType, hasType && hasTime && dataAt != "", nil
}

func (r *reader) openAPI() error {
	version := text(r.root, "openapi")
	if !strings.HasPrefix(version, "3.") || strings.HasPrefix(version, "3.0") {
		return hook.Errorf(hook.CodeInvalid, "the document is of OpenAPI %s, and webhooks are there since 3.1", hook.Clip(version))
	}
	webhooks := member(r.root, "webhooks")
	if len(names(webhooks)) == 0 {
		return hook.Errorf(hook.CodeInvalid, "the document has no webhooks")
	}
	for _, name := range names(webhooks) {
		at := "/webhooks/" + escape(name)
		item, itemAt, err := r.follow(member(webhooks, name), at)
		if err != nil {
			return err
		}
		for _, method := range []string{"post", "put", "patch", "get", "delete"} {
			operation := member(item, method)
			if operation == nil {
				continue
			}
			if err := r.operation(name, operation, itemAt+"/"+method); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// operation takes in the type of one webhook.
func (r *reader) operation(name string, operation any, at string) error {
	t := Type{Name: name, Description: described(operation)}
	if hook.ValidType(name) != nil {
		t.Name = text(operation, "operationId")
	}
	t.Deprecated, _ = member(operation, "deprecated").(bool)
	if tags, _ := member(operation, "tags").([]any); len(tags) > 0 {
		t.Group, _ = tags[0].(string)
	}
	body, bodyAt, err := r.follow(member(operation, "requestBody"), at+"/requestBody")
	if err != nil {
		return err
	}
	content := member(body, "content")
	for _, kind := range names(content) {
		if kind != "application/json" && !strings.HasSuffix(kind, "+json") && kind != "*/*" {
			continue
		}
		media := member(content, kind)
		mediaAt := bodyAt + "/content/" + escape(kind)
		example := member(media, "example")
		if examples := member(media, "examples"); example == nil && len(names(examples)) > 0 {
			first, _, err := r.follow(member(examples, names(examples)[0]), "")
			if err != nil {
				return err
			}
			example = member(first, "value")
		}
		return r.add(t, member(media, "schema"), mediaAt+"/schema", example)
	}
	return r.add(t, nil, "", nil)
}

// described is what a part of a document says of itself: its description, or else its
// summary.
func described(of any) string {
	if s := text(of, "description"); s != "" {
		return s
	}
	return text(of, "summary")
}

func (r *reader) asyncAPI() error {
	channels := member(r.root, "channels")
	found := false
	for _, name := range names(channels) {
		channel, at, err := r.follow(member(channels, name), "/channels/"+escape(name))
		if err != nil {
			return err
		}
		for _, key := range names(member(channel, "messages")) { // 3.0
			found = true
			if err := r.message(key, member(member(channel, "messages"), key), at+"/messages/"+escape(key)); err != nil {
				return err
			}
		}
		for _, way := range []string{"publish", "subscribe"} { // 2.x
			message := member(member(channel, way), "message")
			if message == nil {
				continue
			}
			found = true
			messages, messagesAt := []any{message}, []string{at + "/" + way + "/message"}
			if several, ok := member(message, "oneOf").([]any); ok {
				messages, messagesAt = several, nil
				for i := range several {
					messagesAt = append(messagesAt, fmt.Sprintf("%s/%s/message/oneOf/%d", at, way, i))
				}
			}
			for i, m := range messages {
				if err := r.message(name, m, messagesAt[i]); err != nil {
					return err
				}
			}
		}
	}
	messages := member(member(r.root, "components"), "messages")
	if found {
		messages = nil
	}
	for _, key := range names(messages) {
		if err := r.message(key, member(messages, key), "/components/messages/"+escape(key)); err != nil {
			return err
		}
	}
	if len(r.types) == 0 {
		return hook.Errorf(hook.CodeInvalid, "the document has no messages")
	}
	return nil
}

// message takes in the type of one message.
func (r *reader) message(key string, message any, at string) error {
	message, at, err := r.follow(message, at)
	if err != nil {
		return err
	}
	t := Type{Name: key, Description: described(message)}
	for _, name := range []string{text(message, "name"), unescape(path.Base(at))} {
		if hook.ValidType(name) == nil && name != "message" {
			t.Name = name
			break
		}
	}
	t.Deprecated, _ = member(message, "deprecated").(bool)
	if extension, ok := member(message, "x-deprecated").(bool); ok {
		t.Deprecated = extension
	}
	if tags, _ := member(message, "tags").([]any); len(tags) > 0 {
		t.Group = text(tags[0], "name")
	}
	var example any
	if examples, _ := member(message, "examples").([]any); len(examples) > 0 {
		example = member(examples[0], "payload")
	}
	payload, payloadAt := member(message, "payload"), at+"/payload"
	if inner := member(payload, "schema"); inner != nil && member(payload, "schemaFormat") != nil { // a multi format schema
		payload, payloadAt = inner, payloadAt+"/schema"
	}
	return r.add(t, payload, payloadAt, example)
}

func (r *reader) jsonSchema(file string) error {
	if _, ok := r.root.(object); !ok {
		return hook.Errorf(hook.CodeInvalid, "the document is no schema of an event type: want an object")
	}
	for _, way := range []string{"oneOf", "anyOf"} { // a list of types, each under its name
		several, _ := member(r.root, way).([]any)
		if len(several) == 0 || member(r.root, "properties") != nil {
			continue
		}
		for i, one := range several {
			v, at, err := r.follow(one, fmt.Sprintf("/%s/%d", way, i))
			if err != nil {
				return err
			}
			if err := r.one(unescape(path.Base(at)), v, at); err != nil {
				return err
			}
		}
		return nil
	}
	name := path.Base(strings.ReplaceAll(file, `\`, "/"))
	for _, suffix := range []string{".json", ".yaml", ".yml", ".schema"} {
		name = strings.TrimSuffix(name, suffix)
	}
	return r.one(name, r.root, "")
}

// one takes in the type that one schema describes.
func (r *reader) one(name string, of any, at string) error {
	if title := text(of, "title"); hook.ValidType(title) == nil {
		name = title
	}
	t := Type{Name: name, Description: text(of, "description")}
	t.Deprecated, _ = member(of, "deprecated").(bool)
	var example any
	if examples, _ := member(of, "examples").([]any); len(examples) > 0 {
		example = examples[0]
	}
	return r.add(t, of, at, example)
}
