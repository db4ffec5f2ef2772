package dispatch

import (
	"errors"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/keyring"
)

// keyset holds the opened and parsed secrets of an endpoint. It is made anew
// when the endpoint or its tenant changes, which makes new pointers.
type keyset struct {
	endpoint *hook.Endpoint
	tenant   *hook.Tenant
	keys     []dialect.Key // newest first
	expires  []time.Time   // of each key; zero: never
	last     time.Time     // the latest of expires that is not zero
}

// signers are the keys that sign at a time. The error is a sentence for the
// endpoint's owner.
func (d *Dispatcher) signers(l *lane, c *dialect.Dialect, e *hook.Endpoint, t *hook.Tenant, now time.Time) ([]dialect.Key, error) {
	owner := c.SecretOwner()
	if owner == dialect.SecretNone {
		return nil, nil
	}
	s := l.keys.Load()
	if s == nil || s.endpoint != e || s.tenant != t {
		var err error
		if s, err = openKeys(d.Ring, c, e, t, now); err != nil {
			return nil, err
		}
		l.keys.Store(s)
	}
	return s.signing(owner, now)
}

// signing are the keys that sign at a time, of which there has to be one
// unless the contract can do without.
func (s *keyset) signing(owner dialect.SecretOwner, now time.Time) ([]dialect.Key, error) {
	keys := s.at(now)
	if len(keys) == 0 && owner != dialect.SecretEndpointOptional {
		return nil, errors.New("there is no secret to sign with")
	}
	return keys, nil
}

// openKeys opens all secrets that still sign.
func openKeys(ring *keyring.Ring, c *dialect.Dialect, e *hook.Endpoint, t *hook.Tenant, now time.Time) (*keyset, error) {
	s := &keyset{endpoint: e, tenant: t}
	secrets, record := e.Secrets, e.ID
	if c.SecretOwner() == dialect.SecretTenant {
		secrets, record = nil, "tenant/"+c.Name()
		if sealed := t.Secrets[c.Name()]; sealed != "" {
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
