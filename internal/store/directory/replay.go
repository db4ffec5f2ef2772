package directory

import (
	"cmp"
	"slices"

	"grapnel/internal/hook"
)

// Replay finds a replay of a tenant by its id.
func (d *Directory) Replay(tenant hook.TenantNum, id string) (*hook.Replay, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if r := d.replays[id]; r != nil && r.TenantNum == tenant {
		return r, true
	}
	return nil, false
}

// Replays lists the replays of a tenant that are not deleted, oldest first; of
// all tenants if it is hook.AllTenants.
func (d *Directory) Replays(tenant hook.TenantNum) []*hook.Replay {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var out []*hook.Replay
	for _, r := range d.replays {
		if tenant == hook.AllTenants || r.TenantNum == tenant {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *hook.Replay) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return out
}
