package egress

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// socket is a TCP connection that can be asked what it has to read without
// waiting for more.
type socket struct {
	net.Conn
	raw    syscall.RawConn // nil where there is none
	nowait bool            // Read does not wait; set by whoever owns the connection

	// The arguments of a read that does not wait, here so that none is allocated.
	once  func(fd uintptr) bool
	piece []byte
	n     int
	err   error
}

func newSocket(nc net.Conn) *socket {
	s := &socket{Conn: nc}
	if sc, ok := nc.(syscall.Conn); ok {
		s.raw, _ = sc.SyscallConn()
	}
	s.once = s.readOnce
	return s
}

// Read reads what has come. With nowait it gives errNothing where it would
// otherwise wait.
func (s *socket) Read(p []byte) (int, error) {
	if s.nowait {
		return s.readNow(p)
	}
	return s.Conn.Read(p)
}

// shortest is how long a read waits where a socket cannot be asked without
// waiting.
const shortest = time.Millisecond

// readSoon is the read for such sockets. The deadline that was set before is
// gone after it.
func (s *socket) readSoon(p []byte) (int, error) {
	if err := s.SetReadDeadline(time.Now().Add(shortest)); err != nil {
		return 0, err
	}
	n, err := s.Conn.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errNothing
	}
	return n, err
}

// errNothing is what a socket says that has nothing to read. It is temporary,
// so that TLS over the socket survives it.
var errNothing net.Error = nothing{}

type nothing struct{}

// Error is for the log; nobody should see it.
func (nothing) Error() string { return "egress: nothing to read" }

// Timeout is true: the read ended before anything came.
func (nothing) Timeout() bool { return true }

// Temporary is true: a later read may succeed.
func (nothing) Temporary() bool { return true }
