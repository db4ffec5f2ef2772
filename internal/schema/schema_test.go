package schema_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"grapnel/internal/schema"
)

const invoice = `{
	"type": "object",
	"required": ["id", "amount"],
	"properties": {
		"id": {"type": "string", "pattern": "^in_[0-9]+$"},
		"amount": {"type": "integer", "minimum": 1},
		"lines": {"type": "array", "items": {"$ref": "#/$defs/line"}, "uniqueItems": true}
	},
	"$defs": {"line": {"type": "object", "required": ["sku"], "properties": {"sku": {"type": "string"}, "a/b": {"type": "null"}}}}
}`

func TestCheck(t *testing.T) {
	t.Parallel()
	s, err := schema.Parse([]byte(invoice))
	if err != nil {
		t.Fatal(err)
	}
	for data, want := range map[string]string{
		`{"id":"in_1","amount":12}`:                                   "",
		`{"id":"in_1","amount":12.0,"other":[1e400]}`:                 "",
		`{"id":"in_1","amount":12,"lines":[{"sku":"a"},{"sku":"b"}]}`: "",
		`[]`:                                    ": got array, want object",
		`{"id":"in_1"}`:                         ": missing property 'amount'",
		`{"id":"in_1","amount":"12"}`:           "/amount: got string, want integer",
		`{"id":"in_1","amount":0}`:              "/amount: minimum: got 0, want 1",
		`{"id":"x","amount":1.5}`:               "/amount: got number, want integer|/id: 'x' does not match pattern '^in_[0-9]+$'",
		`{"id":"in_1","amount":1,"lines":[{}]}`: "/lines/0: missing property 'sku'",
		`{"id":"in_1","amount":1,"lines":[{"sku":"a"},{"sku":"b","a/b":1}]}`: "/lines/1/a~1b: got number, want null",
		`{"id":"in_1","amount":1,"lines":[{"sku":"a"},{"sku":"a"}]}`:         "/lines: items at 0 and 1 are equal",
	} {
		failures, err := s.Check([]byte(data))
		if err != nil {
			t.Errorf("%s: %v", data, err)
		}
		var got []string
		for _, f := range failures {
			got = append(got, f.At+": "+f.Text)
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%s: got %q, want %q", data, got, want)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"not":`, 70) + "true" + strings.Repeat("}", 70)
	for raw, want := range map[string]string{
		`{`:                                    "is not valid JSON",
		`{} {}`:                                "more than one",
		`{"type":"strin"}`:                     "/type:",
		`{"properties":{"a":{"minimum":"1"}}}`: "/properties/a/minimum: got string, want number",
		`{"pattern":"("}`:                      "/pattern:",
		`{"pattern":"a(?=b)"}`:                 "/pattern:",
		`{"$ref":"https://example.com/other.json"}`:         "nothing is fetched",
		`{"$ref":"file:///etc/passwd"}`:                     "nothing is fetched",
		`{"$ref":"#/$defs/missing"}`:                        "cannot be used",
		`{"minimum":1e1000000000}`:                          "/minimum: has the exponent",
		deep:                                                "is nested too deep",
		`{"anyOf":[` + strings.Repeat("{},", 5000) + `{}]}`: "holds 5002 objects",
		`[]`: "got array, want boolean or object",
		`"` + strings.Repeat("a", schema.MaxSize) + `"`: "at most",
	} {
		if _, err := schema.Parse([]byte(raw)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v, want %q", raw, err, want)
		}
	}
}

// case 78: neither a schema nor data makes a check endless, or as large as the memory.
func TestHostile(t *testing.T) {
	t.Parallel()
	// Twice the next definition, thirty times: a thousand million steps.
	var b strings.Builder
	b.WriteString(`{"$ref":"#/$defs/d0","$defs":{`)
	for i := range 30 {
		fmt.Fprintf(&b, `"d%d":{"anyOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]},`, i, i+1, i+1)
	}
	b.WriteString(`"d30":{"type":"null"}}}`)
	// Twice itself, one level deeper in the data.
	itself := `{"anyOf":[{"properties":{"a":{"$ref":"#"}},"required":["b"]},{"properties":{"a":{"$ref":"#"}},"required":["c"]}]}`
	nested := strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)
	for what, c := range map[string]struct{ schema, data, want string }{
		"alternatives": {b.String(), `1`, "steps"},
		"itself":       {itself, nested, "steps"},
		"exponent":     {`{"minimum":1}`, `[{"a":1e999999999}]`, "/0/a: has the exponent"},
		"digits":       {`{"minimum":1}`, strings.Repeat("9", 1001), "has 1001 digits"},
	} {
		s, err := schema.Parse([]byte(c.schema))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for range 2 { // a check that was ended spoils none after it
			if _, err := s.Check([]byte(c.data)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := s.Check([]byte(`{"a":1,"b":1}`)); err != nil && what != "alternatives" {
			t.Errorf("%s: afterwards: %v", what, err)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	s, err := schema.Parse([]byte(invoice))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 200 {
				failures, err := s.Check(fmt.Appendf(nil, `{"id":"in_1","amount":%d}`, i))
				if err != nil || (len(failures) == 0) != (i > 0) {
					t.Errorf("%d: %v, %v", i, failures, err)
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkCheck(b *testing.B) {
	s, err := schema.Parse([]byte(invoice))
	if err != nil {
		b.Fatal(err)
	}
	data := []byte(`{"id":"in_1","amount":12,"lines":[{"sku":"a"},{"sku":"b"}]}`)
	b.ReportAllocs()
	for b.Loop() {
		if failures, err := s.Check(data); err != nil || failures != nil {
			b.Fatal(failures, err)
		}
	}
}
