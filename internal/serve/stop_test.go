package serve_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"grapnel/client"
	"grapnel/internal/config"
	"grapnel/internal/serve"
	"grapnel/internal/testaid"
)

// slowReceiver answers the first request when it is released, all others at
// once, and counts requests by their event.
type slowReceiver struct {
	began, release chan struct{} // the first request has come; may be answered

	mu   sync.Mutex
	seen map[string]int
}

func (r *slowReceiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.seen[req.Header.Get("webhook-id")]++
	first := len(r.seen) == 1 && r.seen[req.Header.Get("webhook-id")] == 1
	r.mu.Unlock()
	if first {
		close(r.began)
		select {
		case <-r.release:
		case <-req.Context().Done(): // broken off
		}
	}
}

func (r *slowReceiver) count(event string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[event]
}

// halfSent publishes an event over a connection of its own, but for the end of
// its body.
type halfSent struct {
	net.Conn
	rest string
}

func sendHalf(t *testing.T, s *serve.Server, key string) *halfSent {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	const body = `{"type":"late","data":{}}`
	// 100-continue tells when the handler has begun to read.
	fmt.Fprintf(conn, "POST /v1/tenants/acme/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", key, len(body))
	line, err := bufio.NewReader(io.LimitReader(conn, int64(len("HTTP/1.1 100 Continue\r\n\r\n")))).ReadString('\n')
	if err != nil || !strings.Contains(line, "100") {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := io.WriteString(conn, body[:10]); err != nil {
		t.Fatal(err)
	}
	return &halfSent{conn, body[10:]}
}

// finish sends the rest and reads the answer.
func (h *halfSent) finish(t *testing.T) (status int, id string) {
	t.Helper()
	if _, err := io.WriteString(h, h.rest); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(h), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct{ ID string }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, answer.ID
}

// drainable is a server with a request under way to its endpoint, another
// event behind that, and a publish whose body is sent half.
type drainable struct {
	*slowReceiver
	cfg     serve.Config
	server  *serve.Server
	events  []string
	half    *halfSent
	stopped chan error
	log     *testaid.Buffer
}

func newDrainable(t *testing.T, drain time.Duration) *drainable {
	t.Helper()
	d := &drainable{slowReceiver: &slowReceiver{began: make(chan struct{}), release: make(chan struct{}), seen: map[string]int{}}, stopped: make(chan error, 1), log: &testaid.Buffer{}}
	receiver := httptest.NewServer(d.slowReceiver)
	t.Cleanup(receiver.Close)
	u, err := url.Parse(receiver.URL)
	if err != nil {
		t.Fatal(err)
	}
	d.cfg = serve.Config{Settings: settings(t, t.TempDir()), Exempt: []netip.AddrPort{netip.MustParseAddrPort(u.Host)}, Logger: slog.New(slog.NewTextHandler(d.log, nil)), Now: time.Now}
	d.cfg.Settings.Drain, d.cfg.Settings.AdminKey = config.Duration(drain), "gk_given_by_the_test"
	if d.server, err = serve.New(t.Context(), d.cfg); err != nil {
		t.Fatal(err)
	}
	if err := d.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := dial(t, d.server, d.cfg.Settings.AdminKey)
	if _, err := c.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set(receiver.URL)}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r, err := c.Publish(t.Context(), "acme", client.Event{Type: "user.created", Data: json.RawMessage(`{}`)})
		if err != nil {
			t.Fatal(err)
		}
		d.events = append(d.events, r.ID)
	}
	<-d.began
	d.half = sendHalf(t, d.server, d.cfg.Settings.AdminKey)
	return d
}

// stop begins to stop the server, and returns when it takes nothing more.
func (d *drainable) stop(t *testing.T, limit time.Duration) {
	t.Helper()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		d.stopped <- d.server.Stop(ctx)
	}()
	await(t, "the server to stop taking requests", func() bool {
		code, _ := testaid.Get(t, d.server.URL()+"/readyz")
		return code == 503
	})
}

// next starts a server in the same folder and waits until it has delivered all
// events. None of them may have come twice.
func (d *drainable) next(t *testing.T, events ...string) {
	t.Helper()
	start(t, d.cfg)
	for _, id := range events {
		await(t, "event "+id, func() bool { return d.count(id) > 0 })
	}
	for _, id := range events {
		if n := d.count(id); n != 1 {
			t.Errorf("event %s was sent %d times", id, n)
		}
	}
}

// case 12: a body that does not come takes no time from the attempts that are
// running. None is broken off, so nothing is sent twice.
func TestStopIsNotHeldUpByABody(t *testing.T) {
	t.Parallel()
	d := newDrainable(t, 100*time.Millisecond)
	d.stop(t, 2*time.Second)
	over := false
	await(t, "the end of the gate's share", func() bool {
		over = over || len(d.stopped) > 0
		return over || strings.Contains(d.log.String(), "requests are not complete")
	})
	if over {
		t.Error("the attempt that was running got no time")
	}
	close(d.release)
	if err := <-d.stopped; err != nil {
		t.Error(err)
	}
	d.next(t, d.events...)
}

// case 12: what is accepted while the server stops is sent by the next one.
func TestStopKeepsWhatComesLate(t *testing.T) {
	t.Parallel()
	d := newDrainable(t, 4*time.Minute)
	d.stop(t, time.Minute)
	status, late := d.half.finish(t)
	if status != 202 {
		t.Errorf("the publish that had begun got %d", status)
	}
	close(d.release)
	if err := <-d.stopped; err != nil {
		t.Error(err)
	}
	d.next(t, append(d.events, late)...)
}

// A live stream does not hold up the end, and ends in order.
func TestStopEndsStreams(t *testing.T) {
	t.Parallel()
	s, err := serve.New(t.Context(), serve.Config{Settings: settings(t, t.TempDir()), Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := dial(t, s, string(s.AdminKey()))
	if _, err := c.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	greeted := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		for m, err := range c.Requests(t.Context(), "acme", client.RequestsFilter{}) {
			switch {
			case err != nil:
				ended <- err
				return
			case m.Hello != nil:
				close(greeted)
			case m.Lost != nil:
				ended <- m.Lost
				return
			}
		}
	}()
	<-greeted
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "the server ended the stream") {
		t.Errorf("the stream ended with %v", err)
	}
}

// brokenListener fails as soon as a connection is waited for.
type brokenListener struct{ net.Listener }

func (l brokenListener) Accept() (net.Conn, error) { return nil, errors.New("broken") }

// However many parts fail, and though nobody listens, the server can be
// stopped.
func TestStopAfterFailures(t *testing.T) {
	t.Parallel()
	var log testaid.Buffer
	cfg := serve.Config{Settings: settings(t, t.TempDir()), Logger: slog.New(slog.NewTextHandler(&log, nil)), Now: time.Now}
	cfg.Settings.AdminListen = "127.0.0.1:0"
	for _, to := range []*net.Listener{&cfg.Listener, &cfg.AdminListener} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		*to = brokenListener{l}
	}
	s, err := serve.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "both to fail", func() bool { return strings.Contains(log.String(), "one more reason") })
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-s.Failed(); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("got %v", err)
	}
}
