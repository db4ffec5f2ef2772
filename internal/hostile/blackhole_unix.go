//go:build unix

package hostile

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// Blackhole is an address that drops connection requests: a listener that
// accepts nothing and whose queue is full (case 39). stop ends it.
func Blackhole() (addr netip.AddrPort, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, nil, fmt.Errorf("hostile: %w", err)
	}
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { syscall.Listen(int(fd), 0) }) // shrinks the queue
	}
	var fill []net.Conn
	stop = func() {
		l.Close()
		for _, c := range fill {
			c.Close()
		}
	}
	for err == nil && len(fill) < 64 {
		var c net.Conn
		if c, err = net.DialTimeout("tcp", l.Addr().String(), 300*time.Millisecond); err == nil {
			fill = append(fill, c)
		}
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return l.Addr().(*net.TCPAddr).AddrPort(), stop, nil
	}
	stop()
	return netip.AddrPort{}, nil, fmt.Errorf("hostile: the queue of the listener does not fill up: %w", err)
}
