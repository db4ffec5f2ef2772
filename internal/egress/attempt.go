package egress

import (
	"context"
	"errors"
	"time"
)

// attempt is one call of Do: what is to be sent, by when, and what became of
// it.
type attempt struct {
	ctx             context.Context // the caller's; its deadline is in deadline, too
	begin, deadline time.Time
	request         *Request
	target          *target
	result          *Result
}

// mayUseHTTP2 reports whether HTTP/2 may be offered to the endpoint. A request
// without a body may not go by it: that transport may send it again. One with an
// identity may not, either: that transport shares connections.
func (a *attempt) mayUseHTTP2() bool {
	return a.target.https && !a.request.HTTP1 && a.request.Identity == nil && len(a.request.Body) > 0
}

// calledOff reports whether the caller gave up, rather than time.
func (a *attempt) calledOff() bool { return errors.Is(a.ctx.Err(), context.Canceled) }

// waits tells the caller that nothing is to be done now.
func (a *attempt) waits(long bool) {
	if a.request.Waits != nil {
		a.request.Waits(long)
	}
}

// fail notes why there is no answer.
func (a *attempt) fail(f *failure) {
	res := a.result
	res.Class, res.Detail = f.class, f.detail
	if f.remote != "" {
		res.RemoteAddr = f.remote
	}
	if f.phases != (phases{}) {
		res.Timing.DNS, res.Timing.Connect, res.Timing.TLS = f.phases.dns, f.phases.connect, f.phases.tls
	}
}

// goesBy notes the connection that the request is sent on, and the lines of
// its header.
func (a *attempt) goesBy(c *conn, reused bool, header []byte) {
	res := a.result
	res.Reused, res.RemoteAddr, res.TLSVersion, res.RequestHeader = reused, c.remote, c.tls, header
	if !reused {
		res.Timing.DNS, res.Timing.Connect, res.Timing.TLS = c.took.dns, c.took.connect, c.took.tls
	}
}

// waited notes how long the answer took to begin. The times are since the
// attempt began, and 0 for what did not happen. An endpoint may answer before
// it has read everything, and has not kept anybody waiting then.
func (a *attempt) waited(wrote, first time.Duration) {
	if wrote > 0 && first > wrote {
		a.result.Timing.Wait = first - wrote
	}
}
