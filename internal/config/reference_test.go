package config_test

import (
	"path/filepath"
	"strings"
	"testing"

	"grapnel/internal/config"
	"grapnel/internal/testaid"
)

// maxSettings is how many settings there may be, beside --config, which says where they are.
const maxSettings = 40

func TestReferenceIsFresh(t *testing.T) {
	t.Parallel()
	testaid.Fresh(t, filepath.Join("..", "..", "docs", "settings.md"), config.Reference())
}

func TestSettings(t *testing.T) {
	t.Parallel()
	all := config.All()
	if n := len(all) - 1; n > maxSettings {
		t.Errorf("%d settings, at most %d are allowed", n, maxSettings)
	}
	seen := map[string]bool{}
	for _, s := range all {
		what := s.Env
		switch {
		case seen[what]:
			t.Errorf("%s is there twice", what)
		case s.Group == "" || s.Meaning == "." || s.Range == "":
			t.Errorf("%s lacks a group, a meaning or a range: %+v", what, s)
		case s.Name != "" && s.Env != config.EnvName(s.Name):
			t.Errorf("%s does not match %s", s.Env, s.Name)
		case strings.Contains(s.Meaning, "${"):
			t.Errorf("%s: %s", what, s.Meaning)
		}
		seen[what] = true
	}
	for _, name := range []string{"GRAPNEL_TLS_CERT", "GRAPNEL_PUBLIC_URL", "GRAPNEL_MAX_IN_FLIGHT", "GRAPNEL_CONFIG", config.EnvAdminKey, config.EnvSecretKey} {
		if !seen[name] {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	c := config.Serve()
	c.AdminKey, c.SecretKey, c.SecretKeyFile, c.ProxyAuth = "hunter2hunter2hunter2", "hunter2", "/run/key", "user:hunter2"
	c.EgressAllow = []string{"10.0.0.0/8", "fd00::/8"}
	got := map[string]config.Value{}
	for _, v := range c.Values(func(s string) string { return "from " + s }) {
		got[v.Env] = v
		if strings.Contains(v.Text+v.Origin+v.Meaning, "hunter2") {
			t.Errorf("%s shows a secret", v.Env)
		}
	}
	for env, want := range map[string][2]string{
		"GRAPNEL_EGRESS_ALLOW": {"10.0.0.0/8,fd00::/8", "from egress-allow"}, "GRAPNEL_RETENTION": {"30d", "from retention"},
		config.EnvAdminKey: {"set", config.EnvAdminKey}, config.EnvSecretKey: {"set", "--secret-key-file"}, "GRAPNEL_FAILED_KEY_LIMIT": {"60/m", "from failed-key-limit"},
	} {
		if v := got[env]; v.Text != want[0] || v.Origin != want[1] {
			t.Errorf("%s: %q from %q, want %q", env, v.Text, v.Origin, want)
		}
	}
	if n := len(config.All()) - 1; len(got) != n { // all but --config
		t.Errorf("%d values of %d", len(got), n)
	}
	c = config.Serve()
	for _, v := range c.Values(nil) {
		if v.Secret && v.Text != "not set" || v.Origin != "default" {
			t.Errorf("%s: %q from %q", v.Env, v.Text, v.Origin)
		}
		if v.Env == "GRAPNEL_IDEMPOTENCY_WINDOW" && v.Text == "1d" {
			continue // what is written as 24h
		}
		if !v.Secret && v.Text != v.Default && v.Default != "" {
			t.Errorf("%s: %q, want the default %q", v.Env, v.Text, v.Default)
		}
	}
}
