package serve_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"grapnel/client"
	"grapnel/internal/config"
	"grapnel/internal/convert"
	"grapnel/internal/hook"
	"grapnel/internal/inbox"
	"grapnel/internal/keyring"
	"grapnel/internal/serve"
	"grapnel/internal/store"
	"grapnel/internal/store/eithertest"
	"grapnel/internal/testaid"
)

func TestMain(m *testing.M) {
	convert.Child() // servers run converters in children
	goleak.VerifyTestMain(m)
}

// settings are a server's in a folder of the test, or with the database that belongs
// to the folder.
func settings(t *testing.T, dir string) config.Config {
	t.Helper()
	c := config.Serve()
	c.Data, c.Listen = dir, "127.0.0.1:0"
	if eithertest.Postgres() {
		c.Store, c.SecretKey = eithertest.URL(t, dir), sharedKey
	}
	return c
}

// engine is what readiness calls the store.
func engine() string {
	if eithertest.Postgres() {
		return "postgres"
	}
	return "sqlite"
}

// sharedKey seals the secrets of all servers on PostgreSQL: one that shares its store
// makes no key of its own.
var sharedKey = keyring.NewKey()

// start starts a server that ends with the test, and a client with its key.
func start(t *testing.T, cfg serve.Config) (*serve.Server, *client.Client) {
	t.Helper()
	cfg.Logger, cfg.Now = slog.New(slog.DiscardHandler), time.Now
	s, err := serve.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	key := string(s.AdminKey())
	if key == "" {
		key = cfg.Settings.AdminKey
	}
	return s, dial(t, s, key)
}

func dial(t *testing.T, s *serve.Server, key string) *client.Client {
	t.Helper()
	plain := &http.Transport{}
	t.Cleanup(plain.CloseIdleConnections)
	h := &http.Client{Transport: held(t, plain)}
	c, err := client.New(client.Config{URL: s.URL(), Key: key, HTTP: h})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// receiver is an inbox behind a listener of its own.
func receiver(t *testing.T, reply inbox.Reply) (*inbox.Inbox, string, netip.AddrPort) {
	t.Helper()
	b, err := inbox.New(inbox.Config{Now: time.Now, Reply: reply})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(b)
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	return b, srv.URL + "/hook", netip.MustParseAddrPort(u.Host)
}

// await asks again and again until ok.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("waited in vain for " + what)
		}
	}
}

// One event all the way: in by the API, out to a receiver that verifies it,
// and back into what the API tells.
func TestDelivers(t *testing.T) {
	t.Parallel()
	box, target, addr := receiver(t, inbox.Reply{})
	seen := make(chan *hook.Attempt, 10)
	s, c := start(t, serve.Config{Settings: settings(t, t.TempDir()), Exempt: []netip.AddrPort{addr}, Observe: func(a *hook.Attempt) { seen <- a }})
	if _, err := c.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	e, err := c.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set(target)})
	if err != nil {
		t.Fatal(err)
	}
	if err := box.SetSecrets([]hook.Secret{hook.Secret(e.Secret)}); err != nil {
		t.Fatal(err)
	}
	r, err := c.Publish(t.Context(), "acme", client.Event{Type: "user.created", Data: json.RawMessage(`{"id":1}`)})
	if err != nil || r.Matched != 1 {
		t.Fatalf("%v, %+v", err, r)
	}
	await(t, "the delivery", func() bool {
		ev, err := c.Event(t.Context(), "acme", r.ID)
		if err != nil {
			t.Fatal(err)
		}
		return len(ev.Deliveries) == 1 && ev.Deliveries[0].State == client.Delivered
	})
	got := box.Requests()
	if len(got) != 1 || !got[0].Verified || got[0].ID != r.ID || !strings.Contains(got[0].Body, `"data":{"id":1}`) {
		t.Errorf("%+v", got)
	}
	if a := <-seen; a.Status != 200 || a.State != hook.Delivered {
		t.Errorf("%+v", a)
	}
	if end, ok := s.Endpoint(seenEndpoint(t, c, r.ID)); !ok || end.ID != e.ID {
		t.Errorf("%v, %v", end, ok)
	}
}

func seenEndpoint(t *testing.T, c *client.Client, event string) hook.EndpointNum {
	t.Helper()
	ev, err := c.Event(t.Context(), "acme", event)
	if err != nil {
		t.Fatal(err)
	}
	k, err := hook.ParseDeliveryKey(ev.Deliveries[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	return k.Endpoint
}

// Health and metrics need no key; the metrics are well-formed.
func TestHealthAndMetrics(t *testing.T) {
	t.Parallel()
	s, c := start(t, serve.Config{Settings: settings(t, t.TempDir())})
	if _, err := c.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	if code, body := testaid.Get(t, s.URL()+"/livez"); code != 200 || body != "ok\n" {
		t.Errorf("%d %s", code, body)
	}
	if code, body := testaid.Get(t, s.URL()+"/readyz"); code != 200 || body != "ready\n" {
		t.Errorf("%d %s", code, body)
	}
	if code, body := testaid.Get(t, s.URL()+"/readyz?verbose"); code != 200 || !strings.Contains(body, "store ok: "+engine()) || !strings.Contains(body, "dispatch ok") {
		t.Errorf("%d %s", code, body)
	}
	code, body := testaid.Get(t, s.URL()+"/metrics")
	for _, want := range []string{
		`grapnel_http_requests_total{code="201",route="PUT /v1/tenants/{tenant}"} 1`, "grapnel_queue_due 0", "grapnel_inflight 0",
		`grapnel_endpoints{state="active"} 0`, "grapnel_db_writable 1", "go_goroutines", "process_",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%d: %s is missing", code, want)
		}
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "grapnel_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	for _, path := range []string{"//v1/tenants", "/v1//tenants", "/v1/tenants/", "//livez"} {
		if code, _ := testaid.Get(t, s.URL()+path); code != 404 {
			t.Errorf("%s: %d", path, code)
		}
	}
	if code, _ := testaid.Get(t, s.URL()+"/v1/tenants"); code != 401 {
		t.Errorf("without a key: %d", code)
	}
}

// case 87: deliveries cannot go to our own listener, also where its range is open.
func TestOwnListenerIsForbidden(t *testing.T) {
	t.Parallel()
	cfg := settings(t, t.TempDir())
	cfg.EgressAllow = []string{"127.0.0.0/8"}
	s, c := start(t, serve.Config{Settings: cfg})
	if _, err := c.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	own := s.URL() + "/v1/events"
	_, err := c.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set(own)})
	var e *client.Error
	if !errors.As(err, &e) || e.Status != 400 {
		t.Errorf("got %v", err)
	}
}

// What was accepted is delivered by the next start in the same folder; the
// key made by the first still works, and no other is made. case 12
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	box, target, addr := receiver(t, inbox.Reply{Status: 503})
	cfg := serve.Config{Settings: settings(t, dir), Exempt: []netip.AddrPort{addr}, Logger: slog.New(slog.DiscardHandler), Now: time.Now}
	first, err := serve.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	key := string(first.AdminKey())
	c := dial(t, first, key)
	if _, err := c.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set(target)}); err != nil {
		t.Fatal(err)
	}
	r, err := c.Publish(t.Context(), "acme", client.Event{Type: "user.created", Data: json.RawMessage(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the first attempt", func() bool { return len(box.Requests()) == 1 })

	// case 19: the folder has one owner; a database has any number of servers.
	if !eithertest.Postgres() {
		if _, err := serve.New(t.Context(), cfg); !errors.Is(err, store.ErrLocked) {
			t.Errorf("a second server: %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := first.Stop(ctx); err != nil {
		t.Fatal(err)
	}

	if err := box.SetReply(inbox.Reply{}); err != nil {
		t.Fatal(err)
	}
	second := cfg
	second.Settings.AdminKey = key
	s, c := start(t, second)
	if s.AdminKey() != "" {
		t.Error("the second start made a key")
	}
	await(t, "the retry", func() bool {
		ev, err := c.Event(t.Context(), "acme", r.ID)
		if err != nil {
			t.Fatal(err)
		}
		return ev.Deliveries[0].State == client.Delivered
	})
	if got := box.Requests(); len(got) != 2 || got[0].ID != got[1].ID {
		t.Errorf("%d requests", len(got))
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	short := settings(t, t.TempDir())
	short.Retention = config.Duration(2 * time.Hour)
	file := settings(t, filepath.Join("serve_test.go", "data"))
	secret := settings(t, t.TempDir())
	secret.SecretKey = "not base64!"
	for name, c := range map[string]struct {
		cfg  config.Config
		want string
	}{
		"retention shorter than a schedule": {short, "--retention: 2h is shorter than the retry schedule of the dialect "},
		"folder that is a file":             {file, "data folder"},
		"bad secret key":                    {secret, "keyring"},
	} {
		if eithertest.Postgres() && c.want == "data folder" {
			continue // it is not made where a database is the store
		}
		_, err := serve.New(t.Context(), serve.Config{Settings: c.cfg, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "not base64!") {
			t.Errorf("%s: the error shows the secret", name)
		}
	}
}

// A start with another key than the one that sealed the stored secrets would
// deliver nothing: it is refused, and both keys are named.
func TestNewRefusesAnotherSecretKey(t *testing.T) {
	t.Parallel()
	keys := [2]string{keyring.NewKey(), keyring.NewKey()}
	var ids [2]string
	for i, k := range keys {
		r, err := keyring.Open(keyring.Source{Env: k})
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = r.KeyIDs()[0]
	}
	cfg := serve.Config{Settings: settings(t, t.TempDir()), Logger: slog.New(slog.DiscardHandler), Now: time.Now}
	cfg.Settings.SecretKey, cfg.Settings.AdminKey = keys[0], "gk_given_by_the_test"
	once := func(key string, use func(c *client.Client)) error {
		cfg.Settings.SecretKey = key
		s, err := serve.New(t.Context(), cfg)
		if err != nil {
			return err
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		use(dial(t, s, cfg.Settings.AdminKey))
		return s.Stop(t.Context())
	}
	nothing := func(*client.Client) {}
	if err := once(keys[0], nothing); err != nil {
		t.Fatal(err)
	}
	switch err := once(keys[1], nothing); { // which matters while nothing is sealed only where there may be other servers
	case cfg.Settings.Store == "" && err != nil, cfg.Settings.Store != "" && !errors.Is(err, keyring.ErrOtherKey):
		t.Errorf("while nothing is sealed: %v", err)
	}
	err := once(keys[0], func(c *client.Client) {
		if _, err := c.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
			t.Fatal(err)
		}
		target := "https://example.com/"
		if _, err := c.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set(target)}); err != nil {
			t.Fatal(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	err = once(keys[1], nothing)
	if !errors.Is(err, keyring.ErrOtherKey) || !strings.Contains(err.Error(), ids[0]) || !strings.Contains(err.Error(), ids[1]) {
		t.Errorf("another key: %v", err)
	}
	if err := once(keys[1]+","+keys[0], nothing); err != nil {
		t.Errorf("a new key before the old one: %v", err)
	}
	if err := once("", nothing); !errors.Is(err, keyring.ErrNoKey) { // no file was ever made
		t.Errorf("no key: %v", err)
	}
}
