package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"grapnel/internal/crashpoint"
)

// newTransport makes the transport of net/http that HTTP/2 is left to. It
// never gets to see a connection that speaks something else.
func (c *Client) newTransport() *http.Transport {
	var p http.Protocols
	p.SetHTTP2(true)
	return &http.Transport{
		Proxy:                  nil, // never that of the environment (case 86); Config.Proxy is dialled through
		DialContext:            func(context.Context, string, string) (net.Conn, error) { return nil, errors.ErrUnsupported },
		DialTLSContext:         c.dialHTTP2,
		DisableCompression:     true,
		MaxIdleConns:           c.cfg.MaxIdle,
		MaxIdleConnsPerHost:    c.cfg.MaxIdlePerHost,
		IdleConnTimeout:        c.cfg.IdleTimeout,
		MaxResponseHeaderBytes: c.cfg.MaxResponseHeader,
		Protocols:              &p,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout:               15 * time.Second,
			PingTimeout:                   10 * time.Second,
			WriteByteTimeout:              15 * time.Second,
			MaxReceiveBufferPerStream:     128 << 10, // what a server may send that nobody reads
			MaxReceiveBufferPerConnection: 1 << 20,
		},
	}
}

// stream is an attempt over HTTP/2. It is the request's context at the same
// time, which leads the transport's dialler to it.
//
// The transport dials on a goroutine of its own that may outlive the attempt,
// and it writes and reads on others: fields that these set are atomic.
type stream struct {
	context.Context // ends with the deadline
	*attempt
	progress     progress     // of the transport's dialler
	wrote, first atomic.Int64 // nanoseconds since the attempt began; 0: did not happen
	handed       handover

	// Set on the caller's goroutine when a connection is there, before the
	// request goes out on it.
	conn   *conn
	reused bool
}

type streamKey struct{}

// Value is that of the context beneath, and the stream itself for its key.
func (s *stream) Value(key any) any {
	if _, ok := key.(streamKey); ok {
		return s
	}
	return s.Context.Value(key)
}

// overHTTP2 sends an attempt's request by the transport and reads what comes
// back. nc is a connection that was made for it and speaks HTTP/2, or nil if
// the transport is to find or make one. When that meets an endpoint which does
// not speak HTTP/2 any more, nothing is sent, and what is returned is a
// connection that speaks HTTP/1.1.
func (c *Client) overHTTP2(a *attempt, nc *conn) *conn {
	ctx, cancel := context.WithDeadline(a.ctx, a.deadline)
	defer cancel()
	s := &stream{attempt: a}
	s.Context = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: s.gotConn, WroteRequest: s.wroteRequest, GotFirstResponseByte: s.firstByte})
	s.handed.give(nc)
	a.waits(true) // the transport writes on a goroutine of its own
	resp, err := c.http2.RoundTrip(newHTTP2Request(a.request, a.target).WithContext(s))
	left := s.handed.end()
	if left != nil && !left.http2 && errors.Is(err, errNotHTTP2) {
		return left
	}
	if left != nil {
		left.stream.Close()
	}
	if s.conn != nil {
		a.goesBy(s.conn, s.reused, appendHeader(nil, a.request, a.target, true))
	}
	if err != nil {
		a.fail(s.failure(err))
	} else {
		a.answered(resp, c.cfg.MaxResponseBody)
		resp.Body.Close()
	}
	a.waited(time.Duration(s.wrote.Load()), time.Duration(s.first.Load()))
	s.leave()
	return nil
}

// newHTTP2Request forms a request with a body as the transport wants it.
func newHTTP2Request(r *Request, t *target) *http.Request {
	header := make(http.Header, len(r.Header)+1)
	header[userAgent] = nil // none, unless the caller gives one
	values := make([]string, len(r.Header))
	for i, h := range r.Header {
		if old := header[h.Name]; old != nil {
			header[h.Name] = append(old, h.Value)
			continue
		}
		values[i] = h.Value
		header[h.Name] = values[i : i+1 : i+1]
	}
	return &http.Request{
		Method: r.Method, URL: t.url, Host: t.url.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		// GetBody stays nil, so that the transport cannot send the body again.
		Body: io.NopCloser(bytes.NewReader(r.Body)), ContentLength: int64(len(r.Body)),
	}
}

func (s *stream) gotConn(info httptrace.GotConnInfo) {
	s.leave() // of one that took nothing
	if t, ok := info.Conn.(*tls.Conn); ok {
		s.conn, _ = t.NetConn().(*conn)
	}
	if s.conn != nil {
		s.conn.users.enter()
	}
	s.reused = info.Reused
}

// leave ends the attempt's use of its connection, and the connection if the
// attempt did not end by itself and was the last one there.
func (s *stream) leave() {
	if s.conn != nil && s.conn.users.leave(s.Err() == nil) {
		s.conn.abandon()
	}
}

func (s *stream) wroteRequest(info httptrace.WroteRequestInfo) {
	crashpoint.Hit("after-send")
	if info.Err == nil {
		s.wrote.Store(int64(time.Since(s.begin)))
	}
}

func (s *stream) firstByte() { s.first.CompareAndSwap(0, int64(time.Since(s.begin))) }

// failure turns the transport's error into one of the classes.
func (s *stream) failure(err error) *failure {
	var f *failure
	late := errors.Is(s.Err(), context.DeadlineExceeded)
	switch {
	case errors.As(err, &f) && (f.class != ClassCanceled || s.Err() == nil):
		return f
	case s.Err() != nil && !late:
		return calledOff()
	case late && s.conn == nil:
		return noConnectionInTime(phase(s.progress.phase.Load()))
	case late:
		return noAnswerInTime(s.wrote.Load() != 0 || s.first.Load() != 0)
	}
	return exchangeFailure(err)
}

// errNotHTTP2 is why the transport gets no connection to an endpoint that has
// chosen HTTP/1.1.
var errNotHTTP2 = errors.New("egress: the endpoint does not speak HTTP/2")

// dialHTTP2 is Transport.DialTLSContext. It gives the connection that the
// attempt has brought along, or makes one.
func (c *Client) dialHTTP2(ctx context.Context, _, _ string) (net.Conn, error) {
	s, ok := ctx.Value(streamKey{}).(*stream)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	if nc := s.handed.take(); nc != nil {
		nc.endsWith(c.open)
		return nc.stream, nil
	}
	nc, f := c.dial(ctx, s.target, nil, false, s.deadline, &s.progress)
	switch {
	case f != nil:
		return nil, f
	case nc.http2:
		nc.endsWith(c.open)
		return nc.stream, nil
	}
	c.newer.forget(s.target.peer)
	if !s.handed.give(nc) {
		nc.stream.Close()
	}
	return nil, errNotHTTP2
}

// handover passes a connection between an attempt and the transport's dialler,
// which may still run when the attempt is over.
type handover struct {
	mu    sync.Mutex
	conn  *conn
	ended bool
}

// give leaves a connection, unless one is there or nobody will take it.
func (h *handover) give(c *conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended || h.conn != nil {
		return false
	}
	h.conn = c
	return true
}

func (h *handover) take() *conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.conn
	h.conn = nil
	return c
}

// end takes what is left, and refuses what comes later.
func (h *handover) end() *conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.conn
	h.conn, h.ended = nil, true
	return c
}

// maxNewer bounds the endpoints that are remembered for speaking HTTP/2.
const maxNewer = 4096

// newer remembers which endpoints, as host:port, chose HTTP/2 when they were
// last asked. The zero value is ready.
type newer struct {
	mu    sync.RWMutex
	peers map[string]struct{}
}

func (n *newer) has(peer string) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	_, ok := n.peers[peer]
	return ok
}

func (n *newer) add(peer string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.peers == nil || len(n.peers) >= maxNewer {
		n.peers = make(map[string]struct{})
	}
	n.peers[peer] = struct{}{}
}

func (n *newer) forget(peer string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.peers, peer)
}
