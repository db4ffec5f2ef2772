package egress

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// readAnswer takes over what came back.
func (c *Client) readAnswer(res *Result, resp *http.Response, a *attempt) {
	defer resp.Body.Close()
	res.Status, res.Proto, res.Header = resp.StatusCode, resp.Proto, resp.Header
	if problem := unacceptable(resp, a); problem != "" {
		// Nothing more is read: a 101 is out of the reach of deadlines
		// (case 42), and the connection is not to be used again (case 44).
		res.Class, res.Detail = ClassProtocol, problem
		if a.conn != nil && !a.conn.http2 {
			a.conn.Close()
		}
		return
	}
	begin := time.Now()
	body, complete, err := readBody(resp, c.cfg.MaxResponseBody)
	res.Timing.Body = time.Since(begin)
	res.Body, res.Truncated = body, !complete
	if err != nil {
		res.bodyFailed(err, a)
	}
}

// unacceptable says why a header is no answer, or "".
func unacceptable(resp *http.Response, a *attempt) string {
	switch {
	case a.unasked.Load():
		return "the endpoint sent more than its last answer, so this one cannot be trusted"
	case resp.StatusCode < 200:
		return "the endpoint answered " + strconv.Itoa(resp.StatusCode) + ", which ends no request"
	case resp.StatusCode > 599:
		return "the endpoint answered " + strconv.Itoa(resp.StatusCode) + ", which is no HTTP status"
	}
	return ""
}

// bodyFailed decides what a body that broke off means. With success in the
// header it means little: the endpoint has answered. A body that breaks the
// rules of HTTP makes the whole answer doubtful (case 44).
func (res *Result) bodyFailed(err error, a *attempt) {
	class, detail := ClassProtocol, "the body of the answer is not valid HTTP: "+plainWords(err)
	switch {
	case a.Err() != nil && errors.Is(a.Err(), context.DeadlineExceeded):
		class, detail = ClassTimeoutBody, "the body of the answer did not end in time"
	case a.Err() != nil:
		class, detail = ClassCanceled, "the attempt was called off while the body of the answer was read"
	case isReset(err):
		class, detail = ClassReset, "the endpoint closed the connection before the end of the body"
	}
	res.Detail = detail
	if class == ClassProtocol || res.Status >= 300 {
		res.Class = class
	}
}

// readBody reads at most limit bytes. complete says that there were no more.
func readBody(resp *http.Response, limit int) (body []byte, complete bool, err error) {
	if resp.Body == http.NoBody || resp.ContentLength == 0 {
		return nil, true, nil
	}
	size := 512
	if n := resp.ContentLength; n > 0 {
		size = int(min(n, int64(limit)))
	}
	// One byte more than is kept, to see whether there is more.
	buf := make([]byte, 0, size+1)
	for {
		n, err := resp.Body.Read(buf[len(buf):min(cap(buf), limit+1)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > limit:
			return buf[:limit], false, nil
		case err == io.EOF:
			return buf, true, nil
		case err != nil:
			return buf, false, err
		case len(buf) == cap(buf):
			grown := make([]byte, len(buf), min(4*cap(buf), limit+1))
			copy(grown, buf)
			buf = grown
		}
	}
}
