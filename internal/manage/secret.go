package manage

import (
	"context"
	"slices"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// The rotation of secrets.
const (
	DefaultOverlap = 24 * time.Hour // how long an old secret goes on signing
	maxOverlap     = 7 * 24 * time.Hour
	maxSecrets     = 5 // that sign at the same time
)

// tenantRecord names a tenant's secret for a dialect in the keyring.
func tenantRecord(dialect string) string { return "tenant/" + dialect }

// Rotation says how to rotate a secret.
type Rotation struct {
	Secret  *hook.Secret   // the new one; nil: make one
	Overlap *time.Duration // how long the old one goes on signing; nil: DefaultOverlap
	Keep    Keep[hook.Endpoint]
}

// RotateSecret gives an endpoint a new secret, to be shown this once. Until
// the overlap ends, requests are signed with both.
func (m *Manager) RotateSecret(ctx context.Context, tenant, id string, r Rotation) (*hook.Endpoint, hook.Secret, error) {
	overlap := DefaultOverlap
	if r.Overlap != nil {
		overlap = *r.Overlap
	}
	if overlap < 0 || overlap > maxOverlap {
		return nil, "", hook.Invalid("/overlap", "is %s; it may be from 0 to %s", overlap, maxOverlap)
	}
	var secret hook.Secret
	keep := func(c *store.Change, e *hook.Endpoint) { r.Keep.join(c, e, secret) }
	e, err := m.changeEndpoint(ctx, tenant, id, Terms[hook.Endpoint]{}, keep, func(e *hook.Endpoint, now time.Time) error {
		d, err := m.dialect(e.Dialect)
		if err != nil {
			return err
		}
		switch d.SecretOwner() {
		case dialect.SecretTenant:
			return tenantSigns(e.Dialect)
		case dialect.SecretNone:
			return &hook.Error{Code: CodeUnsuitable, Message: "the dialect " + e.Dialect + " does not sign, so there is nothing to rotate"}
		}
		if secret, err = newOrGiven(d, r.Secret, r.Secret != nil); err != nil {
			return err
		}
		sealed, err := m.Ring.Seal(secret, e.Tenant, e.ID)
		if err != nil {
			return err
		}
		kept := stillSigning(e.Secrets, now, overlap)
		if len(kept)+1 > maxSecrets {
			return hook.Errorf(hook.CodeConflict, "%d older secrets still sign: wait until one expires, or rotate with overlap 0", len(kept))
		}
		e.Secrets = append([]hook.EndpointSecret{{Sealed: sealed, Public: d.PublicKey(secret), CreatedAt: now}}, kept...)
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	m.Logger.Info("endpoint secret rotated", "endpoint_id", id, "tenant_id", tenant, "overlap", overlap.String())
	m.tellRotated(ctx, e)
	return e, secret, nil
}

// stillSigning are the secrets that go on beside a new one. None lasts longer
// than it did.
func stillSigning(secrets []hook.EndpointSecret, now time.Time, overlap time.Duration) []hook.EndpointSecret {
	end := now.Add(overlap)
	var kept []hook.EndpointSecret
	for _, s := range slices.Clone(secrets) {
		if s.ExpiresAt.IsZero() || s.ExpiresAt.After(end) {
			s.ExpiresAt = end
		}
		if s.ExpiresAt.After(now) {
			kept = append(kept, s)
		}
	}
	return kept
}

// DropExpiredSecrets removes the secrets whose overlap is over from all
// endpoints, in one change, and returns how many there were. Nobody asked for
// it, so an endpoint's UpdatedAt stays.
func (m *Manager) DropExpiredSecrets(ctx context.Context) (dropped int, err error) {
	err = m.commit(ctx, "drop expired secrets", func(now time.Time) (*store.Change, error) {
		dropped = 0
		var c store.Change
		for _, e := range m.Directory.ExpiringSecrets() {
			live := slices.DeleteFunc(slices.Clone(e.Secrets), func(s hook.EndpointSecret) bool {
				return !s.ExpiresAt.IsZero() && !s.ExpiresAt.After(now)
			})
			if len(live) == len(e.Secrets) {
				continue
			}
			dropped += len(e.Secrets) - len(live)
			changed := *e
			changed.Secrets = live
			c.Endpoints = append(c.Endpoints, &changed)
		}
		if dropped == 0 {
			return nil, nil
		}
		return &c, nil
	})
	if err != nil {
		return 0, err
	}
	return dropped, nil
}

// firstSecret gives a new endpoint the secret that its dialect wants it to
// have: made, taken over, or none.
func (m *Manager) firstSecret(e *hook.Endpoint, given *hook.Secret, now time.Time) (hook.Secret, error) {
	d, err := m.dialect(e.Dialect)
	if err != nil {
		return "", err
	}
	owner := d.SecretOwner()
	if owner == dialect.SecretTenant && given != nil {
		return "", tenantSigns(e.Dialect)
	}
	if given == nil && owner != dialect.SecretEndpoint {
		return "", nil
	}
	secret, err := newOrGiven(d, given, given != nil)
	if err != nil {
		return "", err
	}
	sealed, err := m.Ring.Seal(secret, e.Tenant, e.ID)
	if err != nil {
		return "", err
	}
	e.Secrets = []hook.EndpointSecret{{Sealed: sealed, Public: d.PublicKey(secret), CreatedAt: now}}
	return secret, nil
}

// replaceSecret gives an endpoint another secret at once, or none, as contracts
// do that know one secret at a time.
func (m *Manager) replaceSecret(e *hook.Endpoint, secret hook.Secret, now time.Time) error {
	d, err := m.dialect(e.Dialect)
	if err != nil {
		return err
	}
	if secret == "" && d.SecretOwner() == dialect.SecretEndpoint {
		return &hook.Error{Code: CodeUnsuitable, Field: "/secret", Message: "the dialect " + e.Dialect + " signs every request: an endpoint cannot be without a secret"}
	}
	if secret == "" {
		e.Secrets = nil
		return nil
	}
	if m.isSecretOf(e, secret) && len(e.Secrets) == 1 {
		return nil
	}
	e.Secrets = nil
	_, err = m.firstSecret(e, &secret, now)
	return err
}

func tenantSigns(dialect string) error {
	return &hook.Error{Code: CodeUnsuitable, Field: "/secret", Message: "the dialect " + dialect + " signs with the tenant's secret: set it by PUT /v1/tenants/{tenant}"}
}

// newOrGiven checks the given secret, or makes one.
func newOrGiven(d *dialect.Dialect, given *hook.Secret, use bool) (hook.Secret, error) {
	if !use {
		return d.NewSecret()
	}
	if *given == "" {
		return "", hook.Invalid("/secret", "is empty") // case 108
	}
	if _, err := d.Key(*given); err != nil {
		return "", err
	}
	return *given, nil
}

// sealHeaders seals the credentials among an endpoint's headers: those that were
// just given, and those of a folder from before they were sealed (case 104).
func (m *Manager) sealHeaders(e *hook.Endpoint) error {
	headers, err := m.Ring.SealHeaders(e.Headers, e.Tenant, e.ID)
	if err == nil {
		e.Headers = headers
	}
	return err
}
