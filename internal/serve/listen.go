package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"grapnel/internal/auth/callers"
)

// Bounds of the listeners that are no settings. A request's body is bounded by
// the API.
const (
	readHeaderTimeout = 10 * time.Second
	answerTime        = 30 * time.Second // for the answer, once a request is there
	maxHeaderBytes    = 64 << 10
)

// listen binds the addresses, unless cfg has listeners already; nothing is
// answered before Start.
func (s *Server) listen(ctx context.Context, cfg Config) (err error) {
	if s.settings.TLSCert != "" {
		if s.certificate, err = openCertificate(&s.settings, s.logger, s.now); err != nil {
			return err
		}
	}
	if s.listener, err = s.bind(ctx, cfg.Listener, "--listen", s.settings.Listen); err != nil {
		return err
	}
	s.listener = limitListener(s.listener, s.settings.MaxConnections)
	if cfg.AdminListener != nil || s.settings.AdminListen != "" {
		s.adminListener, err = s.bind(ctx, cfg.AdminListener, "--admin-listen", s.settings.AdminListen)
	}
	return err
}

// ListenError is an address that cannot be listened on.
type ListenError struct {
	Setting string // the flag that names the address, "--listen" or "--admin-listen"
	Err     error  // the system's
}

// Error says what the system says.
func (e *ListenError) Error() string { return "listen: " + e.Err.Error() }

// Unwrap is the system's error.
func (e *ListenError) Unwrap() error { return e.Err }

func (s *Server) bind(ctx context.Context, given net.Listener, setting, addr string) (l net.Listener, err error) {
	if l = given; l == nil {
		var lc net.ListenConfig
		if l, err = lc.Listen(ctx, "tcp", addr); err != nil {
			return nil, &ListenError{Setting: setting, Err: err}
		}
	}
	s.undo = append(s.undo, func() { l.Close() })
	return l, nil
}

// httpServer makes the server of a listener.
func (s *Server) httpServer(h http.Handler) *http.Server {
	read := s.settings.RequestTimeout.Std()
	return &http.Server{
		Handler: answered(h), ConnContext: callers.ConnContext, ReadHeaderTimeout: min(readHeaderTimeout, read), ReadTimeout: read, WriteTimeout: read + answerTime,
		IdleTimeout: s.settings.IdleTimeout.Std(), MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
}

// serve answers what comes to a listener, until the server is shut down. A
// certificate may be nil.
func (s *Server) serve(h *http.Server, l net.Listener, c *certificate) {
	s.running.Go(func() {
		var err error
		if c == nil {
			err = h.Serve(l)
		} else {
			err = h.ServeTLS(l, "", "")
		}
		if !errors.Is(err, http.ErrServerClosed) {
			s.fail(fmt.Errorf("the listener failed: %w", err))
		}
	})
}

// tlsConfig is that of the public listener; nil for plain HTTP.
func (s *Server) tlsConfig() *tls.Config {
	if s.certificate == nil {
		return nil
	}
	return s.certificate.tls()
}

// limited is a listener with a bound on its connections.
type limited struct {
	net.Listener
	free   chan struct{} // holds one for each connection that there is
	closed chan struct{}
	once   sync.Once
}

// limitListener lets at most n connections be open at once, and further ones
// wait in the system's queue. 0: any number.
func limitListener(l net.Listener, n int) net.Listener {
	if n <= 0 {
		return l
	}
	return &limited{Listener: l, free: make(chan struct{}, n), closed: make(chan struct{})}
}

// Accept waits for room and for a connection.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.free <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &limitedConn{Conn: c, free: l.free}, nil
}

// Close also ends an Accept that waits for room.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	free chan struct{}
	once sync.Once
}

// CloseWrite ends one direction, as net/http does to have its last answer read
// by a caller who is still sending.
func (c *limitedConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// Close makes room for another connection.
func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.free })
	return err
}
