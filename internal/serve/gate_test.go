package serve

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// case 12: who is inside finishes, who comes later is told to come back.
func TestGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		g := newGate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-release; w.WriteHeader(202) }))
		call := func(path string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequest("POST", path, nil))
			return w
		}
		inside := make(chan int, 1)
		go func() { inside <- call("/v1/events").Code }()
		synctest.Wait()

		closed := make(chan struct{})
		go func() { g.close(t.Context()); close(closed) }()
		synctest.Wait()
		if !g.isClosed() {
			t.Error("the gate is open")
		}
		if w := call("/v1/events"); w.Code != 503 || w.Header().Get("Retry-After") == "" || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%d, %v", w.Code, w.Header())
		}
		if w := call("/pages"); w.Code != 503 {
			t.Error(w.Code)
		}
		select {
		case <-closed:
			t.Error("did not wait for the request inside")
		default:
		}
		close(release)
		<-closed
		if code := <-inside; code != 202 {
			t.Errorf("the request inside got %d", code)
		}
		g.close(t.Context()) // again does nothing
	})
}

func TestGateWaitsNoLongerThanTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		g := newGate(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
		go g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		begin := time.Now()
		if left := g.close(ctx); left != 1 {
			t.Errorf("%d inside", left)
		}
		if took := time.Since(begin); took != 30*time.Second {
			t.Error(took)
		}
		close(release)
	})
}
