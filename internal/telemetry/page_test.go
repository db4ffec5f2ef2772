package telemetry_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"grapnel/internal/testaid"
)

const page = "../../docs/metrics.md"

// The table of docs/metrics.md is made from what is served. It is the list of
// our names, which others build on: a change of it is seen in review.
func TestMetricsPage(t *testing.T) {
	t.Parallel()
	families, err := filled().Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("\n| name | kind | labels | what |\n|---|---|---|---|\n")
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "grapnel_") {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp())
	}
	old, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(old), "`make generate` -->\n")
	_, tail, ok2 := strings.Cut(rest, "<!-- end -->")
	if !ok || !ok2 {
		t.Fatal("docs/metrics.md has lost the marks around its table")
	}
	testaid.Fresh(t, page, head+"`make generate` -->\n"+b.String()+"\n<!-- end -->"+tail)
}
