package offline_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"grapnel/internal/config"
	"grapnel/internal/hook"
	"grapnel/internal/serve"
	"grapnel/internal/serve/offline"
)

// counter is a receiver that notes which events came to which path.
type counter struct {
	mu   sync.Mutex
	seen map[string]map[string]bool // event ids by path
	bad  []string
}

func (c *counter) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var body struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		c.bad = append(c.bad, err.Error())
	}
	if want := strings.TrimPrefix(r.URL.Path, "/"); body.Type != want || r.Header.Get("Webhook-Signature") == "" || len(body.Data) < 100 {
		c.bad = append(c.bad, fmt.Sprintf("%s got type %q, %d bytes, signature %q", r.URL, body.Type, len(body.Data), r.Header.Get("Webhook-Signature")))
	}
	if c.seen[r.URL.Path] == nil {
		c.seen[r.URL.Path] = map[string]bool{}
	}
	c.seen[r.URL.Path][r.Header.Get("Webhook-Id")] = true
}

// counts are how many events each path got.
func (c *counter) counts() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]int{}
	for path, ids := range c.seen {
		out[path] = len(ids)
	}
	return out
}

// A server on a seeded folder delivers all of it, whatever progress there is, and
// what a second run adds.
func TestSeededFolderIsDelivered(t *testing.T) {
	t.Parallel()
	for _, behind := range []bool{true, false} {
		t.Run(fmt.Sprintf("behind=%t", behind), func(t *testing.T) {
			t.Parallel()
			c := &counter{seen: map[string]map[string]bool{}}
			srv := httptest.NewServer(c)
			t.Cleanup(srv.Close)
			var told int64
			name := func(tenant, endpoint int) string { return fmt.Sprintf("t%d.e%d", tenant, endpoint) }
			plan := offline.SeedPlan{
				Dir: t.TempDir(), Tenants: 2, Endpoints: 3, Events: 600, Size: 200, Behind: behind,
				URL: func(i, j int) string { return srv.URL + "/" + name(i, j) }, Type: name,
				Progress: func(done, _ int64) { told = done },
			}
			for range 2 {
				if err := offline.Seed(t.Context(), plan); err != nil {
					t.Fatal(err)
				}
			}
			if told != plan.Events {
				t.Errorf("the end told of %d events, want %d", told, plan.Events)
			}
			serveFolder(t, plan.Dir, netip.MustParseAddrPort(strings.TrimPrefix(srv.URL, "http://")), func() bool {
				n := 0
				for _, of := range c.counts() {
					n += of
				}
				return n == 1200
			})
			for i := range 2 {
				for j := range 3 {
					if got := c.counts()["/"+name(i, j)]; got != 200 {
						t.Errorf("%s got %d events, want 200", name(i, j), got)
					}
				}
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			if len(c.bad) > 0 {
				t.Errorf("%d bad requests, such as: %s", len(c.bad), c.bad[0])
			}
		})
	}
}

// serveFolder runs a server on a folder until done.
func serveFolder(t *testing.T, dir string, receiver netip.AddrPort, done func() bool) {
	t.Helper()
	settings := config.Serve()
	settings.Data, settings.Listen = dir, "127.0.0.1:0"
	wake := make(chan struct{}, 1)
	s, err := serve.New(t.Context(), serve.Config{
		Settings: settings, Logger: slog.New(slog.DiscardHandler), Now: time.Now, Exempt: []netip.AddrPort{receiver},
		Observe: func(*hook.Attempt) {
			select {
			case wake <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	patience := time.After(time.Minute)
	for !done() {
		select {
		case <-wake:
		case <-patience:
			t.Fatal("not all was delivered")
		}
	}
}

func TestSeedPlanIsChecked(t *testing.T) {
	t.Parallel()
	name := func(int, int) string { return "a" }
	for what, p := range map[string]offline.SeedPlan{
		"no folder":       {Tenants: 1, Endpoints: 1, URL: name, Type: name},
		"no tenants":      {Dir: "x", Endpoints: 1, URL: name, Type: name},
		"no URL":          {Dir: "x", Tenants: 1, Endpoints: 1, Type: name},
		"negative events": {Dir: "x", Tenants: 1, Endpoints: 1, URL: name, Type: name, Events: -1},
	} {
		if err := offline.Seed(t.Context(), p); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}
