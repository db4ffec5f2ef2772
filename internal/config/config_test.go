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
		{"denied address for a range", func(c *config.Config) { c.EgressDeny = []string{"10.0.0.1"} }, "--egress-deny", "10.0.0.1/32"},
		{"ranges", func(c *config.Config) { c.EgressAllow = []string{"10.0.0.0/8", "fd00::/8"} }, "", ""},
		{"no folder", func(c *config.Config) { c.Data = "" }, "--data", "folder"},
		{"drain", func(c *config.Config) { c.Drain = -1 }, "--drain", "30s"},
		{"retention", func(c *config.Config) { c.Retention = config.Duration(time.Minute) }, "--retention", "30d"},
		{"window beyond retention", func(c *config.Config) { c.IdempotencyWindow = c.Retention + 1 }, "--idempotency-window", "--retention"},
		{"retention of bytes", func(c *config.Config) { c.RetentionSize = 20 }, "--retention-size", "64MiB or more"},
		{"retention by size", func(c *config.Config) { c.RetentionSize = 20 << 30 }, "", ""},
		{"compression", func(c *config.Config) { c.Compression = "gzip" }, "--compression", "off or zstd"},
		{"no window", func(c *config.Config) { c.IdempotencyWindow = 0 }, "--idempotency-window", "the nearest is 1m"},
		{"event size", func(c *config.Config) { c.MaxEventSize = 1 }, "--max-event-size", "1KiB"},
		{"in flight", func(c *config.Config) { c.MaxInFlight = -1 }, "--max-in-flight", "65536"},
		{"log format", func(c *config.Config) { c.LogFormat = "xml" }, "--log-format", "json or text"},
		{"log level", func(c *config.Config) { c.LogLevel = "loud" }, "--log-level", "warn or error"},
		{"near a level", func(c *config.Config) { c.LogLevel = "wran" }, `--log-level (from GRAPNEL_LOG_LEVEL): "wran" is not known`, "did you mean warn?"},
		{"in flight, nearest", func(c *config.Config) { c.MaxInFlight = 100_000 }, "--max-in-flight (from GRAPNEL_MAX_IN_FLIGHT): 100000 is out of range", "the nearest is 65536, the default 1024"},
		{"retention, nearest", func(c *config.Config) { c.Retention = 1; c.IdempotencyWindow = config.Duration(time.Minute) }, "--retention", "write a time of 1h or more; the nearest is 1h"},
		{"batch size", func(c *config.Config) { c.MaxBatchSize = 1 << 40 }, "--max-batch-size (from GRAPNEL_MAX_BATCH_SIZE): 1024GiB is out of range", "the nearest is 256MiB"},
		{"admin address", func(c *config.Config) { c.AdminListen = "9090" }, `--admin-listen (from GRAPNEL_ADMIN_LISTEN): "9090"`, "HOST:PORT"},
		{"one address twice", func(c *config.Config) { c.AdminListen = c.Listen }, "--admin-listen", "another port"},
		{"two free ports", func(c *config.Config) { c.Listen, c.AdminListen = "127.0.0.1:0", "127.0.0.1:0" }, "", ""},
		{"everybody a proxy", func(c *config.Config) { c.TrustedProxies = []string{"::/0"} }, "--trusted-proxies", "such as 10.0.0.0/8"},
		{"certificate alone", func(c *config.Config) { c.TLSCert = "cert.pem" }, "--tls-cert", "--tls-key"},
		{"key alone", func(c *config.Config) { c.TLSKey = "key.pem" }, "--tls-key", "--tls-cert"},
		{"pair", func(c *config.Config) { c.TLSCert, c.TLSKey = "cert.pem", "key.pem" }, "", ""},
		{"proxy address", func(c *config.Config) { c.TrustedProxies = []string{"fd00::1"} }, "--trusted-proxies", "fd00::1/128"},
		{"proxy without a scheme", func(c *config.Config) { c.EgressProxy = "proxy:3128" }, "--egress-proxy", "http://HOST:PORT"},
		{"proxy with a password", func(c *config.Config) { c.EgressProxy = "http://me:hunter2@proxy:3128" }, "--egress-proxy", "--egress-proxy-auth-file"},
		{"proxy that is no URL", func(c *config.Config) { c.EgressProxy = "http://me:hunter2@proxy:%zz" }, "--egress-proxy", "http://HOST:PORT"},
		{"proxy with a path", func(c *config.Config) { c.EgressProxy = "http://proxy:3128/x" }, "--egress-proxy", "http://HOST:PORT"},
		{"proxy", func(c *config.Config) { c.EgressProxy = "https://proxy:3128" }, "", ""},
		{"password without a proxy", func(c *config.Config) { c.EgressProxyAuthFile = "auth" }, "--egress-proxy-auth-file", "--egress-proxy"},
		{"burst without a rate", func(c *config.Config) { c.RateBurst = 3 }, "--rate-burst", "--rate-limit"},
		{"short admin key from a file", func(c *config.Config) { c.AdminKey, c.AdminKeyFile = "hunter2", "f" }, "--admin-key-file: has 7 characters", "random"},
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

func TestRate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]config.Rate{"100/s": {N: 100, Per: time.Second}, "6000/m": {N: 6000, Per: time.Minute}, "1/h": {N: 1, Per: time.Hour}, "off": {}, "0": {}} {
		var r config.Rate
		if err := r.UnmarshalText([]byte(text)); err != nil || r != want || r.Off() != (want.N == 0) {
			t.Errorf("%s: %v, %v", text, r, err)
		}
		var again config.Rate
		if err := again.UnmarshalText([]byte(r.String())); err != nil || again != r {
			t.Errorf("%s: written as %s, read as %v, %v", text, r, again, err)
		}
	}
	for _, text := range []string{"", "100", "/s", "0/s", "-1/s", "1.5/s", "5/d", "5/", "99999999999/s", "100 /s", "on"} {
		var r config.Rate
		if err := r.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as %v", text, r)
		}
	}
}

func TestLocated(t *testing.T) {
	t.Parallel()
	from := func(setting string) string { return "file.yaml:3 for " + setting }
	e := &config.Error{Setting: "--tls-cert", Reason: "is old"}
	if err := config.Located(fmt.Errorf("start: %w", e), from); !errors.Is(err, e) || e.Error() != "--tls-cert (from file.yaml:3 for tls-cert): is old" {
		t.Error(e)
	}
	if config.Located(nil, from) != nil {
		t.Error("made an error")
	}
}
