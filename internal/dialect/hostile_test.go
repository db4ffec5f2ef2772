package dialect_test

import (
	"fmt"
	"strings"
	"testing"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// The name of a member is read once, however many fields are chosen: what a
// projection allocates grows with the data, not with data times fields.
func TestA2D2ProjectionOfManyLongFields(t *testing.T) {
	d := styled(t, "verbatim", ", project: true")
	var fields []string
	for i := range 250 {
		fields = append(fields, fmt.Sprintf("%s%03d", strings.Repeat("é", 100), i))
	}
	var data strings.Builder
	data.WriteString(`{"id":1`)
	for i := range 500 {
		fmt.Fprintf(&data, `,"%s%03d":%d`, strings.Repeat(`\u00e9`, 100), i, i)
	}
	data.WriteString("}")
	event := &hook.Event{Type: "a", Data: []byte(data.String())}
	var body []byte
	allocs := testing.AllocsPerRun(1, func() {
		body, _ = d.Body(dialect.Input{Event: event, Fields: fields})
	})
	if n := strings.Count(string(body), ":"); n != 250 {
		t.Errorf("the body has %d members", n)
	}
	if allocs > 2500 {
		t.Errorf("500 members and 250 fields take %.0f allocations", allocs)
	}
}

// Values are compared in one walk, so that no depth is too deep to compare.
func TestPSD2ChangedDeepDown(t *testing.T) {
	t.Parallel()
	d := load(t, bodied(`{json: {c: "{event.changed}"}}`))
	deep := func(inner string, n int) string {
		return strings.Repeat(`[{"a":`, n) + inner + strings.Repeat("}]", n)
	}
	for _, n := range []int{10, 99, 101, 4000} {
		data := fmt.Sprintf(`{"same":%s,"other":%s}`, deep(`[1.0,"\u0061"]`, n), deep("1", n))
		before := fmt.Sprintf(`{"same":%s,"other":%s}`, deep(`[ 1, "a"]`, n), deep("2", n))
		body, err := d.Body(dialect.Input{Event: &hook.Event{Type: "a", Data: []byte(data), Previous: []byte(before)}})
		if want := `{"c":["other"]}`; err != nil || string(body) != want {
			t.Errorf("%d deep: %s, %v, want %s", n, body, err, want)
		}
	}
}
