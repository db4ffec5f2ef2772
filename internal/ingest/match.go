package ingest

import (
	"strings"
	"sync"
	"time"

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
// The few endpoints of a usual tenant are matched as the directory has them, so
// that a tenant that nobody has heard of for long costs no more than a busy one.
// Of a tenant with many, routes are kept, so that the cost of a match is that of
// the endpoints that do match.
type matcher struct {
	directory  *directory.Directory
	policies   policies
	conditions conditions
	schemas    schemas
	costs      *costs
	routes     routeCache
}

// fewFilters is after how many endpoints it is looked at how long it has taken.
const fewFilters = 16

// maxDirect is how many endpoints are looked at one after the other.
const maxDirect = 32

func newMatcher(d *directory.Directory, policy func(string) Policy) *matcher {
	m := &matcher{directory: d, policies: policies{ask: policy}, schemas: schemas{directory: d}, costs: newCosts()}
	m.routes.max = maxRouted
	return m
}

// candidate is an endpoint that subscribes to a type.
type candidate struct {
	num       hook.EndpointNum
	active    bool
	policy    *Policy
	part      string     // which part of the policy's scope it gets events of
	condition *condition // nil: it has none
}

// candidateOf is what is to be kept of an endpoint.
func (m *matcher) candidateOf(o *directory.Outline, p *Policy) candidate {
	c := candidate{num: o.Num, active: o.Active(), policy: p, condition: m.conditions.of(o.Filter())}
	if p.Scope != nil {
		if c.part = strings.TrimSpace(o.Setting(p.Scope.Setting)); c.part == "" {
			c.part = p.Scope.Default
		}
	}
	return c
}

// match returns whom an event goes to, in the order of endpoint numbers.
func (m *matcher) match(tenant string, event *hook.Event, suppress bool, by *stint) ([]hook.Target, error) {
	var room [maxDirect]candidate
	list, ok := m.candidates(tenant, event.Type, room[:0])
	if !ok {
		return nil, hook.Errorf(hook.CodeNotFound, "there is no tenant %q: create it with PUT /v1/tenants/%s", hook.Clip(tenant), hook.Clip(tenant))
	}
	if len(list) == 0 {
		return nil, nil
	}
	targets := make([]hook.Target, 0, len(list))
	satisfied := verdicts{subject: filter.NewSubject(event), shared: len(list) > maxDirect}
	parts := parts{metadata: event.Metadata}
	operational := hook.Operational(event.Type)
	for i := range list {
		if by != nil && i%fewFilters == fewFilters-1 {
			if err := by.rest(time.Now()); err != nil {
				return nil, err
			}
		}
		c := &list[i]
		if scope := c.policy.Scope; scope != nil && !operational && parts.of(scope) != c.part {
			continue
		}
		if c.condition != nil {
			ok, err := satisfied.of(c.condition)
			if err != nil {
				return nil, m.unreadable(c.num, err)
			}
			if !ok {
				continue
			}
		}
		targets = append(targets, hook.Target{Endpoint: c.num, Disposition: c.disposition(suppress)})
	}
	if len(targets) == 0 {
		return nil, nil
	}
	return targets, nil
}

// verdicts tell whether one event satisfies conditions. Where many endpoints may share
// one, each is asked once.
type verdicts struct {
	subject *filter.Subject
	shared  bool
	known   map[*condition]bool
}

func (v *verdicts) of(c *condition) (ok bool, err error) {
	if ok, known := v.known[c]; known {
		return ok, nil
	}
	f, err := c.parsed()
	if err != nil {
		return false, err
	}
	ok = f.Match(v.subject)
	if v.shared {
		if v.known == nil {
			v.known = map[*condition]bool{}
		}
		v.known[c] = ok
	}
	return ok, nil
}

// unreadable is the error of a filter. It was checked when it was stored, so this
// is not the publisher's fault.
func (m *matcher) unreadable(num hook.EndpointNum, err error) error {
	id := ""
	if e, ok := m.directory.Endpoint(num); ok {
		id = e.ID
	}
	return &hook.Error{Code: hook.CodeInternal, Message: "the filter of endpoint " + id + " cannot be read", Err: err}
}

func (c *candidate) disposition(suppress bool) hook.Disposition {
	switch {
	case suppress && c.policy.Suppressible:
		return hook.Suppressed
	case !c.active && c.policy.CancelInactive:
		return hook.Inactive
	}
	return hook.Deliver
}

// candidates appends a tenant's endpoints that subscribe to a type, in the order
// of their numbers, each in the words of its contract (PS-E2). Operational types
// are the same in all.
func (m *matcher) candidates(tenant, eventType string, list []candidate) ([]candidate, bool) {
	version, n, ok := m.directory.EndpointsVersion(tenant)
	if !ok || n == 0 {
		return nil, ok
	}
	if n > maxDirect {
		r, ok := m.routesOf(tenant, version)
		if !ok {
			return nil, false
		}
		return r.find(eventType, list), true
	}
	names := namer{policies: &m.policies, eventType: eventType}
	_, ok = m.directory.Outlines(tenant, func(o *directory.Outline) {
		if p, name := names.of(o.Dialect); hook.MatchesType(o.EventTypes, name) {
			list = append(list, m.candidateOf(o, p))
		}
	})
	return list, ok
}

// namer says what an event type is called in the words of a contract. The last
// answer is kept: most endpoints of a tenant speak the same.
type namer struct {
	policies  *policies
	eventType string
	dialect   string
	policy    *Policy
	name      string
}

func (n *namer) of(dialect string) (*Policy, string) {
	if n.policy == nil || n.dialect != dialect {
		n.policy, n.dialect = n.policies.of(dialect), dialect
		n.name = n.policy.nameOf(n.eventType)
	}
	return n.policy, n.name
}

func (p *Policy) nameOf(eventType string) string {
	if p.EventName == nil || hook.Operational(eventType) {
		return eventType
	}
	return p.EventName(eventType)
}

// policies are those of the dialects that were asked for. There are few.
type policies struct {
	ask   func(dialect string) Policy
	known sync.Map // by dialect, *Policy
}

func (p *policies) of(dialect string) *Policy {
	if known, ok := p.known.Load(dialect); ok {
		return known.(*Policy)
	}
	policy := p.ask(dialect)
	known, _ := p.known.LoadOrStore(dialect, &policy)
	return known.(*Policy)
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
