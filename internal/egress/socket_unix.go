//go:build unix

package egress

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// readNow is one read of the socket, which does not block.
func (s *socket) readNow(p []byte) (int, error) {
	if s.raw == nil {
		return s.readSoon(p)
	}
	s.piece = p
	err := s.raw.Read(s.once)
	s.piece = nil
	switch {
	case err != nil:
		return 0, err
	case errors.Is(s.err, syscall.EAGAIN):
		return 0, errNothing
	case s.err != nil:
		return 0, os.NewSyscallError("read", s.err)
	case s.n == 0:
		return 0, io.EOF
	}
	return s.n, nil
}

// readOnce tells the poller not to wait, whatever comes of the read.
func (s *socket) readOnce(fd uintptr) bool {
	for {
		s.n, s.err = syscall.Read(int(fd), s.piece)
		if s.err != syscall.EINTR {
			return true
		}
	}
}
