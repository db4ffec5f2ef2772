package ingest

import (
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/dialect"
	"grapnel/internal/filter"
	"grapnel/internal/hook"
	"grapnel/internal/store/directory"
)

// Policy is what matching has to know of a dialect.
type Policy struct {
	CancelInactive bool                // what an inactive endpoint would get is cancelled, not held
	Suppressible   bool                // a publisher's suppress counts
	EventName      func(string) string // an event type in the contract's words, which its endpoints subscribe in; nil: as it is
	Scope          *dialect.Scope      // an endpoint gets the events of its own part alone; nil: of all
}

// Policies is what matching has to know of each dialect of a registry. One that
// is not there has the zero Policy.
func Policies(dialects *dialect.Registry) func(name string) Policy {
	return func(name string) Policy {
		d, ok := dialects.Get(name)
		if !ok {
			return Policy{}
		}
		return Policy{CancelInactive: d.OnInactive() == dialect.Cancel, Suppressible: d.Suppressible(), EventName: d.EventName, Scope: d.Scope()}
	}
}

// matcher finds the endpoints that an event goes to. Its methods may be called
// from many goroutines at once.
//
// What it looks up, it keeps by tenant and type, so that the cost of a match
// is that of the endpoints that do match, however many others there are.
type matcher struct {
	directory *directory.Directory
	policy    func(dialect string) Policy

	mu      sync.Mutex // guards what follows, and the maps of routes
	tenants map[string]*routes
	filters map[hook.EndpointNum]compiled
}

// routes are a tenant's endpoints by event type, of one state of its list.
type routes struct {
	of     []*hook.Endpoint
	byType map[string][]candidate
}

// candidate is an endpoint that subscribes to a type.
type candidate struct {
	*hook.Endpoint
	scope *dialect.Scope // nil: it has none
	part  string         // which part of the scope it gets events of
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
	parts := parts{metadata: event.Metadata}
	for _, c := range m.candidates(tenant, endpoints, event.Type) {
		if c.scope != nil && parts.of(c.scope) != c.part {
			continue
		}
		wanted, err := m.wanted(c.Endpoint, subject)
		if err != nil {
			return nil, err
		}
		if wanted {
			targets = append(targets, hook.Target{Endpoint: c.Num, Disposition: m.disposition(c.Endpoint, suppress)})
		}
	}
	return targets, nil
}

// candidates are a tenant's endpoints that subscribe to a type.
func (m *matcher) candidates(tenant string, endpoints []*hook.Endpoint, eventType string) []candidate {
	if len(endpoints) == 0 {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.tenants[tenant]
	// A list is never changed in place, so the same array is the same list.
	if r == nil || len(r.of) != len(endpoints) || &r.of[0] != &endpoints[0] {
		if len(m.tenants) >= maxTenants {
			clear(m.tenants)
		}
		r = &routes{of: endpoints, byType: map[string][]candidate{}}
		m.tenants[tenant] = r
	}
	list, ok := r.byType[eventType]
	if !ok {
		list = m.subscribed(endpoints, eventType)
		if len(r.byType) >= maxTypes {
			clear(r.byType)
		}
		r.byType[eventType] = list
	}
	return list
}

// subscribed finds the endpoints that subscribe to a type, each in the words of
// its contract (PS-E2). Operational types are the same in all.
func (m *matcher) subscribed(endpoints []*hook.Endpoint, eventType string) (list []candidate) {
	policies := map[string]Policy{}
	for _, e := range endpoints {
		p, ok := policies[e.Dialect]
		if !ok {
			p = m.policy(e.Dialect)
			policies[e.Dialect] = p
		}
		name := eventType
		if p.EventName != nil && !hook.Operational(eventType) {
			name = p.EventName(eventType)
		}
		if !hook.MatchesType(e.EventTypes, name) {
			continue
		}
		c := candidate{Endpoint: e}
		if p.Scope != nil && !hook.Operational(eventType) {
			c.scope, c.part = p.Scope, strings.TrimSpace(e.Settings[p.Scope.Setting])
			if c.part == "" {
				c.part = p.Scope.Default
			}
		}
		list = append(list, c)
	}
	return list
}

// parts says which part of a scope an event belongs to. The last answer is
// kept: most events meet one scope.
type parts struct {
	metadata []byte
	scope    *dialect.Scope
	part     string
}

func (p *parts) of(scope *dialect.Scope) string {
	if p.scope == scope {
		return p.part
	}
	p.scope, p.part = scope, strings.TrimSpace(memberText(p.metadata, scope.Metadata))
	if p.part == "" {
		p.part = scope.Default
	}
	return p.part
}

// memberText is a member of an object: a text as it reads, any other value as
// it is written. "" if it is not there or null.
func memberText(object []byte, name string) string {
	d := newDecoder(object, len(object))
	defer d.free()
	if d.json.PeekKind() != '{' {
		return ""
	}
	d.json.ReadToken()
	for d.json.PeekKind() == '"' {
		raw, err := d.json.ReadValue()
		if err != nil {
			return ""
		}
		d.scratch, _ = jsontext.AppendUnquote(d.scratch[:0], raw)
		found := string(d.scratch) == name
		value, err := d.json.ReadValue()
		switch {
		case err != nil:
			return ""
		case !found:
		case value.Kind() == 'n':
			return ""
		case value.Kind() == '"':
			d.scratch, _ = jsontext.AppendUnquote(d.scratch[:0], value)
			return string(d.scratch)
		default:
			return string(value)
		}
	}
	return ""
}

// wanted asks an endpoint's filter.
func (m *matcher) wanted(e *hook.Endpoint, subject *filter.Subject) (bool, error) {
	if len(e.Filter) == 0 {
		return true, nil
	}
	f, err := m.filter(e)
	if err != nil {
		// It was checked when it was stored, so this is not the publisher's fault.
		return false, &hook.Error{Code: hook.CodeInternal, Message: "the filter of endpoint " + e.ID + " cannot be read", Err: err}
	}
	return f.Match(subject), nil
}

func (m *matcher) filter(e *hook.Endpoint) (*filter.Filter, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.filters[e.Num]
	if c.of != e {
		f, err := filter.Parse(e.Filter)
		if err != nil {
			return nil, err
		}
		if len(m.filters) >= maxTenants {
			clear(m.filters)
		}
		c = compiled{of: e, filter: f}
		m.filters[e.Num] = c
	}
	return c.filter, nil
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
