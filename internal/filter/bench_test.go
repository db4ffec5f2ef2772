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
	event := &hook.Event{Type: "a", Data: []byte(`{"n":1,"text":"` + text + `"}`)}
	for name, tree := range map[string]string{
		"one condition": `{"field":"data.n","operator":"eq","value":2}`,
		"one pattern":   conditions[0],
		"many patterns": `{"or":[` + strings.Join(conditions, ",") + `]}`,
		"with any":      `{"or":[` + strings.Join(slices.Repeat([]string{`{"field":"data.text","operator":"like","value":"%` + strings.Repeat("_", 250) + `b%"}`}, filter.MaxConditions-1), ",") + `]}`,
	} {
		f, err := filter.Parse([]byte(tree))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if f.Match(filter.NewSubject(event)) {
					b.Fatal("it matches")
				}
			}
		})
	}
}
