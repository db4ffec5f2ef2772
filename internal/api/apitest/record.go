package apitest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// Handler passes requests on and holds each exchange against the document. It
// calls report with what does not fit.
func (c *Contract) Handler(next http.Handler, report func(error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var sent bytes.Buffer
		read := *r
		read.Body = teeBody{io.TeeReader(r.Body, &sent), r.Body}
		rec := &recorder{ResponseWriter: w}
		defer func() { // an answer that is broken off on purpose is one, too
			e := &Exchange{Request: r, Sent: sent.Bytes(), Status: rec.status, Header: w.Header(), Received: rec.body.Bytes()}
			if e.Status == 0 {
				e.Status = http.StatusOK
			}
			if err := c.Check(e); err != nil {
				report(err)
			}
		}()
		next.ServeHTTP(rec, &read)
	})
}

type teeBody struct {
	io.Reader
	io.Closer
}

// recorder keeps what is answered.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader notes the status.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write notes the bytes.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	r.body.Write(b)
	return r.ResponseWriter.Write(b)
}

// Transport passes requests on and holds each exchange against the document,
// once its answer has been read or closed. Requests to other addresses than
// those of the API are left alone.
func (c *Contract) Transport(next http.RoundTripper, report func(error)) http.RoundTripper {
	return &transport{c, next, report}
}

type transport struct {
	contract *Contract
	next     http.RoundTripper
	report   func(error)
}

// RoundTrip passes a request on.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !isAPI(r.URL.Path) {
		return t.next.RoundTrip(r)
	}
	sent := &buffer{}
	if r.Body != nil {
		clone := *r
		clone.Body = teeBody{io.TeeReader(r.Body, sent), r.Body}
		r = &clone
	}
	res, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = &watched{ReadCloser: res.Body, done: func(body []byte, whole bool) {
		if !whole && res.Header.Get("Content-Type") != "text/event-stream" {
			return // the caller did not want it all
		}
		e := &Exchange{Request: r, Sent: sent.bytes(), Status: res.StatusCode, Header: res.Header, Received: body}
		if err := t.contract.Check(e); err != nil {
			t.report(fmt.Errorf("%s: %w", r.URL.Host, err))
		}
	}}
	return res, nil
}

func isAPI(path string) bool { return len(path) > 3 && path[:4] == "/v1/" }

// buffer is one that a transport may still write to while it is read.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write keeps the bytes.
func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.b.Bytes())
}

// watched is a body that tells when it has been read to its end, or closed.
type watched struct {
	io.ReadCloser
	body bytes.Buffer
	once sync.Once
	done func(body []byte, whole bool)
}

// Read keeps what is read.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.body.Write(p[:n])
	if err == io.EOF {
		w.once.Do(func() { w.done(w.body.Bytes(), true) })
	}
	return n, err
}

// Close ends it.
func (w *watched) Close() error {
	w.once.Do(func() { w.done(w.body.Bytes(), false) })
	return w.ReadCloser.Close()
}
