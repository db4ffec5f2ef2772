package vendortest

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"grapnel/client"
	"grapnel/internal/config"
	"grapnel/internal/serve"
)

// patience bounds a wait for what never comes.
const patience = time.Minute

// Server is a whole server on a data folder of the test.
type Server struct {
	*client.Client        // with the admin key
	Admin          string // the admin key
	URL            string // of the server

	t      testing.TB
	server *serve.Server
	http   *http.Client // nil: the server was stopped
}

// Start starts a server that ends with the test. It may send to the machine
// itself.
func Start(t testing.TB, change ...func(*config.Config)) *Server {
	t.Helper()
	return StartIn(t, t.TempDir(), change...)
}

// StartIn starts a server on a data folder, which may have been used before.
func StartIn(t testing.TB, dir string, change ...func(*config.Config)) *Server {
	t.Helper()
	c := config.Serve()
	c.Data, c.Listen, c.AdminKey = dir, "127.0.0.1:0", "gk_admin_key_of_the_test"
	c.EgressAllow = []string{"127.0.0.0/8"}
	for _, f := range change {
		f(&c)
	}
	made, err := serve.New(t.Context(), serve.Config{Settings: c, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{server: made, URL: made.URL(), Admin: c.AdminKey, t: t, http: &http.Client{
		Transport:     &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       patience,
	}}
	t.Cleanup(s.End)
	if err := made.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.Client, err = client.New(client.Config{URL: s.URL, Key: s.Admin, HTTP: s.http}); err != nil {
		t.Fatal(err)
	}
	return s
}

// End stops the server, if it has not been stopped.
func (s *Server) End() {
	if s.http == nil {
		return
	}
	s.http.CloseIdleConnections()
	s.http = nil
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.server.Stop(ctx); err != nil {
		s.t.Error(err)
	}
}

// MakeTenant makes a tenant that speaks a dialect, and returns the store-wide
// secret that came with it, "" where there is none.
func (s *Server) MakeTenant(id, dialect string) (secret string) {
	s.t.Helper()
	t, err := s.PutTenant(s.t.Context(), id, client.TenantInput{Dialect: client.Set(dialect)})
	if err != nil {
		s.t.Fatal(err)
	}
	return t.Secret
}

// MakeKey makes a key with the scope manage that is bound to tenants.
func (s *Server) MakeKey(tenants ...string) string {
	s.t.Helper()
	k, err := s.CreateKey(s.t.Context(), client.KeyInput{Tenants: tenants, Scopes: []string{"manage"}})
	if err != nil {
		s.t.Fatal(err)
	}
	return k.Key
}

// MakeEndpoint makes an endpoint through the native API.
func (s *Server) MakeEndpoint(tenant string, in client.EndpointInput) *client.Endpoint {
	s.t.Helper()
	e, err := s.CreateEndpoint(s.t.Context(), tenant, in)
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

// Send publishes an event and wants it to go to some endpoints.
func (s *Server) Send(tenant string, e client.Event, endpoints int) *client.Receipt {
	s.t.Helper()
	r, err := s.Client.Publish(s.t.Context(), tenant, e)
	if err != nil {
		s.t.Fatal(err)
	}
	if r.Matched != endpoints {
		s.t.Fatalf("the event goes to %d endpoints, want %d", r.Matched, endpoints)
	}
	return r
}

// Answer is what the server answered.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// JSON reads the body of an answer.
func (a Answer) JSON(t testing.TB) (value any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), &value); err != nil {
		t.Fatalf("%d %q: %v", a.Status, a.Body, err)
	}
	return value
}

// Do sends a request as an old client would. The header is lines such as
// "Accept: application/json".
func (s *Server) Do(method, path string, header []string, body string) Answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ":")
		req.Header.Add(name, strings.TrimSpace(value))
	}
	res, err := s.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return Answer{Status: res.StatusCode, Header: res.Header, Body: string(text)}
}
