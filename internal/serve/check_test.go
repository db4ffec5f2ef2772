package serve_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"grapnel/internal/keyring"
	"grapnel/internal/serve"
)

func TestCheckSettings(t *testing.T) {
	t.Parallel()
	none := func(string) string { return "" }
	cfg := settings(t, t.TempDir())
	cfg.SecretKey = keyring.NewKey()
	if err := serve.CheckSettings(&cfg, time.Now, none, nil); err != nil {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "no.pem")
	if err := os.WriteFile(file, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.SecretKey, cfg.TLSCert, cfg.TLSKey = "hunter2", file, file
	text := fmt.Sprint(serve.CheckSettings(&cfg, time.Now, func(name string) string {
		return map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}[name]
	}, func(string) string { return "GRAPNEL_X" }))
	if !strings.Contains(text, "GRAPNEL_SECRET_KEY: ") || !strings.Contains(text, "--tls-cert (from GRAPNEL_X): ") ||
		!strings.Contains(text, `OTEL_TRACES_EXPORTER: is "zipkin"`) || strings.Contains(text, "hunter2") {
		t.Error(text)
	}
}
