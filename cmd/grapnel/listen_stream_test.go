package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"grapnel/client"
)

// liveServer gives the same request in every stream, with the stream's number
// in it, until one is forwarded.
type liveServer struct {
	streams atomic.Int64
	ended   chan int64 // the numbers of streams that the client has left
}

func (s *liveServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.streams.Add(1)
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, "event: hello\ndata: {\"cursor\":\"start\",\"dialect\":\"standard\"}\n\n")
	if r.URL.Query().Get("after") == "start" {
		fmt.Fprintf(w, "id: one\ndata: {\"event\":\"one\",\"type\":\"a.b\",\"method\":\"POST\",\"headers\":[[\"x-stream\",\"%d\"]],\"signed_at\":%q,\"body\":\"{}\"}\n\n", n, time.Now().Format(time.RFC3339Nano))
	}
	_ = out.Flush() // the client may have gone
	<-r.Context().Done()
	s.ended <- n
}

// listenTo makes a listener that goes from a server to a target.
func listenTo(t *testing.T, target string, bounds listenBounds) *listener {
	t.Helper()
	p, _, _ := surroundings(global{JSON: true, Quiet: true}, nil)
	position, err := openPosition(filepath.Join(t.TempDir(), "position"), identity{Target: target}, p.getenv)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(position.close)
	return &listener{listenCmd: &listenCmd{}, p: p, tenant: "t", target: target, position: position, forward: newForwarder(target), after: "start", bounds: bounds}
}

// runListener runs a listener until the target has got a request, and returns
// the number of the stream that this came from.
func runListener(t *testing.T, l *listener, server *liveServer, got <-chan string, between func()) string {
	t.Helper()
	srv := httptest.NewServer(server)
	t.Cleanup(srv.Close)
	api, err := client.New(client.Config{URL: srv.URL, Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- l.follow(ctx, api) }()
	between()
	select {
	case stream := <-got:
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
		return stream
	case err := <-done:
		t.Fatal("ended with", err)
	case <-time.After(deadline):
		t.Fatal("nothing is forwarded")
	}
	return ""
}

// target is what a listener forwards to; it tells the stream of each request.
func target(got chan<- string) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("x-stream") })
}

// A target that is away for long gets requests that were signed when it came
// back, and no stream is held open meanwhile.
func TestListenDropsTheStreamWhileTheTargetIsAway(t *testing.T) {
	t.Parallel()
	place, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := place.Addr().String()
	place.Close()
	l := listenTo(t, "http://"+addr, listenBounds{away: 10 * time.Millisecond, stale: time.Hour})
	server := &liveServer{ended: make(chan int64, 9)}
	got := make(chan string, 9)
	stream := runListener(t, l, server, got, func() {
		if n := <-server.ended; n != 1 || server.streams.Load() != 1 {
			t.Errorf("stream %d of %d ended, want the only one", n, server.streams.Load())
		}
		back, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: target(got), ReadHeaderTimeout: deadline}
		t.Cleanup(func() { srv.Close() })
		go func() { _ = srv.Serve(back) }() // ends by Close
	})
	if stream != "2" {
		t.Errorf("forwarded what stream %s had, want 2", stream)
	}
}

// A request that waited behind others is asked for again instead of being
// forwarded with an old signature.
func TestListenAsksAgainForAStaleRequest(t *testing.T) {
	t.Parallel()
	got := make(chan string, 9)
	srv := httptest.NewServer(target(got))
	t.Cleanup(srv.Close)
	// A stream's request cannot be older than the stream, so that any age counts here.
	l := listenTo(t, srv.URL, listenBounds{away: time.Hour, stale: time.Minute})
	l.opened = time.Now().Add(-time.Hour)
	old := &client.LiveRequest{Event: "one", Method: "POST", SignedAt: time.Now().Add(-12 * time.Minute)}
	if err := l.take(t.Context(), &client.LiveMessage{Cursor: "one", Request: old}); !errors.Is(err, errStale) {
		t.Errorf("12 minutes old: %v", err)
	}
	if l.after != "start" || l.position.cursor != "" || len(got) > 0 {
		t.Errorf("it went on to %q, %q; %d requests forwarded", l.after, l.position.cursor, len(got))
	}
	l.bounds.stale = 0 // every request is, then
	server := &liveServer{ended: make(chan int64, 9)}
	again := runListener(t, l, server, got, func() {
		<-server.ended
		<-server.ended
		if len(got) > 0 {
			t.Errorf("%d requests forwarded", len(got))
		}
		got <- "asked again"
	})
	if again != "asked again" {
		t.Errorf("forwarded what stream %s had", again)
	}
}

// That the server lets a slow reader go is not told as an error; what broke for
// another reason is.
func TestListenTellsWhatBroke(t *testing.T) {
	t.Parallel()
	l := listenTo(t, "http://127.0.0.1:1", listenBounds{})
	p, _, stderr := surroundings(global{}, nil)
	l.p, l.behind = p, true
	l.lost(io.ErrUnexpectedEOF)
	if stderr.Len() > 0 || l.broken {
		t.Errorf("behind, and told: %s", stderr)
	}
	l.lost(io.ErrUnexpectedEOF)
	if !strings.Contains(stderr.String(), "the connection to the server broke") {
		t.Errorf("not told: %q", stderr)
	}
}
