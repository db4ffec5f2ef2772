package serve

import (
	"context"

	"grapnel/internal/ingest"
	"grapnel/internal/store"
)

// startMover begins to move what applications publish in the database, where the store
// has a place for that.
func (s *Server) startMover(ctx context.Context) error {
	inbox, ok := s.store.(store.Inbox)
	if !ok {
		return nil
	}
	m, err := ingest.StartMover(ctx, ingest.MoverConfig{
		Inbox: inbox, Ingester: s.ingest, Node: s.node, MaxData: int(s.settings.MaxEventSize), Tell: s.manager.TellRejected, Logger: s.logger,
	})
	if err == nil {
		s.mover.Store(m)
	}
	return err
}

// stopMover leaves the rest to others.
func (s *Server) stopMover() {
	if m := s.mover.Load(); m != nil {
		m.Stop()
	}
}
