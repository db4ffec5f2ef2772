package egress_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/hostile"

	"github.com/google/go-cmp/cmp"
)

// What leaves is what the caller gave and Host and Content-Length, nothing
// more (cases 43, 46), and RequestHeader tells it to the byte.
func TestRequestOnTheWire(t *testing.T) {
	t.Parallel()
	s := listen(t, hostile.Always(hostile.Reply{Status: 202, Header: []hostile.Field{{Name: "X-Answer", Value: "1"}, {Name: "X-Answer", Value: "2"}}, Body: "thanks"}))
	c := newClient(t, egress.Config{})
	for _, tc := range []struct {
		name   string
		header []hook.Header
		want   string
	}{
		{"nothing", nil, ""},
		{"exact case and order of values", []hook.Header{
			{Name: "x-zeta", Value: "3"}, {Name: "X-HTTP-Signature", Value: "a"}, {Name: "webhook-id", Value: "id"}, {Name: "x-zeta", Value: "1"}, {Name: "x-zeta", Value: "2"},
		}, "X-HTTP-Signature: a\r\nwebhook-id: id\r\nx-zeta: 3\r\nx-zeta: 1\r\nx-zeta: 2\r\n"},
		{"empty and padded values", []hook.Header{{Name: "A", Value: ""}, {Name: "B", Value: " b "}}, "A: \r\nB: b\r\n"},
		{"other case of User-Agent", []hook.Header{{Name: "user-agent", Value: "me"}}, "user-agent: me\r\n"},
	} {
		r := post(s.URL("/p%2Fq?x=1&y"), long)
		r.Header = tc.header
		res := c.Do(t.Context(), r)
		wantClass(t, res, "")
		seen := s.Requests()
		got := seen[len(seen)-1]
		want := "Host: " + s.Addr().String() + "\r\nContent-Length: 7\r\n" + tc.want
		if d := cmp.Diff("POST /p%2Fq?x=1&y HTTP/1.1\r\n"+want, got.Head); d != "" {
			t.Errorf("%s: %s", tc.name, d)
		}
		if d := cmp.Diff(want, string(res.RequestHeader)); d != "" {
			t.Errorf("%s: RequestHeader: %s", tc.name, d)
		}
		if !bytes.Equal(got.Body, r.Body) {
			t.Errorf("%s: body %q", tc.name, got.Body)
		}
		if string(res.Body) != "thanks" || len(res.Header["X-Answer"]) != 2 || res.Truncated {
			t.Errorf("%s: answer %v %q", tc.name, res.Header, res.Body)
		}
	}
	r := post(s.URL("/"), long)
	r.Header = []hook.Header{{Name: "Z", Value: "z"}, {Name: "User-Agent", Value: "Grapnel/1"}}
	want := "Host: " + s.Addr().String() + "\r\nUser-Agent: Grapnel/1\r\nContent-Length: 7\r\nZ: z\r\n"
	if d := cmp.Diff(want, string(c.Do(t.Context(), r).RequestHeader)); d != "" {
		t.Error(d)
	}
	if seen := s.Requests(); !strings.HasSuffix(seen[len(seen)-1].Head, want) {
		t.Errorf("sent %q", seen[len(seen)-1].Head)
	}
}

// Methods and empty bodies have their own framing.
func TestMethods(t *testing.T) {
	t.Parallel()
	s := listen(t, hostile.Always(hostile.Reply{Status: 204}))
	c := newClient(t, egress.Config{})
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "GET", "OPTIONS"} {
		for _, body := range []string{"", "{}"} {
			r := post(s.URL("/"), long)
			r.Method, r.Body = method, []byte(body)
			res := c.Do(t.Context(), r)
			wantClass(t, res, "")
			seen := s.Requests()
			got := seen[len(seen)-1]
			if _, lines, _ := strings.Cut(got.Head, "\r\n"); lines != string(res.RequestHeader) || got.Method != method || string(got.Body) != body {
				t.Errorf("%s %q: sent %q, told %q", method, body, got.Head, res.RequestHeader)
			}
		}
	}
}

// case 75: what would spoil the framing, or make the transport send twice, is
// refused before anything is dialled.
func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	s := listen(t, hostile.Always(hostile.Reply{}))
	c := newClient(t, egress.Config{})
	for _, h := range []hook.Header{
		{Name: "Host", Value: "x"}, {Name: "content-length", Value: "1"}, {Name: "Transfer-Encoding", Value: "chunked"}, {Name: "Connection", Value: "close"},
		{Name: "Expect", Value: "100-continue"}, {Name: "upgrade", Value: "h2c"}, {Name: "TE", Value: "trailers"}, {Name: "Trailer", Value: "X"},
		{Name: "Proxy-Authorization", Value: "x"}, {Name: "Idempotency-Key", Value: "x"}, {Name: "x-idempotency-key", Value: "x"},
		{Name: "X", Value: "a\r\nb"}, {Name: "X", Value: "a\x00b"}, {Name: "X Y", Value: "a"}, {Name: "", Value: "a"}, {Name: "X:", Value: "a"}, {Name: "X\n", Value: ""},
	} {
		r := post(s.URL("/"), long)
		r.Header = []hook.Header{h}
		if res := c.Do(t.Context(), r); res.Class != egress.ClassRequest {
			t.Errorf("header %q: class %q", h, res.Class)
		}
	}
	for _, method := range []string{"", "PO ST", "POST\r\n"} {
		r := post(s.URL("/"), long)
		r.Method = method
		if res := c.Do(t.Context(), r); res.Class != egress.ClassRequest {
			t.Errorf("method %q: class %q", method, res.Class)
		}
	}
	if res := c.Do(t.Context(), post("ftp://x", long)); res.Class != egress.ClassRequest {
		t.Errorf("ftp: class %q", res.Class)
	}
	if s.Conns() != 0 {
		t.Error("something was dialled")
	}
}

// case 9: whatever breaks, on fresh and on used connections, the endpoint
// sees each request once at most, and each time once that it was read.
func TestNoHiddenResend(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]hostile.Behaviour{
		"close after the second request": hostile.CloseReused(), "reset at 0 on a used connection": hostile.ResetReused(0),
		"reset at 10 on a used connection": hostile.ResetReused(10), "reset in the body on a used connection": hostile.ResetReused(hostile.ResetAnswerLen() - 1),
		"reset at 0": hostile.ResetAt(0), "reset at 10": hostile.ResetAt(10), "junk": hostile.Junk(""),
	} {
		for _, method := range []string{"POST", "GET"} {
			for _, body := range []string{"", "{}"} {
				t.Run(name+" "+method+body, func(t *testing.T) {
					t.Parallel()
					s := listen(t, b)
					c := newClient(t, egress.Config{})
					const calls = 12
					for range calls {
						r := post(s.URL("/"), short)
						r.Method, r.Body = method, []byte(body)
						c.Do(t.Context(), r)
					}
					c.Close()
					waitClosed(t, s, 1)
					// Junk may close a used connection while a request is on its
					// way out, so fewer can arrive; more never.
					if n := len(s.Requests()); n > calls || n < calls && name != "junk" {
						t.Errorf("the endpoint saw %d requests for %d calls", n, calls)
					}
				})
			}
		}
	}
}

// Phases, reuse and TLS are told for fresh and used connections.
func TestTiming(t *testing.T) {
	t.Parallel()
	s, c := listenTLS(t, hostile.Always(hostile.Reply{Body: "ok"}), false, nil)
	first, second := c.Do(t.Context(), post(s.URL("/"), long)), c.Do(t.Context(), post(s.URL("/"), long))
	for _, res := range []*egress.Result{first, second} {
		wantClass(t, res, "")
		tm := res.Timing
		if res.RemoteAddr != s.Addr().String() || res.TLSVersion != "TLS 1.3" || res.Proto != "HTTP/1.1" || res.At.IsZero() {
			t.Errorf("%q %q %q", res.RemoteAddr, res.TLSVersion, res.Proto)
		}
		if tm.Wait <= 0 || tm.Total < tm.DNS+tm.Connect+tm.TLS+tm.Wait+tm.Body {
			t.Errorf("%+v", tm)
		}
	}
	if tm := first.Timing; first.Reused || tm.Connect <= 0 || tm.TLS <= 0 {
		t.Errorf("fresh: %+v", tm)
	}
	if tm := second.Timing; !second.Reused || tm.DNS+tm.Connect+tm.TLS != 0 {
		t.Errorf("used: %+v", tm)
	}
}

func TestRefusedConnection(t *testing.T) {
	t.Parallel()
	s := listen(t, hostile.NeverAnswer())
	url, addr := s.URL("/"), s.Addr().String()
	s.Close()
	res := newClient(t, egress.Config{}).Do(t.Context(), post(url, long))
	wantClass(t, res, egress.ClassRefused)
	if res.RemoteAddr != addr || res.RequestHeader != nil {
		t.Errorf("%q, header %q", res.RemoteAddr, res.RequestHeader)
	}
}

// A handshake that the other side breaks off is told apart from a bad
// certificate.
func TestClosedInHandshake(t *testing.T) {
	t.Parallel()
	s := listen(t, hostile.ResetInRequest(1))
	wantClass(t, newClient(t, egress.Config{}).Do(t.Context(), post("https://"+s.Addr().String(), long)), egress.ClassReset)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := listen(t, func(c *hostile.Conn) {
		c.ReadRequest()
		cancel()
		c.Hang()
	})
	c := newClient(t, egress.Config{})
	wantClass(t, c.Do(ctx, post(s.URL("/"), long)), egress.ClassCanceled)
	wantClass(t, c.Do(ctx, post(s.URL("/"), long)), egress.ClassCanceled)
	waitClosed(t, s, 1)
}

// Closing gives up the connections that are being made.
func TestCloseEndsDials(t *testing.T) {
	t.Parallel()
	c := newClient(t, egress.Config{})
	s := listen(t, func(hc *hostile.Conn) { // a handshake that never ends
		c.Close()
		hc.Hang()
	})
	wantClass(t, c.Do(t.Context(), post("https://"+s.Addr().String(), long)), egress.ClassCanceled)
	waitClosed(t, s, 1)
}

// Unused connections are capped.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	const at, kept = 8, 2
	gate := make(chan struct{})
	arrived := make(chan struct{}, at)
	s := listen(t, hostile.Answer(func(*hostile.Request) hostile.Reply {
		arrived <- struct{}{}
		<-gate
		return hostile.Reply{Status: 204}
	}))
	c := newClient(t, egress.Config{MaxIdlePerHost: kept})
	done := make(chan struct{})
	for range at {
		go func() {
			defer func() { done <- struct{}{} }()
			c.Do(t.Context(), post(s.URL("/"), long))
		}()
	}
	for range at {
		<-arrived
	}
	close(gate)
	for range at {
		<-done
	}
	// One after the other now: at most the kept ones are there to be used.
	before := s.Conns()
	reused := 0
	for range at {
		if c.Do(t.Context(), post(s.URL("/"), long)).Reused {
			reused++
		}
	}
	if before != at || reused != at || s.Conns() != at {
		t.Errorf("%d connections, then %d of %d reused, then %d connections", before, reused, at, s.Conns())
	}
	c.Close()
	waitClosed(t, s, at)
}

// case 86: not parallel, for it sets the environment.
func TestProxyOfEnvironmentIsIgnored(t *testing.T) {
	proxy := listen(t, hostile.Always(hostile.Reply{Status: 418}))
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL(""))
	}
	t.Setenv("NO_PROXY", "")
	s := listen(t, hostile.Always(hostile.Reply{Status: http.StatusOK}))
	c := newClient(t, egress.Config{Lookup: answers("127.0.0.1"), TLSTimeout: short})
	_, port, _ := strings.Cut(s.Addr().String(), ":")
	res := c.Do(t.Context(), post("http://hooks.example.com:"+port+"/", long))
	wantClass(t, res, "")
	c.Do(t.Context(), post("https://hooks.example.com:"+port+"/", long))
	if res.Status != http.StatusOK || proxy.Conns() != 0 {
		t.Errorf("status %d, %d connections to the proxy", res.Status, proxy.Conns())
	}
}

// case 53: not parallel, for it turns the standard logger.
func TestLogWriter(t *testing.T) {
	lines := make(chan string, 100)
	logger := slog.New(slog.NewJSONHandler(lineWriter(lines), nil))
	old := log.Writer()
	log.SetOutput(egress.LogWriter(logger))
	defer log.SetOutput(old)
	log.Printf("Unsolicited response starting with %s", "evil\x1b[31m\nline")
	if line := <-lines; !strings.Contains(line, "Unsolicited response") || strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\x1b\n") {
		t.Errorf("logged %q", line)
	}
	for range 1000 {
		log.Print(strings.Repeat("x", 10_000) + "\xff")
	}
	if n := len(lines); n > 20 {
		t.Errorf("%d lines of 1,000 were logged", n)
	}
	for len(lines) > 0 {
		if line := <-lines; len(line) > 600 {
			t.Errorf("a line of %d bytes was logged", len(line))
		}
	}
}

type lineWriter chan string

// Write passes a line on.
func (w lineWriter) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}

// A server name is sent and checked for names; addresses have none.
func TestServerName(t *testing.T) {
	t.Parallel()
	names := make(chan string, 10)
	s, _ := listenTLS(t, hostile.Always(hostile.Reply{}), false, func(cfg *tls.Config) {
		cfg.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			names <- h.ServerName
			return nil, nil
		}
	})
	c := newClient(t, egress.Config{Lookup: answers("127.0.0.1")})
	_, port, _ := strings.Cut(s.Addr().String(), ":")
	c.Do(t.Context(), post("https://Hooks.Example.com.:"+port+"/", long))
	if got := <-names; got != "hooks.example.com" {
		t.Errorf("server name %q", got)
	}
}
