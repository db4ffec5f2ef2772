package hook

import (
	"slices"
	"strings"
	"time"
)

// EndpointState says whether an endpoint gets deliveries.
type EndpointState string

// The states of an endpoint.
const (
	EndpointActive   EndpointState = "active"
	EndpointPaused   EndpointState = "paused"   // by its owner
	EndpointDisabled EndpointState = "disabled" // by us: StateReason says why
)

// Ordering says which deliveries of an endpoint wait for each other.
type Ordering string

// The orderings.
const (
	Unordered     Ordering = ""       // none: each is sent as soon as it can be
	OrderedByKey  Ordering = "key"    // those of one Event.OrderingKey, one after the other; other keys go on
	OrderedStrict Ordering = "strict" // all of them, one after the other
)

// Header is one extra request header of an endpoint, name as it is sent.
// A credential is sealed where it is kept: then Value is "" until it is opened.
type Header struct {
	Name, Value string
	Sealed      Sealed `json:",omitempty"`
}

// EndpointSecret is one signing secret of an endpoint.
type EndpointSecret struct {
	Sealed    Sealed
	Public    string // the whpk_… text that verifies what it signs, where it is a private key; else ""
	CreatedAt time.Time
	ExpiresAt time.Time // when it stops signing after a rotation; zero: it stays
}

// Endpoint is a customer's URL with what it wants and how it is served.
type Endpoint struct {
	ID          string // "ep_…", or the caller's own; unique among the tenant's live ones
	Num         EndpointNum
	Tenant      string
	TenantNum   TenantNum
	URL         string   // exactly as given
	EventTypes  []string // names, or "prefix.*"; empty: all
	Dialect     string
	Secrets     []EndpointSecret // newest first; empty: unsigned, or the tenant's
	Description string
	// VendorID is what the vendor's management API calls it, where its dialect
	// has ids of its own: digits or a UUID, unique among the endpoints of the
	// dialect's family, deleted ones included, and never changed. Else "".
	VendorID string
	Fields   []string // of the data that it gets, for a dialect that projects; empty: all
	// PastFields are earlier Fields, oldest first: they shape the bodies of events
	// from before.
	PastFields []Past[[]string]
	Settings   map[string]string // what a vendor's contract keeps of it besides, such as store_id
	// PastSettings are earlier Settings, oldest first: of each those alone that
	// bodies hold.
	PastSettings []Past[map[string]string]
	Headers      []Header
	Auth         *EndpointAuth `json:",omitempty"` // nil: none beside what Headers hold
	TLS          *EndpointTLS  `json:",omitempty"` // nil: as all connections
	Filter       []byte        // condition tree as JSON, or nil
	Transform    string        `json:",omitempty"` // a jq program that makes its requests' bodies and headers; "": none
	// PastTransforms are earlier Transforms, oldest first: they shape the bodies of
	// events from before.
	PastTransforms []Past[string]  `json:",omitempty"`
	Schedule       []time.Duration // waits between attempts; empty: no retries; nil: the dialect's
	Timeout        time.Duration   // of a whole attempt; 0: the dialect's
	RateLimit      float64         // requests per second; 0: none
	MaxInFlight    int             // requests at once; 0: the server's default
	Ordering       Ordering        // which deliveries wait for each other
	// SkipAfter is after how many failed attempts a delivery ends as failed, so
	// that those which wait for it in order go on; 0: never, they wait until it is
	// delivered, cancelled, or its schedule has ended and somebody redelivers or
	// cancels it. It means nothing to an endpoint that is Unordered.
	SkipAfter int
	// DisableAfter is for how long all its attempts may fail before it is disabled;
	// 0: for ever.
	DisableAfter time.Duration `json:",omitempty"`
	// FailingSince is when the first of the attempts began that have all failed
	// since, once there are enough of them to tell of it; zero: it is well, as far
	// as is known.
	FailingSince time.Time `json:",omitzero"`
	State        EndpointState
	StateReason  string    // why it is disabled
	StateAt      time.Time // since when
	CreatedAt    time.Time
	UpdatedAt    time.Time
	Deleted      bool // kept as a tombstone while its deliveries are
}

// Active reports whether deliveries are sent.
func (e *Endpoint) Active() bool { return e.State == EndpointActive && !e.Deleted }

// Family is the name of the contract that the endpoint's dialect is of.
func (e *Endpoint) Family() string { return FamilyOf(e.Dialect) }

// FamilyOf is the name of a contract without what that of a variant has behind
// "@".
func FamilyOf(dialect string) string {
	family, _, _ := strings.Cut(dialect, "@")
	return family
}

// MatchesType reports whether one of patterns covers an event type: the exact
// name, or "prefix.*" for all names that begin with "prefix.". No pattern
// means every type. An operational type is covered by its exact name alone.
func MatchesType(patterns []string, eventType string) bool {
	if Operational(eventType) {
		return slices.Contains(patterns, eventType)
	}
	if len(patterns) == 0 {
		return true
	}
	for _, p := range patterns {
		if p == eventType {
			return true
		}
		if prefix, ok := strings.CutSuffix(p, "*"); ok && strings.HasSuffix(prefix, ".") && strings.HasPrefix(eventType, prefix) {
			return true
		}
	}
	return false
}

// ValidEndpointID checks a caller's own id for an endpoint: 1 to 64 of
// A-Z a-z 0-9 _ . : - and neither "." nor "..", so that it can stand in a path.
func ValidEndpointID(id string) error { return validName("endpoint id", id, 64, "_.:-") }
