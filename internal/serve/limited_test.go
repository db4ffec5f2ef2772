package serve

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"grapnel/internal/config"
)

// What a bounded listener gives can be closed in one direction: without that
// net/http resets connections under answers that end them early.
func TestLimitedConnectionsCloseOneWay(t *testing.T) {
	t.Parallel()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limitListener(plain, 1)
	defer l.Close()
	caller, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer caller.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(caller); err != nil || len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := io.WriteString(caller, "more"); err != nil {
		t.Fatal(err)
	}
	var b [4]byte
	if _, err := io.ReadFull(c, b[:]); err != nil || string(b[:]) != "more" {
		t.Errorf("%q, %v", b, err)
	}
}

// Closing a bounded listener ends an Accept that waits for room.
func TestLimitedListenerCloses(t *testing.T) {
	t.Parallel()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limitListener(plain, 1)
	caller, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer caller.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("a connection came through a closed listener")
	}
}

// A request that does not arrive in time is not waited for, and its headers not
// longer than for ten seconds, whatever the whole may take.
func TestBoundsOfRequests(t *testing.T) {
	t.Parallel()
	for timeout, headers := range map[time.Duration]time.Duration{50 * time.Millisecond: 50 * time.Millisecond, time.Minute: 10 * time.Second} {
		s := &Server{settings: config.Serve(), logger: slog.New(slog.DiscardHandler)}
		s.settings.RequestTimeout, s.settings.IdleTimeout = config.Duration(timeout), config.Duration(time.Hour)
		h := s.httpServer(http.NotFoundHandler())
		if h.ReadHeaderTimeout != headers || h.ReadTimeout != timeout || h.WriteTimeout != timeout+answerTime || h.IdleTimeout != time.Hour || h.MaxHeaderBytes != maxHeaderBytes {
			t.Errorf("%s: headers %s, request %s, answer %s, idle %s, %d bytes of headers", timeout, h.ReadHeaderTimeout, h.ReadTimeout, h.WriteTimeout, h.IdleTimeout, h.MaxHeaderBytes)
		}
	}
}
