package filter_test

import (
	"strings"
	"testing"

	"grapnel/internal/filter"
	"grapnel/internal/hook"
)

// What has changed is what differs from the object before, however both are written; of
// an event without one nothing is known.
func TestChanged(t *testing.T) {
	t.Parallel()
	event := &hook.Event{
		Data:     []byte(`{"status":"paid","amount":10.0,"lines":[{"n":1,"sku":"a"}],"new":null,"same":{"a":1,"b":[true,"x"]}}`),
		Previous: []byte(`{"status":"open","amount":1e1,"lines":[{"n":2,"sku":"a"}],"old":1,"same":{"b":[true,"x"],"a":1}}`),
	}
	for field, changed := range map[string]bool{
		"data.status": true, "data.amount": false, "data.lines": true, "data.new": true, "data.old": true, "data.same": false, "data.same.b": false, "data.nowhere": false, "data": true,
	} {
		for value, want := range map[string]bool{"": changed, `,"value":true`: changed, `,"value":false`: !changed} {
			f, err := filter.Parse([]byte(`{"field":"` + field + `","operator":"changed"` + value + `}`))
			if err != nil {
				t.Fatal(err)
			}
			if got := f.Match(filter.NewSubject(event)); got != want {
				t.Errorf("%s%s: %v", field, value, got)
			}
			if f.Match(filter.NewSubject(&hook.Event{Data: event.Data})) {
				t.Errorf("%s%s: of an event without previous", field, value)
			}
		}
	}
	for raw, want := range map[string]bool{
		`{"field":"previous.status","operator":"eq","value":"open"}`: true, `{"field":"previous.status","operator":"eq","value":"paid"}`: false,
		`{"field":"previous","operator":"exists"}`: true, `{"field":"previous.nowhere","operator":"exists","value":false}`: true,
	} {
		f, err := filter.Parse([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Match(filter.NewSubject(event)); got != want {
			t.Errorf("%s: %v", raw, got)
		}
	}
	for raw, at := range map[string]string{
		`{"field":"type","operator":"changed"}`: "/field", `{"field":"metadata.a","operator":"changed"}`: "/field", `{"field":"previous.a","operator":"changed"}`: "/field",
		`{"field":"data.a","operator":"changed","value":1}`: "/value",
	} {
		if _, err := filter.Parse([]byte(raw)); err == nil || err.(*hook.Error).Field != at { //nolint:errorlint // Parse says so
			t.Errorf("%s: %v", raw, err)
		}
	}
}

// case 115: objects that are alike but for how each of many numbers is written are given up.
func TestChangedIsBounded(t *testing.T) {
	t.Parallel()
	f, err := filter.Parse([]byte(`{"field":"data","operator":"changed"}`))
	if err != nil {
		t.Fatal(err)
	}
	list := func(number string, n int) []byte { return []byte("[" + strings.Repeat(number+",", n) + "0]") }
	for n, matches := range map[int]bool{1000: false, 100_000: false} {
		event := &hook.Event{Data: list("1.0", n), Previous: list("1.00", n)}
		if got := f.Match(filter.NewSubject(event)); got != matches {
			t.Errorf("%d: %v", n, got)
		}
	}
	dear := f.Why(filter.NewSubject(&hook.Event{Data: list("1.0", 100_000), Previous: list("1.00", 100_000)}))
	if !strings.Contains(dear.Text, "too dear") {
		t.Error(dear.Text)
	}
}
