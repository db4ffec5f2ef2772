package serve_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"grapnel/internal/config"
	"grapnel/internal/serve"
	"grapnel/internal/testaid"
)

// authority signs certificates for 127.0.0.1.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t)}
	a.cert = a.sign(&x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour)}, &a.key.PublicKey)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (a *authority) sign(tmpl *x509.Certificate, of *ecdsa.PublicKey) *x509.Certificate {
	a.t.Helper()
	parent := a.cert
	if parent == nil {
		parent = tmpl
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, of, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// leaf makes a certificate with a serial number, and its key, both as PEM.
func (a *authority) leaf(serial int64, from, to time.Time) (cert, key []byte) {
	a.t.Helper()
	k := newKey(a.t)
	c := a.sign(&x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: from, NotAfter: to, KeyUsage: x509.KeyUsageDigitalSignature}, &k.PublicKey)
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func put(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// tlsSettings are settings with a certificate in a folder.
func tlsSettings(t *testing.T, cert, key []byte) config.Config {
	t.Helper()
	c := settings(t, t.TempDir())
	dir := t.TempDir()
	c.TLSCert, c.TLSKey = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	put(t, c.TLSCert, cert)
	put(t, c.TLSKey, key)
	return c
}

func valid() (from, to time.Time) {
	return time.Now().Add(-time.Hour), time.Now().Add(90 * 24 * time.Hour)
}

// serial is the serial number of the certificate that the server shows to a
// new connection.
func serial(t *testing.T, s *serve.Server, cfg *tls.Config) int64 {
	t.Helper()
	var d tls.Dialer
	d.Config = cfg
	c, err := d.DialContext(t.Context(), "tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	from, to := valid()
	cert, key := ca.leaf(7, from, to)
	cfg := tlsSettings(t, cert, key)
	s, _ := start(t, serve.Config{Settings: cfg})
	if !strings.HasPrefix(s.URL(), "https://127.0.0.1:") || s.PublicURL() != s.URL() {
		t.Errorf("%s, %s", s.URL(), s.PublicURL())
	}
	for proto, want := range map[string]string{"h2": "HTTP/2.0", "http/1.1": "HTTP/1.1"} {
		var p http.Protocols
		p.SetHTTP1(proto == "http/1.1")
		p.SetHTTP2(proto == "h2")
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.pool()}, Protocols: &p}
		t.Cleanup(tr.CloseIdleConnections)
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL()+"/livez", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 || res.Proto != want {
			t.Errorf("%s: %d over %s", proto, res.StatusCode, res.Proto)
		}
	}
	var d tls.Dialer
	d.Config = &tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if c, err := d.DialContext(t.Context(), "tcp", s.Addr().String()); err == nil {
		c.Close()
		t.Error("TLS 1.1 is taken")
	}
	if code, _ := testaid.Get(t, "http://"+s.Addr().String()+"/livez"); code != 400 {
		t.Errorf("plain HTTP got %d", code)
	}
}

// clock is the time of a server, which tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// startWith starts a server with a clock and a log, which ends with the test.
func startWith(t *testing.T, cfg config.Config, now func() time.Time, log *testaid.Buffer) *serve.Server {
	t.Helper()
	s, err := serve.New(t.Context(), serve.Config{Settings: cfg, Logger: slog.New(slog.NewTextHandler(log, nil)), Now: now})
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
	return s
}

func TestCertificateReload(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	from, to := valid()
	cert, key := ca.leaf(1, from, to)
	cfg := tlsSettings(t, cert, key)
	now, log := &clock{at: time.Now()}, &testaid.Buffer{}
	s := startWith(t, cfg, now.now, log)
	client := &tls.Config{RootCAs: ca.pool()}
	want := func(n int64, when string) {
		t.Helper()
		if got := serial(t, s, client); got != n {
			t.Errorf("%s: certificate %d, want %d", when, got, n)
		}
	}
	want(1, "at first")
	cert2, key2 := ca.leaf(2, from, to)
	put(t, cfg.TLSCert, cert2)
	want(1, "within the same second")
	now.pass(time.Second)
	want(1, "with the new certificate and the old key")
	if !strings.Contains(log.String(), "the new certificate cannot be used, the old one stays") {
		t.Error("nothing was said")
	}
	now.pass(time.Second)
	want(1, "again")
	if n := strings.Count(log.String(), "cannot be used, the old one"); n != 1 {
		t.Errorf("said %d times", n)
	}
	put(t, cfg.TLSKey, key2)
	now.pass(time.Second)
	want(2, "with both")
	if !strings.Contains(log.String(), "certificate changed") {
		t.Error("the change was not logged")
	}
	// As secrets are mounted: another file under the same name.
	cert3, key3 := ca.leaf(3, from, to)
	for name, text := range map[string][]byte{cfg.TLSCert: cert3, cfg.TLSKey: key3} {
		put(t, name+".new", text)
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	now.pass(time.Second)
	want(3, "after renaming")
	expired, expiredKey := ca.leaf(4, from, time.Now().Add(-time.Minute))
	put(t, cfg.TLSCert, expired)
	put(t, cfg.TLSKey, expiredKey)
	now.pass(time.Second)
	want(3, "with an expired one")
	if err := os.Remove(cfg.TLSKey); err != nil {
		t.Fatal(err)
	}
	now.pass(time.Second)
	want(3, "without a key")
}

func TestCertificateRefused(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	from, to := valid()
	cert, key := ca.leaf(1, from, to)
	_, otherKey := ca.leaf(2, from, to)
	old, oldKey := ca.leaf(3, from, time.Now().Add(-time.Minute))
	future, futureKey := ca.leaf(4, time.Now().Add(time.Hour), to)
	for name, c := range map[string]struct {
		cert, key []byte
		setting   string
		want      string
	}{
		"mismatched":      {cert, otherKey, "--tls-cert", "cannot be used together"},
		"expired":         {old, oldKey, "--tls-cert", "expired at "},
		"not yet valid":   {future, futureKey, "--tls-cert", "is not valid before "},
		"exchanged":       {key, cert, "--tls-cert", "cannot be used together"},
		"empty":           {nil, nil, "--tls-cert", "cannot be used together"},
		"rubbish":         {[]byte("hunter2"), []byte("hunter2"), "--tls-cert", "cannot be used together"},
		"no certificate":  {nil, key, "--tls-cert", "none.pem"},
		"no private key ": {cert, nil, "--tls-key", "none.pem"},
	} {
		cfg := tlsSettings(t, c.cert, c.key)
		switch {
		case name == "no certificate":
			cfg.TLSCert = "none.pem"
		case c.setting == "--tls-key":
			cfg.TLSKey = "none.pem"
		}
		_, err := serve.New(t.Context(), serve.Config{Settings: cfg, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
		var e *config.Error
		if !errors.As(err, &e) || e.Setting != c.setting || !strings.Contains(e.Reason, c.want) || e.Remedy == "" || strings.Contains(e.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	soon, soonKey := ca.leaf(5, from, time.Now().Add(24*time.Hour))
	log := &testaid.Buffer{}
	startWith(t, tlsSettings(t, soon, soonKey), time.Now, log)
	if !strings.Contains(log.String(), "the certificate expires soon") {
		t.Error("a certificate of one day is fine")
	}
	if bytes.Contains([]byte(log.String()), soonKey) {
		t.Error("the log shows the key")
	}
}
