package manage

import (
	"context"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// PurgeTenant deletes a tenant as DeleteTenant does, and leaves of its records, those
// deleted before included, what numbers mean and nothing that anybody has written.
func (m *Manager) PurgeTenant(ctx context.Context, id string) (gone Deleted, err error) {
	err = m.commit(ctx, "purge a tenant", func(now time.Time) (c *store.Change, err error) {
		old, err := m.tenant(id)
		if err != nil {
			return nil, err
		}
		c, gone = m.withoutTenant(old, now)
		c.Tenants[0] = &hook.Tenant{ID: old.ID, Num: old.Num, CreatedAt: old.CreatedAt, UpdatedAt: touched(old.UpdatedAt, now), Deleted: true}
		c.Endpoints = append(c.Endpoints, m.Directory.Tombstones(id)...)
		for i, e := range c.Endpoints {
			c.Endpoints[i] = blankEndpoint(e)
		}
		return c, nil
	})
	if err == nil {
		m.Logger.Info("tenant purged", "tenant_id", id)
	}
	return gone, err
}

// blankEndpoint is a deleted endpoint of which nothing is told any more.
func blankEndpoint(e *hook.Endpoint) *hook.Endpoint {
	return &hook.Endpoint{
		ID: e.ID, Num: e.Num, Tenant: e.Tenant, TenantNum: e.TenantNum, Dialect: e.Dialect, VendorID: e.VendorID,
		State: e.State, StateAt: e.StateAt, CreatedAt: e.CreatedAt, UpdatedAt: e.UpdatedAt, Deleted: true,
	}
}
