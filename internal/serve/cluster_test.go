package serve_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"grapnel/client"
	"grapnel/internal/config"
	"grapnel/internal/inbox"
	"grapnel/internal/keyring"
	"grapnel/internal/serve"
	"grapnel/internal/store"
	"grapnel/internal/store/postgres/pgtest"
)

// nodeSettings are a server's that shares a database with others.
func nodeSettings(t *testing.T, url, secret string) config.Config {
	t.Helper()
	c := config.Serve()
	c.Listen, c.Data = "127.0.0.1:0", t.TempDir()
	c.Store, c.SecretKey, c.AdminKey, c.PublicURL = url, secret, adminKey, "https://hooks.example"
	return c
}

// Servers that start at once on a database with nothing in it all start, and make one
// admin key together: the one that they were given, or one that one of them tells.
func TestServersStartAtOnce(t *testing.T) {
	t.Parallel()
	for name, given := range map[string]string{"with an admin key": adminKey, "without one": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := serve.Config{Settings: nodeSettings(t, pgtest.Database(t), keyring.NewKey()), Logger: slog.New(slog.DiscardHandler), Now: time.Now}
			cfg.Settings.AdminKey = given
			var servers [5]*serve.Server
			var group errgroup.Group
			for i := range servers {
				group.Go(func() (err error) {
					if servers[i], err = serve.New(t.Context(), cfg); err != nil {
						return err
					}
					return servers[i].Start(t.Context())
				})
			}
			if err := group.Wait(); err != nil {
				t.Error(err)
			}
			key, told := given, 0
			for _, s := range servers {
				if s == nil {
					continue
				}
				t.Cleanup(func() {
					if err := s.Stop(context.Background()); err != nil {
						t.Error(err)
					}
				})
				if made := string(s.AdminKey()); made != "" {
					key, told = made, told+1
				}
			}
			if want := 1; given == "" && told != want || given != "" && told != 0 {
				t.Errorf("%d servers tell an admin key", told)
			}
			if t.Failed() {
				return
			}
			n := 0
			for k, err := range dial(t, servers[0], key).Keys(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				if n++; !slices.Equal(k.Scopes, []string{client.ScopeAdmin}) {
					t.Errorf("a key with %v", k.Scopes)
				}
			}
			if n != 1 {
				t.Errorf("%d keys were made", n)
			}
		})
	}
}

// A server that cannot start has no part in what is shared out, however often it tries:
// the others hold all of it.
func TestFailedStartTakesNothing(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	_, a := start(t, serve.Config{Settings: nodeSettings(t, url, keyring.NewKey())})
	wrong := serve.Config{Settings: nodeSettings(t, url, keyring.NewKey()), Logger: slog.New(slog.DiscardHandler), Now: time.Now}
	for range 5 {
		if s, err := serve.New(t.Context(), wrong); err == nil {
			s.Stop(context.Background())
			t.Fatal("another key was taken")
		}
	}
	nodes := 0
	for n, err := range a.Nodes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if nodes++; len(n.Partitions) != store.Partitions {
			t.Errorf("%s holds %d partitions", n.Name, len(n.Partitions))
		}
	}
	if nodes != 1 {
		t.Errorf("%d servers are counted, want the one that runs", nodes)
	}
}

// Two servers share a database. Whatever one of them was told counts at once for
// who asks the other: a tenant, an endpoint, a key, and its end. What is
// published through either is delivered once.
func TestTwoServers(t *testing.T) {
	t.Parallel()
	box, target, addr := receiver(t, inbox.Reply{})
	cfg := serve.Config{Settings: nodeSettings(t, pgtest.Database(t), keyring.NewKey()), Exempt: []netip.AddrPort{addr}}
	_, a := start(t, cfg)
	second, b := start(t, cfg)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	publish := func(c *client.Client, matched int) {
		t.Helper()
		r, err := c.Publish(t.Context(), "acme", client.Event{Type: "user.created", Data: json.RawMessage(`{"id":1}`)})
		if must(err); r.Matched != matched {
			t.Fatalf("matched %d endpoints, want %d", r.Matched, matched)
		}
	}
	_, err := a.PutTenant(t.Context(), "acme", client.TenantInput{})
	must(err)
	publish(b, 0)
	e, err := a.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set(target)})
	must(err)
	for _, c := range []*client.Client{b, a, b, a} {
		publish(c, 1)
	}
	await(t, "the deliveries", func() bool { // also on record: until then, to ask again asks for nothing more
		page, err := b.DeliveryPage(t.Context(), "acme", client.DeliveryFilter{}, client.At{})
		must(err)
		delivered := 0
		for _, d := range page.Data {
			if d.State == "delivered" {
				delivered++
			}
		}
		return delivered == 4
	})

	// Whichever of them sends to the endpoint, either can be asked to send again. The
	// endpoint may change hands meanwhile, once.
	for i, c := range []*client.Client{a, b, a, b} {
		before := len(box.Requests())
		page, err := c.DeliveryPage(t.Context(), "acme", client.DeliveryFilter{}, client.At{})
		must(err)
		again := page.Data[i]
		_, err = c.Redeliver(t.Context(), "acme", again.ID)
		must(err)
		await(t, "a delivery once more", func() bool { return len(box.Requests()) > before })
	}
	redelivered := 4

	k, err := a.CreateKey(t.Context(), client.KeyInput{Scopes: []string{"publish"}})
	must(err)
	other := dial(t, second, k.Key)
	publish(other, 1)
	_, err = a.RevokeKey(t.Context(), k.ID)
	must(err)
	await(t, "the key's end on the other server", func() bool { // case 95
		_, err := other.Publish(t.Context(), "acme", client.Event{Type: "user.created", Data: json.RawMessage(`{}`)})
		var refused *client.Error
		return errors.As(err, &refused) && refused.Status == http.StatusUnauthorized
	})
	_, err = b.DeleteEndpoint(t.Context(), "acme", e.ID)
	must(err)
	publish(a, 0)
	seen := map[string]bool{}
	for _, r := range box.Requests() {
		if seen[r.ID] {
			redelivered--
		}
		seen[r.ID] = true
	}
	if redelivered != 0 {
		t.Errorf("%d requests for 4 redeliveries", 4-redelivered)
	}
}
