package serve_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"grapnel/client"
	"grapnel/internal/config"
	"grapnel/internal/hook"
	"grapnel/internal/keyring"
	"grapnel/internal/manage"
	"grapnel/internal/serve"
	"grapnel/internal/serve/offline"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
	"grapnel/internal/store/eithertest"
	"grapnel/internal/store/postgres/pgtest"
	"grapnel/verify"
)

// dying is a store whose process ends with a change: before it is stored, or after.
type dying struct {
	store.Store
	left int
}

var errDied = errors.New("the process is gone")

func (d *dying) Configure(ctx context.Context, c *store.Change) (int64, error) {
	if d.left == 0 {
		return 0, errDied
	}
	d.left--
	return d.Store.Configure(ctx, c)
}

// ringOf is a ring with these keys, the first one to seal.
func ringOf(t *testing.T, keys ...string) *keyring.Ring {
	t.Helper()
	r, err := keyring.Open(keyring.Source{Env: strings.Join(keys, ",")})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sealing makes a configuration with n endpoints in each of three tenants, all with
// a secret of the tenant, two of its own, one of them from before, and a credential.
func sealing(t *testing.T, st store.Store, ring *keyring.Ring, n int) {
	t.Helper()
	seal := func(tenant, record string) hook.Sealed {
		s, err := ring.Seal(hook.Secret("canary of "+tenant+" "+record), tenant, record)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	at := time.Now()
	for i := range 3 {
		tenant := &hook.Tenant{ID: "t" + strconv.Itoa(i), CreatedAt: at, UpdatedAt: at}
		tenant.Secrets = map[string]hook.Sealed{"smake": seal(tenant.ID, "tenant/smake")}
		if _, err := st.Configure(t.Context(), &store.Change{Tenants: []*hook.Tenant{tenant}}); err != nil {
			t.Fatal(err)
		}
		var all []*hook.Endpoint
		for j := range n {
			e := &hook.Endpoint{TenantNum: tenant.Num, Tenant: tenant.ID, ID: "ep_" + strconv.Itoa(i) + "_" + strconv.Itoa(j), Dialect: "standard", State: hook.EndpointActive, CreatedAt: at, UpdatedAt: at}
			e.Secrets = []hook.EndpointSecret{{Sealed: seal(e.Tenant, e.ID), CreatedAt: at}, {Sealed: seal(e.Tenant, e.ID), CreatedAt: at, ExpiresAt: at.Add(time.Hour)}}
			headers, err := ring.SealHeaders([]hook.Header{{Name: "Authorization", Value: "Bearer canary"}}, e.Tenant, e.ID)
			if err != nil {
				t.Fatal(err)
			}
			e.Headers = headers
			all = append(all, e)
		}
		if _, err := st.Configure(t.Context(), &store.Change{Endpoints: all}); err != nil {
			t.Fatal(err)
		}
	}
}

// unreadable are the secrets in a store that a ring does not open.
func unreadable(t *testing.T, st store.Store, ring *keyring.Ring) []error {
	t.Helper()
	c, err := st.Configuration(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return manage.UnreadableSecrets(ring, c.Tenants, c.Endpoints)
}

// case 104: all that is sealed is sealed anew, on either engine, also if the process
// dies before any of the changes; meanwhile both keys open it, and then the new one
// alone.
func TestResealIsResumed(t *testing.T) {
	t.Parallel()
	const endpoints = 1100 // of a tenant: more than two thousand records are more than one change
	st := eithertest.Open(t)
	old, now := keyring.NewKey(), keyring.NewKey()
	sealing(t, st, ringOf(t, old), endpoints)
	both, total := ringOf(t, now, old), 3+3*3*endpoints
	var runs, resealed int
	for ; ; runs++ {
		d, err := directory.Load(t.Context(), st)
		if err != nil {
			t.Fatal(err)
		}
		r := manage.Resealing{Store: &dying{Store: st, left: 1}, Directory: d, Ring: both, Now: time.Now}
		if older := total - r.Count()[both.KeyIDs()[0]]; older != total-resealed {
			t.Fatalf("%d secrets are sealed with the old key, want %d", older, total-resealed)
		}
		if bad := unreadable(t, st, both); len(bad) > 0 {
			t.Fatalf("while keys change: %v", bad[0])
		}
		n, err := r.Run(t.Context())
		if resealed += n; err == nil {
			break
		}
		if !errors.Is(err, errDied) {
			t.Fatal(err)
		}
		d, err = directory.Load(t.Context(), st)
		if err != nil {
			t.Fatal(err)
		}
		r.Directory = d
		resealed = r.Count()[both.KeyIDs()[0]]
	}
	if bad := unreadable(t, st, ringOf(t, now)); runs < 1 || len(bad) > 0 {
		t.Errorf("after %d deaths, %d secrets need the old key", runs, len(bad))
	}
	if bad := unreadable(t, st, ringOf(t, old)); len(bad) == 0 {
		t.Error("the old key still opens everything: nothing was sealed anew")
	}
}

// case 104: what is moved to another tenant's row, or another endpoint's, does not
// open, and is not sealed anew for it; a wrong key says which one is missing.
func TestMovedSecretsDoNotOpen(t *testing.T) {
	t.Parallel()
	st := eithertest.Open(t)
	old, now := keyring.NewKey(), keyring.NewKey()
	sealing(t, st, ringOf(t, old), 2)
	d, err := directory.Load(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	get := func(tenant, id string) *hook.Endpoint {
		e, ok := d.EndpointByID(tenant, id)
		if !ok {
			t.Fatal(id)
		}
		c := *e
		return &c
	}
	// t1 gets t0's secrets, and one endpoint of t2 the other one's headers.
	thief, other := get("t1", "ep_1_0"), get("t2", "ep_2_1")
	thief.Secrets = slices.Clone(get("t0", "ep_0_0").Secrets)
	other.Headers = slices.Clone(get("t2", "ep_2_0").Headers)
	one, _ := d.Tenant("t1")
	zero, _ := d.Tenant("t0")
	tenant := *one
	tenant.Secrets = zero.Secrets
	if _, err := st.Configure(t.Context(), &store.Change{Tenants: []*hook.Tenant{&tenant}, Endpoints: []*hook.Endpoint{thief, other}}); err != nil {
		t.Fatal(err)
	}
	if bad := unreadable(t, st, ringOf(t, old)); len(bad) != 4 { // two secrets, a header, the tenant's own
		t.Errorf("%d do not open, want 4: %v", len(bad), bad)
	}
	if d, err = directory.Load(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	both := ringOf(t, now, old)
	r := manage.Resealing{Store: st, Directory: d, Ring: both, Now: time.Now}
	n, err := r.Run(t.Context())
	if !errors.Is(err, manage.ErrStillOlder) || strings.Contains(err.Error(), "canary") || n != 3+3*6-4 {
		t.Errorf("%d sealed anew: %v", n, err)
	}
	if older := r.Count()[both.KeyIDs()[1]]; older != 4 {
		t.Errorf("%d are left with the old key, want 4", older)
	}
	r.Ring = ringOf(t, keyring.NewKey())
	if _, err := r.Run(t.Context()); !errors.Is(err, manage.ErrStillOlder) || !strings.Contains(err.Error(), both.KeyIDs()[0]) || !strings.Contains(err.Error(), "put that key back") {
		t.Errorf("with a wrong key: %v", err)
	}
}

// signed takes webhooks, and counts those that do not verify.
type signed struct {
	mu       sync.Mutex
	verifier *verify.Verifier
	got, bad int
}

func (s *signed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got++
	if s.verifier != nil {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = s.verifier.Verify(r.Header, body, time.Now())
		}
		if err != nil {
			s.bad++
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
}

// case 104: two servers change keys under load, in the documented order: the new key
// behind the old one, before it, everything sealed anew while both serve, the new one
// alone. Every request verifies, and pages go on with cursors of the other server.
func TestKeysChangeWhileServing(t *testing.T) {
	t.Parallel()
	box := &signed{}
	hooks := httptest.NewServer(box)
	t.Cleanup(hooks.Close)
	old, now := keyring.NewKey(), keyring.NewKey()
	database := pgtest.Database(t)
	settingsOf := func(keys string) serve.Config {
		return serve.Config{Settings: nodeSettings(t, database, keys), Exempt: []netip.AddrPort{netip.MustParseAddrPort(strings.TrimPrefix(hooks.URL, "http://"))}}
	}
	both := func(keys string) (c [2]*client.Client, stop [2]func()) {
		for i := range c {
			cfg := settingsOf(keys)
			cfg.Settings.Lease, cfg.Settings.Renew = config.Duration(3*time.Second), config.Duration(100*time.Millisecond)
			c[i], stop[i] = run(t, cfg)
		}
		return c, stop
	}
	servers, stop := both(old)
	if _, err := servers[0].PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	e, err := servers[0].CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set(hooks.URL)})
	if err != nil {
		t.Fatal(err)
	}
	if box.verifier, err = verify.New(string(e.Secret)); err != nil {
		t.Fatal(err)
	}
	published := 0
	publish := func() {
		t.Helper()
		for i := range 4 {
			if _, err := servers[i%2].Publish(t.Context(), "acme", client.Event{Type: "a.b", Data: json.RawMessage(`1`)}); err != nil {
				t.Fatal(err)
			}
			published++
		}
	}
	replace := func(i int, keys string) {
		stop[i]()
		servers[i], stop[i] = run(t, settingsOf(keys))
		publish()
	}
	publish()
	for _, keys := range []string{old + "," + now, now + "," + old} {
		for i := range servers {
			replace(i, keys)
		}
	}
	data, err := offline.OpenDatabase(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	seals, err := data.Reseal(t.Context(), offline.Keys{Given: now + "," + old}, false, nil)
	if err != nil || seals.Resealed == 0 || seals.Older() != 0 {
		t.Fatalf("%+v, %v", seals, err)
	}
	publish()
	for i := range servers {
		replace(i, now)
	}
	await(t, "all deliveries", func() bool {
		box.mu.Lock()
		defer box.mu.Unlock()
		return box.got >= published
	})
	for _, s := range stop {
		s()
	}
	if box.bad > 0 || box.got != published {
		t.Errorf("%d requests of %d events, %d of them do not verify", box.got, published, box.bad)
	}
}
