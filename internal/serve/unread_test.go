package serve

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// oneWay is a connection that tells when it was closed in one direction.
type oneWay struct {
	net.Conn
	ended bool
}

// CloseWrite ends what the server sends.
func (c *oneWay) CloseWrite() error {
	c.ended = true
	return nil
}

// oneConn is a listener with one connection.
type oneConn struct {
	net.Listener
	conn chan net.Conn
}

// Accept gives the connection, and then waits for the end.
func (l *oneConn) Accept() (net.Conn, error) {
	c, ok := <-l.conn
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

// Close ends Accept.
func (l *oneConn) Close() error {
	close(l.conn)
	return nil
}

// A caller that still sends its request is not cut off from the answer that ends the
// connection: first the server stops sending, and closes later. Nothing waits where the
// request was read.
func TestAnsweredBeforeTheEndOfARequest(t *testing.T) {
	t.Parallel()
	read := func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	refuse := func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusUnauthorized) }
	for name, c := range map[string]struct {
		handle http.HandlerFunc
		head   string
		waits  bool
	}{
		"refused at once": {refuse, "Connection: close\r\nContent-Length: 9\r\n\r\n", true},
		"read":            {read, "Connection: close\r\nContent-Length: 4\r\n\r\nbody", false},
		"no body":         {refuse, "Connection: close\r\n\r\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				caller, conn := net.Pipe()
				server := &oneWay{Conn: conn}
				l := &oneConn{conn: make(chan net.Conn, 1)}
				l.conn <- server
				h := &http.Server{Handler: answered(c.handle)}
				go h.Serve(l) //nolint:errcheck // ends with the test
				go io.WriteString(caller, "POST / HTTP/1.1\r\nHost: a\r\n"+c.head)
				if b, err := io.ReadAll(caller); err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 ") {
					t.Errorf("%q, %v", b, err)
				}
				if server.ended != c.waits {
					t.Errorf("ended one way first: %v, want %v", server.ended, c.waits)
				}
				caller.Close()
				h.Close()
			})
		})
	}
}
