package filter_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"grapnel/internal/filter"
	"grapnel/internal/hook"
)

// BenchmarkCostly is what the costliest tree that may be stored costs for each event
// (case 115): as many conditions as there may be, each with the pattern and the text that
// fit worst, beside one plain condition.
func BenchmarkCostly(b *testing.B) {
	text := strings.Repeat("a", 16<<10-1)
	pattern := strings.Repeat("%a", 126) + "%b"
	var conditions []string
	for range filter.MaxConditions - 1 {
		conditions = append(conditions, fmt.Sprintf(`{"field":"data.text","operator":"like","value":%q}`, pattern))
	}
	many := strings.Repeat("1.0,", 40_000)
	event := &hook.Event{Type: "a", Data: []byte(`{"n":1,"text":"` + text + `"}`)}
	numbers := &hook.Event{Type: "a", Data: []byte(`{"list":[` + many + `0]}`), Previous: []byte(`{"list":[` + strings.ReplaceAll(many, "0", "00") + `0]}`)}
	var listed []string
	for i := range 256 {
		listed = append(listed, fmt.Sprintf("%d.5e10", i))
	}
	in := fmt.Sprintf(`{"field":"data.n","operator":"in","value":[%s]}`, strings.Join(listed, ","))
	dear := `{"field":"data.list","operator":"changed","value":false}`
	for name, c := range map[string]struct {
		tree  string
		event *hook.Event
	}{
		"one condition":    {`{"field":"data.n","operator":"eq","value":2}`, event},
		"one pattern":      {conditions[0], event},
		"many patterns":    {`{"or":[` + strings.Join(conditions, ",") + `]}`, event},
		"with any":         {`{"or":[` + strings.Join(slices.Repeat([]string{`{"field":"data.text","operator":"like","value":"%` + strings.Repeat("_", 250) + `b%"}`}, filter.MaxConditions-1), ",") + `]}`, event},
		"lists":            {`{"or":[` + strings.Join(slices.Repeat([]string{in}, filter.MaxConditions-1), ",") + `]}`, event},
		"plain, of many":   {`{"field":"data.n","operator":"eq","value":2}`, numbers},
		"changed, of many": {`{"or":[` + strings.Join(slices.Repeat([]string{dear}, filter.MaxConditions-1), ",") + `]}`, numbers},
	} {
		f, err := filter.Parse([]byte(c.tree))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if f.Match(filter.NewSubject(c.event)) {
					b.Fatal("it matches")
				}
			}
		})
	}
}
