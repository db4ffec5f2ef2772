package serve

import (
	"context"
	"fmt"
	"net"
	"time"
)

// Bounds of the listener. A request's body is bounded by the API.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second
	writeTimeout      = 90 * time.Second
	idleTimeout       = 120 * time.Second
	maxHeaderBytes    = 64 << 10
)

// listen binds the address; nothing is answered before Start.
func (s *Server) listen(ctx context.Context) (err error) {
	var lc net.ListenConfig
	if s.listener, err = lc.Listen(ctx, "tcp", s.settings.Listen); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s.undo = append(s.undo, func() { s.listener.Close() })
	return nil
}
