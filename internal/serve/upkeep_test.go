package serve_test

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"grapnel/client"
	"grapnel/internal/serve"
)

// The upkeep removes secrets whose overlap is over.
func TestUpkeepDropsExpiredSecrets(t *testing.T) {
	t.Parallel()
	cfg := serve.Config{Settings: settings(t.TempDir()), Now: time.Now}
	cfg.Settings.AdminKey = "gk_given_by_the_test"
	t.Run("before", func(t *testing.T) {
		s, c := start(t, cfg)
		if _, err := c.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
			t.Fatal(err)
		}
		target := "https://example.com/"
		e, err := c.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set(target)})
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL()+"/v1/tenants/acme/endpoints/"+e.ID+"/secret/rotate", strings.NewReader(`{"overlap":0.05}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		req.Header.Set("Authorization", "Bearer "+cfg.Settings.AdminKey)
		res, err := (&http.Transport{}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if b, err := io.ReadAll(res.Body); err != nil || strings.Count(string(b), "expires_at") != 1 {
			t.Fatalf("%s, %v: %s", res.Status, err, b)
		}
	})
	await(t, "the overlap's end", func() bool {
		s, err := serve.New(t.Context(), serve.Config{Settings: cfg.Settings, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		stored, ok := s.Endpoint(1)
		return ok && len(stored.Secrets) == 1
	})
}
