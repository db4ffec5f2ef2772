//go:build !unix

package egress

import (
	"errors"
	"os"
	"time"
)

// shortest is how long a read waits where a socket cannot be asked without
// waiting.
const shortest = time.Millisecond

// readNow waits a moment. The deadline that was set before is gone after it.
func (s *socket) readNow(p []byte) (int, error) {
	if err := s.SetReadDeadline(time.Now().Add(shortest)); err != nil {
		return 0, err
	}
	n, err := s.Conn.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errNothing
	}
	return n, err
}

func (s *socket) readOnce(uintptr) bool { return true }
