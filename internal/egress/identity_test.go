package egress_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/hostile"
)

// doorman is a TLS server that tells whose certificate it was shown.
type doorman struct {
	*httptest.Server
	ca    *hostile.Authority // of its own certificate and of its guests'
	conns atomic.Int64
}

func newAuthority(t *testing.T) *hostile.Authority {
	t.Helper()
	ca, err := hostile.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// startDoorman starts one with HTTP/2, which lets nobody in without a certificate if
// auth says so.
func startDoorman(t *testing.T, auth tls.ClientAuthType) *doorman {
	t.Helper()
	d := &doorman{ca: newAuthority(t)}
	cfg, err := d.ca.Config("127.0.0.1", time.Now().Add(time.Hour), true)
	if err != nil {
		t.Fatal(err)
	}
	cfg.ClientAuth, cfg.ClientCAs = auth, d.ca.Pool()
	d.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		guest := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			guest = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		w.Header().Set("Guest", guest)
		w.WriteHeader(http.StatusNoContent)
	}))
	d.TLS, d.EnableHTTP2 = cfg, true
	d.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			d.conns.Add(1)
		}
	}
	d.StartTLS()
	t.Cleanup(d.Close)
	return d
}

// identity is that of somebody with a certificate of the doorman's authority, who
// trusts own.
func (d *doorman) identity(t *testing.T, name string, own *hostile.Authority) *egress.Identity {
	t.Helper()
	chain, key, err := d.ca.Client(name, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	c := &egress.Certificates{Chain: string(chain), Key: hook.Secret(key)}
	if own != nil {
		c.CA = string(own.PEM())
	}
	return &egress.Identity{ID: sha256.Sum256([]byte(name)), Load: func() (*egress.Certificates, error) { return c, nil }}
}

func postAs(url string, id *egress.Identity) *egress.Request {
	r := post(url, long)
	r.Identity = id
	return r
}

// case 88: two tenants with certificates of their own, and one without, at one host:
// each request shows its own and no other, on new connections and on kept ones.
func TestCertificatesDoNotCross(t *testing.T) {
	t.Parallel()
	d := startDoorman(t, tls.VerifyClientCertIfGiven)
	c := newClient(t, egress.Config{RootCAs: d.ca.Pool()})
	acme, globex := d.identity(t, "acme", nil), d.identity(t, "globex", nil)
	for round := range 3 {
		for _, step := range []struct {
			want string
			id   *egress.Identity
		}{{"acme", acme}, {"globex", globex}, {"nobody", nil}} {
			res := c.Do(t.Context(), postAs(d.URL, step.id))
			wantClass(t, res, "")
			if got := res.Header.Get("Guest"); got != step.want {
				t.Errorf("round %d: %s came as %s", round, step.want, got)
			}
			if step.id != nil && res.Proto != "HTTP/1.1" {
				t.Errorf("%s over %s, whose connections are shared", step.want, res.Proto)
			}
			if res.Reused != (round > 0) {
				t.Errorf("round %d: %s: reused %v", round, step.want, res.Reused)
			}
		}
	}
	if n := d.conns.Load(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

// case 88: the same with nothing kept: TLS sessions stay with their identity, too.
func TestSessionsDoNotCross(t *testing.T) {
	t.Parallel()
	d := startDoorman(t, tls.VerifyClientCertIfGiven)
	d.Config.SetKeepAlivesEnabled(false)
	c := newClient(t, egress.Config{RootCAs: d.ca.Pool()})
	ids := map[string]*egress.Identity{"acme": d.identity(t, "acme", nil), "globex": d.identity(t, "globex", nil), "nobody": nil}
	for range 4 {
		for want, id := range ids {
			res := c.Do(t.Context(), postAs(d.URL, id))
			wantClass(t, res, "")
			if got := res.Header.Get("Guest"); got != want {
				t.Errorf("%s came as %s", want, got)
			}
		}
	}
}

func TestCertificateIsAskedFor(t *testing.T) {
	t.Parallel()
	d := startDoorman(t, tls.RequireAndVerifyClientCert)
	c := newClient(t, egress.Config{RootCAs: d.ca.Pool()})
	turnedAway(t, c.Do(t.Context(), postAs(d.URL, nil)))
	wantClass(t, c.Do(t.Context(), postAs(d.URL, d.identity(t, "acme", nil))), "")
	stranger := &doorman{ca: newAuthority(t)}
	turnedAway(t, c.Do(t.Context(), postAs(d.URL, stranger.identity(t, "acme of another authority", nil))))
}

// turnedAway fails the test unless the host did not want the certificate. In TLS 1.3 it says
// so behind the handshake, and its word may be lost in the end of the connection.
func turnedAway(t *testing.T, res *egress.Result) {
	t.Helper()
	if res.Class != egress.ClassTLS && res.Class != egress.ClassReset {
		t.Errorf("class %q (%s, status %d), want tls or reset", res.Class, res.Detail, res.Status)
	}
}

// case 49: authorities of one's own replace those of the system, and are nobody else's.
func TestOwnAuthorities(t *testing.T) {
	t.Parallel()
	d := startDoorman(t, tls.NoClientCert)
	other := newAuthority(t)
	unknown := newClient(t, egress.Config{RootCAs: x509.NewCertPool()})
	wantClass(t, unknown.Do(t.Context(), postAs(d.URL, d.identity(t, "trusts it", d.ca))), "")
	res := unknown.Do(t.Context(), postAs(d.URL, nil)) // although there is a good connection by now
	wantClass(t, res, egress.ClassTLS)
	if !strings.Contains(res.Detail, "unknown authority") {
		t.Error(res.Detail)
	}
	known := newClient(t, egress.Config{RootCAs: d.ca.Pool()})
	wantClass(t, known.Do(t.Context(), postAs(d.URL, nil)), "")
	wantClass(t, known.Do(t.Context(), postAs(d.URL, d.identity(t, "trusts another", other))), egress.ClassTLS)
}

func TestIdentityThroughAProxy(t *testing.T) {
	t.Parallel()
	d := startDoorman(t, tls.RequireAndVerifyClientCert)
	p := startProxy(t, &connectProxy{}, nil)
	c := newClient(t, egress.Config{Proxy: p.url, RootCAs: x509.NewCertPool()})
	res := c.Do(t.Context(), postAs(d.URL, d.identity(t, "acme", d.ca)))
	wantClass(t, res, "")
	if got := res.Header.Get("Guest"); got != "acme" {
		t.Error(got)
	}
	if n := p.connections(); n != 1 {
		t.Errorf("%d connections through the proxy", n)
	}
}

func TestIdentityThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	d := startDoorman(t, tls.NoClientCert)
	c := newClient(t, egress.Config{RootCAs: d.ca.Pool()})
	for n, load := range []func() (*egress.Certificates, error){
		func() (*egress.Certificates, error) { return nil, errors.New("cannot be opened") },
		func() (*egress.Certificates, error) { return &egress.Certificates{Chain: "x", Key: "a-canary"}, nil },
		func() (*egress.Certificates, error) { return &egress.Certificates{CA: "x"}, nil },
	} {
		res := c.Do(t.Context(), postAs(d.URL, &egress.Identity{ID: [32]byte{byte(n + 1)}, Load: load}))
		wantClass(t, res, egress.ClassTLS)
		if strings.Contains(res.Detail, "canary") {
			t.Error(res.Detail)
		}
	}
}
