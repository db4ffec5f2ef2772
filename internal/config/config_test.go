package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"grapnel/internal/config"
)

func TestDefaultsAreValid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]config.Config{"serve": config.Serve(), "dev": config.Dev()} {
		if err := c.Validate(nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		change func(*config.Config)
		want   string // begins the error; "" is valid
		remedy string // is part of the remedy
	}{
		{"no port", func(c *config.Config) { c.Listen = "localhost" }, `--listen (from GRAPNEL_LISTEN): "localhost" is not an address with a port`, "127.0.0.1:8080"},
		{"port too high", func(c *config.Config) { c.Listen = ":70000" }, "--listen", "HOST:PORT"},
		{"port by name", func(c *config.Config) { c.Listen = ":http" }, "--listen", "HOST:PORT"},
		{"free port", func(c *config.Config) { c.Listen = "127.0.0.1:0" }, "", ""},
		{"IPv6", func(c *config.Config) { c.Listen = "[::1]:80" }, "", ""},
		{"relative URL", func(c *config.Config) { c.PublicURL = "hooks.example.com" }, "--public-url", "https://"},
		{"URL with a password", func(c *config.Config) { c.PublicURL = "https://a:b@example.com" }, "--public-url", ""},
		{"URL with a slash", func(c *config.Config) { c.PublicURL = "https://example.com/x/" }, "--public-url", "https://example.com/x"},
		{"URL with a query", func(c *config.Config) { c.PublicURL = "https://example.com?x=1" }, "--public-url", ""},
		{"URL with a path", func(c *config.Config) { c.PublicURL = "https://example.com/hooks" }, "", ""},
		{"address for a range", func(c *config.Config) { c.EgressAllow = []string{"10.0.0.1"} }, "--egress-allow", "10.0.0.1/32"},
		{"range with host bits", func(c *config.Config) { c.EgressAllow = []string{"10.1.0.0/8"} }, "--egress-allow", "10.0.0.0/8"},
		{"ranges", func(c *config.Config) { c.EgressAllow = []string{"10.0.0.0/8", "fd00::/8"} }, "", ""},
		{"no folder", func(c *config.Config) { c.Data = "" }, "--data", "folder"},
		{"drain", func(c *config.Config) { c.Drain = -1 }, "--drain", "30s"},
		{"retention", func(c *config.Config) { c.Retention = config.Duration(time.Minute) }, "--retention", "30d"},
		{"window beyond retention", func(c *config.Config) { c.IdempotencyWindow = c.Retention + 1 }, "--idempotency-window", "--retention"},
		{"event size", func(c *config.Config) { c.MaxEventSize = 1 }, "--max-event-size", "1KiB"},
		{"in flight", func(c *config.Config) { c.MaxInFlight = -1 }, "--max-in-flight", "65536"},
		{"log format", func(c *config.Config) { c.LogFormat = "xml" }, "--log-format", "json or text"},
		{"log level", func(c *config.Config) { c.LogLevel = "loud" }, "--log-level", "warn or error"},
		{"short admin key", func(c *config.Config) { c.AdminKey = "hunter2" }, "GRAPNEL_ADMIN_KEY: has 7 characters", "random"},
	}
	from := func(setting string) string {
		return "GRAPNEL_" + strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := config.Serve()
			c.change(&cfg)
			err := cfg.Validate(from)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var e *config.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want a *config.Error", err)
			}
			if !strings.HasPrefix(e.Error(), c.want) || !strings.Contains(e.Remedy, c.remedy) {
				t.Errorf("got %q, remedy %q", e, e.Remedy)
			}
			if strings.Contains(e.Error(), "hunter2") {
				t.Error("the error shows a secret")
			}
		})
	}
}

func TestValidateTellsAll(t *testing.T) {
	t.Parallel()
	c := config.Serve()
	c.Listen, c.MaxInFlight = "", 0
	text := fmt.Sprint(c.Validate(nil))
	if !strings.Contains(text, "--listen") || !strings.Contains(text, "--max-in-flight") {
		t.Error(text)
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"30s": 30 * time.Second, "30d": 720 * time.Hour, "1h30m": 90 * time.Minute, "0s": 0} {
		var d config.Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.Std() != want {
			t.Errorf("%s: %v, %v", text, d, err)
		}
		var again config.Duration
		if err := again.UnmarshalText([]byte(d.String())); err != nil || again != d {
			t.Errorf("%s: written as %s, read as %v, %v", text, d, again, err)
		}
	}
	for _, text := range []string{"", "30", "d", "999999999d", "-1d", "a week"} {
		var d config.Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as %v", text, d)
		}
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]config.Size{"1": 1, "64KiB": 65536, "1MiB": 1 << 20, "2 MB": 2e6, "10B": 10} {
		var s config.Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s: %v, %v", text, int64(s), err)
		}
		var again config.Size
		if err := again.UnmarshalText([]byte(s.String())); err != nil || again != s {
			t.Errorf("%s: written as %s, read as %v, %v", text, s, again, err)
		}
	}
	for _, text := range []string{"", "MiB", "1.5MiB", "99999999999GiB", "1 mile"} {
		var s config.Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as %v", text, s)
		}
	}
}
