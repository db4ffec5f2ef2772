//go:build unix

package docs_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"grapnel/internal/child"
	"grapnel/internal/store/postgres/pgtest"
)

// What the page on automation platforms defines is run as the platforms run it, against
// the shipped program on each engine.
func TestAutomation(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]func(t *testing.T) string{
		"SQLite": func(t *testing.T) string { return "GRAPNEL_DATA=" + t.TempDir() },
		"PostgreSQL": func(t *testing.T) string {
			return "GRAPNEL_STORE=" + pgtest.Start(t, pgtest.Options{Durable: true}).URL("postgres")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, err := child.FreeAddr()
			if err != nil {
				t.Fatal(err)
			}
			const key = "gk_automation-platforms-of-the-page-0001"
			server, err := child.Start(child.Config{
				Command: []string{filepath.Join(program, "grapnel"), "serve", "--listen", addr, "--egress-allow", "127.0.0.0/8"},
				Stdout:  t.Output(), Stderr: t.Output(),
				Env: []string{place(t), "GRAPNEL_ADMIN_KEY=" + key, "GRAPNEL_SECRET_KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Kill)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := server.Ready(ctx, "http://"+addr+"/readyz"); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(ctx, "node", filepath.Join("testdata", "automation.mjs"), "automation.md", "http://"+addr, key).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if want := "zapier: ok\nmake: ok\nn8n: ok\ngone: ok\n"; string(out) != want {
				t.Errorf("it said %q", out)
			}
		})
	}
}
