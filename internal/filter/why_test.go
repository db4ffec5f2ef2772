package filter_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"grapnel/internal/filter"
	"grapnel/internal/hook"
)

func TestWhy(t *testing.T) {
	t.Parallel()
	event := &hook.Event{Type: "invoice.paid", Data: []byte(`{"amount":5,"customer":{"country":"DE"},"tags":["a"],"note":null}`), Previous: []byte(`{"amount":5}`), Metadata: []byte(`{"store":"s1"}`)}
	for raw, want := range map[string]filter.Verdict{
		`{"field":"data.amount","operator":"gt","value":4}`:                                                                    {Matches: true},
		`{"field":"data.amount","operator":"gt","value":10}`:                                                                   {Text: "data.amount is 5, and the filter wants more than 10"},
		`{"field":"data.customer.country","operator":"in","value":["FR",1]}`:                                                   {Text: `data.customer.country is "DE", and the filter wants one of ["FR",1]`},
		`{"field":"data.vip","operator":"eq","value":true}`:                                                                    {Text: "data.vip is not there, and the filter wants true"},
		`{"field":"data.customer","operator":"eq","value":null}`:                                                               {Text: "data.customer is an object, and the filter wants null"},
		`{"field":"data.note","operator":"exists","value":false}`:                                                              {Text: "data.note is null, and the filter wants it not to be there"},
		`{"field":"type","operator":"like","value":"user.%"}`:                                                                  {Text: `type is "invoice.paid", and the filter wants a text like "user.%"`},
		`{"and":[{"field":"metadata.store","operator":"eq","value":"s1"},{"field":"data.amount","operator":"lte","value":4}]}`: {At: "/and/1", Text: "data.amount is 5, and the filter wants 4 or less"},
		`{"or":[{"field":"data.amount","operator":"lt","value":1},{"field":"type","operator":"eq","value":"x"}]}`:              {At: "/or", Text: "none of the 2 conditions of or holds; of the first: data.amount is 5, and the filter wants less than 1"},
		`{"or":[{"field":"data.amount","operator":"lt","value":1}]}`:                                                           {At: "/or/0", Text: "data.amount is 5, and the filter wants less than 1"},
		`{"not":{"field":"data.amount","operator":"eq","value":5}}`:                                                            {At: "/not", Text: "the condition inside not holds: data.amount is 5"},
		`{"field":"data.amount","operator":"changed"}`:                                                                         {Text: "data.amount is as it was before, and the filter wants it to have changed"},
		`{"field":"data.note","operator":"changed","value":false}`:                                                             {Text: "data.note has changed, and the filter wants it to be as it was before"},
		`{"field":"previous.vip","operator":"eq","value":true}`:                                                                {Text: "previous.vip is not there, and the filter wants true"},
		`{"not":{"and":[{"field":"data.amount","operator":"eq","value":5}]}}`:                                                  {At: "/not", Text: "the condition inside not holds: all of it does"},
	} {
		f, err := filter.Parse([]byte(raw))
		if err != nil {
			t.Fatal(raw, err)
		}
		if diff := cmp.Diff(want, f.Why(filter.NewSubject(event))); diff != "" {
			t.Errorf("%s: %s", raw, diff)
		}
	}
}

// Why never says something else than Match.
func TestWhyAgreesWithMatch(t *testing.T) {
	t.Parallel()
	condition := rapid.Custom(func(t *rapid.T) string {
		return rapid.SampledFrom([]string{
			`{"field":"data.n","operator":"eq","value":1}`, `{"field":"data.n","operator":"neq","value":1}`, `{"field":"data.n","operator":"lt","value":2}`,
			`{"field":"data.s","operator":"like","value":"a%"}`, `{"field":"data.s","operator":"not_like","value":"a%"}`, `{"field":"data.n","operator":"exists"}`,
			`{"field":"data.s","operator":"not_in","value":["b","c"]}`, `{"field":"data.n","operator":"changed"}`, `{"field":"data","operator":"changed","value":false}`,
		}).Draw(t, "condition")
	})
	var tree func(t *rapid.T, depth int) string
	tree = func(t *rapid.T, depth int) string {
		if depth == 0 {
			return condition.Draw(t, "leaf")
		}
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			return `{"and":[` + tree(t, depth-1) + `,` + tree(t, depth-1) + `]}`
		case 1:
			return `{"or":[` + tree(t, depth-1) + `,` + tree(t, depth-1) + `]}`
		case 2:
			return `{"not":` + tree(t, depth-1) + `}`
		}
		return condition.Draw(t, "leaf")
	}
	rapid.Check(t, func(t *rapid.T) {
		raw := tree(t, 3)
		f, err := filter.Parse([]byte(raw))
		if err != nil {
			t.Fatal(raw, err)
		}
		event := &hook.Event{Type: "t", Data: []byte(rapid.SampledFrom([]string{`{}`, `{"n":1}`, `{"n":3,"s":"abc"}`, `{"s":"b"}`, `{"n":null,"s":1}`, `7`}).Draw(t, "data")), Previous: []byte(rapid.SampledFrom([]string{``, `{}`, `{"n":1}`}).Draw(t, "previous"))}
		why := f.Why(filter.NewSubject(event))
		if matches := f.Match(filter.NewSubject(event)); why.Matches != matches || (why.Text == "") != matches {
			t.Fatalf("%s of %s: match %v, why %+v", raw, event.Data, matches, why)
		}
	})
}
