package serve

import (
	"context"
	"time"

	"grapnel/internal/store"
)

// hear listens to what other servers say that they have changed, until ctx ends. It
// is looked for all the same: hints make it quicker.
func (s *Server) hear(ctx context.Context) {
	if l, ok := s.store.(store.Listener); ok && s.shared() {
		l.Listen(ctx, func(h store.Hint) {
			switch h {
			case store.HintEvents:
				s.dispatch.Hint()
			case store.HintConfiguration:
				s.current.hint()
			case store.HintLeases:
				s.keeper.Hint()
			}
		})
	}
}

// Whoever is asked to send something again need not be the one who sends to that
// endpoint: redeliveredEvery is how often each looks for that, and redeliveredBack how
// far back, which clocks may differ by.
const (
	redeliveredEvery = time.Second
	redeliveredBack  = time.Minute
)

// findRedelivered finds what other servers were asked to send again, until ctx ends.
func (s *Server) findRedelivered(ctx context.Context) {
	asked, ok := s.store.(store.Redeliverer)
	if !ok {
		return
	}
	tick := time.NewTicker(redeliveredEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		lanes, err := asked.Redelivered(ctx, s.now().Add(-redeliveredBack))
		if err != nil && ctx.Err() == nil {
			s.logger.Warn("what other servers were asked to send again cannot be read; trying again", "error", err)
		}
		for _, endpoint := range lanes {
			s.dispatch.WakeLane(endpoint)
		}
	}
}
