package filter_test

import (
	"errors"
	"strings"
	"testing"

	"grapnel/internal/filter"
	"grapnel/internal/hook"
)

var event = &hook.Event{
	Type:     "invoice.paid",
	Data:     []byte(`{"amount": 1250.50, "big": 12345678901234567890, "country": "DE", "tags": ["a"], "note": "50%_off", "none": null, "ok": true, "customer": {"id": 7}, "ref": "20", "code": "x9", "nothing": null}`),
	Metadata: []byte(`{"store_id": "3"}`),
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for tree, want := range map[string]bool{
		`{"field":"type","operator":"eq","value":"invoice.paid"}`:                   true,
		`{"field":"type","operator":"like","value":"INVOICE.%"}`:                    true,
		`{"field":"data.amount","operator":"eq","value":1250.5}`:                    true,
		`{"field":"data.amount","operator":"gt","value":1.2505e3}`:                  false,
		`{"field":"data.amount","operator":"gte","value":1250.5}`:                   true,
		`{"field":"data.amount","operator":"lt","value":"2000"}`:                    false,
		`{"field":"data.big","operator":"eq","value":12345678901234567890}`:         true,
		`{"field":"data.big","operator":"eq","value":12345678901234567891}`:         false,
		`{"field":"data.big","operator":"lt","value":1e999999999}`:                  true,
		`{"field":"data.country","operator":"in","value":["AT","DE"]}`:              true,
		`{"field":"data.country","operator":"not_in","value":["AT","DE"]}`:          false,
		`{"field":"data.missing","operator":"neq","value":"x"}`:                     true,
		`{"field":"data.missing","operator":"eq","value":null}`:                     false,
		`{"field":"data.none","operator":"eq","value":null}`:                        true,
		`{"field":"data.none","operator":"exists"}`:                                 true,
		`{"field":"data.missing","operator":"exists","value":false}`:                true,
		`{"field":"data.ok","operator":"eq","value":true}`:                          true,
		`{"field":"data.ok","operator":"eq","value":"true"}`:                        false,
		`{"field":"data.tags","operator":"eq","value":"a"}`:                         false,
		`{"field":"data.customer.id","operator":"eq","value":7}`:                    true,
		`{"field":"data.customer.id.x","operator":"exists"}`:                        false,
		`{"field":"metadata.store_id","operator":"eq","value":"3"}`:                 true,
		`{"field":"data.note","operator":"like","value":"50\\%\\_off"}`:             true,
		`{"field":"data.note","operator":"like","value":"50\\%\\_o"}`:               false,
		`{"field":"data.note","operator":"like","value":"%o_f"}`:                    true,
		`{"field":"data.note","operator":"not_like","value":"a%"}`:                  true,
		`{"field":"data.customer.id","operator":"eq","value":"7","as":"id"}`:        true,
		`{"field":"data.customer.id","operator":"eq","value":"7"}`:                  false,
		`{"field":"data.ref","operator":"eq","value":20,"as":"id"}`:                 true,
		`{"field":"data.ref","operator":"neq","value":20,"as":"id"}`:                false,
		`{"field":"data.customer.id","operator":"in","value":["a","7"],"as":"id"}`:  true,
		`{"field":"data.customer.id","operator":"not_in","value":["7"],"as":"id"}`:  false,
		`{"field":"data.customer.id","operator":"like","value":"_","as":"id"}`:      true,
		`{"field":"data.customer.id","operator":"like","value":"_"}`:                false,
		`{"field":"data.customer.id","operator":"not_like","value":"8%","as":"id"}`: true,
		`{"field":"data.customer.id","operator":"lt","value":"10","as":"id"}`:       true,
		`{"field":"data.ref","operator":"gte","value":3,"as":"id"}`:                 true,
		`{"field":"data.ref","operator":"gt","value":20,"as":"id"}`:                 false,
		`{"field":"data.code","operator":"gt","value":"x1","as":"id"}`:              true,
		`{"field":"data.code","operator":"gt","value":1,"as":"id"}`:                 true,
		`{"field":"data.nothing","operator":"eq","value":null,"as":"id"}`:           true,
		`{"field":"data.nothing","operator":"lt","value":1,"as":"id"}`:              false,
		`{"not":{"field":"data.country","operator":"eq","value":"DE"}}`:             false,
		`{"and":[{"field":"data.ok","operator":"eq","value":true},{"or":[{"field":"data.country","operator":"eq","value":"AT"},{"field":"data.amount","operator":"lte","value":2000}]}]}`: true,
	} {
		f, err := filter.Parse([]byte(tree))
		if err != nil {
			t.Errorf("%s: %v", tree, err)
		} else if got := f.Match(filter.NewSubject(event)); got != want {
			t.Errorf("%s: got %v, want %v", tree, got, want)
		}
	}
}

// case 78: limits with clear errors that point at the place.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"not":`, filter.MaxDepth+1) + `{"field":"type","operator":"eq","value":"a"}` + strings.Repeat("}", filter.MaxDepth+1)
	many := `{"or":[` + strings.Repeat(`{"field":"type","operator":"eq","value":"a"},`, filter.MaxConditions) + `{"field":"type","operator":"eq","value":"a"}]}`
	for tree, pointer := range map[string]string{
		`[]`:           "",
		`{`:            "",
		`{"and":[]}`:   "/and",
		`{"xor":[{}]}`: "/xor",
		`{"and":[{"field":"type","operator":"eq","value":"a"}],"or":[]}`: "",
		`{"field":"amount","operator":"eq","value":1}`:                   "/field",
		`{"field":"data..a","operator":"eq","value":1}`:                  "/field",
		`{"field":"data.a","operator":"is","value":1}`:                   "/operator",
		`{"field":"data.a","operator":"eq"}`:                             "/value",
		`{"or":[{"field":"data.a","operator":"eq","value":[1]}]}`:        "/or/0/value",
		`{"field":"data.a","operator":"in","value":1}`:                   "/value",
		`{"field":"data.a","operator":"like","value":1}`:                 "/value",
		`{"field":"data.a","operator":"lt","value":true}`:                "/value",
		`{"field":"data.a","operator":"eq","value":1,"case":false}`:      "/case",
		`{"field":"data.a","operator":"eq","value":1,"as":"text"}`:       "/as",
		deep: strings.Repeat("/not", filter.MaxDepth),
		many: "/or/64",
	} {
		_, err := filter.Parse([]byte(tree))
		var e *hook.Error
		if !errors.As(err, &e) || e.Code != hook.CodeInvalid || e.Field != pointer {
			t.Errorf("%.80s: got %v, want an invalid error at %q", tree, err, pointer)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"and":[{"field":"data.a","operator":"like","value":"%\\_"},{"not":{"field":"type","operator":"exists"}}]}`))
	f.Add([]byte(`{"field":"data.amount","operator":"lte","value":"1e99","as":"id"}`))
	f.Add([]byte(`{"field":"data.amount","operator":"gt","value":1e99}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if tree, err := filter.Parse(raw); err == nil {
			tree.Match(filter.NewSubject(event)) // must neither panic nor hang
		}
	})
}
