package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"grapnel/internal/store"
	"grapnel/internal/telemetry"
)

// Start begins to deliver, to serve and to keep up.
func (s *Server) Start(ctx context.Context) error {
	s.keeper.Start()
	if err := s.dispatch.Start(ctx); err != nil {
		return err
	}
	s.replayer.Start()
	if err := s.startMover(ctx); err != nil {
		return err
	}
	s.tidy()
	s.serve(s.http, s.listener, s.certificate)
	if s.admin != nil {
		s.serve(s.admin, s.adminListener, nil)
	}
	background, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.running.Go(func() { s.upkeep(background) })
	s.running.Go(func() { s.keepSize(background) })
	s.running.Go(func() { s.tellLost(background) })
	s.running.Go(func() { s.tellFailed(background) })
	s.running.Go(func() { s.noteKeyUses(background) })
	s.running.Go(func() { s.followConfiguration(background) })
	s.running.Go(func() { s.hear(background) })
	s.running.Go(func() { s.findRedelivered(background) })
	s.running.Go(func() { s.cancelAsked(background) })
	s.running.Go(func() {
		select {
		case <-s.dispatch.Lost():
			s.fail(fmt.Errorf("nothing is sent any more: %w", store.ErrLeaseLost))
		case <-background.Done():
		}
	})
	attrs := []any{"listen", s.listener.Addr().String(), "data", s.where(), "version", telemetry.ReadVersion().Version}
	if s.adminListener != nil {
		attrs = append(attrs, "admin_listen", s.adminListener.Addr().String())
	}
	s.logger.Info("server started", attrs...)
	return nil
}

// where is the place of what is stored, as it may be shown.
func (s *Server) where() string {
	if s.shared() {
		return s.settings.ShownStore()
	}
	return s.settings.Data
}

// largeStart is how many endpoints make a start large.
const largeStart = 20_000

// tidy gives back what a large start has used: else the collector would take it
// for what is needed, and let the heap grow to twice that.
func (s *Server) tidy() {
	n := 0
	for _, of := range s.directory.CountEndpoints() {
		n += of
	}
	if n >= largeStart {
		debug.FreeOSMemory()
	}
}

// gateShare is the part of the drain that requests inside get to finish. One
// whose body has not come by then has had its time: it would hold up the end.
const gateShare = 4

// Stop ends the server. No new attempt begins from now on, and running ones
// finish until ctx ends and are given back then. Meanwhile new requests get
// 503, those inside finish, and what they bring is committed, for the next
// start to send. Then the data folder is let go of.
func (s *Server) Stop(ctx context.Context) error {
	s.logger.Info("server stopping")
	stopped := make(chan error, 1)
	go func() { stopped <- s.keeper.Stop(ctx) }()
	s.live.Close()
	s.closeGate(ctx)
	s.replayer.Stop()
	s.stopMover()
	s.ingest.Close()
	sent := <-stopped
	s.cancel()
	s.hangUp(ctx)
	s.listener.Close() // closed already if Start was called
	if s.adminListener != nil {
		s.adminListener.Close()
	}
	s.running.Wait()
	s.endConverters()
	s.endPrograms()
	s.egress.Close()
	closed := s.store.Close() // which lets go of the folder, however little time is left
	s.closeTracer(ctx)
	s.logger.Info("server stopped")
	return errors.Join(sent, closed)
}

// closeGate lets no request in any more and waits for those inside. One that
// stays longer than its share gets 503 when it wants to publish, and loses its
// connection in the end.
func (s *Server) closeGate(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.settings.Drain.Std()/gateShare)
	defer cancel()
	if left := s.gate.close(ctx); left > 0 {
		s.logger.Warn("requests are not complete: their senders will have to send them again", "requests", left)
	}
}

// hangUpTime is what answers on their way out get.
const hangUpTime = time.Second

// closeTracer sends the last traces, if a collector takes them soon.
func (s *Server) closeTracer(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hangUpTime)
	defer cancel()
	if err := s.tracer.Close(ctx); err != nil {
		s.logger.Warn("traces are lost", "error", err)
	}
}

// hangUp ends all connections. Answers that are on their way out get a moment;
// connections on which nobody has asked anything must not hold us up.
func (s *Server) hangUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, hangUpTime)
	defer cancel()
	for _, h := range []*http.Server{s.http, s.admin} {
		if h == nil {
			continue
		}
		if err := h.Shutdown(ctx); err != nil {
			h.Close()
		}
	}
}
