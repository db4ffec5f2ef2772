package api_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"grapnel/internal/testaid"
)

// The document passes a linter of others with every rule of its strictest set,
// but for those that test/js/redocly.yaml argues with.
func TestDocumentLintsClean(t *testing.T) {
	t.Parallel()
	js, err := filepath.Abs("../../test/js")
	must(t, err)
	node := testaid.Require(t, "node")
	linter := filepath.Join(js, "node_modules", "@redocly", "cli", "bin", "cli.js")
	if _, err := os.Stat(linter); err != nil {
		testaid.Missing(t, "the linter is not there; scripts/setup installs it: "+err.Error())
	}
	for _, name := range []string{"../../docs/openapi.json", filepath.Join(js, "redocly.yaml")} {
		_, err := os.ReadFile(name) // so that a result that go test has kept is not taken for that of another document
		must(t, err)
	}
	cmd := exec.CommandContext(t.Context(), node, linter, "lint", "../../docs/openapi.json", "--config", filepath.Join(js, "redocly.yaml"), "--max-problems", "20", "--format", "stylish")
	cmd.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true", "NO_COLOR=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
