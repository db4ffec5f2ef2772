package catalogue

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"grapnel/internal/hook"
)

// Body is how the events of a catalogue reach their receivers.
type Body struct {
	Type
	// Example is a whole body as it is sent, or nil.
	Example []byte
}

// About is what a document says of itself.
type About struct {
	Title       string
	Description string
	Version     string
}

// Write makes a document of event types. Those whose Envelope is set have bodies of
// Standard Webhooks; of others, Schema is that of the whole body.
func Write(format Format, about About, types []Body) ([]byte, error) {
	w := writer{base: "/components/schemas/", schemas: object{}}
	var document any
	var err error
	switch format {
	case OpenAPI:
		document, err = w.openAPI(about, types)
	case AsyncAPI:
		document, err = w.asyncAPI(about, types)
	case JSONSchema:
		w.base = "/$defs/"
		document, err = w.jsonSchema(about, types)
	default:
		return nil, hook.Errorf(hook.CodeInvalid, "there is no format %q: want openapi, asyncapi or jsonschema", hook.Clip(string(format)))
	}
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err = enc.Encode(document)
	return out.Bytes(), err
}

// writer gathers the schemas of data under one place of the document.
type writer struct {
	base    string // what the pointers to them begin with
	schemas object
}

// put adds the schema of a type's data and is a reference to it.
func (w *writer) put(t *Body) (object, error) {
	var v any = true
	if len(t.Schema) > 0 {
		d, err := parse(t.Schema)
		if err != nil {
			return nil, fmt.Errorf("the schema of %s: %w", t.Name, err)
		}
		v = moved(d.root, "", w.base+escape(t.Name))
		if o, ok := v.(object); ok {
			delete(o, "$schema") // the document says which it is
		}
	}
	w.schemas[t.Name] = v
	return object{"$ref": "#" + w.base + escape(t.Name)}, nil
}

// moved is a schema whose references into one place of the document, as JSON Pointers
// name it, lead to another.
func moved(v any, from, to string) any {
	switch v := v.(type) {
	case object:
		out := make(object, len(v))
		for name, kid := range v {
			if ref, ok := kid.(string); ok && name == "$ref" {
				if rest, ok := strings.CutPrefix(ref, "#"+from); ok && (rest == "" || rest[0] == '/') {
					out[name] = "#" + to + rest
					continue
				}
			}
			out[name] = moved(kid, from, to)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = moved(item, from, to)
		}
		return out
	}
	return v
}

// body is the schema of a whole body.
func (w *writer) body(t *Body) (object, error) {
	data, err := w.put(t)
	if err != nil || !t.Envelope {
		return data, err
	}
	return object{
		"type":     "object",
		"required": []string{"type", "timestamp", "data"},
		"properties": object{
			"type":      object{"const": t.Name},
			"timestamp": object{"type": "string", "format": "date-time"},
			"data":      data,
		},
	}, nil
}

// example is a whole body, or nil.
func (t *Body) example() any {
	if len(t.Example) == 0 || !json.Valid(t.Example) {
		return nil
	}
	return json.RawMessage(t.Example)
}

func (a *About) info() object {
	info := object{"title": a.Title, "version": a.Version}
	if a.Description != "" {
		info["description"] = a.Description
	}
	return info
}

func (w *writer) openAPI(about About, types []Body) (any, error) {
	webhooks := object{}
	for i := range types {
		t := &types[i]
		schema, err := w.body(t)
		if err != nil {
			return nil, err
		}
		media := object{"schema": schema}
		if example := t.example(); example != nil {
			media["example"] = example
		}
		operation := object{
			"operationId": t.Name,
			"requestBody": object{"required": true, "content": object{"application/json": media}},
			"responses":   object{"2XX": object{"description": "The event was received."}},
		}
		if t.Description != "" {
			operation["description"] = t.Description
		}
		if t.Group != "" {
			operation["tags"] = []string{t.Group}
		}
		if t.Deprecated {
			operation["deprecated"] = true
		}
		webhooks[t.Name] = object{"post": operation}
	}
	return object{"openapi": "3.1.0", "info": about.info(), "webhooks": webhooks, "components": object{"schemas": w.schemas}}, nil
}

func (w *writer) asyncAPI(about About, types []Body) (any, error) {
	messages, references := object{}, object{}
	for i := range types {
		t := &types[i]
		payload, err := w.body(t)
		if err != nil {
			return nil, err
		}
		message := object{"name": t.Name, "contentType": "application/json", "payload": payload}
		if t.Description != "" {
			message["description"] = t.Description
		}
		if t.Group != "" {
			message["tags"] = []object{{"name": t.Group}}
		}
		if t.Deprecated {
			message["x-deprecated"] = true
		}
		if example := t.example(); example != nil {
			message["examples"] = []object{{"payload": example}}
		}
		messages[t.Name] = message
		references[t.Name] = object{"$ref": "#/components/messages/" + escape(t.Name)}
	}
	return object{
		"asyncapi": "3.0.0",
		"info":     about.info(),
		"channels": object{"webhooks": object{"description": "Sent to your endpoint by POST.", "messages": references}},
		"operations": object{"receive": object{
			"action": "receive", "channel": object{"$ref": "#/channels/webhooks"},
		}},
		"components": object{"messages": messages, "schemas": w.schemas},
	}, nil
}

// jsonSchema has a body for each type: the root is one of all.
func (w *writer) jsonSchema(about About, types []Body) (any, error) {
	var all []object
	for i := range types {
		t := &types[i]
		schema, err := w.body(t)
		if err != nil {
			return nil, err
		}
		if !t.Envelope { // what is under $defs is the body
			o, ok := w.schemas[t.Name].(object)
			if !ok {
				o = object{}
			}
			schema = o
		} else {
			inner := w.schemas[t.Name]
			delete(w.schemas, t.Name)
			at := w.base + escape(t.Name) + "/properties/data"
			schema["properties"].(object)["data"] = moved(inner, w.base+escape(t.Name), at)
		}
		if t.Description != "" {
			schema["description"] = t.Description
		}
		if t.Deprecated {
			schema["deprecated"] = true
		}
		if example := t.example(); example != nil {
			schema["examples"] = []any{example}
		}
		w.schemas[t.Name] = schema
		all = append(all, object{"$ref": "#" + w.base + escape(t.Name)})
	}
	document := object{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": about.Title, "description": about.Description, "$defs": w.schemas,
	}
	if len(all) > 0 {
		document["oneOf"] = all
	}
	return document, nil
}
