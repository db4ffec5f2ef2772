package api_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The document passes a linter of others with every rule of its strictest set,
// but for those that test/js/redocly.yaml argues with.
func TestDocumentLintsClean(t *testing.T) {
	t.Parallel()
	js, err := filepath.Abs("../../test/js")
	must(t, err)
	node, err := exec.LookPath("node")
	linter := filepath.Join(js, "node_modules", "@redocly", "cli", "bin", "cli.js")
	if err == nil {
		_, err = os.Stat(linter)
	}
	if err != nil {
		if os.Getenv("GRAPNEL_TEST_REQUIRE") != "" {
			t.Fatalf("the linter is missing: %v (install node, then npm ci in test/js)", err)
		}
		t.Skipf("NOT LINTED: %v (install node, then npm ci in test/js)", err)
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
