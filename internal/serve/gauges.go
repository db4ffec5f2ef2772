package serve

import (
	"context"

	"grapnel/internal/disk"
	"grapnel/internal/hook"
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
// cannot be told.
func (s *Server) free() int64 {
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
