package directory

import (
	"runtime"
	"slices"

	"grapnel/internal/hook"
)

// tenantAt unpacks a tenant. The lock is held, or the chunk of its record is.
func (d *Directory) tenantAt(num hook.TenantNum, at place) *hook.Tenant {
	if t := d.tenantCache.get(int64(num), at); t != nil {
		return t
	}
	c, record := d.arena.at(at)
	t := d.unpackTenant(num, at, record)
	runtime.KeepAlive(c)
	return t
}

func (d *Directory) unpackTenant(num hook.TenantNum, at place, record []byte) *hook.Tenant {
	t := unpackTenant(string(record))
	d.tenantCache.put(int64(num), at, t)
	return t
}

// found is a record that was found under the lock and is unpacked without it.
type found struct {
	at     place
	chunk  *chunk
	record []byte
}

func (d *Directory) find(at place) found {
	c, record := d.arena.at(at)
	return found{at, c, record}
}

func (d *Directory) tenantOf(num hook.TenantNum, f found) *hook.Tenant {
	t := d.tenantCache.get(int64(num), f.at)
	if t == nil {
		t = d.unpackTenant(num, f.at, f.record)
	}
	runtime.KeepAlive(f.chunk)
	return t
}

// Tenant finds a live tenant by its id.
func (d *Directory) Tenant(id string) (*hook.Tenant, bool) {
	d.mu.RLock()
	num, ok := d.byID[id]
	if !ok {
		d.mu.RUnlock()
		return nil, false
	}
	f := d.find(d.tenants.at(int64(num)).record)
	d.mu.RUnlock()
	return d.tenantOf(num, f), true
}

// TenantByNum finds a tenant by its number, deleted ones included.
func (d *Directory) TenantByNum(num hook.TenantNum) (*hook.Tenant, bool) {
	d.mu.RLock()
	at := d.tenants.at(int64(num)).record
	if at == 0 {
		d.mu.RUnlock()
		return nil, false
	}
	f := d.find(at)
	d.mu.RUnlock()
	return d.tenantOf(num, f), true
}

// TenantIDs lists the ids of the live tenants in order. The list is shared: do
// not change it.
func (d *Directory) TenantIDs() []string {
	d.mu.RLock()
	ids := d.ids
	d.mu.RUnlock()
	if ids != nil {
		return ids
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ids == nil {
		d.ids = sortedKeys(d.byID)
	}
	return d.ids
}

// Tenants lists the live tenants by id. It unpacks them all: see TenantIDs.
func (d *Directory) Tenants() []*hook.Tenant {
	ids := d.TenantIDs()
	nums, at := make([]hook.TenantNum, 0, len(ids)), make([]found, 0, len(ids))
	d.mu.RLock()
	for _, id := range ids {
		if num, ok := d.byID[id]; ok {
			nums, at = append(nums, num), append(at, d.find(d.tenants.at(int64(num)).record))
		}
	}
	d.mu.RUnlock()
	out := make([]*hook.Tenant, len(at))
	for i := range at {
		out[i] = d.tenantOf(nums[i], at[i])
	}
	return out
}

// LostConnections lists the live tenants whose Connection is lost, by number.
func (d *Directory) LostConnections() []*hook.Tenant {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var out []*hook.Tenant
	for _, num := range sortedNums(d.tallies.lost) {
		out = append(out, d.tenantAt(num, d.tenants.at(int64(num)).record))
	}
	return out
}

func sortedNums[N ~int64](set map[N]struct{}) []N {
	out := make([]N, 0, len(set))
	for num := range set {
		out = append(out, num)
	}
	slices.Sort(out)
	return out
}
