package ingest

import (
	"slices"
	"strings"
	"sync"

	"grapnel/internal/hook"
	"grapnel/internal/store/directory"
)

// routes are the endpoints of a tenant that has many, as of one version of them,
// by what they subscribe to.
type routes struct {
	version int64
	all     []candidate // in the order of their numbers
	groups  []*speakers
}

// speakers are the endpoints that speak one dialect, by their places in all.
type speakers struct {
	policy *Policy
	exact  map[string]*places // by event type, or pattern
	prefix map[string]*places // by what stands before the * of a pattern
	every  places             // those that subscribe to all types
}

// places are those of endpoints in the routes' list of all.
type places []int32

// routeCache keeps the routes of the tenants that were needed not long ago.
type routeCache struct {
	mu    sync.Mutex
	known map[string]*routes // by tenant
	held  int                // endpoints in all of them
	max   int                // of these, but for the last one that came
}

// maxRouted is how many endpoints the routes of all tenants may hold: some 20 MiB.
const maxRouted = 100_000

func (c *routeCache) get(tenant string, version int64) *routes {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.known[tenant]; r != nil && r.version == version {
		return r
	}
	return nil
}

// put keeps a tenant's routes, and gives others up, one after the other, as long
// as there are too many.
func (c *routeCache) put(tenant string, r *routes) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[string]*routes{}
	}
	c.forget(tenant)
	for other := range c.known { // any: a map begins anywhere
		if c.held+len(r.all) <= c.max {
			break
		}
		c.forget(other)
	}
	c.known[strings.Clone(tenant)] = r
	c.held += len(r.all)
}

func (c *routeCache) forget(tenant string) {
	if old := c.known[tenant]; old != nil {
		c.held -= len(old.all)
		delete(c.known, tenant)
	}
}

// routesOf are a tenant's routes, of the given version of its endpoints or a later
// one.
func (m *matcher) routesOf(tenant string, version int64) (*routes, bool) {
	if r := m.routes.get(tenant, version); r != nil {
		return r, true
	}
	r := &routes{}
	groups := map[*Policy]*speakers{}
	var ok bool
	r.version, ok = m.directory.Outlines(tenant, func(o *directory.Outline) {
		p := m.policies.of(o.Dialect)
		g := groups[p]
		if g == nil {
			g = &speakers{policy: p, exact: map[string]*places{}, prefix: map[string]*places{}}
			groups[p] = g
			r.groups = append(r.groups, g)
		}
		g.add(o.EventTypes, int32(len(r.all)))
		r.all = append(r.all, m.candidateOf(o, p))
	})
	if !ok {
		return nil, false
	}
	m.routes.put(tenant, r)
	return r, true
}

// add notes what the endpoint at a place subscribes to.
func (g *speakers) add(patterns []string, place int32) {
	if len(patterns) == 0 {
		g.every = append(g.every, place)
		return
	}
	for _, p := range patterns {
		note(g.exact, p, place)
		if prefix, ok := strings.CutSuffix(p, "*"); ok && strings.HasSuffix(prefix, ".") {
			note(g.prefix, prefix, place)
		}
	}
}

// note adds a place. The map gets a copy of the text, which may be a part of a
// record, and is never written by it again, for that would replace the copy.
func note(by map[string]*places, of string, place int32) {
	list := by[of]
	if list == nil {
		list = &places{}
		by[strings.Clone(of)] = list
	}
	*list = append(*list, place)
}

func (p *places) get() []int32 {
	if p == nil {
		return nil
	}
	return *p
}

// find appends the endpoints that subscribe to a type, as hook.MatchesType has it.
func (r *routes) find(eventType string, list []candidate) []candidate {
	var found []int32
	operational := hook.Operational(eventType)
	for _, g := range r.groups {
		name := g.policy.nameOf(eventType)
		found = append(found, g.exact[name].get()...)
		if operational {
			continue
		}
		found = append(found, g.every...)
		for i := range len(name) {
			if name[i] == '.' {
				found = append(found, g.prefix[name[:i+1]].get()...)
			}
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	list = slices.Grow(list, len(found))
	for _, place := range found {
		list = append(list, r.all[place])
	}
	return list
}
