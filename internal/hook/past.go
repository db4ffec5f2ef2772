package hook

import "time"

// Past is a value that a record had before, kept because the bodies of events
// from then are made with it.
type Past[T any] struct {
	Before int64     // the revision of the configuration that another value came with
	At     time.Time // when that was
	Value  T
}

// AsOf is the value that a record had in a revision of the configuration: now
// is its present one, past are those before, oldest first.
func AsOf[T any](now T, past []Past[T], revision int64) T {
	for i := range past {
		if revision < past[i].Before {
			return past[i].Value
		}
	}
	return now
}
