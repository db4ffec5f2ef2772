package serve

import (
	"io"
	"net/http"
	"strings"
)

// answered has the answer to a caller that closes its connection reach it also while it
// still sends its request, as behind proxies of HTTP/1.0: closing at once would reset the
// connection under what is on its way (RFC 9112, 9.6). For connections that stay, and for
// chunks, net/http sees to that.
func answered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !r.Close || r.ContentLength <= 0 {
			next.ServeHTTP(w, r)
			return
		}
		body := &ending{ReadCloser: r.Body}
		r.Body = body
		next.ServeHTTP(w, r)
		if !body.ended {
			// A byte where none may be: net/http takes the body for too large.
			_, _ = http.MaxBytesReader(w, io.NopCloser(strings.NewReader(".")), 0).Read(make([]byte, 1))
		}
	})
}

// ending is a body that knows whether its end was read.
type ending struct {
	io.ReadCloser
	ended bool
}

// Read reads on.
func (e *ending) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	if err == io.EOF {
		e.ended = true
	}
	return n, err
}
