package directory

import (
	"iter"
	"runtime"

	"grapnel/internal/hook"
)

// endpointOf unpacks an endpoint that was found under the lock.
func (d *Directory) endpointOf(num hook.EndpointNum, f found, names names) *hook.Endpoint {
	e := d.endpointCache.get(int64(num), f.at)
	if e == nil {
		e = unpackEndpoint(string(f.record), names)
		d.endpointCache.put(int64(num), f.at, e)
	}
	runtime.KeepAlive(f.chunk)
	return e
}

// Endpoint finds an endpoint by its number, deleted ones included.
func (d *Directory) Endpoint(num hook.EndpointNum) (*hook.Endpoint, bool) {
	d.mu.RLock()
	at := d.endpoints.at(int64(num))
	if at == 0 {
		d.mu.RUnlock()
		return nil, false
	}
	f, names := d.find(at), d.names.names
	d.mu.RUnlock()
	return d.endpointOf(num, f, names), true
}

// EndpointByID finds a live endpoint of a tenant.
func (d *Directory) EndpointByID(tenant, id string) (*hook.Endpoint, bool) {
	packed := packedText(id)
	d.mu.RLock()
	defer d.mu.RUnlock()
	if t, ok := d.live(tenant); ok {
		for o := range d.outlines(&t) {
			if o.hasID(packed) {
				return d.endpointOf(o.Num, d.find(d.endpoints.at(int64(o.Num))), d.names.names), true
			}
		}
	}
	return nil, false
}

// live finds a live tenant.
func (d *Directory) live(id string) (tenant, bool) {
	num, ok := d.byID[id]
	if !ok {
		return tenant{}, false
	}
	return d.tenants.at(int64(num)), true
}

// EndpointDeleted reports whether a live tenant had an endpoint with an id that
// it has not any more.
func (d *Directory) EndpointDeleted(tenant, id string) bool {
	packed := packedText(id)
	d.mu.RLock()
	defer d.mu.RUnlock()
	t, ok := d.live(tenant)
	return ok && d.anyHasID(t.gone, packed) && !d.anyHasID(t.live, packed)
}

func (d *Directory) anyHasID(list place, packed string) bool {
	for o := range d.outlinesOf(list) {
		if o.hasID(packed) {
			return true
		}
	}
	return false
}

// Tombstones lists all deleted endpoints of a live tenant in the order of their
// numbers, those included whose id was used again.
func (d *Directory) Tombstones(tenant string) (all []*hook.Endpoint) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	t, ok := d.live(tenant)
	if !ok || t.gone == 0 {
		return nil
	}
	for o := range d.outlinesOf(t.gone) {
		all = append(all, d.endpointOf(o.Num, d.find(d.endpoints.at(int64(o.Num))), d.names.names))
	}
	return all
}

// DeletedEndpoints lists the tombstones of a live tenant's endpoints in the
// order of their numbers, the last one of each id.
func (d *Directory) DeletedEndpoints(tenant string) []*hook.Endpoint {
	all := d.Tombstones(tenant)
	last := map[string]hook.EndpointNum{}
	for _, e := range all {
		last[e.ID] = e.Num
	}
	out := all[:0]
	for _, e := range all {
		if last[e.ID] == e.Num {
			out = append(out, e)
		}
	}
	return out
}

// Endpoints lists a tenant's live endpoints in the order of their numbers. It
// unpacks them all: see Outlines, and EndpointCount.
func (d *Directory) Endpoints(tenant string) []*hook.Endpoint {
	_, endpoints, _ := d.TenantWithEndpoints(tenant)
	return endpoints
}

// EndpointCount is how many live endpoints a tenant has.
func (d *Directory) EndpointCount(tenant string) int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	t, _ := d.live(tenant)
	return int(t.count)
}

// TenantWithEndpoints finds a live tenant and its live endpoints, both of the
// same moment.
func (d *Directory) TenantWithEndpoints(id string) (*hook.Tenant, []*hook.Endpoint, bool) {
	d.mu.RLock()
	num, ok := d.byID[id]
	if !ok {
		d.mu.RUnlock()
		return nil, nil, false
	}
	t := d.tenants.at(int64(num))
	of := d.find(t.record)
	nums := make([]hook.EndpointNum, 0, t.count)
	at := make([]found, 0, t.count)
	for e := range d.numbers(t.live) {
		nums, at = append(nums, e), append(at, d.find(d.endpoints.at(int64(e))))
	}
	names := d.names.names
	d.mu.RUnlock()
	out := make([]*hook.Endpoint, len(at))
	for i := range at {
		out[i] = d.endpointOf(nums[i], at[i], names)
	}
	return d.tenantOf(num, of), out, true
}

// Outlines goes through a live tenant's live endpoints in the order of their
// numbers, in the state of one moment, and returns the version of that state: as
// long as it is the same, so are the outlines. f must neither call the directory
// nor take long.
func (d *Directory) Outlines(tenant string, f func(*Outline)) (version int64, ok bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	t, ok := d.live(tenant)
	if !ok {
		return 0, false
	}
	for o := range d.outlines(&t) {
		f(o)
	}
	return t.version, true
}

// EndpointsVersion is the version of a live tenant's live endpoints, which is
// another one whenever anything of them has changed and never that of another
// tenant's, and how many there are.
func (d *Directory) EndpointsVersion(tenant string) (version int64, n int, ok bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	t, ok := d.live(tenant)
	return t.version, int(t.count), ok
}

// numbers goes through a list. The lock is held.
func (d *Directory) numbers(list place) iter.Seq[hook.EndpointNum] {
	return func(yield func(hook.EndpointNum) bool) {
		if list == 0 {
			return
		}
		_, record := d.arena.at(list)
		l := listOf(record)
		for num, ok := l.next(); ok; num, ok = l.next() {
			if !yield(num) {
				return
			}
		}
	}
}

// outlines goes through a tenant's live endpoints. The lock is held.
func (d *Directory) outlines(t *tenant) iter.Seq[*Outline] { return d.outlinesOf(t.live) }

func (d *Directory) outlinesOf(list place) iter.Seq[*Outline] {
	return func(yield func(*Outline) bool) {
		var o Outline // one for all: it is valid only until the next
		for num := range d.numbers(list) {
			_, record := d.arena.at(d.endpoints.at(int64(num)))
			o = outlineOf(view(record), d.names.names)
			if !yield(&o) {
				return
			}
		}
	}
}
