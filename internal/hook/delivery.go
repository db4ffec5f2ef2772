package hook

import "time"

// DeliveryState is where a delivery stands.
//
//	          ┌──────── resume ───────┐
//	          ▼                       │
//	(new) → pending ── pause ──────► held
//	          │ ▲                     │
//	          │ └─ retry              │ cancel, expire
//	          ▼                       ▼
//	  delivered | failed | cancelled (terminal)
//	          │
//	          └── redeliver, replay ──► pending
type DeliveryState uint8

// The states. Their numbers are stored.
const (
	Pending   DeliveryState = 1 // waiting for its first or next attempt
	Held      DeliveryState = 2 // its endpoint is inactive; it goes on when that ends
	Delivered DeliveryState = 3 // the endpoint took it
	Failed    DeliveryState = 4 // given up: the schedule is over, or the answer was final
	Cancelled DeliveryState = 5 // will not be sent: Reason says why
)

// ByRequest is the Reason of a delivery or a replay that somebody cancelled.
const ByRequest = "cancelled by request"

// Discarded is the Reason of a delivery that was held and that nobody wanted any more when
// its endpoint was resumed.
const Discarded = "discarded by request, when its endpoint was resumed"

// NoAttemptLeft ends the Reason of an attempt that was the schedule's last.
const NoAttemptLeft = "no attempt is left"

var stateNames = [...]string{"", "pending", "held", "delivered", "failed", "cancelled"}

// String is the state's name in the API.
func (s DeliveryState) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// ParseDeliveryState reads a state's name.
func ParseDeliveryState(name string) (DeliveryState, error) {
	for i, n := range stateNames {
		if n == name && i > 0 {
			return DeliveryState(i), nil
		}
	}
	return 0, Errorf(CodeInvalid, "%q is not a delivery state: want pending, held, delivered, failed or cancelled", Clip(name))
}

// Terminal reports whether a delivery in this state is over. Only a
// redelivery or a replay takes it out again.
func (s DeliveryState) Terminal() bool { return s >= Delivered }

// Delivery is one event on its way to one endpoint.
type Delivery struct {
	Key      DeliveryKey
	Tenant   TenantNum
	Type     string // the event's
	Number   int64
	State    DeliveryState
	Reason   string    // why it is held, failed or cancelled
	Attempts int       // made so far
	NextAt   time.Time // when the next attempt is due; zero when none is
	LastAt   time.Time // when the last attempt began; zero without one
	Status   int       // HTTP status of the last attempt, 0 without an answer
	Class    string    // failure class of the last attempt, "" when it was answered
}

// Trigger says why an attempt was made.
type Trigger uint8

// The triggers. Their numbers are stored.
const (
	Scheduled Trigger = 0 // the first attempt, or the retry schedule
	Manual    Trigger = 1 // somebody asked for a redelivery or a replay
)

// Timing is how long an attempt's phases took. A phase that did not happen
// (a reused connection has no DNS, Connect and TLS) is zero.
type Timing struct {
	DNS, Connect, TLS time.Duration
	Wait              time.Duration // from the request written to the first byte of the answer
	Body              time.Duration // reading the answer's body
	Total             time.Duration
}

// Attempt is one HTTP request of a delivery and what came back.
type Attempt struct {
	Key     DeliveryKey
	N       int // 1 for the first
	At      time.Time
	Trigger Trigger

	Method        string
	URL           string
	RequestHeader []byte // header lines as sent, each ended by \r\n
	BodySHA256    [32]byte
	BodySize      int

	Class          string // "" when an answer came; else dns, refused, timeout, tls, blocked, …
	Detail         string // the failure in words, for the endpoint's owner
	Status         int    // 0 without an answer
	Proto          string // "HTTP/1.1", "HTTP/2.0"
	ResponseHeader []byte // as received, in the form of RequestHeader
	ResponseBody   []byte // at most the server's limit
	Truncated      bool   // ResponseBody is not all that came
	Omitted        int    // bytes of the answer that were read and are not kept, for the endpoint answers too much
	RemoteAddr     string
	TLSVersion     string
	Reused         bool // the connection had been used before
	Timing         Timing

	State  DeliveryState // what the delivery became by it
	Reason string        // the verdict in words
	NextAt time.Time     // when the next attempt is due, if State is Pending
}

// End is when the attempt was over.
func (a *Attempt) End() time.Time { return a.At.Add(a.Timing.Total) }
