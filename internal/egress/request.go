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

	"grapnel/internal/hook"

	"golang.org/x/net/http/httpguts"
)

// reservedHeaders are request headers that are not the caller's to set: the
// message's framing, the connection, and the two names that would make the
// transport send a request a second time by itself (case 75).
var reservedHeaders = [...]string{
	"Host", "Content-Length", "Transfer-Encoding", "Trailer", "Connection", "Keep-Alive", "TE", "Upgrade", "Expect", "HTTP2-Settings",
	"Idempotency-Key", "X-Idempotency-Key",
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

// newRequest forms the request as the transport wants it. Header names are
// the map's keys as they are, so that their case reaches the wire.
func newRequest(r *Request, t *target, a *attempt) (*http.Request, string) {
	header := make(http.Header, len(r.Header)+1)
	header["User-Agent"] = nil // none, unless the caller gives one
	values := make([]string, len(r.Header))
	for i, h := range r.Header {
		if problem := checkHeader(h); problem != "" {
			return nil, problem
		}
		if old := header[h.Name]; old != nil {
			header[h.Name] = append(old, h.Value)
			continue
		}
		values[i] = h.Value
		header[h.Name] = values[i : i+1 : i+1]
	}
	if len(header["User-Agent"]) > 1 {
		return nil, "the header User-Agent is given twice"
	}
	if !httpguts.ValidHeaderFieldName(r.Method) {
		return nil, "the method " + strconv.QuoteToASCII(r.Method) + " is not valid"
	}
	req := &http.Request{
		Method: r.Method, URL: t.url, Host: t.url.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		ContentLength: int64(len(r.Body)),
	}
	// GetBody stays nil, so that the transport cannot send the body again.
	switch {
	case len(r.Body) > 0:
		req.Body = io.NopCloser(bytes.NewReader(r.Body))
	case usuallyWithoutBody(r.Method):
		req.Body = noReplay{}
	}
	return req.WithContext(a), ""
}

// usuallyWithoutBody names the methods that the transport would send a second
// time when they have no body.
func usuallyWithoutBody(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// noReplay is an empty body that the transport does not recognise as one.
type noReplay struct{}

// Read ends at once.
func (noReplay) Read([]byte) (int, error) { return 0, io.EOF }

// Close does nothing.
func (noReplay) Close() error { return nil }

// wireHeader is the request's header as it went out, line by line in the
// transport's order. HTTP/2 has the names in lower case and no Host line; it
// is written all the same, for it says what went out as ":authority".
func wireHeader(r *Request, t *target, http2 bool) []byte {
	size := 64 + len(t.url.Host)
	var few [24]hook.Header
	sorted := append(few[:0], r.Header...)
	for i, h := range sorted {
		sorted[i].Value = textproto.TrimString(h.Value)
		size += len(h.Name) + len(h.Value) + 4
	}
	slices.SortStableFunc(sorted, func(a, b hook.Header) int { return cmp.Compare(a.Name, b.Name) })
	b := appendLine(make([]byte, 0, size), "Host", t.url.Host, http2)
	for _, h := range sorted {
		if h.Name == "User-Agent" && h.Value != "" {
			b = appendLine(b, h.Name, h.Value, http2)
		}
	}
	if len(r.Body) > 0 || r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch {
		var digits [20]byte
		b = appendLine(b, "Content-Length", strconv.AppendInt(digits[:0], int64(len(r.Body)), 10), http2)
	}
	for _, h := range sorted {
		if h.Name != "User-Agent" {
			b = appendLine(b, h.Name, h.Value, http2)
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
