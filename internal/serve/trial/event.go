package trial

import "time"

// The kinds of Event.
const (
	Ready         = "ready"          // the server answers, and the tenant and its endpoints are there
	Published     = "published"      // a sample event was accepted
	Attempted     = "attempt"        // an attempt to deliver is over
	FirstDelivery = "first_delivery" // the first event was delivered, and the receiver verified it
)

// Event is one thing that happened. Which fields are set depends on its kind.
type Event struct {
	Event string    `json:"event"`
	At    time.Time `json:"at"`

	URL       string            `json:"url,omitempty"` // ready: of the server
	API       string            `json:"api,omitempty"`
	Key       string            `json:"key,omitempty"` // an admin key
	Tenant    string            `json:"tenant,omitempty"`
	Dialect   string            `json:"dialect,omitempty"`
	VendorKey string            `json:"vendor_key,omitempty"` // for the vendor's own management API
	Secret    string            `json:"secret,omitempty"`     // of the tenant, where its dialect has one
	Samples   []string          `json:"-"`                    // an event to publish as JSON, and as grapnel send takes it; none: standard
	Calls     []string          `json:"calls,omitempty"`      // of the vendor's own management API, for a shell
	Receivers map[string]string `json:"receivers,omitempty"`  // URLs by name
	Data      string            `json:"data,omitempty"`       // the data folder
	Ephemeral bool              `json:"ephemeral,omitempty"`  // it is removed at the end

	EventID  string `json:"event_id,omitempty"` // published, attempt, first_delivery
	Type     string `json:"type,omitempty"`
	Matched  int    `json:"matched,omitempty"`  // published: endpoints that it goes to
	Delivery string `json:"delivery,omitempty"` // attempt, first_delivery
	Endpoint string `json:"endpoint,omitempty"` // its name in the trial, or its id

	Attempt    int        `json:"attempt,omitempty"`     // its number, 1 for the first
	HTTPStatus int        `json:"http_status,omitempty"` // of the answer
	Class      string     `json:"class,omitempty"`       // why there was no answer
	State      string     `json:"state,omitempty"`       // what the delivery became
	Reason     string     `json:"reason,omitempty"`
	NextAt     *time.Time `json:"next_attempt_at,omitempty"`
	Verified   bool       `json:"verified,omitempty"` // the receiver checked the signature and it held

	Status string  `json:"status,omitempty"`  // first_delivery: "delivered"
	TookMS float64 `json:"took_ms,omitempty"` // ready, first_delivery: since the start; attempt: its duration
}
