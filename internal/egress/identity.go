package egress

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync"

	"grapnel/internal/hook"
)

// Identity is what the connections of one endpoint are made with, where that is not what
// all are made with: a client certificate, authorities of its own, or both.
//
// Connections, TLS sessions and what was learned of them stay with their identity
// (case 88). They speak HTTP/1.1, for the transport of HTTP/2 shares its connections by
// the host alone.
type Identity struct {
	// ID names all that Load gives, and whose it is: two requests of the same ID may share
	// a connection. It is never all zeros.
	ID [32]byte
	// Load gives the certificates when a connection is to be made. The error is a
	// sentence for the endpoint's owner.
	Load func() (*Certificates, error)
}

// Certificates are the PEM texts of an Identity.
type Certificates struct {
	Chain string // client certificate with its intermediates; "": none
	Key   hook.Secret
	CA    string // the only authorities that are trusted; "": those of the client
}

// maxIdentities bounds the identities that are kept parsed: some ten megabytes.
const maxIdentities = 512

// sessionsKept is how many TLS sessions an identity keeps: it has one host.
const sessionsKept = 2

// identities keeps what was parsed lately. The zero value is ready.
type identities struct {
	mu     sync.Mutex
	parsed map[[32]byte]*tls.Config
}

// config gives the TLS configuration of an identity, made of the client's own.
func (s *identities) config(id *Identity, base *tls.Config) (*tls.Config, error) {
	s.mu.Lock()
	cfg := s.parsed[id.ID]
	s.mu.Unlock()
	if cfg != nil {
		return cfg, nil
	}
	from, err := id.Load()
	if err != nil {
		return nil, err
	}
	if cfg, err = from.config(base); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.parsed[id.ID]; other != nil {
		return other, nil // whose sessions are the ones to use
	}
	if s.parsed == nil {
		s.parsed = make(map[[32]byte]*tls.Config)
	}
	for old := range s.parsed { // any one: which is needed next nobody knows
		if len(s.parsed) < maxIdentities {
			break
		}
		delete(s.parsed, old)
	}
	s.parsed[id.ID] = cfg
	return cfg, nil
}

func (c *Certificates) config(base *tls.Config) (*tls.Config, error) {
	cfg := base.Clone()
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(sessionsKept)
	if c.CA != "" {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM([]byte(c.CA)) {
			return nil, errors.New("the endpoint's own authorities cannot be read")
		}
	}
	if c.Chain != "" {
		pair, err := tls.X509KeyPair([]byte(c.Chain), []byte(c.Key))
		if err != nil {
			return nil, errors.New("the endpoint's client certificate cannot be used")
		}
		// Whatever authorities the host names: the tenant has chosen this one.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return cfg, nil
}

// tlsConfig is what a connection for the attempt is made with.
func (c *Client) tlsConfig(id *Identity) (*tls.Config, *failure) {
	if id == nil {
		return c.tls, nil
	}
	cfg, err := c.identities.config(id, c.tls)
	if err != nil {
		return nil, &failure{class: ClassTLS, detail: err.Error()}
	}
	return cfg, nil
}
