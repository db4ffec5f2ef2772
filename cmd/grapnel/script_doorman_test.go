package main

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	zoo "grapnel/internal/hostile"
	"grapnel/internal/store/postgres/pgtest"
)

// The scripts of testdata/either run on each engine: PLACE is the flag that says where
// the server keeps its data.
func TestScriptsOnSQLite(t *testing.T) {
	t.Parallel()
	onEngine(t, func(*testing.T) string { return "--data=one" })
}

// The same on PostgreSQL.
func TestScriptsOnSharedPostgreSQL(t *testing.T) {
	t.Parallel()
	pgtest.Shared(t) // skips here where there is none
	onEngine(t, func(t *testing.T) string { return "--store=" + pgtest.Empty(t) })
}

func onEngine(t *testing.T, place func(*testing.T) string) {
	p := scripts("testdata/either")
	setup := p.Setup
	p.Setup = func(e *testscript.Env) error {
		e.Setenv("PLACE", place(t))
		return setup(e)
	}
	p.Cmds["doorman"] = doorman
	testscript.Run(t, p)
}

// guarded plays receivers that let nobody in without what they ask for, and the token
// endpoint of one of them.
type guarded struct {
	mu     sync.Mutex
	issued int
	good   bool // the last token is
}

func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	user, password, _ := r.BasicAuth()
	ok := false
	switch r.URL.Path {
	case "/token":
		if ok = user == "grapnel" && password == "canary-client" && r.FormValue("grant_type") == "client_credentials" && r.FormValue("scope") == "hooks.write"; !ok {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client"}`)
			return
		}
		g.issued, g.good = g.issued+1, true
		fmt.Fprintf(w, `{"access_token":"canary-token-%d","token_type":"Bearer","expires_in":3600}`, g.issued)
		return
	case "/revoke":
		g.good, ok = false, true
	case "/issued":
		fmt.Fprintf(w, "%d issued", g.issued)
		return
	case "/oauth2":
		ok = g.good && r.Header.Get("Authorization") == fmt.Sprintf("Bearer canary-token-%d", g.issued)
	case "/bearer":
		ok = r.Header.Get("Authorization") == "Bearer canary-bearer"
	case "/basic":
		ok = user == "grapnel" && password == "canary-password"
	case "/tls":
		ok = r.TLS != nil && r.TLS.PeerCertificates[0].Subject.CommonName == "acme"
	}
	if !ok {
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// doorman: starts the receivers at PLAIN and DOOR, which is over TLS and asks for a
// certificate, and writes the files acme.pem, acme.key and ca.pem for it.
func doorman(ts *testscript.TestScript, neg bool, args []string) {
	ca, err := zoo.NewAuthority(time.Now())
	ts.Check(err)
	cfg, err := ca.Config("127.0.0.1", time.Now().Add(time.Hour), true)
	ts.Check(err)
	cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool()
	chain, key, err := ca.Client("acme", time.Now().Add(time.Hour))
	ts.Check(err)
	for name, text := range map[string][]byte{"acme.pem": chain, "acme.key": key, "ca.pem": ca.PEM()} {
		ts.Check(os.WriteFile(ts.MkAbs(name), text, 0o600))
	}
	g := new(guarded)
	plain, door := httptest.NewServer(g), httptest.NewUnstartedServer(g)
	door.TLS = cfg
	door.StartTLS()
	ts.Defer(plain.Close)
	ts.Defer(door.Close)
	ts.Setenv("PLAIN", plain.URL)
	ts.Setenv("DOOR", door.URL)
	ts.Check(os.WriteFile(ts.MkAbs("oauth2.json"), fmt.Appendf(nil, `{"type":"oauth2","token_url":"%s/token","client_id":"grapnel","client_secret":"canary-client","scope":"hooks.write"}`, plain.URL), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("wrong.json"), fmt.Appendf(nil, `{"type":"oauth2","token_url":"%s/token","client_id":"grapnel","client_secret":"canary-wrong","scope":"hooks.write"}`, plain.URL), 0o600))
}
