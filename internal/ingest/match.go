package ingest

import (
	"grapnel/internal/filter"
	"grapnel/internal/hook"
	"grapnel/internal/store/directory"
)

// Policy is what matching has to know of a dialect.
type Policy struct {
	CancelInactive bool // what an inactive endpoint would get is cancelled, not held
	Suppressible   bool // a publisher's suppress counts
}

// matcher finds the endpoints that an event goes to. Only the committer uses
// it.
//
// What it looks up, it keeps by tenant and type, so that the cost of a match
// is that of the endpoints that do match, however many others there are.
type matcher struct {
	directory *directory.Directory
	policy    func(dialect string) Policy
	tenants   map[string]*routes
	filters   map[hook.EndpointNum]compiled
}

// routes are a tenant's endpoints by event type, of one state of its list.
type routes struct {
	of     []*hook.Endpoint
	byType map[string][]*hook.Endpoint
}

type compiled struct {
	of     *hook.Endpoint
	filter *filter.Filter
}

// The matcher forgets everything when it has become this large, rather than
// grow without bound with types that are seen once.
const (
	maxTypes   = 1000
	maxTenants = 100_000
)

func newMatcher(d *directory.Directory, policy func(string) Policy) *matcher {
	return &matcher{directory: d, policy: policy, tenants: map[string]*routes{}, filters: map[hook.EndpointNum]compiled{}}
}

// match returns whom an event goes to, in the order of endpoint numbers.
func (m *matcher) match(tenant string, event *hook.Event, suppress bool) ([]hook.Target, error) {
	_, endpoints, ok := m.directory.TenantWithEndpoints(tenant)
	if !ok {
		return nil, hook.Errorf(hook.CodeNotFound, "there is no tenant %q: create it with PUT /v1/tenants/%s", hook.Clip(tenant), hook.Clip(tenant))
	}
	var targets []hook.Target
	subject := filter.NewSubject(event)
	for _, e := range m.candidates(tenant, endpoints, event.Type) {
		wanted, err := m.wanted(e, subject)
		if err != nil {
			return nil, err
		}
		if wanted {
			targets = append(targets, hook.Target{Endpoint: e.Num, Disposition: m.disposition(e, suppress)})
		}
	}
	return targets, nil
}

// candidates are a tenant's endpoints that subscribe to a type.
func (m *matcher) candidates(tenant string, endpoints []*hook.Endpoint, eventType string) []*hook.Endpoint {
	if len(endpoints) == 0 {
		return nil
	}
	r := m.tenants[tenant]
	// A list is never changed in place, so the same array is the same list.
	if r == nil || len(r.of) != len(endpoints) || &r.of[0] != &endpoints[0] {
		if len(m.tenants) >= maxTenants {
			clear(m.tenants)
		}
		r = &routes{of: endpoints, byType: map[string][]*hook.Endpoint{}}
		m.tenants[tenant] = r
	}
	list, ok := r.byType[eventType]
	if !ok {
		for _, e := range endpoints {
			if hook.MatchesType(e.EventTypes, eventType) {
				list = append(list, e)
			}
		}
		if len(r.byType) >= maxTypes {
			clear(r.byType)
		}
		r.byType[eventType] = list
	}
	return list
}

// wanted asks an endpoint's filter.
func (m *matcher) wanted(e *hook.Endpoint, subject *filter.Subject) (bool, error) {
	if len(e.Filter) == 0 {
		return true, nil
	}
	c := m.filters[e.Num]
	if c.of != e {
		f, err := filter.Parse(e.Filter)
		if err != nil {
			// It was checked when it was stored, so this is not the publisher's fault.
			return false, &hook.Error{Code: hook.CodeInternal, Message: "the filter of endpoint " + e.ID + " cannot be read", Err: err}
		}
		if len(m.filters) >= maxTenants {
			clear(m.filters)
		}
		c = compiled{of: e, filter: f}
		m.filters[e.Num] = c
	}
	return c.filter.Match(subject), nil
}

func (m *matcher) disposition(e *hook.Endpoint, suppress bool) hook.Disposition {
	if !suppress && e.Active() {
		return hook.Deliver
	}
	p := m.policy(e.Dialect)
	switch {
	case suppress && p.Suppressible:
		return hook.Suppressed
	case !e.Active() && p.CancelInactive:
		return hook.Inactive
	}
	return hook.Deliver
}
