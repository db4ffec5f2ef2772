package hostile

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Behaviour serves one connection. When it returns, the connection is closed.
type Behaviour func(c *Conn)

// Server listens on a port of 127.0.0.1 and treats every connection by one
// behaviour.
type Server struct {
	listener net.Listener
	scheme   string
	behave   Behaviour
	done     chan struct{} // closed by Close
	closing  sync.Once
	running  sync.WaitGroup

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when one of the fields below changes
	open     map[*Conn]struct{}
	conns    int
	requests []Request
}

// Listen starts a server without TLS.
func Listen(b Behaviour) (*Server, error) { return listen("http", b, nil) }

// ListenTLS starts a server that does a TLS handshake by cfg before the
// behaviour begins. Connections whose handshake fails are counted and closed.
func ListenTLS(b Behaviour, cfg *tls.Config) (*Server, error) { return listen("https", b, cfg) }

func listen(scheme string, b Behaviour, cfg *tls.Config) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("hostile: %w", err)
	}
	s := &Server{listener: l, scheme: scheme, behave: b, done: make(chan struct{}), changed: make(chan struct{}), open: make(map[*Conn]struct{})}
	s.running.Go(func() { s.accept(cfg) })
	return s, nil
}

func (s *Server) accept(cfg *tls.Config) {
	for {
		nc, err := s.listener.Accept()
		if err != nil {
			return
		}
		c := &Conn{Conn: nc, tcp: nc.(*net.TCPConn), server: s}
		if cfg != nil {
			c.Conn = tls.Server(nc, cfg)
		}
		c.reader = bufio.NewReader(c.Conn)
		s.change(func() {
			s.conns++
			c.Number = s.conns
			s.open[c] = struct{}{}
		})
		s.running.Go(func() { s.serve(c) })
	}
}

func (s *Server) serve(c *Conn) {
	defer s.change(func() { delete(s.open, c) })
	defer c.Close()
	select {
	case <-s.done: // Close did not see this connection
		return
	default:
	}
	if t, ok := c.Conn.(*tls.Conn); ok && t.Handshake() != nil {
		return
	}
	s.behave(c)
}

func (s *Server) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// Close ends the server and all its connections, and waits for them. It may
// be called again.
func (s *Server) Close() {
	s.closing.Do(func() { close(s.done) })
	s.listener.Close()
	s.mu.Lock()
	for c := range s.open {
		c.tcp.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}

// Addr is where the server listens.
func (s *Server) Addr() netip.AddrPort { return s.listener.Addr().(*net.TCPAddr).AddrPort() }

// URL is the server's, with a path.
func (s *Server) URL(path string) string { return s.scheme + "://" + s.Addr().String() + path }

// Conns is how many connections were accepted so far.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

// Requests gives the requests that were read so far, in the order in which
// their bodies ended.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// WaitClosed waits until no connection is open and at least n were accepted.
// It fails when ctx ends first.
func (s *Server) WaitClosed(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		open, conns, changed := len(s.open), s.conns, s.changed
		s.mu.Unlock()
		if open == 0 && conns >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("hostile: %d of %d connections are still open: %w", open, conns, ctx.Err())
		}
	}
}

// Conn is one connection to the server.
type Conn struct {
	net.Conn
	Number int // 1 for the server's first
	tcp    *net.TCPConn
	reader *bufio.Reader
	server *Server
	count  int
}

// Request is a request as it was read from the wire.
type Request struct {
	Head   string // request line and header lines with their line ends
	Method string
	Target string // as in the request line
	Header []Field
	Body   []byte
	Conn   int // the number of its connection
	Nth    int // 1 for the first on its connection
	At     time.Time
}

// Field is one header line, its name as it was sent.
type Field struct{ Name, Value string }

// Get is the first value of a header, whatever the case of its name.
func (r *Request) Get(name string) string {
	for _, f := range r.Header {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// ReadRequest reads one request with a Content-Length or without a body, and
// records it with the server.
func (c *Conn) ReadRequest() (*Request, error) {
	r, err := c.readHead()
	if err != nil {
		return nil, err
	}
	if n := r.Get("Content-Length"); n != "" {
		size, err := strconv.Atoi(n)
		if err != nil || size < 0 {
			return nil, fmt.Errorf("hostile: Content-Length %q", n)
		}
		r.Body = make([]byte, size)
		if _, err := io.ReadFull(c.reader, r.Body); err != nil {
			return nil, err
		}
	}
	c.count++
	r.Conn, r.Nth, r.At = c.Number, c.count, time.Now()
	c.server.change(func() { c.server.requests = append(c.server.requests, *r) })
	return r, nil
}

func (c *Conn) readHead() (*Request, error) {
	r := &Request{}
	var head strings.Builder
	for first := true; ; first = false {
		line, err := c.reader.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if line == "\r\n" {
			r.Head = head.String()
			return r, nil
		}
		head.WriteString(line)
		line = strings.TrimSuffix(line, "\r\n")
		if first {
			r.Method, line, _ = strings.Cut(line, " ")
			r.Target, _, _ = strings.Cut(line, " ")
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		r.Header = append(r.Header, Field{name, strings.TrimSpace(value)})
	}
}

// Send writes text and reports whether the other side still takes it.
func (c *Conn) Send(text string) bool {
	_, err := io.WriteString(c.Conn, text)
	return err == nil
}

// Hang keeps the connection open, saying nothing, until the other side or the
// server closes it.
func (c *Conn) Hang() { io.Copy(io.Discard, c.reader) }

// Pause waits and reports whether the server is still running.
func (c *Conn) Pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.server.done:
		return false
	}
}

// Reset ends the connection with a TCP RST.
func (c *Conn) Reset() {
	c.tcp.SetLinger(0)
	c.tcp.Close()
}
