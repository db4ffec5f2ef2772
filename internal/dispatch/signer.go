package dispatch

import (
	"errors"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/egress"
	"grapnel/internal/egress/oauth2"
	"grapnel/internal/hook"
	"grapnel/internal/keyring"
)

// keyset holds the opened secrets of an endpoint: keys that sign, parsed, and its
// headers as they are sent. It is made anew when the endpoint or its tenant changes, which makes new pointers.
type keyset struct {
	endpoint *hook.Endpoint
	tenant   *hook.Tenant
	keys     []dialect.Key    // newest first
	expires  []time.Time      // of each key; zero: never
	last     time.Time        // the latest of expires that is not zero
	headers  []hook.Header    // with the values of credentials
	client   *oauth2.Client   // that gets a token for the Authorization header; nil: none is needed
	identity *egress.Identity // that connections are made with; nil: as all are
}

// opened are the secrets of an endpoint, opened. The error is a sentence for the
// endpoint's owner.
func (d *Dispatcher) opened(l *lane, c *dialect.Dialect, e *hook.Endpoint, t *hook.Tenant, now time.Time) (*keyset, error) {
	s := l.keys.Load()
	if s == nil || s.endpoint != e || s.tenant != t {
		var err error
		if s, err = openKeys(d.Ring, c, e, t, now); err != nil {
			return nil, err
		}
		l.keys.Store(s)
	}
	return s, nil
}

// signing are the keys that sign at a time, of which there has to be one
// unless the contract can do without.
func (s *keyset) signing(owner dialect.SecretOwner, now time.Time) ([]dialect.Key, error) {
	if owner == dialect.SecretNone {
		return nil, nil
	}
	keys := s.at(now)
	if len(keys) == 0 && owner != dialect.SecretEndpointOptional {
		return nil, errors.New("there is no secret to sign with")
	}
	return keys, nil
}

// openKeys opens the values of headers, and all secrets that still sign.
func openKeys(ring *keyring.Ring, c *dialect.Dialect, e *hook.Endpoint, t *hook.Tenant, now time.Time) (*keyset, error) {
	s := &keyset{endpoint: e, tenant: t}
	var err error
	if s.headers, err = ring.OpenHeaders(e.Headers, e.Tenant, e.ID); err != nil {
		return nil, errors.New("the value of a header cannot be opened: " + err.Error())
	}
	if err = s.openAuth(ring, e); err != nil {
		return nil, err
	}
	s.identity = identityOf(ring, e)
	secrets, record := e.Secrets, e.ID
	switch c.SecretOwner() {
	case dialect.SecretNone:
		return s, nil
	case dialect.SecretTenant:
		secrets, record = nil, "tenant/"+c.Family()
		if sealed := t.Secrets[c.Family()]; sealed != "" {
			secrets = []hook.EndpointSecret{{Sealed: sealed}}
		}
	}
	for _, secret := range secrets {
		if over(secret.ExpiresAt, now) {
			continue
		}
		plain, err := ring.Open(secret.Sealed, t.ID, record)
		if err != nil {
			return nil, errors.New("the signing secret cannot be opened: " + err.Error())
		}
		key, err := c.Key(plain)
		if err != nil {
			return nil, errors.New("the signing secret cannot be used: " + err.Error())
		}
		s.keys = append(s.keys, key)
		s.expires = append(s.expires, secret.ExpiresAt)
		s.last = latest(s.last, secret.ExpiresAt)
	}
	return s, nil
}

// at are the keys that sign at a time.
func (s *keyset) at(now time.Time) []dialect.Key {
	if s.last.IsZero() {
		return s.keys
	}
	var keys []dialect.Key
	for i, k := range s.keys {
		if !over(s.expires[i], now) {
			keys = append(keys, k)
		}
	}
	return keys
}

// over reports whether an expiry has come (I9).
func over(expires, now time.Time) bool { return !expires.IsZero() && !now.Before(expires) }
