package serve_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"grapnel/client"
	"grapnel/internal/serve"
	"grapnel/internal/testaid"
)

// case 107: with an admin listener, what it tells is told there alone.
func TestAdminListener(t *testing.T) {
	t.Parallel()
	cfg := settings(t, t.TempDir())
	cfg.AdminListen = "127.0.0.1:0"
	s, c := start(t, serve.Config{Settings: cfg})
	if _, err := c.PutTenant(t.Context(), "hidden-tenant", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	admin := "http://" + s.AdminAddr().String()
	for _, x := range []struct {
		url    string
		code   int
		has    string
		hasNot string
	}{
		{s.URL() + "/metrics", 404, "", "grapnel_"},
		{s.URL() + "/livez", 200, "ok", ""},
		{s.URL() + "/readyz", 200, "ready\n", ""},
		{s.URL() + "/readyz?verbose", 200, "ready\n", engine()},
		{s.URL() + "/debug/pprof/", 404, "", ""},
		{s.URL() + "/debug/vars", 404, "", ""},
		{admin + "/metrics", 200, "grapnel_build_info", "hidden-tenant"},
		{admin + "/livez", 200, "ok", ""},
		{admin + "/readyz?verbose", 200, "store ok: " + engine(), "hidden-tenant"},
		{admin + "/v1/tenants", 404, "the API is on the other one", ""},
		{admin + "/debug/pprof/", 404, "", ""},
		{admin + "/", 404, "", ""},
	} {
		code, body := testaid.Get(t, x.url)
		if code != x.code || !strings.Contains(body, x.has) || x.hasNot != "" && strings.Contains(body, x.hasNot) {
			t.Errorf("%s: %d %.200s", x.url, code, body)
		}
	}
	// case 87: it is closed to deliveries, too.
	target := admin + "/metrics"
	if _, err := c.CreateEndpoint(t.Context(), "hidden-tenant", client.EndpointInput{URL: client.Set(target)}); err == nil {
		t.Error("deliveries may go to the admin listener")
	}
}

// case 93: what the listeners answer to whom, beside the API and the vendors' routes,
// which have tables of their own. No credential changes what is told.
func TestListenersAccessMatrix(t *testing.T) {
	t.Parallel()
	for name, listen := range map[string]string{"one listener": "", "two listeners": "127.0.0.1:0"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := settings(t, t.TempDir())
			cfg.AdminListen = listen
			s, c := start(t, serve.Config{Settings: cfg})
			if _, err := c.PutTenant(t.Context(), "hidden-tenant", client.TenantInput{}); err != nil {
				t.Fatal(err)
			}
			reader, err := c.CreateKey(t.Context(), client.KeyInput{Tenants: []string{"hidden-tenant"}, Scopes: []string{client.ScopeRead}})
			if err != nil {
				t.Fatal(err)
			}
			link, err := c.CreatePortalLink(t.Context(), "hidden-tenant", client.PortalLinkInput{})
			if err != nil {
				t.Fatal(err)
			}
			credentials := map[string]string{"none": "", "unknown": "gk_0000000000000000000000000000000000000", "admin": string(s.AdminKey()), "read": reader.Key, "portal": link.Token}
			outside, inside := s.OpenPaths()
			// The rest is the API's on the one, and nothing on the other.
			rows := []struct {
				base  string
				paths []string
				open  bool
			}{
				{s.URL(), outside, true},
				{s.URL(), []string{"/", "/metrics/", "/livez/x", "/admin", "/debug/pprof/", "/debug/vars", "/portal"}, false},
			}
			if listen != "" {
				admin := "http://" + s.AdminAddr().String()
				rows[1].paths = append(rows[1].paths, "/metrics")
				rows = append(rows, rows[0], rows[1])
				rows[2].base, rows[2].paths = admin, inside
				rows[3].base, rows[3].paths = admin, []string{"/", "/v1/tenants", "/v1/openapi.json", "/api/hooks", "/v1/hooks", "/debug/pprof/"}
			}
			for _, row := range rows {
				for _, path := range row.paths {
					for credential, key := range credentials {
						for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
							want := http.StatusNotFound
							if row.open {
								want = http.StatusMethodNotAllowed
								if method == http.MethodGet {
									want = http.StatusOK
								}
							}
							req, err := http.NewRequestWithContext(t.Context(), method, row.base+path, nil)
							if err != nil {
								t.Fatal(err)
							}
							if key != "" {
								req.Header.Set("Authorization", "Bearer "+key)
							}
							res, err := http.DefaultClient.Do(req)
							if err != nil {
								t.Fatal(err)
							}
							body, err := io.ReadAll(res.Body)
							res.Body.Close()
							if err != nil || res.StatusCode != want {
								t.Errorf("%s %s%s as %s: %d, want %d; %v", method, row.base, path, credential, res.StatusCode, want, err)
							}
							for _, secret := range []string{"hidden-tenant", string(s.AdminKey()), reader.Key, link.Token} {
								if strings.Contains(string(body), secret) {
									t.Errorf("%s %s%s as %s tells %s", method, row.base, path, credential, secret)
								}
							}
						}
					}
				}
			}
		})
	}
}

// Listeners that somebody else has bound are used as they are.
func TestGivenListeners(t *testing.T) {
	t.Parallel()
	var given [2]net.Listener
	for i := range given {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		given[i] = l
	}
	cfg := settings(t, t.TempDir())
	cfg.Listen = "192.0.2.1:1" // cannot be bound
	s, _ := start(t, serve.Config{Settings: cfg, Listener: given[0], AdminListener: given[1]})
	if s.Addr().String() != given[0].Addr().String() || s.AdminAddr().String() != given[1].Addr().String() {
		t.Errorf("%s, %s", s.Addr(), s.AdminAddr())
	}
	if code, _ := testaid.Get(t, "http://"+given[1].Addr().String()+"/metrics"); code != 200 {
		t.Error(code)
	}
}

// Connections above the limit wait for one that ends.
func TestMaxConnections(t *testing.T) {
	t.Parallel()
	cfg := settings(t, t.TempDir())
	cfg.MaxConnections = 2
	s, _ := start(t, serve.Config{Settings: cfg})
	open := make([]*http.Transport, 2)
	ask := func(tr *http.Transport) int {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL()+"/livez", nil)
		if err != nil {
			t.Error(err)
			return 0
		}
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Error(err)
			return 0
		}
		defer res.Body.Close()
		if _, err := io.Copy(io.Discard, res.Body); err != nil { // else the connection is not kept
			t.Error(err)
		}
		return res.StatusCode
	}
	for i := range open {
		open[i] = &http.Transport{MaxIdleConns: 1}
		if code := ask(open[i]); code != 200 {
			t.Fatal(code)
		}
	}
	dialled := make(chan struct{})
	third := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		close(dialled) // once: it is dialled once
		return c, err
	}}
	t.Cleanup(third.CloseIdleConnections)
	got := make(chan int, 1)
	go func() { got <- ask(third) }()
	<-dialled      // it is in the system's queue now, and waits there
	for range 20 { // the two that are open are answered meanwhile
		if code := ask(open[1]); code != 200 {
			t.Error(code)
		}
	}
	if len(got) > 0 {
		t.Error("a third connection was served beside two")
	}
	open[0].CloseIdleConnections()
	if code := <-got; code != 200 {
		t.Error(code)
	}
	open[1].CloseIdleConnections()
}
