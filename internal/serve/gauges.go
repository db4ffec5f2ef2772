package serve

import (
	"context"

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
		return telemetry.StoreGauges{Free: freeBytes(s.settings.Data)}
	}
	return telemetry.StoreGauges{
		Events: st.Events, Units: st.Units, Bytes: st.Bytes, Free: freeBytes(s.settings.Data), Expired: st.Expired, Writable: st.Writable,
	}
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
