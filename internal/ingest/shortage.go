package ingest

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"grapnel/internal/store"
)

// How often the log is told that the storage is still full, and how long nothing
// must have been refused for it to be over: whoever was refused has come back then.
const (
	shortageEvery = time.Minute
	shortageCalm  = fullRetry
)

// shortage tells the operator that the storage is full: when it begins, from time
// to time while it lasts, and when it is over. A line for each refusal would be
// one more thing to fill the disk with (case 113).
type shortage struct {
	logger *slog.Logger
	on     atomic.Bool

	mu     sync.Mutex
	since  time.Time
	told   time.Time
	latest time.Time // refusal
	events int       // refused since it began
}

// refused takes in why events were refused.
func (s *shortage) refused(why error, events int, now time.Time) {
	if !errors.Is(why, store.ErrFull) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	begins := !s.on.Load()
	if begins {
		s.since, s.events = now, 0
		s.on.Store(true)
	}
	s.latest = now
	s.events += events
	switch {
	case begins:
		s.logger.Error("the storage is full: no events are taken", "error", errors.Unwrap(why))
	case now.Sub(s.told) >= shortageEvery:
		s.logger.Error("the storage is still full: no events are taken", "since", s.since.UTC(), "refused_events", s.events, "error", errors.Unwrap(why))
	default:
		return
	}
	s.told = now
}

// stored takes in that events were stored.
func (s *shortage) stored(now time.Time) {
	if !s.on.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.on.Load() || now.Sub(s.latest) < shortageCalm {
		return
	}
	s.on.Store(false)
	s.logger.Info("the storage has room again: events are taken", "since", s.since.UTC(), "refused_events", s.events)
}
