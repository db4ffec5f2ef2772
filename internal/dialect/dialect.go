package dialect

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"grapnel/internal/hook"
)

// Dialect is one wire contract, read from its file. It never changes and may
// be used by several goroutines.
type Dialect struct {
	name, title  string
	source       string
	method       string
	http1        bool
	timeout      time.Duration
	query        []queryParam
	headers      []header
	names        []string // of all headers, signatures included
	body         bodyRule
	form         []formField
	settings     BodySettings
	sample       *Sample
	members      []string // of the outermost object of a body
	events       map[string]string
	subscription Subscription
	catalogue    []string
	perType      int
	ids          IDs
	scope        *Scope
	suppressible bool
	secret       secretRule
	sign         []signing
	carriers     []carrier // of what sign covers
	success      statusSet
	successBody  string // what the body of an acknowledging answer holds; "" for anything
	retry        retryRule
	schedule     Schedule
	answers      answers
	onInactive   OnInactive
	scratch      sync.Pool // of *scratch
}

// Name is the dialect's name in settings and URLs.
func (d *Dialect) Name() string { return d.name }

// Source is the text of the file that the dialect was read from.
func (d *Dialect) Source() string { return d.source }

// Title is the dialect's name for people.
func (d *Dialect) Title() string { return d.title }

// Method is the method of every request.
func (d *Dialect) Method() string { return d.method }

// HTTP1 reports whether requests must go out over HTTP/1.1, where header
// names keep their case.
func (d *Dialect) HTTP1() bool { return d.http1 }

// Timeout is how long an attempt may take as a whole.
func (d *Dialect) Timeout() time.Duration { return d.timeout }

// Sends reports whether the dialect itself sends a header of this name, so
// that an endpoint's own headers cannot have it. The case does not matter.
func (d *Dialect) Sends(header string) bool {
	for _, have := range d.names {
		if strings.EqualFold(have, header) {
			return true
		}
	}
	return false
}

// JSONBody reports whether bodies are JSON: else they are forms.
func (d *Dialect) JSONBody() bool { return d.form == nil }

// EventName is an event type in the contract's words.
func (d *Dialect) EventName(eventType string) string {
	if name, ok := d.events[eventType]; ok {
		return name
	}
	return eventType
}

// OnInactive says what becomes of deliveries while their endpoint is paused
// or disabled (design: life 8).
type OnInactive uint8

// The rules.
const (
	Hold   OnInactive = iota + 1 // they wait until it is active again
	Cancel                       // they are cancelled, and new events are only recorded
)

// OnInactive is the dialect's rule.
func (d *Dialect) OnInactive() OnInactive { return d.onInactive }

// Subscription says how many event types an endpoint chooses.
type Subscription uint8

// The rules.
const (
	AnyTypes Subscription = iota + 1 // any number; none named means all
	OneType                          // exactly one
	AllTypes                         // it gets all and cannot choose
)

// Subscription is the dialect's rule.
func (d *Dialect) Subscription() Subscription { return d.subscription }

// Check checks an endpoint's event types against the rule. The error is a
// *hook.Error about the field /event_types.
func (s Subscription) Check(types []string) error {
	switch {
	case s == OneType && len(types) != 1:
		return hook.Invalid("/event_types", "an endpoint of this dialect subscribes to exactly one event type, not to %d", len(types))
	case s == OneType && strings.HasSuffix(types[0], "*"):
		return hook.Invalid("/event_types", "an endpoint of this dialect subscribes to exactly one event type; %q means many", types[0])
	case s == AllTypes && len(types) != 0:
		return hook.Invalid("/event_types", "an endpoint of this dialect gets every event type; it cannot choose")
	}
	return nil
}

// Family is the name of the vendor's first dialect: the dialect's own, without
// what a variant has behind "@". The endpoints and the tenant's secret of a
// family belong together.
func (d *Dialect) Family() string {
	family, _, _ := strings.Cut(d.name, "@")
	return family
}

// Catalogue are the contract's events, in the order of the file and in the
// contract's words; nil if the file names none.
func (d *Dialect) Catalogue() []string { return slices.Clone(d.catalogue) }

// PerType is how many endpoints of a tenant may subscribe to one event type;
// 0: any number.
func (d *Dialect) PerType() int { return d.perType }

// IDs says what a vendor's management API and bodies call an endpoint.
type IDs uint8

// The kinds of ids.
const (
	OwnIDs    IDs = iota // by the id that it has everywhere
	NumberIDs            // by a number
	UUIDs                // by a random UUID (version 4)
)

// IDs is the dialect's kind of ids.
func (d *Dialect) IDs() IDs { return d.ids }

// Scope says that an endpoint gets only those events whose metadata names the
// same thing as a setting of the endpoint (A2-M4). Where either says nothing,
// it means Default.
type Scope struct {
	Metadata string // name in the event's metadata
	Setting  string // name in the endpoint's settings
	Default  string
}

// Scope is the dialect's rule; nil: there is none.
func (d *Dialect) Scope() *Scope { return d.scope }

// Suppressible reports whether a publisher may suppress deliveries (C1-X4).
func (d *Dialect) Suppressible() bool { return d.suppressible }

// Projects reports whether an endpoint may choose the fields of the data that
// it gets.
func (d *Dialect) Projects() bool { return d.body.project }

// BodySettings are names of settings.
type BodySettings struct{ Tenant, Endpoint []string }

// BodySettings are the settings that bodies hold, by their names.
func (d *Dialect) BodySettings() BodySettings {
	return BodySettings{slices.Clone(d.settings.Tenant), slices.Clone(d.settings.Endpoint)}
}

// ReadsSettings reports whether bodies hold a setting of the tenant or of the
// endpoint.
func (d *Dialect) ReadsSettings() bool { return len(d.settings.Tenant)+len(d.settings.Endpoint) > 0 }

// Input is what a body is made of. All but Event may be left out where the
// dialect does not name it.
type Input struct {
	Event *hook.Event
	// Data is the event's data in the shape of the tenant's API version; nil: as
	// it was published.
	Data      []byte
	Endpoint  *hook.Endpoint
	Tenant    *hook.Tenant
	Fields    []string // those of the endpoint when the event was matched; empty: all
	Number    int64    // of the delivery
	PublicURL string   // the server's own address in links, without a slash at the end
}

// Request is one attempt, to make its headers.
type Request struct {
	Event       *hook.Event
	ID          string // in place of the event's own id; "" for that
	Endpoint    *hook.Endpoint
	Tenant      *hook.Tenant
	Extra       []hook.Header // the endpoint's own headers, opened: Header puts them last, and signs them where the contract does (A2-S4)
	URL, Method string
	Body        []byte
	At          time.Time // of the attempt
	N           int       // of the attempt, 1 for the first
	Keys        []Key     // that sign, newest first
}

// methods are the request methods that carry a body.
var methods = []string{http.MethodPost, http.MethodPut, http.MethodPatch}
