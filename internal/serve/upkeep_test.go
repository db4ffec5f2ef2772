package serve_test

import (
	"io"
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
	cfg := serve.Config{Settings: settings(t, t.TempDir())}
	cfg.Settings.AdminKey = "gk_given_by_the_test"
	var over time.Time
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
		await(t, "the new secret", func() bool {
			stored, ok := s.Endpoint(1)
			for _, secret := range stored.Secrets {
				if secret.ExpiresAt.After(over) {
					over = secret.ExpiresAt
				}
			}
			return ok && !over.IsZero()
		})
	})
	await(t, "the overlap's end", func() bool { return time.Now().After(over) })
	// The upkeep begins with the server.
	after, _ := start(t, cfg)
	await(t, "the removal", func() bool {
		stored, ok := after.Endpoint(1)
		return ok && len(stored.Secrets) == 1
	})
}
