package serve

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"grapnel/internal/config"
)

const (
	// certificateCheck is how often the files of a certificate are looked at
	// for a change, at most: with the first handshake after that time.
	certificateCheck = time.Second
	// expirySoon is how long before it ends a certificate is to be renewed.
	expirySoon = 14 * 24 * time.Hour
)

// certificate is a certificate out of two files. When they change it is read
// again, so that whoever renews it need not restart the server.
type certificate struct {
	certFile, keyFile string
	logger            *slog.Logger
	now               func() time.Time

	mu      sync.Mutex
	pair    *tls.Certificate
	files   [2]fs.FileInfo // as they were when they were last read, be it in vain
	checked time.Time
}

// openCertificate reads the certificate for the first time. Its errors are
// *config.Errors.
func openCertificate(settings *config.Config, logger *slog.Logger, now func() time.Time) (*certificate, error) {
	c := &certificate{certFile: settings.TLSCert, keyFile: settings.TLSKey, logger: logger, now: now, checked: now()}
	c.files = c.stat()
	var err error
	c.pair, err = c.read()
	return c, err
}

// tls is what a listener needs to serve with the certificate.
func (c *certificate) tls() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.current}
}

// current is asked for the certificate at each handshake.
func (c *certificate) current(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if now.Sub(c.checked) < certificateCheck {
		return c.pair, nil
	}
	c.checked = now
	files := c.stat()
	if same(files[0], c.files[0]) && same(files[1], c.files[1]) {
		return c.pair, nil
	}
	c.files = files
	pair, err := c.read()
	if err != nil { // half of it may be written: it is tried again at the next change
		c.logger.Error("the new certificate cannot be used, the old one stays", "error", err)
		return c.pair, nil
	}
	c.pair = pair
	c.logger.Info("certificate changed", "not_after", pair.Leaf.NotAfter)
	return c.pair, nil
}

// ExpiresSoon reports whether it is time to renew a certificate.
func ExpiresSoon(leaf *x509.Certificate, now time.Time) bool {
	return leaf.NotAfter.Sub(now) < expirySoon
}

// stat looks at both files. What cannot be looked at is nil.
func (c *certificate) stat() (out [2]fs.FileInfo) {
	for i, name := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil {
			out[i] = info
		}
	}
	return out
}

func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// read reads both files and checks that they can be served with.
func (c *certificate) read() (*tls.Certificate, error) {
	cert, err := os.ReadFile(c.certFile)
	if err != nil {
		return nil, &config.Error{Setting: "--tls-cert", Reason: err.Error(), Remedy: "name a file with the certificate chain in PEM that this user may read"}
	}
	key, err := os.ReadFile(c.keyFile)
	if err != nil {
		return nil, &config.Error{Setting: "--tls-key", Reason: err.Error(), Remedy: "name a file with the private key in PEM that this user may read"}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, &config.Error{Setting: "--tls-cert", Reason: fmt.Sprintf("%s and %s cannot be used together: %v", c.certFile, c.keyFile, err),
			Remedy: "name a certificate and the private key that belongs to it, both in PEM and the key without a password"}
	}
	switch now := c.now(); {
	case pair.Leaf == nil:
		return nil, errors.New("the certificate cannot be read")
	case now.After(pair.Leaf.NotAfter):
		return nil, &config.Error{Setting: "--tls-cert", Reason: fmt.Sprintf("the certificate in %s expired at %s", c.certFile, pair.Leaf.NotAfter.UTC().Format(time.RFC3339)), Remedy: "renew it, and start again"}
	case now.Before(pair.Leaf.NotBefore):
		return nil, &config.Error{Setting: "--tls-cert", Reason: fmt.Sprintf("the certificate in %s is not valid before %s", c.certFile, pair.Leaf.NotBefore.UTC().Format(time.RFC3339)), Remedy: "set the clock of this machine, or use another certificate"}
	case ExpiresSoon(pair.Leaf, now):
		c.logger.Warn("the certificate expires soon", "file", c.certFile, "not_after", pair.Leaf.NotAfter)
	}
	return &pair, nil
}
