package serve

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"grapnel/internal/hook"
	"grapnel/internal/telemetry"
)

// stoppingRetryAfter is the Retry-After of a stopping server in seconds: by
// then its successor is likely to be there.
const stoppingRetryAfter = 5

// gate lets requests through until it is closed. From then on it answers 503,
// and those inside can be waited for.
type gate struct {
	next   http.Handler
	refuse func(w http.ResponseWriter, r *http.Request) // answers when it is closed

	mu     sync.Mutex
	closed bool
	inside int
	empty  chan struct{} // closed when the gate is and nobody is inside
}

func newGate(next http.Handler) *gate {
	return &gate{next: next, refuse: refuse, empty: make(chan struct{})}
}

// ServeHTTP passes a request on, or refuses it.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !g.enter() {
		g.refuse(w, r)
		return
	}
	defer g.leave()
	g.next.ServeHTTP(w, r)
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.closed && g.inside == 0 {
		close(g.empty)
	}
}

// close lets nobody in any more, and waits until the last one has left or ctx
// ends. It returns how many are inside still.
func (g *gate) close(ctx context.Context) int {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		if g.inside == 0 {
			close(g.empty)
		}
	}
	g.mu.Unlock()
	select {
	case <-g.empty:
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside
}

// isClosed reports whether the server is stopping.
func (g *gate) isClosed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// refuseAtGate refuses in the shape of the vendor whose path it is, or in our
// own.
func (s *Server) refuseAtGate(w http.ResponseWriter, r *http.Request) {
	comeBack(w.Header())
	if !s.vendors.Refuse(w, r, hook.Errorf(hook.CodeUnavailable, "the server is stopping: send the request again in a moment")) {
		refuse(w, r)
	}
}

// comeBack tells a caller when to ask again.
func comeBack(h http.Header) {
	h.Set("Retry-After", strconv.Itoa(stoppingRetryAfter))
	h.Set("Connection", "close")
}

// refuse tells a caller to come back (case 12).
func refuse(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	comeBack(h)
	if !strings.HasPrefix(r.URL.Path, "/v1/") {
		http.Error(w, "the server is stopping", http.StatusServiceUnavailable)
		return
	}
	h.Set("Request-Id", telemetry.NewRequestID())
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusServiceUnavailable)
	// The caller may have gone; there is nobody to tell.
	_, _ = w.Write([]byte(`{"type":"/v1/problems/unavailable","title":"Unavailable","status":503,"detail":"the server is stopping: send the request again in a moment"}` + "\n"))
}
