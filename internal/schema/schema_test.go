package schema_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

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

// doubling is a schema that is small, and asks twice as often with each level.
func doubling(levels int) string {
	var b strings.Builder
	b.WriteString(`{"$ref":"#/$defs/d0","$defs":{`)
	for i := range levels {
		fmt.Fprintf(&b, `"d%d":{"anyOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]},`, i, i+1, i+1)
	}
	fmt.Fprintf(&b, `"d%d":{"type":"null"}}}`, levels)
	return b.String()
}

// signs is a list of lists of 1 and -1, no two the same: a hash of numbers that leaves
// their signs out is the same for all.
func signs(n int) string {
	var items []string
	for i := range 1 << n {
		var one []string
		for bit := range n {
			one = append(one, map[bool]string{true: "1", false: "-1"}[i>>bit&1 == 1])
		}
		items = append(items, "["+strings.Join(one, ",")+"]")
	}
	return "[" + strings.Join(items, ",") + "]"
}

// case 78: no schema and no data make a check endless, or as large as the memory. The bound
// on time is far above what it takes, and far below what it would be without limits.
func TestHostile(t *testing.T) {
	t.Parallel()
	nested := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	list := func(n int, item string) string { return "[" + strings.Repeat(item+",", n) + "0]" }
	for what, c := range map[string]struct{ schema, data, want string }{
		// What is only asked whether it fits, and fails early, ends no look of the library's.
		"not":         {`{"not":{"$ref":"#/$defs/x"},"$defs":{"x":{"type":"object","patternProperties":{"a":{"$ref":"#/$defs/x"},"a|b":{"$ref":"#/$defs/x"}}}}}`, nested(50), "bounded time"},
		"itself":      {`{"anyOf":[{"properties":{"a":{"$ref":"#"}},"required":["b"]},{"properties":{"a":{"$ref":"#"}},"required":["c"]}]}`, nested(40), "bounded time"},
		"unevaluated": {`{"anyOf":[{"properties":{"a":{"$ref":"#"}}},{"properties":{"a":{"$ref":"#"}}}],"unevaluatedProperties":false}`, nested(40), "bounded time"},
		"unique":      {`{"uniqueItems":true}`, signs(14), ""},
		"long text":   {`{"pattern":"(a?){400}$"}`, `"` + strings.Repeat("a", 400_000) + `b"`, "bounded time"},
		"large enum":  {`{"items":{"enum":[` + strings.Repeat(`"x",`, 10_000) + `1]}}`, list(100_000, `"y"`), "bounded time"},
		"exponent":    {`{"minimum":1}`, `[{"a":1e999999999}]`, "/0/a: has the exponent"},
		"digits":      {`{"minimum":1}`, strings.Repeat("9", 1001), "has 1001 digits"},
		"deep":        {`true`, nested(66), "is nested too deep"},
	} {
		s, err := schema.Parse([]byte(c.schema))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for range 2 {
			begin := time.Now()
			_, err := s.Check([]byte(c.data))
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("%s took %v", what, took)
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%s: %v, want %q", what, err, c.want)
			}
		}
		if _, err := s.Check([]byte(`{"a":1,"b":1}`)); err != nil {
			t.Errorf("%s: afterwards: %v", what, err)
		}
	}
	for what, c := range map[string]struct{ schema, want string }{
		"alternatives": {doubling(30), "takes too much to check"},
		"circle":       {`{"allOf":[{"$ref":"#"}]}`, "leads back to itself"},
		"many":         {`{"anyOf":[` + strings.Repeat(`{"a":1},`, 20_000) + `true]}`, "at most 5000 are allowed"},
		"subschemas":   {`{"anyOf":[` + strings.Repeat(`{"type":"null"},`, 3000) + `true]}`, "more than 2000 schemas"},
		"dynamic":      {`{"$dynamicRef":"#a","$defs":{"a":{"$dynamicAnchor":"a"}}}`, "$dynamicRef"},
		"pattern":      {`{"pattern":"(` + strings.Repeat("a", 3000) + `){1000}"}`, "takes too much to match"},
		"vocabulary":   {`{"$ref":"https://json-schema.org/draft/2020-12/schema"}`, "nothing is fetched"},
	} {
		if _, err := schema.Parse([]byte(c.schema)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
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
