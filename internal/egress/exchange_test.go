package egress_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"grapnel/internal/egress"
	"grapnel/internal/hostile"

	"golang.org/x/net/http2"
)

// plainAndTLS starts a server without TLS and one with it, each with a client
// that may use it.
func plainAndTLS(t *testing.T, b hostile.Behaviour) map[*hostile.Server]*egress.Client {
	secure, trusting := listenTLS(t, b, false, nil)
	return map[*hostile.Server]*egress.Client{listen(t, b): newClient(t, egress.Config{}), secure: trusting}
}

// A connection is used again exactly when the answer was whole, nobody said
// close, and nothing followed.
func TestReuse(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, method, answer string
		status               int
		body                 string
		reused               bool
	}{
		{"content-length", "POST", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", true},
		{"close", "POST", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", 200, "ok", false},
		{"close among others", "POST", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, Close\r\n\r\nok", 200, "ok", false},
		{"HTTP/1.0", "POST", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false},
		{"HTTP/1.0 kept alive", "POST", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", 200, "ok", true},
		{"chunked", "POST", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\no\r\n1\r\nk\r\n0\r\n\r\n", 200, "ok", true},
		{"trailers", "POST", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n", 200, "ok", true},
		{"body over the limit", "POST", "HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + strings.Repeat("x", 70000), 200, strings.Repeat("x", bodyLimit), false},
		{"204", "POST", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", true},
		{"204 with a length", "POST", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", 204, "", true},
		{"204 with a body", "POST", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", 204, "", false},
		{"304 with a length", "POST", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, "", true},
		{"HEAD with a length", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, "", true},
		{"HEAD with a body", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "", false},
		{"GET", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", true},
		{"100 and 103 before it", "POST", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", true},
		{"two answers", "POST", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 200, "ok", false},
		{"empty line after it", "POST", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n", 200, "ok", false},
		{"redirect", "POST", "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", 302, "", true},
		{"failure", "POST", "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno", 500, "no", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			answering := func(c *hostile.Conn) {
				for {
					if _, err := c.ReadRequest(); err != nil || !c.Send(tc.answer) {
						return
					}
				}
			}
			for s, c := range plainAndTLS(t, answering) {
				for i := range 3 {
					r := post(s.URL("/"), long)
					r.Method = tc.method
					res := c.Do(t.Context(), r)
					wantClass(t, res, "")
					if res.Status != tc.status || string(res.Body) != tc.body {
						t.Errorf("status %d, %d bytes", res.Status, len(res.Body))
					}
					if res.Reused != (i > 0 && tc.reused) {
						t.Errorf("%s, request %d: reused %v", s.URL(""), i+1, res.Reused)
					}
				}
			}
		})
	}
}

// An endpoint that closes a connection, without having said so, before the
// next request costs that nothing.
func TestStaleConnection(t *testing.T) {
	t.Parallel()
	for _, b := range []hostile.Behaviour{
		hostile.Raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
		hostile.ResetAt(hostile.ResetAnswerLen()),
	} {
		for s, c := range plainAndTLS(t, b) {
			for i := range 20 {
				res := c.Do(t.Context(), post(s.URL("/"), long))
				wantClass(t, res, "")
				if res.Reused || res.Status != http.StatusOK {
					t.Errorf("reused %v, status %d", res.Reused, res.Status)
				}
				waitClosed(t, s, i+1)
			}
		}
	}
}

// case 53: what an endpoint says between two requests is no answer to the
// second one, and that goes over a connection of its own.
func TestJunkBetweenRequests(t *testing.T) {
	t.Parallel()
	junk := make(chan string)
	sent := make(chan struct{})
	behave := func(c *hostile.Conn) {
		for {
			if _, err := c.ReadRequest(); err != nil || !c.Send("HTTP/1.1 204 No Content\r\n\r\n") {
				return
			}
			if c.Number == 1 {
				c.Send(<-junk)
				sent <- struct{}{}
			}
		}
	}
	for _, text := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 408 Request Timeout\r\n\r\n", "x", "\x00", "\r\n"} {
		for s, c := range plainAndTLS(t, behave) {
			wantClass(t, c.Do(t.Context(), post(s.URL("/"), long)), "")
			junk <- text
			<-sent
			for i := range 2 {
				res := c.Do(t.Context(), post(s.URL("/"), long))
				wantClass(t, res, "")
				if res.Status != http.StatusNoContent || res.Reused != (i == 1) {
					t.Errorf("%q: status %d, reused %v", text, res.Status, res.Reused)
				}
			}
			if s.Conns() != 2 {
				t.Errorf("%d connections", s.Conns())
			}
		}
	}
}

// An endpoint may answer a long request before it has read it, whether it goes
// on reading, stops or closes. The answer counts, the connection is given up.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	const refusal = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno"
	for name, b := range map[string]hostile.Behaviour{
		"and holds":                  hostile.AnswerEarly(100, refusal, true),
		"and closes":                 hostile.AnswerEarly(100, refusal, false),
		"before anything, and holds": hostile.AnswerEarly(1, refusal, true),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for s, c := range plainAndTLS(t, b) {
				for range 3 {
					r := post(s.URL("/"), long)
					r.Body = make([]byte, 16<<20)
					res := c.Do(t.Context(), r)
					wantClass(t, res, "")
					if res.Status != http.StatusRequestEntityTooLarge || string(res.Body) != "no" || res.Reused || res.Timing.Wait != 0 {
						t.Errorf("status %d, body %q, reused %v, waited %v", res.Status, res.Body, res.Reused, res.Timing.Wait)
					}
					if res.Timing.Total > long/2 {
						t.Errorf("took %v", res.Timing.Total)
					}
				}
			}
		})
	}
}

// Long bodies arrive whole, and leave connections that can be used again.
func TestLongBodies(t *testing.T) {
	t.Parallel()
	for s, c := range plainAndTLS(t, hostile.Always(hostile.Reply{Body: "ok"})) {
		for i, size := range []int{1, 16<<10 - 200, 16<<10 - 100, 16 << 10, 16<<10 + 1, 100_000, 5 << 20} {
			r := post(s.URL("/"), long)
			r.Body = []byte(strings.Repeat("0123456789", size/10+1)[:size])
			res := c.Do(t.Context(), r)
			wantClass(t, res, "")
			if got := s.Requests()[i]; string(got.Body) != string(r.Body) {
				t.Errorf("%d bytes of %d arrived, or others", len(got.Body), size)
			}
			if res.Reused != (i > 0) || res.Status != http.StatusOK {
				t.Errorf("%d bytes: reused %v, status %d", size, res.Reused, res.Status)
			}
		}
	}
}

// case 47, over TLS: giving a connection up does not wait for room to say
// good-bye in.
func TestSlowReaderOverTLS(t *testing.T) {
	t.Parallel()
	s, c := listenTLS(t, hostile.SlowReader(10*time.Millisecond), false, nil)
	r := post(s.URL("/"), time.Second)
	r.Body = make([]byte, 32<<20)
	res := c.Do(t.Context(), r)
	wantClass(t, res, egress.ClassTimeoutWrite)
	if res.Timing.Total > 4*time.Second {
		t.Errorf("took %v", res.Timing.Total)
	}
}

// Connections stay with their target: scheme, host and port, and what was
// offered in the handshake (case 88).
func TestConnectionsStayWithTheirTarget(t *testing.T) {
	t.Parallel()
	s := listen(t, hostile.Always(hostile.Reply{Status: 204}))
	c := newClient(t, egress.Config{Lookup: answers("127.0.0.1")})
	at := ":" + port(s.Addr()) + "/"
	for i, host := range []string{"a.example.com", "b.example.com", "127.0.0.1", "localhost"} {
		for j, url := range []string{"http://" + host + at, "http://" + strings.ToUpper(host) + at + "path?query"} {
			res := c.Do(t.Context(), post(url, long))
			wantClass(t, res, "")
			if res.Reused != (j == 1) || s.Conns() != i+1 {
				t.Errorf("%s: reused %v, %d connections", url, res.Reused, s.Conns())
			}
			seen := s.Requests()
			if got := seen[len(seen)-1].Get("Host"); got != host+strings.TrimSuffix(at, "/") {
				t.Errorf("the host asked for is %q", got)
			}
		}
	}
}

// Calling an attempt off ends it in every phase of its life.
func TestCancelInEachPhase(t *testing.T) {
	t.Parallel()
	silent := listen(t, hostile.Silent())
	slow := listen(t, hostile.SlowReader(time.Millisecond))
	drip := listen(t, hostile.DripBody(500, time.Millisecond))
	deaf := listen(t, hostile.NeverAnswer())
	stuck := func(ctx context.Context, _ string) ([]netip.Addr, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for name, tc := range map[string]struct {
		url    string
		body   int
		lookup func(context.Context, string) ([]netip.Addr, error)
	}{
		"DNS":    {"http://x.example.com/", 1, stuck},
		"TLS":    {"https://" + deaf.Addr().String() + "/", 1, nil},
		"write":  {slow.URL("/"), 32 << 20, nil},
		"header": {silent.URL("/"), 1, nil},
		"body":   {drip.URL("/"), 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			stop := time.AfterFunc(short, cancel)
			defer stop.Stop()
			r := post(tc.url, long)
			r.Body = make([]byte, tc.body)
			res := newClient(t, egress.Config{Lookup: tc.lookup}).Do(ctx, r)
			wantClass(t, res, egress.ClassCanceled)
			if res.Timing.Total > long/2 {
				t.Errorf("took %v", res.Timing.Total)
			}
		})
	}
}

// An attempt that is called off as it ends does no harm to the next one, which
// may have its connection.
func TestLateCancelHurtsNobody(t *testing.T) {
	t.Parallel()
	s := listen(t, hostile.Always(hostile.Reply{Status: 204}))
	c := newClient(t, egress.Config{})
	for range 1000 {
		ctx, cancel := context.WithCancel(t.Context())
		stop := time.AfterFunc(time.Duration(rand.IntN(int(300*time.Microsecond))), cancel)
		if res := c.Do(ctx, post(s.URL("/"), long)); res.Class != "" && res.Class != egress.ClassCanceled {
			t.Fatalf("class %q", res.Class)
		}
		if res := c.Do(t.Context(), post(s.URL("/"), long)); res.Class != "" {
			t.Fatalf("class %q for an attempt that nobody called off: %s", res.Class, res.Detail)
		}
		stop.Stop()
		cancel()
	}
}

// The connection that found out that an endpoint speaks HTTP/2 carries the
// first request, and those that follow.
func TestHTTP2TakesTheConnectionOver(t *testing.T) {
	t.Parallel()
	s, c := listenTLS(t, hostile.HTTP2(func(f *http2.Framer, stream uint32) bool {
		return hostile.HTTP2Status(f, stream, "204") == nil
	}), true, nil)
	for i := range 5 {
		res := c.Do(t.Context(), post(s.URL("/"), long))
		wantClass(t, res, "")
		if res.Proto != "HTTP/2.0" || res.Reused != (i > 0) || s.Conns() != 1 || (res.Timing.TLS > 0) != (i == 0) {
			t.Errorf("%s, reused %v, %d connections, %+v", res.Proto, res.Reused, s.Conns(), res.Timing)
		}
	}
	// Without a body it goes by HTTP/1.1, which this endpoint does not speak.
	r := post(s.URL("/"), short)
	r.Body = nil
	if res := c.Do(t.Context(), r); res.Class == "" || strings.Contains(string(res.RequestHeader), "host:") {
		t.Errorf("class %q, sent %q", res.Class, res.RequestHeader)
	}
	c.Close()
	waitClosed(t, s, 2)
}

// An endpoint that stops speaking HTTP/2 gets HTTP/1.1, over the connection
// that found it out, and one that begins to gets that.
func TestHTTP2ComesAndGoes(t *testing.T) {
	t.Parallel()
	var newer atomic.Bool
	both := hostile.HTTP2(func(f *http2.Framer, stream uint32) bool {
		return f.WriteGoAway(stream, http2.ErrCodeNo, nil) == nil && hostile.HTTP2Status(f, stream, "202") == nil
	})
	s, c := listenTLS(t, func(c *hostile.Conn) {
		if c.Conn.(*tls.Conn).ConnectionState().NegotiatedProtocol == "h2" {
			both(c)
			return
		}
		hostile.Answer(func(r *hostile.Request) hostile.Reply { return hostile.Reply{Status: 203, Close: r.Nth == 2} })(c)
	}, true, func(cfg *tls.Config) {
		old := cfg.Clone()
		old.NextProtos = []string{"http/1.1"}
		cfg.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			if newer.Load() {
				return nil, nil
			}
			return old, nil
		}
	})
	for i, want := range []struct {
		newer        bool
		proto        string
		reused       bool
		status, conn int
	}{
		{false, "HTTP/1.1", false, 203, 1},
		{true, "HTTP/1.1", true, 203, 1}, // and closed
		{true, "HTTP/2.0", false, 202, 2},
		{true, "HTTP/2.0", false, 202, 3}, // remembered, though the connection went away
		{false, "HTTP/1.1", false, 203, 4},
		{false, "HTTP/1.1", true, 203, 4},
	} {
		newer.Store(want.newer)
		res := c.Do(t.Context(), post(s.URL("/"), long))
		wantClass(t, res, "")
		got := fmt.Sprint(res.Proto, res.Reused, res.Status, s.Conns())
		if got != fmt.Sprint(want.proto, want.reused, want.status, want.conn) {
			t.Errorf("request %d: %s, want %+v", i+1, got, want)
		}
		if lower := strings.Contains(string(res.RequestHeader), "content-type"); lower != (want.proto == "HTTP/2.0") {
			t.Errorf("request %d: told %q", i+1, res.RequestHeader)
		}
	}
	c.Close()
	waitClosed(t, s, 4)
}

// Whatever becomes of other attempts, an attempt gets the answer to its own
// request.
func TestAnswersAreOnesOwn(t *testing.T) {
	t.Parallel()
	for s, c := range plainAndTLS(t, hostile.Answer(func(r *hostile.Request) hostile.Reply {
		return hostile.Reply{Body: string(r.Body), Delay: time.Duration(rand.IntN(3)) * time.Millisecond, Close: rand.IntN(10) == 0}
	})) {
		var running sync.WaitGroup
		var answered atomic.Int64
		for worker := range 16 {
			running.Go(func() {
				for i := range 60 {
					ctx, cancel := context.WithCancel(t.Context())
					patience := time.Duration(rand.IntN(8)) * time.Millisecond
					if i%4 == 0 {
						patience = time.Hour // on a slow machine too, some are answered
					}
					stop := time.AfterFunc(patience, cancel)
					r := post(s.URL("/"), long)
					r.Body = []byte(strings.Repeat(fmt.Sprintf("%d %d ", worker, i), 1+i%3*2000))
					res := c.Do(ctx, r)
					stop.Stop()
					cancel()
					switch {
					case res.Class == "" && !res.Truncated && string(res.Body) != string(r.Body):
						t.Errorf("%d bytes were answered by %d others", len(r.Body), len(res.Body))
					case res.Class == "":
						answered.Add(1)
					case res.Class != egress.ClassCanceled || patience == time.Hour:
						t.Errorf("class %q: %s", res.Class, res.Detail)
					}
				}
			})
		}
		running.Wait()
		if answered.Load() == 0 {
			t.Error("nothing was answered")
		}
	}
}

// Who waits is told when nothing is left to do but that: for a new connection,
// for the answer once the request is out, and for the goroutines of HTTP/2.
func TestWaits(t *testing.T) {
	t.Parallel()
	const connection, answer, others = true, false, true
	read := make(chan struct{}, 1)
	slow := hostile.Answer(func(*hostile.Request) hostile.Reply {
		read <- struct{}{}
		return hostile.Reply{Status: 204}
	})
	told := func(c *egress.Client, url string, want ...bool) {
		t.Helper()
		var got []bool
		r := post(url, long)
		r.Waits = func(long bool) {
			got = append(got, long)
			if long == answer {
				<-read // it is not told before the request is out
			}
		}
		c.Do(t.Context(), r)
		if !slices.Equal(got, want) {
			t.Errorf("%s: told %v, want %v", url, got, want)
		}
	}
	for s, c := range plainAndTLS(t, slow) {
		told(c, s.URL("/"), connection, answer)
		told(c, s.URL("/"), answer)
	}
	s, c := listenTLS(t, hostile.HTTP2(func(f *http2.Framer, stream uint32) bool {
		return hostile.HTTP2Status(f, stream, "204") == nil
	}), true, nil)
	told(c, s.URL("/"), connection, others)
	told(c, s.URL("/"), others)
	s.Close()
	told(newClient(t, egress.Config{}), s.URL("/"), connection)
	told(newClient(t, egress.Config{}), "http://a b/")
}
