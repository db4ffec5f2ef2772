package egress

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"grapnel/internal/crashpoint"
)

// lingering is how long a connection whose answer is complete waits for the
// request to be written to its end, before it is given up.
const lingering = 50 * time.Millisecond

// exchange is one request and its answer over an HTTP/1.1 connection. All of
// it happens on the caller's goroutine, but for the writing of a long body:
// an endpoint may answer that before it has read it.
type exchange struct {
	*attempt
	conn *conn
	head requestHead

	wrote    atomic.Int64  // nanoseconds since the attempt began; 0: not all of it was written
	writeErr error         // not before written is closed
	written  chan struct{} // closed when nothing is written any more; nil: it was on this goroutine
	first    time.Duration // when the answer began; 0: it did not
}

// exchange sends an attempt's request on a connection and reads what comes
// back. It sends nothing twice. The connection is kept if both sides are done
// with it, and closed otherwise.
func (c *Client) exchange(a *attempt, nc *conn) {
	if !nc.used && nc.socket.SetDeadline(a.deadline) == nil && nc.spokeFirst() {
		nc.abandon()
		a.fail(outOfTurn(nc))
		return
	}
	x := &exchange{attempt: a, conn: nc, head: newRequestHead(a.request, a.target)}
	a.goesBy(nc, nc.used, x.head.lines())
	nc.used = true
	_ = nc.socket.SetDeadline(a.deadline) // if it fails, so does the writing
	disarm := func() bool { return true }
	if a.ctx.Done() != nil {
		disarm = context.AfterFunc(a.ctx, nc.interrupt)
	}
	x.send()
	if x.written != nil || x.writeErr == nil {
		x.waits(false)
	}
	end := x.receive(&c.cfg)
	mine := disarm() // if not, the interruption is still to come, and must not hit another attempt
	switch {
	case end == reusable && mine && x.wasWritten():
		c.pool.put(nc, time.Now())
	case end == unfinished || x.written != nil: // a good-bye might wait behind what was not read of the request
		nc.abandon()
	default:
		nc.stream.Close()
	}
	if x.written != nil {
		<-x.written // soon, for the connection is closed
	}
	a.waited(time.Duration(x.wrote.Load()), x.first)
}

// send writes the request, or has it written.
func (x *exchange) send() {
	if len(x.head)+len("\r\n")+len(x.request.Body) <= pieceSize {
		x.write()
		return
	}
	x.written = make(chan struct{})
	go func() {
		defer close(x.written)
		x.write()
	}()
}

func (x *exchange) write() {
	x.writeErr = writeRequest(x.conn.stream, x.head, x.request.Body)
	crashpoint.Hit("after-send")
	if x.writeErr == nil {
		x.wrote.Store(int64(time.Since(x.begin)))
	}
}

// wasWritten waits a moment for the end of the request and reports whether it
// came. The answer is here by then.
func (x *exchange) wasWritten() bool {
	if x.written != nil {
		moment := time.NewTimer(lingering)
		defer moment.Stop()
		select {
		case <-x.written:
		case <-moment.C:
			return false
		}
	}
	return x.writeErr == nil
}

// ending is in what state an exchange leaves its connection.
type ending uint8

const (
	unfinished ending = iota // something failed, or was not waited for
	finished                 // a whole answer, and one side wants no other request
	reusable
)

// receive reads the answer. A request that could not be written may have been
// answered all the same: an endpoint that refuses a body need not read it. If
// there is no answer, reading tells better than writing why.
func (x *exchange) receive(cfg *Config) ending {
	if x.written == nil && x.writeErr != nil && (x.calledOff() || isTimeout(x.writeErr)) {
		x.fail(x.broken(x.writeErr))
		return unfinished
	}
	in := newAnswerReader(x.conn.stream, cfg.MaxResponseHeader)
	defer in.release()
	return x.read(in, cfg.MaxResponseBody)
}

// read takes the answer from where it comes in.
func (x *exchange) read(in *answerReader, maxBody int) ending {
	err := in.begin()
	var resp *http.Response
	if err == nil {
		x.first = time.Since(x.begin)
		resp, err = in.header(x.request.Method)
	}
	if err != nil {
		x.fail(x.broken(err))
		return unfinished
	}
	complete := x.answered(resp, maxBody)
	switch {
	case !complete:
		return unfinished
	case resp.Close || in.Buffered() > 0: // more than the answer: whatever it is, it is not the next one (case 53)
		return finished
	}
	return reusable
}

// broken is the failure of an exchange that broke off before there was the
// header of an answer.
func (x *exchange) broken(err error) *failure {
	switch {
	case x.calledOff():
		return calledOff()
	case isTimeout(err):
		return noAnswerInTime(x.wrote.Load() != 0 || x.first != 0)
	}
	return exchangeFailure(err)
}
