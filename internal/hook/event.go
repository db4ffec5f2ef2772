package hook

import "time"

// Disposition says what was decided for an endpoint when an event matched it.
type Disposition uint8

// The dispositions. Their numbers are stored.
const (
	Deliver    Disposition = 0 // send it
	Inactive   Disposition = 1 // the endpoint was inactive and its dialect cancels then
	Suppressed Disposition = 2 // the publisher asked to suppress it
)

// Target is one endpoint that an event matched.
type Target struct {
	Endpoint    EndpointNum
	Disposition Disposition
}

// Event is a fact that the provider published. It never changes.
type Event struct {
	ID       EventID
	Tenant   TenantNum
	Key      string // the caller's own id, or ""
	Type     string
	Time     time.Time // when it happened, by the caller; else when it was accepted
	Data     []byte    // exactly the bytes that were published
	Previous []byte    // the object before the change, as published, or nil
	Metadata []byte    // a JSON object for dialects, as published, or nil

	// OrderingKey names what the event is about to endpoints that keep the order
	// of such events (Ordering); "": nothing, so that it waits for no other.
	OrderingKey string

	// Fingerprint is a hash of what the caller sent, to tell a repeated
	// publish with the same Key from another one. Zero without a Key.
	Fingerprint [16]byte

	// Revision is that of the configuration under which the event was matched:
	// it pins what shapes the bodies of its deliveries.
	Revision int64
	Targets  []Target // in the order of endpoint numbers
	Number   int64    // number of its first delivery; the others follow in the order of Targets

	// Trace is set on events that were published under a recorded span, until
	// they are read back from the store: it is never stored.
	Trace *Trace
}

// Target finds the event's target of an endpoint.
func (e *Event) Target(endpoint EndpointNum) (Target, bool) {
	for _, t := range e.Targets {
		if t.Endpoint == endpoint {
			return t, true
		}
	}
	return Target{}, false
}
