package serve

import (
	"context"
	"time"

	"grapnel/internal/disk"
	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/telemetry"
)

// storeGauges asks the store for what /metrics shows of it.
func (s *Server) storeGauges() telemetry.StoreGauges {
	ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
	defer cancel()
	st, err := s.store.Stats(ctx)
	if err != nil {
		s.logger.Error("store statistics failed", "error", err)
		return telemetry.StoreGauges{Free: s.free()}
	}
	return telemetry.StoreGauges{
		Events: st.Events, Units: st.Units, Bytes: st.Bytes, Free: s.free(), Expired: st.Expired, Writable: st.Writable,
	}
}

// free is how many bytes can still be written in the data folder, -1 where that
// cannot be told, as of a database.
func (s *Server) free() int64 {
	if s.shared() {
		return -1
	}
	if free, ok := disk.Free(s.settings.Data); ok {
		return free
	}
	return -1
}

// endpointGauges counts endpoints by state, those without any included.
func (s *Server) endpointGauges() map[string]int {
	out := map[string]int{}
	for _, state := range []hook.EndpointState{hook.EndpointActive, hook.EndpointPaused, hook.EndpointDisabled} {
		out[string(state)] = 0
	}
	for state, n := range s.directory.CountEndpoints() {
		out[string(state)] = n
	}
	return out
}

// nodeGauges are what /metrics shows of a server among others, and of its way to their
// database.
func (s *Server) nodeGauges(n store.Networked) telemetry.NodeGauges {
	lease, way := s.keeper.Standing(), n.Traffic()
	out := telemetry.NodeGauges{
		Partitions: lease.Held, Gained: lease.Gained, Lost: lease.Lost, SinceRenewal: time.Since(lease.Renewed),
		Trips: way.Trips, InUse: way.InUse, Idle: way.Idle, Max: way.Max, Waits: way.Waits, Waited: way.Waited, Warnings: len(n.Warnings()),
	}
	if lease.Over(time.Now()) {
		out.Partitions = 0
	}
	if m := s.mover.Load(); m != nil {
		done := m.Moved()
		out.Moved, out.Rejected = done.Events, done.Rejected
	}
	inbox, ok := s.store.(store.Inbox)
	if !ok {
		return out
	}
	ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
	defer cancel()
	backlog, err := inbox.Backlog(ctx)
	if err != nil {
		return out // /readyz says why
	}
	out.Inbox, out.Waiting = true, backlog.Waiting
	if !backlog.Oldest.IsZero() {
		out.OldestWaiting = max(s.now().Sub(backlog.Oldest), 0)
	}
	return out
}
