package manage

import (
	"context"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// Revealed is a signing secret that was asked for.
type Revealed struct {
	Secret    hook.Secret // "" where there is only a public key to verify with
	Public    string
	CreatedAt time.Time
	ExpiresAt time.Time // zero: no end is set
}

// RevealSecrets shows the secrets that an endpoint's requests are signed with, newest
// first, and notes in the audit log who asked. Private keys stay where they are:
// whoever verifies needs the public one.
func (m *Manager) RevealSecrets(ctx context.Context, t *hook.Tenant, id string) ([]Revealed, error) {
	e, err := m.endpoint(t.ID, id)
	if err != nil {
		return nil, err
	}
	d, err := m.dialect(e.Dialect)
	if err != nil {
		return nil, err
	}
	switch d.SecretOwner() {
	case dialect.SecretTenant:
		return nil, &hook.Error{Code: CodeUnsuitable, Message: "the dialect " + e.Dialect + " signs with the tenant's secret, and the endpoint has none of its own"}
	case dialect.SecretNone:
		return nil, &hook.Error{Code: CodeUnsuitable, Message: "the dialect " + e.Dialect + " does not sign, so there is no secret"}
	}
	var out []Revealed
	at := now()
	for _, s := range e.Secrets {
		if !signs(s, at) {
			continue
		}
		r := Revealed{Public: s.Public, CreatedAt: s.CreatedAt, ExpiresAt: s.ExpiresAt}
		if s.Public == "" {
			if r.Secret, err = m.Ring.Open(s.Sealed, e.Tenant, e.ID); err != nil {
				return nil, err
			}
		}
		out = append(out, r)
	}
	// Before the answer: what cannot be noted is not shown.
	if err := m.Note(ctx, Action{Name: "endpoint.reveal_secret", Tenant: t, Object: e.ID, Result: hook.AuditDone}); err != nil {
		return nil, err
	}
	return out, nil
}
