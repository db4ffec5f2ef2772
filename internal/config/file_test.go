package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/config"
)

func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "grapnel.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestReadFile(t *testing.T) {
	t.Parallel()
	name := write(t, `# comment
data: /var/lib/grapnel
retention: 14d

max-in-flight: 64
egress-allow: [10.0.0.0/8, "fd00::/8"]
trusted-proxies: 192.0.2.0/24
rate-limit: 100/s
`)
	f, err := config.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for setting, want := range map[string][]string{
		"data": {"/var/lib/grapnel"}, "retention": {"14d"}, "max-in-flight": {"64"}, "egress-allow": {"10.0.0.0/8", "fd00::/8"},
		"trusted-proxies": {"192.0.2.0/24"}, "rate-limit": {"100/s"}, "drain": nil,
	} {
		if d := cmp.Diff(want, f.Values(setting)); d != "" {
			t.Errorf("%s: %s", setting, d)
		}
	}
	if got := f.Source("max-in-flight"); got != name+":5" {
		t.Error(got)
	}
	if got := f.Source("drain"); got != "" {
		t.Error(got)
	}
	var none *config.File
	if none.Values("data") != nil || none.Source("data") != "" {
		t.Error("no file says something")
	}
	for _, empty := range []string{"", "# nothing\n", "---\n"} {
		if _, err := config.ReadFile(write(t, empty)); err != nil {
			t.Errorf("%q: %v", empty, err)
		}
	}
}

func TestReadFileRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text   string
		line   int
		want   string // in the error
		remedy string
	}{
		"misspelt":           {"data: x\nmax-inflight: 3\n", 2, "max-inflight (from ", "did you mean max-in-flight?"},
		"underscores":        {"max_in_flight: 3\n", 1, "is no setting", "did you mean max-in-flight?"},
		"like nothing":       {"colour: blue\n", 1, "colour", "grapnel config reference"},
		"secret":             {"\nadmin-key: hunter2hunter2hunter2\n", 2, "is no setting", "admin-key-file"},
		"another file":       {"config: other.yaml\n", 1, "config", "cannot name another"},
		"twice":              {"drain: 1s\ndrain: 2s\n", 2, "", ""},
		"time":               {"drain: soon\n", 1, `--drain (from `, "30s, 24h or 30d"},
		"time without unit":  {"drain: 30\n", 1, `"30" is not a time span`, "unit"},
		"number":             {"max-in-flight: many\n", 1, "is not a whole number", "1 to 65536"},
		"rate":               {"rate-limit: 100\n", 1, "is not a rate", "100/s"},
		"list for one":       {"data:\n  - a\n  - b\n", 1, "is a list", "data: and the value"},
		"mapping":            {"data:\n  folder: a\n", 2, "has no plain value", "in quotes"},
		"nothing":            {"data:\n", 1, "has no plain value", "in quotes"},
		"no mapping":         {"- data\n", 1, "no mapping", "retention: 30d"},
		"two documents":      {"data: a\n---\ndata: b\n", 3, "more than one document", "---"},
		"no YAML":            {"data: [\n", 1, "--config", "retention: 30d"},
		"anchor":             {"data: &a x\n", 1, "has no plain value", ""},
		"tab":                {"data: a\n\tdrain: 1s\n", 2, "--config", ""},
		"list within a list": {"egress-allow:\n  - [10.0.0.0/8]\n", 2, "has no plain value", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := write(t, c.text)
			_, err := config.ReadFile(file)
			var e *config.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want a *config.Error", err)
			}
			if !strings.Contains(e.Error(), c.want) || !strings.Contains(e.Remedy, c.remedy) || e.Source != fmt.Sprintf("%s:%d", file, c.line) {
				t.Errorf("%q, remedy %q", e, e.Remedy)
			}
			if strings.Contains(e.Error()+e.Remedy, "hunter2") {
				t.Error("the error shows a secret")
			}
		})
	}
	var e *config.Error
	if _, err := config.ReadFile(filepath.Join(t.TempDir(), "none")); !errors.As(err, &e) || e.Setting != "--config" {
		t.Error(err)
	}
	if _, err := config.ReadFile(write(t, strings.Repeat("# long\n", 20_000))); !errors.As(err, &e) || !strings.Contains(e.Reason, "more than 64KiB") {
		t.Error(err)
	}
	if _, err := config.ReadFile(write(t, "a: 1\nb: 2\n")); strings.Count(fmt.Sprint(err), "is no setting") != 2 {
		t.Errorf("not all faults: %v", err)
	}
}

func TestMistypedEnv(t *testing.T) {
	t.Parallel()
	var known []string
	for _, s := range config.All() {
		known = append(known, s.Env)
	}
	for name, want := range map[string]string{
		"GRAPNEL_RETENTON=3d": "did you mean GRAPNEL_RETENTION?", "GRAPNEL_MAX_INFLIGHT=3": "did you mean GRAPNEL_MAX_IN_FLIGHT?",
		"GRAPNEL_LOGLEVEL=x": "did you mean GRAPNEL_LOG_LEVEL?", "GRAPNEL_ADMIN_KYE=secret": "did you mean GRAPNEL_ADMIN_KEY?",
		"GRAPNEL_TRUSTED_PROXY=x": "did you mean GRAPNEL_TRUSTED_PROXIES?", "GRAPNEL_egress_allow=": "did you mean GRAPNEL_EGRESS_ALLOW?",
		"GRAPNEL_RETENTION=3d": "", "RETENTON=3d": "", "GRAPNEL_": "", "GRAPNEL": "",
		// what Kubernetes sets for a service of this name
		"GRAPNEL_SERVICE_HOST=10.0.0.1": "", "GRAPNEL_SERVICE_PORT=80": "", "GRAPNEL_PORT=tcp://10.0.0.1:80": "", "GRAPNEL_PORT_8080_TCP=x": "",
		"GRAPNEL_PORT_8080_TCP_ADDR=x": "", "GRAPNEL_PORT_8080_TCP_PROTO=tcp": "", "GRAPNEL_SERVICE_PORT_HTTP=80": "", "GRAPNEL_PORT_8080_TCP_PORT=8080": "",
	} {
		got := config.MistypedEnv([]string{"PATH=/bin", name}, known)
		if want == "" {
			if len(got) != 0 {
				t.Errorf("%s: %v, %s", name, got[0], got[0].Remedy)
			}
			continue
		}
		if len(got) != 1 || got[0].Remedy != want || strings.Contains(got[0].Error(), "secret") {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
	}
}

func TestReadSecrets(t *testing.T) {
	t.Parallel()
	none := func(string) string { return "" }
	c := config.Serve()
	c.AdminKeyFile, c.SecretKeyFile, c.EgressProxyAuthFile = write(t, "gk_out_of_a_file_x\n"), write(t, "a\nb\n"), write(t, "user:pass:word\n")
	if err := c.ReadSecrets(none, nil); err != nil {
		t.Fatal(err)
	}
	if c.AdminKey != "gk_out_of_a_file_x" || c.SecretKey != "a\nb" || c.ProxyAuth != "user:pass:word" {
		t.Errorf("%q %q %q", c.AdminKey, c.SecretKey, c.ProxyAuth)
	}
	c = config.Serve()
	if err := c.ReadSecrets(func(name string) string { return "value of " + name }, nil); err != nil || c.AdminKey != "value of GRAPNEL_ADMIN_KEY" || c.SecretKey != "value of GRAPNEL_SECRET_KEY" {
		t.Errorf("%v %q %q", err, c.AdminKey, c.SecretKey)
	}
	for name, change := range map[string]func(*config.Config){
		"--admin-key-file: is set, and GRAPNEL_ADMIN_KEY too": func(c *config.Config) { c.AdminKeyFile = write(t, "x") },
		"--secret-key-file: ":            func(c *config.Config) { c.SecretKeyFile = filepath.Join(t.TempDir(), "none") },
		"is empty":                       func(c *config.Config) { c.SecretKeyFile = write(t, " \n") },
		"does not hold USER:PASSWORD":    func(c *config.Config) { c.EgressProxyAuthFile = write(t, "hunter2") },
		"--egress-proxy-auth-file: does": func(c *config.Config) { c.EgressProxyAuthFile = write(t, "a:hunter2\nb:hunter2") },
	} {
		c := config.Serve()
		change(&c)
		getenv := none
		if c.AdminKeyFile != "" {
			getenv = func(string) string { return "hunter2" }
		}
		err := c.ReadSecrets(getenv, nil)
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
