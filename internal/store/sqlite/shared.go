package sqlite

import (
	"sync/atomic"

	"grapnel/internal/hook"
)

const (
	sharedPlaces = 512
	sharedBytes  = 16 << 10 // of the largest one: 8 MiB of all at most
)

// sharedEvents are events with several targets that were read last: the lanes of
// all of them read the same events at about the same time, and what each of them
// keeps in memory is then one copy. Events never change, and an event is only
// looked for in a segment that is there.
type sharedEvents [sharedPlaces]atomic.Pointer[hook.Event]

func (s *sharedEvents) place(seq int64) *atomic.Pointer[hook.Event] {
	return &s[spread(uint64(seq))%sharedPlaces]
}

// get finds an event, nil if it is not there.
func (s *sharedEvents) get(seq int64) *hook.Event {
	if e := s.place(seq).Load(); e != nil && e.ID.Seq() == seq {
		return e
	}
	return nil
}

func (s *sharedEvents) put(e *hook.Event) {
	if len(e.Targets) > 1 && len(e.Data)+len(e.Previous)+len(e.Metadata) <= sharedBytes {
		s.place(e.ID.Seq()).Store(e)
	}
}
