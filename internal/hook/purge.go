package hook

// PurgedData is the data of an event that was purged: JSON, but with a blank in front,
// which no published data has.
const PurgedData = ` {"purged":true}`

// ByPurge is the Reason of a delivery that was cancelled because its event was purged.
const ByPurge = "its event was purged"

// Purged reports whether what the event carried was taken out of the store.
func (e *Event) Purged() bool { return string(e.Data) == PurgedData }

// BlankAttempt is what stays of a purged event's attempt: when it was, and what came
// of it.
func BlankAttempt(a *Attempt) *Attempt {
	return &Attempt{Key: a.Key, N: a.N, At: a.At, Trigger: a.Trigger, Status: a.Status, Class: a.Class, Timing: a.Timing, State: a.State, NextAt: a.NextAt}
}
