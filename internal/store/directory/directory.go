package directory

import (
	"cmp"
	"context"
	"fmt"
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
	arena     arena
	names     interner
	tenants   table[tenant]
	endpoints table[place]
	byID      map[string]hook.TenantNum // live ones
	ids       []string                  // of the live tenants, in order; nil: to be made anew
	vendors   map[string]*vendor        // by dialect family
	tallies   tallies
	types     map[string]*hook.EventType // tombstones included
	pinned    map[string]*hook.Pinned
	keys      map[[32]byte]*hook.Key
	keyIDs    map[string]*hook.Key
	replays   map[string]*hook.Replay
	versions  int64  // of tenants' lists, given so far
	scratch   []byte // to pack in

	tenantCache   cache[hook.Tenant]
	endpointCache cache[hook.Endpoint]
}

// tenant says where a tenant's records lie.
type tenant struct {
	record  place // 0: there is no such tenant
	live    place // the numbers of its live endpoints, ascending; 0: it has none
	gone    place // the numbers of its deleted ones, ascending; 0: it has none
	count   int32 // of its live endpoints
	deleted bool
	version int64 // of its live endpoints, another one whenever anything of them changes
}

// How many unpacked records are kept: some MiB.
const (
	cachedTenants   = 4 << 10
	cachedEndpoints = 8 << 10
)

// Load reads the whole configuration.
func Load(ctx context.Context, source store.Configurator) (*Directory, error) {
	return load(ctx, source, cachedTenants, cachedEndpoints)
}

func load(ctx context.Context, source store.Configurator, cachedTenants, cachedEndpoints int) (*Directory, error) {
	d := &Directory{
		source:        source,
		names:         newInterner(),
		byID:          map[string]hook.TenantNum{},
		vendors:       map[string]*vendor{},
		tallies:       newTallies(),
		types:         map[string]*hook.EventType{},
		pinned:        map[string]*hook.Pinned{},
		keys:          map[[32]byte]*hook.Key{},
		keyIDs:        map[string]*hook.Key{},
		replays:       map[string]*hook.Replay{},
		tenantCache:   newCache[hook.Tenant](cachedTenants),
		endpointCache: newCache[hook.Endpoint](cachedEndpoints),
	}
	if err := d.fill(ctx); err != nil {
		return nil, fmt.Errorf("load the directory: %w", err)
	}
	return d, nil
}

// fill reads the whole configuration, in pieces where the store can give it so.
func (d *Directory) fill(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	take := func(c *store.Configuration) error {
		d.applyRecords(c, nil)
		d.revision.Store(c.Revision)
		return nil
	}
	var err error
	if whole, ok := d.source.(store.Loader); ok {
		err = whole.LoadConfiguration(ctx, take)
	} else {
		var c *store.Configuration
		if c, err = d.source.Configuration(ctx, 0); err == nil {
			err = take(c)
		}
	}
	if err != nil {
		return err
	}
	d.enlistAll()
	d.arena.compact(d.moved)
	return nil
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
	d.enlist(d.applyRecords(c, nil))
	d.arena.compact(d.moved)
}

// applyRecords takes records over, and adds to changes what has to be told to
// the lists of tenants.
func (d *Directory) applyRecords(c *store.Configuration, changes []member) []member {
	for _, t := range c.Tenants {
		d.applyTenant(t)
	}
	for _, e := range c.Endpoints {
		changes = d.applyEndpoint(e, changes)
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
	return changes
}

func (d *Directory) applyEndpoint(e *hook.Endpoint, changes []member) []member {
	at := d.endpoints.of(int64(e.Num))
	change := member{tenant: e.TenantNum, num: e.Num, live: !e.Deleted}
	if *at != 0 {
		_, record := d.arena.at(*at)
		old := outlineOf(view(record), d.names.names)
		d.tallies.forget(&old, d.tenants.at(int64(old.Tenant)).alive())
		if old.Tenant != e.TenantNum {
			changes = append(changes, member{tenant: old.Tenant, num: e.Num, moved: true})
		}
		d.arena.drop(*at)
	}
	d.scratch = packEndpoint(d.scratch[:0], e, &d.names)
	*at = d.arena.add(d.scratch)
	now := outlineOf(view(d.scratch), d.names.names)
	d.tallies.count(&now, d.tenants.at(int64(e.TenantNum)).alive())
	d.tallies.watch(e)
	if e.VendorID != "" {
		d.vendor(e.Family()).add(e)
	}
	return append(changes, change)
}

func (d *Directory) applyTenant(t *hook.Tenant) {
	at := d.tenants.of(int64(t.Num))
	old := *at
	if old.record != 0 {
		was := d.tenantAt(t.Num, old.record)
		d.unmark(was)
		if d.byID[was.ID] == t.Num { // the id may have gone to a new tenant since
			delete(d.byID, was.ID)
			d.ids = nil
		}
		d.arena.drop(old.record)
	}
	d.scratch = packTenant(d.scratch[:0], t)
	at.record, at.deleted = d.arena.add(d.scratch), t.Deleted
	if !t.Deleted {
		d.mark(t)
		d.byID[string([]byte(t.ID))] = t.Num
		d.ids = nil
	}
	d.tallies.watchTenant(t)
	if old.alive() != at.alive() {
		d.recount(at)
	}
}

// recount counts a tenant's endpoints now that it is there, or takes them back now
// that it is not.
func (d *Directory) recount(t *tenant) {
	for o := range d.outlines(t) {
		if t.alive() {
			d.tallies.count(o, true)
		} else {
			d.tallies.forget(o, true)
		}
	}
}

// alive reports whether the tenant is there and not deleted.
func (t tenant) alive() bool { return t.record != 0 && !t.deleted }

// Note takes records over that were stored as a note, which Refresh does not
// see. Those that are not here are left out, and replays that have ended here do not
// run again by what was noted before. Watchers are not told.
func (d *Directory) Note(c *store.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range c.Keys {
		if old := d.keys[k.Hash]; old != nil && old.ID == k.ID {
			d.setKey(k)
		}
	}
	for _, r := range c.Replays {
		if old := d.replays[r.ID]; old != nil && (r.Over() || !old.Over()) {
			d.replays[r.ID] = r
		}
	}
}

func (d *Directory) setKey(k *hook.Key) {
	if old := d.keys[k.Hash]; old != nil && d.keyIDs[old.ID] == old {
		delete(d.keyIDs, old.ID)
	}
	d.keys[k.Hash], d.keyIDs[k.ID] = k, k
}

func (d *Directory) applyKeys(keys []*hook.Key) {
	for _, k := range keys {
		// The text of a revoked key may have been given again, and its tombstone
		// may come after the key that has it now.
		switch old := d.keys[k.Hash]; {
		case !k.Deleted:
			d.setKey(k)
		case old != nil && old.ID == k.ID:
			delete(d.keys, k.Hash)
			delete(d.keyIDs, k.ID)
		}
	}
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
	k, ok := d.keyIDs[id]
	return k, ok
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
