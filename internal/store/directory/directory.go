package directory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Directory holds the configuration. Its methods may be called from many
// goroutines at once.
type Directory struct {
	source store.Configurator

	refresh  sync.Mutex // one Refresh at a time; guards watchers
	watchers []func(*store.Configuration)

	revision atomic.Int64

	mu        sync.RWMutex
	tenants   map[hook.TenantNum]*tenant
	byID      map[string]*tenant // live ones
	endpoints map[hook.EndpointNum]*hook.Endpoint
	gone      map[hook.TenantNum]map[string]*hook.Endpoint // the last tombstone of each id
	vendors   map[string]*vendor                           // by dialect family
	types     map[string]*hook.EventType                   // tombstones included
	pinned    map[string]*hook.Pinned
	keys      map[[32]byte]*hook.Key
	replays   map[string]*hook.Replay
}

// tenant is a tenant with its live endpoints, in the order of their numbers.
type tenant struct {
	*hook.Tenant
	endpoints []*hook.Endpoint
}

// Load reads the whole configuration.
func Load(ctx context.Context, source store.Configurator) (*Directory, error) {
	d := &Directory{
		source:    source,
		tenants:   map[hook.TenantNum]*tenant{},
		byID:      map[string]*tenant{},
		endpoints: map[hook.EndpointNum]*hook.Endpoint{},
		gone:      map[hook.TenantNum]map[string]*hook.Endpoint{},
		vendors:   map[string]*vendor{},
		types:     map[string]*hook.EventType{},
		pinned:    map[string]*hook.Pinned{},
		keys:      map[[32]byte]*hook.Key{},
		replays:   map[string]*hook.Replay{},
	}
	if err := d.Refresh(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// Refresh reads what changed since the last time. When it returns, everything
// that was stored before the call is visible.
func (d *Directory) Refresh(ctx context.Context) error {
	d.refresh.Lock()
	defer d.refresh.Unlock()
	c, err := d.source.Configuration(ctx, d.revision.Load())
	if err != nil {
		return fmt.Errorf("refresh the directory: %w", err)
	}
	if c.Revision == d.revision.Load() {
		return nil
	}
	d.apply(c)
	for _, w := range d.watchers {
		w(c)
	}
	return nil
}

// Revision is that of the configuration held.
func (d *Directory) Revision() int64 { return d.revision.Load() }

// Watch calls f after each Refresh that changed something, with what changed,
// in order and never twice at once. f must not call Refresh or Watch.
func (d *Directory) Watch(f func(changed *store.Configuration)) {
	d.refresh.Lock()
	defer d.refresh.Unlock()
	d.watchers = append(d.watchers, f)
}

func (d *Directory) apply(c *store.Configuration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	// Under the lock, so that whoever finds the same revision before and after
	// a series of look-ups knows that they all saw that one.
	d.revision.Store(c.Revision)
	for _, t := range c.Tenants {
		d.applyTenant(t)
	}
	// Endpoints come grouped, so that a tenant's list is rebuilt once however
	// many of its endpoints changed.
	touched := map[hook.TenantNum][]*hook.Endpoint{}
	for _, e := range c.Endpoints {
		d.endpoints[e.Num] = e
		if e.VendorID != "" {
			d.vendor(e.Family()).add(e)
		}
		if e.Deleted {
			d.bury(e)
		}
		touched[e.TenantNum] = append(touched[e.TenantNum], e)
	}
	for num, changed := range touched {
		if t := d.tenants[num]; t != nil {
			t.endpoints = merge(t.endpoints, changed)
		}
	}
	for _, t := range c.Types {
		d.types[t.Name] = t
	}
	for _, p := range c.Pinned {
		d.pinned[p.Name] = p
	}
	d.applyKeys(c.Keys)
	for _, r := range c.Replays {
		if r.Deleted {
			delete(d.replays, r.ID)
		} else {
			d.replays[r.ID] = r
		}
	}
}

// bury keeps a tombstone where it is found by its id.
func (d *Directory) bury(e *hook.Endpoint) {
	ids := d.gone[e.TenantNum]
	if ids == nil {
		ids = map[string]*hook.Endpoint{}
		d.gone[e.TenantNum] = ids
	}
	if old := ids[e.ID]; old == nil || old.Num <= e.Num {
		ids[e.ID] = e
	}
}

// Note takes records over that were stored as a note, which Refresh does not
// see. Those that are not here are left out. Watchers are not told.
func (d *Directory) Note(c *store.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range c.Keys {
		if old := d.keys[k.Hash]; old != nil && old.ID == k.ID {
			d.keys[k.Hash] = k
		}
	}
	for _, r := range c.Replays {
		if d.replays[r.ID] != nil {
			d.replays[r.ID] = r
		}
	}
}

func (d *Directory) applyKeys(keys []*hook.Key) {
	for _, k := range keys {
		// The text of a revoked key may have been given again, and its tombstone
		// may come after the key that has it now.
		switch old := d.keys[k.Hash]; {
		case !k.Deleted:
			d.keys[k.Hash] = k
		case old != nil && old.ID == k.ID:
			delete(d.keys, k.Hash)
		}
	}
}

func (d *Directory) applyTenant(t *hook.Tenant) {
	old := d.tenants[t.Num]
	entry := &tenant{Tenant: t}
	if old != nil {
		entry.endpoints = old.endpoints
	}
	d.tenants[t.Num] = entry
	d.mark(old, t)
	switch {
	case !t.Deleted:
		d.byID[t.ID] = entry
	case d.byID[t.ID] == old: // the id may have gone to a new tenant since
		delete(d.byID, t.ID)
	}
}

// merge puts changed endpoints into a list of live ones, which it leaves as
// it is for those who are reading it.
func merge(live, changed []*hook.Endpoint) []*hook.Endpoint {
	replaced := make(map[hook.EndpointNum]bool, len(changed))
	for _, e := range changed {
		replaced[e.Num] = true
	}
	out := make([]*hook.Endpoint, 0, len(live)+len(changed))
	for _, e := range live {
		if !replaced[e.Num] {
			out = append(out, e)
		}
	}
	for _, e := range changed {
		if !e.Deleted {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *hook.Endpoint) int { return cmp.Compare(a.Num, b.Num) })
	return out
}

// Tenant finds a live tenant by its id.
func (d *Directory) Tenant(id string) (*hook.Tenant, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if t := d.byID[id]; t != nil {
		return t.Tenant, true
	}
	return nil, false
}

// TenantByNum finds a tenant by its number, deleted ones included.
func (d *Directory) TenantByNum(num hook.TenantNum) (*hook.Tenant, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if t := d.tenants[num]; t != nil {
		return t.Tenant, true
	}
	return nil, false
}

// Tenants lists the live tenants by id.
func (d *Directory) Tenants() []*hook.Tenant {
	d.mu.RLock()
	defer d.mu.RUnlock()
	out := make([]*hook.Tenant, 0, len(d.byID))
	for _, t := range d.byID {
		out = append(out, t.Tenant)
	}
	slices.SortFunc(out, func(a, b *hook.Tenant) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Endpoint finds an endpoint by its number, deleted ones included.
func (d *Directory) Endpoint(num hook.EndpointNum) (*hook.Endpoint, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	e, ok := d.endpoints[num]
	return e, ok
}

// EndpointByID finds a live endpoint of a tenant.
func (d *Directory) EndpointByID(tenant, id string) (*hook.Endpoint, bool) {
	for _, e := range d.Endpoints(tenant) {
		if e.ID == id {
			return e, true
		}
	}
	return nil, false
}

// EndpointDeleted reports whether a live tenant had an endpoint with an id that
// it has not any more.
func (d *Directory) EndpointDeleted(tenant, id string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	t := d.byID[tenant]
	if t == nil || d.gone[t.Num][id] == nil {
		return false
	}
	return !slices.ContainsFunc(t.endpoints, func(e *hook.Endpoint) bool { return e.ID == id })
}

// DeletedEndpoints lists the tombstones of a live tenant's endpoints in the
// order of their numbers, the last one of each id.
func (d *Directory) DeletedEndpoints(tenant string) []*hook.Endpoint {
	d.mu.RLock()
	defer d.mu.RUnlock()
	t := d.byID[tenant]
	if t == nil {
		return nil
	}
	return slices.SortedFunc(maps.Values(d.gone[t.Num]), func(a, b *hook.Endpoint) int { return cmp.Compare(a.Num, b.Num) })
}

// Endpoints lists a tenant's live endpoints in the order of their numbers. The
// list is shared: do not change it.
func (d *Directory) Endpoints(tenant string) []*hook.Endpoint {
	_, endpoints, _ := d.TenantWithEndpoints(tenant)
	return endpoints
}

// TenantWithEndpoints finds a live tenant and its live endpoints, both of the
// same moment.
func (d *Directory) TenantWithEndpoints(id string) (*hook.Tenant, []*hook.Endpoint, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if t := d.byID[id]; t != nil {
		return t.Tenant, t.endpoints, true
	}
	return nil, nil, false
}

// CountEndpoints counts the live endpoints in each state.
func (d *Directory) CountEndpoints() map[hook.EndpointState]int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	n := map[hook.EndpointState]int{}
	for _, t := range d.byID {
		for _, e := range t.endpoints {
			n[e.State]++
		}
	}
	return n
}

// Key finds a live key by the SHA-256 of its text.
func (d *Directory) Key(hash [32]byte) (*hook.Key, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	k, ok := d.keys[hash]
	return k, ok
}

// KeyByID finds a live key by its id.
func (d *Directory) KeyByID(id string) (*hook.Key, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, k := range d.keys {
		if k.ID == id {
			return k, true
		}
	}
	return nil, false
}

// Keys lists the live keys, oldest first.
func (d *Directory) Keys() []*hook.Key {
	d.mu.RLock()
	defer d.mu.RUnlock()
	out := make([]*hook.Key, 0, len(d.keys))
	for _, k := range d.keys {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b *hook.Key) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// Type finds a registered event type.
func (d *Directory) Type(name string) (*hook.EventType, bool) {
	t, ok := d.TypeRecord(name)
	if !ok || t.Deleted {
		return nil, false
	}
	return t, true
}

// TypeRecord finds an event type, a deleted one included: events from before
// still have its versions.
func (d *Directory) TypeRecord(name string) (*hook.EventType, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	t, ok := d.types[name]
	return t, ok
}

// Pinned finds what is pinned under a name; nil if nothing is.
func (d *Directory) Pinned(name string) *hook.Pinned {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.pinned[name]
}

// Types lists the registered event types by name.
func (d *Directory) Types() []*hook.EventType {
	d.mu.RLock()
	defer d.mu.RUnlock()
	out := make([]*hook.EventType, 0, len(d.types))
	for _, t := range d.types {
		if !t.Deleted {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b *hook.EventType) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
