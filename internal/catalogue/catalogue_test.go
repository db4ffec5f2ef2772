package catalogue_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"grapnel/internal/catalogue"
	"grapnel/internal/schema"
)

// described are the types of a document as lines to compare.
func described(types []catalogue.Type) string {
	var b strings.Builder
	for _, t := range types {
		b.WriteString(t.Name)
		for _, s := range []string{t.Description, t.Group} {
			b.WriteString("|" + s)
		}
		if t.Deprecated {
			b.WriteString("|deprecated")
		}
		if t.Envelope {
			b.WriteString("|envelope")
		}
		b.WriteString("|" + string(t.Schema) + "|" + string(t.Sample) + "\n")
	}
	return b.String()
}

func TestRead(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		file     string
		raw      string
		want     string
		wantNote string
	}{
		"OpenAPI in YAML, the body is the data": {raw: `
openapi: 3.1.0
webhooks:
  invoice.paid:
    post:
      tags: [Invoices]
      summary: An invoice was paid
      requestBody:
        content:
          application/json:
            schema: {$ref: "#/components/schemas/Invoice"}
            example: {id: 1, customer: {name: a}}
  gone:
    $ref: "#/components/pathItems/gone"
components:
  pathItems:
    gone: {post: {deprecated: true, description: Was sent once}}
  schemas:
    Invoice:
      type: object
      properties:
        id: {type: integer}
        customer: {$ref: "#/components/schemas/Customer"}
    Customer:
      type: object
      properties:
        name: {type: string}
        parent: {$ref: "#/components/schemas/Customer"}
        last: {$ref: "#/components/schemas/Invoice"}
`, want: `gone|Was sent once||deprecated||
invoice.paid|An invoice was paid|Invoices|{"$defs":{"Customer":{"properties":{"last":{"$ref":"#"},"name":{"type":"string"},"parent":{"$ref":"#/$defs/Customer"}},"type":"object"}},"properties":{"customer":{"$ref":"#/$defs/Customer"},"id":{"type":"integer"}},"type":"object"}|{"customer":{"name":"a"},"id":1}
`},
		"OpenAPI with an envelope, named by its type": {raw: `{"openapi":"3.1.0","webhooks":{"InvoicePaidWebhook":{"post":{"requestBody":{"content":{"application/json":{
			"schema":{"allOf":[{"$ref":"#/components/schemas/Envelope"},{"properties":{"type":{"const":"invoice.paid"},"data":{"type":"object","required":["id"]}}}]},
			"examples":{"one":{"value":{"type":"invoice.paid","timestamp":"2026-01-01T00:00:00Z","data":{"id":1}}}}}}}}}},
			"components":{"schemas":{"Envelope":{"type":"object","properties":{"type":{"type":"string"},"timestamp":{"type":"string"}}}}}}`,
			want: `invoice.paid|||envelope|{"required":["id"],"type":"object"}|{"id":1}` + "\n"},
		"an example that does not fit": {raw: `{"openapi":"3.1.0","webhooks":{"a":{"post":{"requestBody":{"content":{"application/json":{"schema":{"type":"object"},"example":1}}}}}}}`,
			want: `a|||{"type":"object"}|` + "\n", wantNote: "got number, want object"},
		"AsyncAPI 3": {raw: `
asyncapi: 3.0.0
channels:
  events:
    messages:
      paid: {$ref: "#/components/messages/invoice.paid"}
components:
  messages:
    invoice.paid:
      description: Paid
      tags: [{name: Invoices}]
      payload: {type: object}
      examples: [{payload: {id: 1}}]
    unused: {payload: true}
`, want: `invoice.paid|Paid|Invoices|{"type":"object"}|{"id":1}` + "\n"},
		"AsyncAPI 2": {raw: `{"asyncapi":"2.6.0","channels":{"user/signedup":{"subscribe":{"message":{"oneOf":[{"name":"user.created","payload":{"type":"object"}},{"$ref":"#/components/messages/user.deleted"}]}}}},
			"components":{"messages":{"user.deleted":{"payload":{"schemaFormat":"application/schema+json;version=draft-2020-12","schema":{"type":"string"}}}}}}`,
			want: "user.created|||{\"type\":\"object\"}|\nuser.deleted|||{\"type\":\"string\"}|\n"},
		"a schema, named by its file": {file: "types/invoice.paid.schema.json", raw: `{"description":"Paid","type":"object","examples":[{}],"$defs":{"a":{}},"properties":{"a":{"$ref":"#/$defs/a"}}}`,
			want: `invoice.paid|Paid||{"$defs":{"a":{}},"description":"Paid","examples":[{}],"properties":{"a":{"$ref":"#/$defs/a"}},"type":"object"}|{}` + "\n"},
		"a schema, named by its title": {file: "x.json", raw: `{"title":"invoice.paid","deprecated":true}`, want: `invoice.paid|||deprecated|{"deprecated":true,"title":"invoice.paid"}|` + "\n"},
	} {
		got, err := catalogue.Read(c.file, "", []byte(c.raw))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if described(got) != c.want {
			t.Errorf("%s:\n got %s\nwant %s", what, described(got), c.want)
		}
		for _, one := range got {
			if len(one.Schema) > 0 {
				if _, err := schema.Parse(one.Schema); err != nil {
					t.Errorf("%s: %s: %v", what, one.Name, err)
				}
			}
			if c.wantNote != "" && !strings.Contains(strings.Join(one.Notes, ""), c.wantNote) {
				t.Errorf("%s: notes %q", what, one.Notes)
			}
		}
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"{": "neither JSON nor YAML",
		`{"openapi":"3.0.3","webhooks":{"a":{}}}`: "since 3.1",
		`{"openapi":"3.1.0","paths":{}}`:          "no webhooks",
		`{"asyncapi":"3.0.0"}`:                    "no messages",
		`{"openapi":"3.1.0","webhooks":{"a":{"$ref":"#/webhooks/b"},"b":{"$ref":"#/webhooks/a"}}}`: "in a circle",
		`{"openapi":"3.1.0","webhooks":{"a":{"$ref":"other.yaml#/a"}}}`:                            "bundle them",
		`{"openapi":"3.1.0","webhooks":{"a":{"$ref":"#/nowhere"}}}`:                                "not there",
		`{"openapi":"3.1.0","webhooks":{"a b":{"post":{}}}}`:                                       "cannot be named",
		`{"type":"object"}`: "cannot be named",
		`[]`:                "want an object",
		`{"openapi":"3.1.0","webhooks":{"a":{"post":{"requestBody":{"content":{"application/json":{"schema":{"items":{"$ref":"#/x"}}}}}}}}}`: "not there",
	} {
		if got, err := catalogue.Read("", "", []byte(raw)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v; want %q", raw, got, err, want)
		}
	}
}

// What is written is read as the same again, in every format.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	types := []catalogue.Body{
		{Type: catalogue.Type{Name: "a", Envelope: true}},
		{Type: catalogue.Type{Name: "invoice.paid", Description: "Paid", Group: "Invoices", Deprecated: true, Envelope: true,
			Schema: []byte(`{"$defs":{"line":{"properties":{"invoice":{"$ref":"#"},"self":{"$ref":"#/$defs/line"}}}},"items":{"$ref":"#/$defs/line"},"minItems":0}`), Sample: []byte(`[{}]`)},
			Example: []byte(`{"type":"invoice.paid","timestamp":"2026-01-01T00:00:00Z","data":[{}]}`)},
	}
	for _, f := range catalogue.Formats {
		raw, err := catalogue.Write(f, catalogue.About{Title: "Webhooks", Version: "1"}, types)
		if err != nil {
			t.Fatal(f, err)
		}
		got, err := catalogue.Read("", "", raw)
		if err != nil {
			t.Fatalf("%s: %v\n%s", f, err, raw)
		}
		if len(got) != 2 {
			t.Fatalf("%s: %d types\n%s", f, len(got), raw)
		}
		for i := range got {
			want := types[i].Type
			if f == catalogue.JSONSchema {
				want.Group = "" // it has no place for it
			}
			if len(want.Schema) == 0 && len(got[i].Schema) == 0 {
				got[i].Schema, want.Schema = []byte("true"), []byte("true")
			}
			if !same(t, got[i].Schema, want.Schema) {
				t.Errorf("%s: %s: schema %s, want %s", f, want.Name, got[i].Schema, want.Schema)
			}
			got[i].Schema, want.Schema = nil, nil
			if !reflect.DeepEqual(got[i], want) {
				t.Errorf("%s: got %+v, want %+v", f, got[i], want)
			}
		}
		again, err := catalogue.Write(f, catalogue.About{Title: "Webhooks", Version: "1"}, types)
		if err != nil || string(again) != string(raw) {
			t.Errorf("%s: a second time it is another", f)
		}
	}
}

func same(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"openapi":"3.1.0","webhooks":{"a":{"post":{"requestBody":{"content":{"application/json":{"schema":{"$ref":"#"}}}}}}}}`))
	f.Add([]byte("asyncapi: 3.0.0\nchannels: {a: {messages: {b: {payload: {$ref: '#/channels'}}}}}"))
	f.Add([]byte(`{"oneOf":[{"$ref":"#"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		types, err := catalogue.Read("a.json", "", raw)
		if err != nil {
			return
		}
		for _, one := range types {
			if len(one.Schema) > 0 && !json.Valid(one.Schema) {
				t.Errorf("%s: %s", one.Name, one.Schema)
			}
		}
	})
}
