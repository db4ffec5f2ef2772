package egress

import (
	"bufio"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// answerReader reads HTTP/1.1 answers by the rules of net/http, within a
// limit for the header.
type answerReader struct {
	bufio.Reader
	source limitedSource
}

// maxHeaderLines bounds the lines of an answer's header. As a map, a header of
// many short lines takes a dozen times the memory that it took on the wire.
const maxHeaderLines = 1000

// maxInformational bounds the informational answers before the final one
// (case 41): to read one costs much more than to send it.
const maxInformational = 16

// limitedSource gives what a connection sends, but no more bytes and no more
// lines of a header than are left.
type limitedSource struct {
	from  io.Reader
	left  int64
	lines int  // of a header
	blank bool // the line that is being read is empty so far
	body  bool // an empty line has come: what follows is not counted as lines
}

// errLongHeader is why the header of an answer is not read to its end.
var errLongHeader = errors.New("egress: the header of the answer is too long")

// Read reads what is left to be read.
func (s *limitedSource) Read(p []byte) (int, error) {
	if s.left <= 0 || s.lines <= 0 {
		return 0, errLongHeader
	}
	n, err := s.from.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	s.count(p[:n])
	return n, err
}

// count takes lines off until the header has ended.
func (s *limitedSource) count(p []byte) {
	for i := 0; i < len(p) && !s.body; i++ {
		switch p[i] {
		case '\n':
			s.body = s.blank
			s.blank = true
			s.lines--
		case '\r':
		default:
			s.blank = false
		}
	}
}

// answerReaders keeps readers with their buffers of 4 KiB, so that unused
// connections have none.
var answerReaders = sync.Pool{New: func() any { return &answerReader{Reader: *bufio.NewReaderSize(nil, 4<<10)} }}

func newAnswerReader(from io.Reader, maxHeader int64) *answerReader {
	in := answerReaders.Get().(*answerReader)
	in.source = limitedSource{from: from, left: maxHeader, lines: maxHeaderLines}
	in.Reset(&in.source)
	return in
}

// release gives the reader back. Nothing that was made from it may be used
// any more.
func (in *answerReader) release() {
	in.source.from = nil
	answerReaders.Put(in)
}

// begin waits for the first byte of an answer.
func (in *answerReader) begin() error {
	_, err := in.Peek(1)
	return err
}

// posted is a request as far as the reading of its answer depends on it.
var posted = &http.Request{Method: http.MethodPost}

// header reads up to the header of the final answer. Informational ones
// before it (1xx, but for 101, which is final) are skipped and count for the
// limit (case 41). The body of the response is limited no more; it must not be
// closed, for that would read on.
func (in *answerReader) header(method string) (*http.Response, error) {
	req := posted
	if method != http.MethodPost {
		req = &http.Request{Method: method}
	}
	for informational := 0; ; informational++ {
		resp, err := http.ReadResponse(&in.Reader, req)
		switch {
		case in.source.lines <= 0, err != nil && in.source.left <= 0:
			return nil, errLongHeader
		case err != nil:
			return nil, err
		case resp.StatusCode >= 100 && resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols:
			if informational == maxInformational {
				return nil, errLongHeader
			}
			in.source.body = false // but what is in the buffer by now goes uncounted: no more than it holds
			continue
		}
		in.source.left, in.source.lines, in.source.body = math.MaxInt64, 1, true
		return resp, nil
	}
}

// answered takes over what came back, and reports whether all of it was read
// and is acceptable.
func (a *attempt) answered(resp *http.Response, maxBody int) bool {
	res := a.result
	res.Status, res.Proto, res.Header = resp.StatusCode, resp.Proto, resp.Header
	if problem := unacceptable(resp.StatusCode); problem != "" {
		// Nothing more is read: what follows a 101 is no HTTP (case 42).
		res.Class, res.Detail = ClassProtocol, problem
		return false
	}
	begin := time.Now()
	body, complete, err := readBody(resp, maxBody)
	res.Timing.Body = time.Since(begin)
	res.Body, res.Truncated = body, !complete
	if err != nil {
		a.bodyFailed(err)
	}
	return complete
}

// unacceptable says why a status is none of an answer, or "".
func unacceptable(status int) string {
	switch {
	case status < 200:
		return "the endpoint answered " + strconv.Itoa(status) + ", which ends no request"
	case status > 599:
		return "the endpoint answered " + strconv.Itoa(status) + ", which is no HTTP status"
	}
	return ""
}

// bodyFailed decides what a body that broke off means. With success in the
// header it means little: the endpoint has answered. A body that breaks the
// rules of HTTP makes the whole answer doubtful (case 44).
func (a *attempt) bodyFailed(err error) {
	res := a.result
	class, detail := ClassProtocol, "the body of the answer is not valid HTTP: "+plainWords(err)
	switch {
	case a.calledOff():
		class, detail = ClassCanceled, "the attempt was called off while the body of the answer was read"
	case isTimeout(err):
		class, detail = ClassTimeoutBody, "the body of the answer did not end in time"
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
