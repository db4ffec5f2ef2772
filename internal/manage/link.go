package manage

import (
	"context"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// How long a portal link may hold: it stands in a browser, where it can be copied.
const (
	LinkLifetime    = time.Hour // unless somebody says otherwise
	MaxLinkLifetime = 24 * time.Hour
)

// CheckLinkLifetime checks how long a portal link is to hold. Errors point to
// /expires_in.
func CheckLinkLifetime(d time.Duration) error {
	if d < time.Second || d > MaxLinkLifetime {
		return hook.Invalid("/expires_in", "is %s; a portal link holds for a second at least and a day at most", d)
	}
	return nil
}

// EndLinks ends all portal links of a tenant that were made so far.
func (m *Manager) EndLinks(ctx context.Context, tenant string) error {
	err := m.commit(ctx, "end portal links", func(now time.Time) (*store.Change, error) {
		old, err := m.tenant(tenant)
		if err != nil {
			return nil, err
		}
		t := *old
		t.LinkEpoch++
		t.UpdatedAt = touched(old.UpdatedAt, now)
		return &store.Change{Tenants: []*hook.Tenant{&t}}, nil
	})
	if err == nil {
		m.Logger.Info("portal links ended", "tenant_id", tenant)
	}
	return err
}
