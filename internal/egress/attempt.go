package egress

import (
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"grapnel/internal/crashpoint"
)

// phase is how far the making of a connection for an attempt has come.
type phase int32

const (
	inDNS     phase = 1
	inConnect phase = 2
	inTLS     phase = 3
)

// attempt is what happens to one request. It is the request's context at the
// same time, which saves an allocation and leads the dialler to it.
//
// The transport dials on a goroutine of its own that may outlive the attempt,
// and it writes and reads on two others: fields that these set are atomic.
type attempt struct {
	context.Context // ends with the deadline
	begin, deadline time.Time
	phase           atomic.Int32 // set by the dialler
	wrote, first    atomic.Int64 // nanoseconds since begin; 0: did not happen

	// Set on the caller's goroutine when a connection is there, before the
	// request goes out on it.
	conn   *conn
	reused bool
	had    int64 // what conn had read by then

	unasked atomic.Bool // the answer had been there before the request went out

	trace httptrace.ClientTrace
}

type attemptKey struct{}

func newAttempt(ctx context.Context, begin, deadline time.Time) *attempt {
	a := &attempt{begin: begin, deadline: deadline}
	a.trace.GotConn = a.gotConn
	a.trace.WroteRequest = a.wroteRequest
	a.trace.GotFirstResponseByte = a.firstByte
	a.Context = httptrace.WithClientTrace(ctx, &a.trace)
	return a
}

// Value is that of the context beneath, and the attempt itself for its key.
func (a *attempt) Value(key any) any {
	if _, ok := key.(attemptKey); ok {
		return a
	}
	return a.Context.Value(key)
}

func (a *attempt) gotConn(info httptrace.GotConnInfo) {
	nc := info.Conn
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	a.conn, _ = nc.(*conn)
	a.reused = info.Reused
	if a.conn != nil {
		a.had = a.conn.read.Load()
	}
}

func (a *attempt) wroteRequest(info httptrace.WroteRequestInfo) {
	crashpoint.Hit("after-send")
	if info.Err == nil {
		a.wrote.Store(int64(time.Since(a.begin)))
	}
}

// firstByte notes when the answer begins. On HTTP/1.1 nothing was asked but
// this request, so bytes that the connection had already read are none of its
// answer, whatever they look like (case 53).
func (a *attempt) firstByte() {
	if a.first.CompareAndSwap(0, int64(time.Since(a.begin))) && a.conn != nil && !a.conn.http2 && a.conn.read.Load() == a.had {
		a.unasked.Store(true)
	}
}
