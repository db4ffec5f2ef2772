package serve

import (
	"context"
	"sync/atomic"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// mostFailed is how many deliveries that have failed may wait to be told of.
const mostFailed = 1 << 12

// failures are deliveries that have failed, to be told to those who want to know.
// It is for those who watch: what failed is in the store whether it is told or not,
// so what is too much at once is left out, and the log says how much.
type failures struct {
	waiting chan failure
	missed  atomic.Int64
}

type failure struct {
	key    hook.DeliveryKey
	notice manage.FailedNotice
}

func newFailures() *failures { return &failures{waiting: make(chan failure, mostFailed)} }

// recorded is told of every delivery that something was recorded of.
func (s *Server) recorded(tenant hook.TenantNum, key hook.DeliveryKey, eventType string, a *hook.Attempt) {
	s.live.Recorded(tenant, key, eventType, a)
	if a == nil || a.State != hook.Failed || hook.Operational(eventType) || !s.manager.Watched(tenant) {
		return
	}
	f := failure{key, manage.FailedNotice{Type: eventType, Attempts: a.N, Reason: a.Reason, At: a.At.Add(a.Timing.Total).UTC()}}
	select {
	case s.failures.waiting <- f:
	default:
		s.failures.missed.Add(1)
	}
}

// tellFailed tells of deliveries that have failed, until ctx ends.
func (s *Server) tellFailed(ctx context.Context) {
	var logged time.Time
	for {
		select {
		case f := <-s.failures.waiting:
			s.manager.TellFailed(ctx, f.key, f.notice)
		case <-ctx.Done():
			return
		}
		if missed := s.failures.missed.Load(); missed > 0 && s.now().Sub(logged) > time.Minute {
			logged = s.now()
			s.logger.Warn("more deliveries failed than could be told of; they are in the list of deliveries", "left_out", missed)
			s.failures.missed.Add(-missed)
		}
	}
}
