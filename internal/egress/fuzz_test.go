package egress

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"grapnel/internal/hostile"
)

// FuzzAnswer reads whatever an endpoint may send, in one piece and byte by
// byte: both must come to the same, within the limits.
func FuzzAnswer(f *testing.F) {
	for _, framing := range hostile.Framings() {
		f.Add(http.MethodPost, []byte(framing.Answer))
	}
	for _, answer := range []string{
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\nrest",
		"HTTP/1.0 302 Found\r\n\r\n" + strings.Repeat("x", 300), "HTTP/1.1 204 No Content\r\n\r\n",
		strings.Repeat("HTTP/1.1 103 Wait\r\n\r\n", 20),
	} {
		f.Add(http.MethodPost, []byte(answer))
		f.Add(http.MethodHead, []byte(answer))
	}
	cfg := &Config{MaxResponseHeader: 200, MaxResponseBody: 100}
	f.Fuzz(func(t *testing.T, method string, sent []byte) {
		whole, end := fuzzReceive(method, bytes.NewReader(sent), cfg)
		pieces, endOfPieces := fuzzReceive(method, iotest.OneByteReader(bytes.NewReader(sent)), cfg)
		if whole.Class != pieces.Class || whole.Status != pieces.Status || !bytes.Equal(whole.Body, pieces.Body) || whole.Truncated != pieces.Truncated {
			t.Fatalf("in one piece %+v, byte by byte %+v", whole, pieces)
		}
		if (end == unfinished) != (endOfPieces == unfinished) {
			t.Fatalf("in one piece %v, byte by byte %v", end, endOfPieces)
		}
		if len(whole.Body) > cfg.MaxResponseBody {
			t.Fatalf("%d bytes of the body were kept", len(whole.Body))
		}
		if whole.Class == "" && (whole.Status < 200 || whole.Status > 599) {
			t.Fatalf("status %d is taken for an answer", whole.Status)
		}
		if end != unfinished && (whole.Class != "" || whole.Truncated) {
			t.Fatalf("a whole answer in %+v", whole)
		}
	})
}

// fuzzReceive reads an answer as an exchange does whose request is written.
func fuzzReceive(method string, from io.Reader, cfg *Config) (*Result, ending) {
	a := &attempt{ctx: context.Background(), request: &Request{Method: method}, result: &Result{}}
	in := newAnswerReader(from, cfg.MaxResponseHeader)
	defer in.release()
	x := &exchange{attempt: a}
	end := x.read(in, cfg.MaxResponseBody)
	return a.result, end
}
