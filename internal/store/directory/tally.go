package directory

import (
	"maps"
	"slices"
	"strings"

	"grapnel/internal/hook"
)

// tallies are counted as things change, so that nobody has to go through all
// endpoints or tenants for them.
type tallies struct {
	states   map[hook.EndpointState]*int   // live endpoints of live tenants
	dialects map[string]*int               // the same ones
	lost     map[hook.TenantNum]struct{}   // live tenants whose connection is lost
	noticed  map[hook.TenantNum]int        // live endpoints of live tenants that subscribe to operational types
	operator map[hook.TenantNum]struct{}   // live tenants that are told what all are told
	expiring map[hook.EndpointNum]struct{} // live endpoints with a secret that expires
	sealed   map[string]hook.Sealed        // one of all that begin alike, see Sealed
}

func newTallies() tallies {
	return tallies{states: map[hook.EndpointState]*int{}, dialects: map[string]*int{}, lost: map[hook.TenantNum]struct{}{}, noticed: map[hook.TenantNum]int{}, operator: map[hook.TenantNum]struct{}{}, expiring: map[hook.EndpointNum]struct{}{}, sealed: map[string]hook.Sealed{}}
}

// count counts an endpoint of a tenant that is there or not.
func (t *tallies) count(o *Outline, tenant bool) { t.add(o, tenant, 1) }

// forget takes back what count counted.
func (t *tallies) forget(o *Outline, tenant bool) { t.add(o, tenant, -1) }

func (t *tallies) add(o *Outline, tenant bool, n int) {
	if o.Deleted || !tenant {
		return
	}
	tally(t.states, o.State, n)
	tally(t.dialects, o.Dialect, n)
	if slices.ContainsFunc(o.EventTypes, hook.Operational) {
		if t.noticed[o.Tenant] += n; t.noticed[o.Tenant] == 0 {
			delete(t.noticed, o.Tenant)
		}
	}
}

// tally adds to a count. What is counted may be a part of a record: the map gets a
// copy of it, and is never written by it again, for that would replace the copy.
func tally[K ~string](counts map[K]*int, of K, n int) {
	count := counts[of]
	if count == nil {
		count = new(int)
		counts[K(strings.Clone(string(of)))] = count
	}
	if *count += n; *count == 0 {
		delete(counts, of)
	}
}

func counted[K ~string](counts map[K]*int) map[K]int {
	out := make(map[K]int, len(counts))
	for of, n := range counts {
		out[of] = *n
	}
	return out
}

// watch notes whether an endpoint has a secret that expires.
func (t *tallies) watch(e *hook.Endpoint) {
	for i := range e.Secrets {
		t.seal(e.Secrets[i].Sealed)
	}
	for i := range e.Headers {
		t.seal(e.Headers[i].Sealed)
	}
	if e.Auth != nil {
		t.seal(e.Auth.Sealed)
	}
	if e.TLS != nil {
		t.seal(e.TLS.Key)
	}
	for i := range e.Secrets {
		if !e.Deleted && !e.Secrets[i].ExpiresAt.IsZero() {
			t.expiring[e.Num] = struct{}{}
			return
		}
	}
	delete(t.expiring, e.Num)
}

// seal notes what was sealed, by what stands before the sealed text itself.
func (t *tallies) seal(s hook.Sealed) {
	by := s[:max(0, strings.LastIndexByte(string(s), '.'))]
	if _, ok := t.sealed[string(by)]; !ok && by != "" {
		s = hook.Sealed(strings.Clone(string(s)))
		t.sealed[string(s[:len(by)])] = s
	}
}

func (t *tallies) watchTenant(of *hook.Tenant) {
	for _, s := range of.Secrets {
		t.seal(s)
	}
	note(t.lost, of.Num, of.Connection != nil && !of.Deleted)
	note(t.operator, of.Num, of.Operator && !of.Deleted)
}

// note has a number in a set, or not.
func note[N comparable](set map[N]struct{}, num N, in bool) {
	if in {
		set[num] = struct{}{}
		return
	}
	delete(set, num)
}

// Noticed reports whether a live endpoint of a tenant subscribes to an
// operational type.
func (d *Directory) Noticed(tenant hook.TenantNum) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.tallies.noticed[tenant] > 0
}

// Operators lists the live tenants that are told what all tenants are told, by
// number.
func (d *Directory) Operators() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var out []string
	for _, num := range sortedNums(d.tallies.operator) {
		out = append(out, strings.Clone(d.tenantAt(num, d.tenants.at(int64(num)).record).ID))
	}
	return out
}

// Sealed gives for each key that has sealed something one thing that it has
// sealed, be it of a record that is deleted or that has another one by now.
func (d *Directory) Sealed() []hook.Sealed {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Collect(maps.Values(d.tallies.sealed))
}

// CountEndpoints counts the live endpoints in each state.
func (d *Directory) CountEndpoints() map[hook.EndpointState]int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return counted(d.tallies.states)
}

// CountDialects counts the live endpoints of each dialect.
func (d *Directory) CountDialects() map[string]int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return counted(d.tallies.dialects)
}

// ExpiringSecrets lists the live endpoints that have a secret which expires or
// has expired, by number.
func (d *Directory) ExpiringSecrets() []*hook.Endpoint {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var out []*hook.Endpoint
	for _, num := range sortedNums(d.tallies.expiring) {
		e := d.endpointOf(num, d.find(d.endpoints.at(int64(num))), d.names.names)
		if d.tenants.at(int64(e.TenantNum)).alive() {
			out = append(out, e)
		}
	}
	return out
}
