package serve_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"grapnel/internal/config"
	"grapnel/internal/serve"
	"grapnel/internal/testaid"
)

// described are the routes that a server tells of.
func described(t *testing.T, base string) (out []string) {
	t.Helper()
	res, err := http.Get(base + "/v1/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var document struct{ Paths map[string]map[string]any }
	if err := json.NewDecoder(res.Body).Decode(&document); err != nil {
		t.Fatal(err)
	}
	for path, methods := range document.Paths {
		for method := range methods {
			if method != "parameters" {
				out = append(out, strings.ToUpper(method)+" "+path)
			}
		}
	}
	return out
}

// case 120: who finds a server that nobody has configured yet cannot make it theirs: no
// route but its descriptions answers without a key, no page sets one, and the key that the
// first start makes is told to whoever started it, and written nowhere. A later start
// makes none. The trial server is heard on this machine alone.
func TestFirstRunCannotBeTakenOver(t *testing.T) {
	t.Parallel()
	var log testaid.Buffer
	cfg := serve.Config{Settings: settings(t, t.TempDir()), Logger: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), Now: time.Now}
	s, err := serve.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	key := string(s.AdminKey())
	if key == "" {
		t.Fatal("the first start made no key")
	}
	base, tried := "http://"+s.Addr().String(), 0
	for _, route := range described(t, base) {
		method, path, _ := strings.Cut(route, " ")
		path = strings.NewReplacer("{", "", "}", "").Replace(path)
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(`{"scopes":["admin"]}`))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if described := path == "/v1/openapi.json" || strings.HasPrefix(path, "/v1/problems/"); !described && res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s answers %d to nobody", route, res.StatusCode)
		}
		tried++
	}
	if tried < 30 {
		t.Errorf("only %d routes were tried", tried)
	}
	for _, path := range []string{"/", "/setup", "/install", "/login", "/admin", "/console"} {
		res, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode < 400 {
			t.Errorf("%s answers %d to nobody", path, res.StatusCode)
		}
	}
	if strings.Contains(log.String(), key) {
		t.Error("the log holds the key")
	}
	if trial := config.DevVars()["listen"]; !strings.HasPrefix(trial, "127.0.0.1:") {
		t.Errorf("the trial server listens on %s", trial)
	}
}
