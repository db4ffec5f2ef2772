package egress

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"

	"grapnel/internal/hook"

	"golang.org/x/net/http/httpguts"
)

// reservedHeaders are request headers that are not the caller's to set: the
// message's framing, the connection, the two names that would make the
// transport send a request a second time by itself (case 75), and HopHeader.
var reservedHeaders = [...]string{
	"Host", "Content-Length", "Transfer-Encoding", "Trailer", "Connection", "Keep-Alive", "TE", "Upgrade", "Expect", "HTTP2-Settings",
	"Idempotency-Key", "X-Idempotency-Key", HopHeader,
}

// ReservedHeader reports whether a request header is refused by Do, in any
// case of its letters: framing, connection, Proxy-*, Idempotency-Key.
func ReservedHeader(name string) bool {
	for _, r := range &reservedHeaders {
		if len(r) == len(name) && strings.EqualFold(r, name) {
			return true
		}
	}
	return len(name) >= 6 && strings.EqualFold(name[:6], "Proxy-")
}

// checkHeader says what is wrong with a header, or "".
func checkHeader(h hook.Header) string {
	switch {
	case !httpguts.ValidHeaderFieldName(h.Name):
		return "a header has the name " + strconv.QuoteToASCII(h.Name) + ", which is not valid"
	case !httpguts.ValidHeaderFieldValue(h.Value):
		return "the value of the header " + h.Name + " holds control characters"
	case ReservedHeader(h.Name):
		return "the header " + h.Name + " is reserved"
	}
	return ""
}

// checkRequest says why a request cannot be sent as it is, or "".
func checkRequest(r *Request) string {
	agents := 0
	for _, h := range r.Header {
		if problem := checkHeader(h); problem != "" {
			return problem
		}
		if h.Name == userAgent {
			agents++
		}
	}
	switch {
	case agents > 1:
		return "the header " + userAgent + " is given twice"
	case !httpguts.ValidHeaderFieldName(r.Method):
		return "the method " + strconv.QuoteToASCII(r.Method) + " is not valid"
	}
	return ""
}

const userAgent = "User-Agent"

// requestHead is a request as HTTP/1.1 sends it, up to the empty line before
// its body: the request line and the header lines, each ended by \r\n.
type requestHead []byte

// newRequestHead writes the head of a request that checkRequest has passed.
func newRequestHead(r *Request, t *target) requestHead {
	b := make(requestHead, 0, len(r.Method)+len(t.path)+12+headerSize(r, t))
	b = append(append(append(b, r.Method...), ' '), t.path...)
	b = append(b, " HTTP/1.1\r\n"...)
	return appendHeader(b, r, t, false)
}

// lines are the header lines alone.
func (h requestHead) lines() []byte {
	return h[bytes.IndexByte(h, '\n')+1:]
}

func headerSize(r *Request, t *target) int {
	size := 64 + len(t.url.Host) // Host and Content-Length with their line ends
	for _, h := range r.Header {
		size += len(h.Name) + len(h.Value) + 4
	}
	return size
}

// appendHeader writes the lines of a request's header: Host, User-Agent,
// Content-Length, then the rest by name. HTTP/2 has the names in lower case
// and no Host line; it is written all the same, for it says what goes out as
// ":authority".
func appendHeader(b []byte, r *Request, t *target, http2 bool) []byte {
	var few [24]hook.Header
	sorted := append(few[:0], r.Header...)
	slices.SortStableFunc(sorted, func(a, b hook.Header) int { return cmp.Compare(a.Name, b.Name) })
	b = appendLine(b, "Host", t.url.Host, http2)
	for _, h := range sorted {
		if h.Name == userAgent && textproto.TrimString(h.Value) != "" {
			b = appendLine(b, h.Name, textproto.TrimString(h.Value), http2)
		}
	}
	if len(r.Body) > 0 || r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch {
		var digits [20]byte
		b = appendLine(b, "Content-Length", strconv.AppendInt(digits[:0], int64(len(r.Body)), 10), http2)
	}
	for _, h := range sorted {
		if h.Name != userAgent {
			b = appendLine(b, h.Name, textproto.TrimString(h.Value), http2)
		}
	}
	return b
}

func appendLine[T string | []byte](b []byte, name string, value T, lower bool) []byte {
	from := len(b)
	b = append(b, name...)
	if lower {
		copy(b[from:], bytes.ToLower(b[from:]))
	}
	return append(append(append(b, ": "...), value...), "\r\n"...)
}

// pieceSize is how much of a request is put together to be written at once:
// any send buffer takes it, and one record of TLS holds it.
const pieceSize = 16 << 10

var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// writeRequest writes a head, the empty line and a body; short requests in one
// piece. A long body is not copied but for its beginning.
func writeRequest(w io.Writer, head requestHead, body []byte) error {
	n, err := writePiece(w, head, body)
	if err == nil && n < len(body) {
		_, err = w.Write(body[n:])
	}
	return err
}

// writePiece writes what fits in a piece, and gives how much of the body that
// was.
func writePiece(w io.Writer, head requestHead, body []byte) (int, error) {
	piece := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(piece)
	b := append(append(piece[:0], head...), "\r\n"...)
	n := min(len(body), max(pieceSize-len(b), 0))
	_, err := w.Write(append(b, body[:n]...))
	return n, err
}
