package serve

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"grapnel/internal/store"
)

// healthTimeout bounds how long a question about health may take.
const healthTimeout = 2 * time.Second

// check is one reason why the server may not be ready.
type check struct {
	name   string
	ok     bool
	warn   bool // it is, but something is wrong
	detail string
}

// checks asks every part that can keep the server from being ready.
func (s *Server) checks(ctx context.Context) []check {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	serving := check{name: "serving", ok: !s.gate.isClosed(), detail: "requests are taken"}
	if !serving.ok {
		serving.detail = "the server is stopping"
	}
	db := check{name: "store"}
	switch stats, err := s.store.Stats(ctx); {
	case err != nil:
		db.detail = "the store does not answer"
		s.logger.Error("store statistics failed", "error", err)
	case !stats.Writable:
		db.detail = "cannot write: " + stats.Problem
	default:
		db.ok, db.detail = true, stats.Engine+", "+stats.Durability
	}
	room := check{name: "disk", ok: true, detail: "there is room for events"}
	if err := s.room.check(); err != nil {
		room.ok, room.detail = false, err.Error()
	}
	network := check{name: "network", ok: true, detail: "no sign of an outage"}
	if since, down := s.dispatch.Unreachable(); down {
		network.warn, network.detail = true, "no endpoint can be reached since "+since.UTC().Format(time.RFC3339)+": deliveries wait until one can"
	}
	return append([]check{serving, db, room, s.checkLease(), network}, s.attention()...)
}

// checkLease says whether this server may send, and for how much.
func (s *Server) checkLease() check {
	c := check{name: "dispatch", ok: true, detail: "deliveries are sent"}
	select {
	case <-s.dispatch.Lost():
		c.ok, c.detail = false, "another process has taken the data folder: nothing is sent, and this server ends"
		return c
	default:
	}
	if !s.shared() {
		return c
	}
	now, lease := time.Now(), s.keeper.Standing()
	switch {
	case lease.Over(now):
		c.ok, c.detail = false, "there is no lease since "+lease.Ends.UTC().Format(time.RFC3339)+", for it could not be renewed: nothing is sent from here until it can, which is tried all the time"
	case lease.Held == 0:
		c.detail = "no partition is this server's just now: others send"
	default:
		c.detail = fmt.Sprintf("deliveries of %d of %d partitions are sent, the lease was renewed %s ago", lease.Held, store.Partitions, now.Sub(lease.Renewed).Round(time.Millisecond))
	}
	return c
}

// attention are warnings of what threatens the store though it works.
func (s *Server) attention() (out []check) {
	if n, ok := s.store.(store.Networked); ok {
		for _, w := range n.Warnings() {
			out = append(out, check{name: "database", ok: true, warn: true, detail: w})
		}
	}
	return out
}

// Alive says whether the server's parts still answer within ctx. A server that
// cannot write, or is stopping, is alive: a restart would not help it.
func (s *Server) Alive(ctx context.Context) error {
	s.gate.isClosed() // its lock can be had

	var asked atomic.Bool // the store has answered
	answered := make(chan struct{})
	go func() {
		_, _ = s.store.Stats(ctx) // that it cannot tell is no reason to end it
		asked.Store(true)
		s.dispatch.Gauges() // its lock can be had
		close(answered)
	}()
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		if asked.Load() {
			return fmt.Errorf("dispatch does not answer: %w", ctx.Err())
		}
		return fmt.Errorf("the store does not answer: %w", ctx.Err())
	}
}

// front is the public listener's handler. Where there is an admin listener,
// what it tells is told only there (case 107); whether the server is ready is
// told on both, for those who share the load out.
func (s *Server) front(metrics http.Handler) http.Handler {
	return apart(part(s.openOutside(metrics), s.gate))
}

// openOutside is what the listener answers without a key, beside the API's own.
func (s *Server) openOutside(metrics http.Handler) map[string]http.Handler {
	if s.adminListener == nil {
		return s.openInside(metrics)
	}
	return map[string]http.Handler{"/livez": http.HandlerFunc(livez), "/readyz": s.readyz(false)}
}

// openInside is what the admin listener answers, if there is one.
func (s *Server) openInside(metrics http.Handler) map[string]http.Handler {
	return map[string]http.Handler{"/livez": http.HandlerFunc(livez), "/readyz": s.readyz(true), "/metrics": metrics}
}

// back is the admin listener's handler.
func (s *Server) back(metrics http.Handler) http.Handler {
	return part(s.openInside(metrics), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeText(w, http.StatusNotFound, "this listener has /livez, /readyz and /metrics; the API is on the other one\n")
	}))
}

// part parts the requests that are answered also while the server stops from
// all others. A ServeMux would do, but it redirects paths that it finds
// unclean before the API can refuse them.
func part(open map[string]http.Handler, others http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, ok := open[r.URL.Path]
		switch {
		case !ok:
			others.ServeHTTP(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			writeText(w, http.StatusMethodNotAllowed, "this address takes GET\n")
		default:
			h.ServeHTTP(w, r)
		}
	})
}

// livez says that the process answers. It asks nothing else, so that a full
// disk does not make anybody restart it.
func livez(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") }

// readyz says whether the server can take events; with ?verbose, and whenever
// it cannot, why, if that may be told.
func (s *Server) readyz(tell bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b strings.Builder
		status, word := http.StatusOK, "ready"
		for _, c := range s.checks(r.Context()) {
			mark := "ok"
			if c.warn {
				mark = "warning"
			}
			if !c.ok {
				mark, status, word = "failed", http.StatusServiceUnavailable, "not ready"
			}
			fmt.Fprintf(&b, "%s %s: %s\n", c.name, mark, c.detail)
		}
		if _, verbose := r.URL.Query()["verbose"]; !tell || !verbose && status == http.StatusOK {
			b.Reset()
		}
		writeText(w, status, word+"\n"+b.String())
	})
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// The caller may have gone; there is nobody to tell.
	_, _ = w.Write([]byte(text))
}
