package serve

import (
	"context"
	"errors"
	"time"

	"grapnel/internal/crashpoint"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// upkeepEvery is how often old events are looked for. Segments are of a day
// at most, so that more often would find nothing.
const upkeepEvery = 10 * time.Minute

// upkeep removes what is past its time, and tells what could not be told yet,
// until ctx ends.
func (s *Server) upkeep(ctx context.Context) {
	tick := time.NewTicker(crashpoint.Set("upkeep-every", upkeepEvery))
	defer tick.Stop()
	for {
		s.tellAgain(ctx)
		s.prune(ctx)
		s.forgetReplays(ctx)
		s.dropSecrets(ctx)
		s.completeLater(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sizeEvery is how often it is looked whether the log is too large: under load it
// gets some hundred megabytes larger meanwhile.
const sizeEvery = 15 * time.Second

// keepSize removes the oldest events while the log is larger than it may be, until
// ctx ends.
func (s *Server) keepSize(ctx context.Context) {
	if s.settings.RetentionSize == 0 {
		return
	}
	tick := time.NewTicker(crashpoint.Set("size-every", sizeEvery))
	defer tick.Stop()
	for pinned := 0; ; {
		pinned = s.pruneSize(ctx, pinned)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// pruneSize removes what is too much once. pinned is how many files had to stay
// the last time, and then this time, so that each news of them is logged once.
func (s *Server) pruneSize(ctx context.Context, pinned int) int {
	pruned, err := s.store.Prune(ctx, store.PruneQuery{Bytes: int64(s.settings.RetentionSize), Inactive: s.inactive})
	if pruned.Units > 0 {
		s.logger.Info("oldest events removed, for the log was larger than --retention-size", "limit", s.settings.RetentionSize.String(),
			"events", pruned.Events, "units", pruned.Units, "expired_deliveries", expired(pruned))
	}
	switch {
	case errors.Is(err, context.Canceled):
		return pinned
	case err != nil:
		s.logger.Error("the oldest events cannot be removed", "error", err)
		return pinned
	case pruned.Over > 0 && pruned.Pinned > pinned:
		s.logger.Warn("the log is larger than --retention-size, for files of it have deliveries that can still be sent: see to the endpoints that are behind, or pause or delete them",
			"limit", s.settings.RetentionSize.String(), "over_bytes", pruned.Over, "units", pruned.Pinned)
	}
	return pruned.Pinned
}

// lostEvery is how often it is looked whether endpoints are to be told again of
// a lost connection, which happens hours apart.
const lostEvery = time.Minute

// tellLost tells endpoints of lost connections, until ctx ends.
func (s *Server) tellLost(ctx context.Context) {
	tick := time.NewTicker(crashpoint.Set("lost-every", lostEvery))
	defer tick.Stop()
	for {
		s.manager.TellLost(ctx, s.now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// usesEvery is how often the last use of keys is stored.
const usesEvery = time.Minute

// noteKeyUses stores when keys were last used, until ctx ends, and once then.
func (s *Server) noteKeyUses(ctx context.Context) {
	tick := time.NewTicker(usesEvery)
	defer tick.Stop()
	for over := false; !over; {
		select {
		case <-ctx.Done():
			over = true
		case <-tick.C:
		}
		// The end must not wait for long, nor be the end of this one change.
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), hangUpTime)
		if err := s.manager.NoteKeyUses(limited, s.auth.Uses()); err != nil {
			s.logger.Warn("the last use of keys cannot be stored", "error", err)
		}
		cancel()
	}
}

// prune removes events older than the retention once.
func (s *Server) prune(ctx context.Context) {
	before := s.retained()
	pruned, err := s.store.Prune(ctx, store.PruneQuery{Before: before, Requests: s.now().Add(-s.window()), Audit: s.now().Add(-auditKept), Inactive: s.inactive})
	switch {
	case errors.Is(err, context.Canceled):
	case err != nil:
		s.logger.Error("old events cannot be removed", "error", err)
	case pruned.Units > 0:
		s.logger.Info("old events removed", "before", before, "events", pruned.Events, "units", pruned.Units, "expired_deliveries", expired(pruned))
	}
}

// auditKept is how long the audit log is kept.
const auditKept = 365 * 24 * time.Hour

// retained is since when events are kept.
func (s *Server) retained() time.Time {
	return s.now().Add(-crashpoint.Set("retention", s.settings.Retention.Std()))
}

// forgetReplays deletes the replays that ended before all events that are kept.
func (s *Server) forgetReplays(ctx context.Context) {
	if _, err := s.manager.ForgetReplays(ctx, s.retained()); err != nil && !errors.Is(err, context.Canceled) {
		s.logger.Error("old replays cannot be removed", "error", err)
	}
}

// dropSecrets removes secrets that do not sign any more.
func (s *Server) dropSecrets(ctx context.Context) {
	switch n, err := s.manager.DropExpiredSecrets(ctx); {
	case errors.Is(err, context.Canceled):
	case err != nil:
		s.logger.Error("expired secrets cannot be removed", "error", err)
	case n > 0:
		s.logger.Info("expired secrets removed", "secrets", n)
	}
}

// completeLater does what could not be done at the start.
func (s *Server) completeLater(ctx context.Context) {
	if !s.incomplete {
		return
	}
	if err := s.complete(ctx); err != nil && !errors.Is(err, context.Canceled) {
		s.logger.Error("the configuration cannot be completed for this version", "error", err)
	}
}

func (s *Server) inactive(num hook.EndpointNum) bool {
	e, ok := s.directory.Endpoint(num)
	return !ok || !e.Active()
}

func expired(p store.Pruned) (n int64) {
	for _, v := range p.Expired {
		n += v
	}
	return n
}
