package serve_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"grapnel/client"
	"grapnel/internal/serve"
	"grapnel/internal/serve/offline"
	"grapnel/internal/store/eithertest"
)

// case 62: an event to many endpoints is taken as a whole, with all that it goes
// to. A server that ends in the middle of them goes on with the others at its
// next start.
func TestFanOutResumes(t *testing.T) {
	t.Parallel()
	endpoints := 1000
	if n, err := strconv.Atoi(os.Getenv("GRAPNEL_TEST_FANOUT")); err == nil {
		endpoints = n // by hand, with profiles
	}
	var mu sync.Mutex
	got := map[string]int{}
	half, over := make(chan struct{}), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if got[r.URL.Path]++; got[r.URL.Path] > 1 {
			return
		}
		switch len(got) {
		case endpoints / 2:
			close(half)
		case endpoints:
			close(over)
		}
	}))
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	address := func(_, e int) string { return fmt.Sprint(srv.URL, "/", e) }
	if eithertest.Postgres() {
		endpoints /= 10 // made one by one below
	} else {
		err = offline.Seed(t.Context(), offline.SeedPlan{
			Dir: dir, Tenants: 1, Endpoints: endpoints,
			URL:  address,
			Type: func(_, _ int) string { return "news" },
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	cfg := serve.Config{Settings: settings(t, dir), Exempt: []netip.AddrPort{netip.MustParseAddrPort(u.Host)}, Logger: slog.New(slog.DiscardHandler), Now: time.Now}
	cfg.Settings.AdminKey = "0123456789abcdef-admin"
	cfg.Settings.Drain = 0
	first, err := serve.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := dial(t, first, cfg.Settings.AdminKey)
	if eithertest.Postgres() {
		if _, err := c.PutTenant(t.Context(), "seed-0", client.TenantInput{}); err != nil {
			t.Fatal(err)
		}
		for e := range endpoints {
			if _, err := c.CreateEndpoint(t.Context(), "seed-0", client.EndpointInput{URL: client.Set(address(0, e))}); err != nil {
				t.Fatal(err)
			}
		}
	}
	begin := time.Now()
	r, err := c.Publish(t.Context(), "seed-0", client.Event{Type: "news", Data: json.RawMessage(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("accepted for %d endpoints in %s", r.Matched, time.Since(begin))
	if r.Matched != endpoints {
		t.Errorf("matched %d", r.Matched)
	}
	<-half
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := first.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	start(t, cfg)
	<-over
}
