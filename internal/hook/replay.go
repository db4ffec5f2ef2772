package hook

import (
	"slices"
	"time"
)

// ReplayState is where a replay stands.
type ReplayState string

// The states of a replay. All but the first are its end.
const (
	ReplayRunning   ReplayState = "running"
	ReplayDone      ReplayState = "done"      // it went through all that its filter selects
	ReplayCancelled ReplayState = "cancelled" // somebody stopped it; what it had sent stays sent
	ReplayFailed    ReplayState = "failed"    // it could not go on: Reason says why
)

// ReplayFilter selects deliveries of one tenant. Every condition that is set
// must hold.
type ReplayFilter struct {
	Endpoint     EndpointNum     // 0: all
	Events       []EventID       // in order; empty: all
	Types        []string        // names, or "prefix.*", as in Endpoint.EventTypes; empty: all
	States       []DeliveryState // as they are when the replay comes to them; never empty in a stored replay
	Since, Until time.Time       // of the event's acceptance, Since ≤ t < Until; zero: no bound
	Limit        int64           // at most so many deliveries, the oldest; 0: all
}

// Selects reports whether the filter takes a delivery, Limit apart.
func (f *ReplayFilter) Selects(d *Delivery) bool {
	at := d.Key.Event.Time()
	return (f.Endpoint == 0 || d.Key.Endpoint == f.Endpoint) &&
		(len(f.Events) == 0 || f.lists(d.Key.Event)) &&
		(len(f.States) == 0 || slices.Contains(f.States, d.State)) &&
		MatchesType(f.Types, d.Type) &&
		(f.Since.IsZero() || !at.Before(f.Since)) &&
		(f.Until.IsZero() || at.Before(f.Until))
}

func (f *ReplayFilter) lists(id EventID) bool {
	_, found := slices.BinarySearchFunc(f.Events, id, EventID.Compare)
	return found
}

// Replay is a job that sends past deliveries again, oldest first: those that
// its filter selects, of events that were accepted before it was made.
//
// A batch is noted in InHand before the first of it is made pending, and the
// counts with what is left of it afterwards, so that a replay that was
// interrupted goes on with the same deliveries.
type Replay struct {
	ID        string // "rpl_…"
	Tenant    string
	TenantNum TenantNum
	Filter    ReplayFilter
	Rate      float64 // deliveries a second that it makes pending at most; 0: as many as keep out of others' way
	Through   EventID // the last event that belongs to it: the newest one when it was made
	State     ReplayState
	Reason    string        // why it failed or was cancelled
	Position  DeliveryKey   // the last delivery that it has come to; zero: none yet
	InHand    []DeliveryKey // those up to Position that are selected and not dealt with
	Counted   bool          // Total is known

	Total       int64 // deliveries selected when it began
	Redelivered int64 // made pending again
	Skipped     int64 // left alone: their endpoint or event is gone, or they were attempted since it began
	Failed      int64 // could not be sent again, as with too many attempts

	CreatedAt  time.Time
	UpdatedAt  time.Time
	FinishedAt time.Time // zero while it runs
	Deleted    bool      // kept as a tombstone, as all configuration is
}

// Over reports whether the replay has ended.
func (r *Replay) Over() bool { return r.State != ReplayRunning }
