package egress_test

import (
	"crypto/tls"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/hostile"

	"golang.org/x/net/http2"
)

const bodyLimit = 64 << 10

func TestZoo(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		behave    hostile.Behaviour
		timeout   time.Duration
		class     string
		status    int
		truncated bool
	}{
		{"case 37: endless body", hostile.EndlessBody(), long, "", 200, true},
		{"case 38: dripping body after 200", hostile.DripBody(200, time.Millisecond), short, "", 200, true},
		{"case 38: dripping body after 500", hostile.DripBody(500, time.Millisecond), short, egress.ClassTimeoutBody, 500, true},
		{"case 39: never answers", hostile.NeverAnswer(), short, egress.ClassTimeoutHeader, 0, false},
		{"case 39: silent after the request", hostile.Silent(), short, egress.ClassTimeoutHeader, 0, false},
		{"case 39: dripping header", hostile.DripHeader(time.Millisecond), short, egress.ClassTimeoutHeader, 0, false},
		{"case 40: endless headers", hostile.EndlessHeaders(), long, egress.ClassProtocol, 0, false},
		{"case 41: flood of 100", hostile.Informational(100), long, egress.ClassProtocol, 0, false},
		{"case 41: flood of 102", hostile.Informational(102), long, egress.ClassProtocol, 0, false},
		{"case 41: flood of 103", hostile.Informational(103), long, egress.ClassProtocol, 0, false},
		{"case 42: 101", hostile.SwitchProtocols(false), long, egress.ClassProtocol, 101, false},
		{"case 42: 101 with upgrade", hostile.SwitchProtocols(true), long, egress.ClassProtocol, 101, false},
		{"case 43: gzip bomb", hostile.CompressionBomb("gzip", 20), long, "", 200, false},
		{"case 43: nested encodings", hostile.CompressionBomb("gzip, gzip, br, zstd", 200), long, "", 200, true},
		{"case 45: 302 to metadata", hostile.Redirect(302, "http://169.254.169.254/"), long, "", 302, false},
		{"case 45: 307 without location", hostile.Redirect(307, ""), long, "", 307, false},
		{"case 45: 308 to itself", hostile.Redirect(308, "/"), long, "", 308, false},
		{"case 51: gone", hostile.Gone(), long, "", 410, false},
		{"case 52: 1 MB header", hostile.HugeHeader(1 << 20), long, egress.ClassProtocol, 0, false},
		{"case 52: 10,000 headers", hostile.ManyHeaders(10_000), long, egress.ClassProtocol, 0, false},
		{"case 52: 900 headers", hostile.ManyHeaders(900), long, "", 200, false},
		{"case 52: 1,100 headers", hostile.ManyHeaders(1100), long, egress.ClassProtocol, 0, false},
		{"case 41: 16 of 103", hostile.RawOpen(strings.Repeat("HTTP/1.1 103 Wait\r\n\r\n", 16) + "HTTP/1.1 204 No Content\r\n\r\n"), long, "", 204, false},
		{"case 41: 17 of 103", hostile.RawOpen(strings.Repeat("HTTP/1.1 103 Wait\r\n\r\n", 17) + "HTTP/1.1 204 No Content\r\n\r\n"), long, egress.ClassProtocol, 0, false},
		{"case 52: binary", hostile.BinaryAnswer(), long, "", 200, false},
		{"case 53: junk after the answer", hostile.Junk("junk"), long, "", 204, false},
		{"cut off before the answer", hostile.ResetAt(0), long, egress.ClassReset, 0, false},
		{"cut off in the header", hostile.ResetAt(20), long, egress.ClassProtocol, 0, false},
		{"cut off in the body", hostile.ResetAt(hostile.ResetAnswerLen() - 1), long, "", 200, true},
		{"cut off in the request", hostile.ResetInRequest(10), long, egress.ClassReset, 0, false},
		{"body shorter than said", hostile.Raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), long, "", 200, true},
		{"body of exactly the limit", hostile.Always(hostile.Reply{Body: strings.Repeat("x", bodyLimit)}), long, "", 200, false},
		{"body over the limit by one", hostile.Always(hostile.Reply{Body: strings.Repeat("x", bodyLimit+1)}), long, "", 200, true},
		{"body until the end of the connection", hostile.Raw("HTTP/1.0 200 OK\r\n\r\n" + strings.Repeat("x", 3000)), long, "", 200, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := listen(t, tc.behave)
			c := newClient(t, egress.Config{})
			res := c.Do(t.Context(), post(s.URL("/"), tc.timeout))
			wantClass(t, res, tc.class)
			if res.Status != tc.status || res.Truncated != tc.truncated {
				t.Errorf("status %d truncated %v, want %d %v", res.Status, res.Truncated, tc.status, tc.truncated)
			}
			if len(res.Body) > bodyLimit {
				t.Errorf("%d bytes of the body were kept", len(res.Body))
			}
			if n := s.Conns(); n != 1 {
				t.Errorf("%d connections, want 1", n)
			}
			c.Close()
			waitClosed(t, s, 1)
		})
	}
}

// case 42: the connection of a 101 is closed at once, not when the client is.
func TestSwitchingProtocolsClosesTheConnection(t *testing.T) {
	t.Parallel()
	for _, upgrade := range []bool{false, true} {
		s := listen(t, hostile.SwitchProtocols(upgrade))
		wantClass(t, newClient(t, egress.Config{}).Do(t.Context(), post(s.URL("/"), long)), egress.ClassProtocol)
		waitClosed(t, s, 1)
	}
}

// case 44: no answer that breaks the rules counts, and none leaves a
// connection that is used again.
func TestBadFraming(t *testing.T) {
	t.Parallel()
	for _, f := range hostile.Framings() {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			s := listen(t, hostile.Raw(f.Answer))
			c := newClient(t, egress.Config{})
			for range 2 {
				res := c.Do(t.Context(), post(s.URL("/"), long))
				if f.Fatal && res.Class == "" {
					t.Errorf("taken for an answer: status %d, truncated %v", res.Status, res.Truncated)
				}
				if f.Fatal && res.Class != egress.ClassProtocol && res.Class != egress.ClassReset {
					t.Errorf("class %q", res.Class)
				}
			}
			for _, r := range s.Requests() {
				if f.Fatal && r.Nth > 1 {
					t.Error("the connection was used again")
				}
			}
			waitClosed(t, s, 1)
		})
	}
}

// case 53: what follows an answer is not the answer to another request.
func TestJunkIsNoAnswer(t *testing.T) {
	t.Parallel()
	s := listen(t, hostile.Junk(""))
	c := newClient(t, egress.Config{})
	for range 50 {
		res := c.Do(t.Context(), post(s.URL("/"), short))
		if res.Class == "" && res.Status != http.StatusNoContent {
			t.Errorf("junk was taken for an answer: status %d, body %q", res.Status, res.Body)
		}
	}
}

// case 52: what an endpoint sends is kept byte for byte.
func TestBinaryAnswerIsKept(t *testing.T) {
	t.Parallel()
	res := newClient(t, egress.Config{}).Do(t.Context(), post(listen(t, hostile.BinaryAnswer()).URL("/"), long))
	if got := string(res.Body); got != "a\x00b\xff\xfe\xc3(" {
		t.Errorf("body %q", got)
	}
	if got := res.Header.Get("X-Binary"); got != "a\xff\xfeb\x80" {
		t.Errorf("header %q", got)
	}
}

// case 39: no answer to the SYN, and a TLS handshake that does not end, each
// under its own limit and under the whole deadline.
func TestConnectTimeouts(t *testing.T) {
	t.Parallel()
	hole, stop, err := hostile.Blackhole()
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(stop)
	hang := listen(t, hostile.NeverAnswer())
	limited := newClient(t, egress.Config{ConnectTimeout: short, TLSTimeout: short})
	plain := newClient(t, egress.Config{})
	for _, tc := range []struct {
		name    string
		c       *egress.Client
		url     string
		timeout time.Duration
		class   string
	}{
		{"connect limit", limited, "http://" + hole.String(), long, egress.ClassTimeoutConnect},
		{"connect, whole deadline", plain, "http://" + hole.String(), short, egress.ClassTimeoutConnect},
		{"TLS limit", limited, "https://" + hang.Addr().String(), long, egress.ClassTimeoutTLS},
		{"TLS, whole deadline", plain, "https://" + hang.Addr().String(), short, egress.ClassTimeoutTLS},
	} {
		res := tc.c.Do(t.Context(), post(tc.url, tc.timeout))
		if res.Class != tc.class {
			t.Errorf("%s: class %q (%s), want %q", tc.name, res.Class, res.Detail, tc.class)
		}
		if res.RequestHeader != nil {
			t.Errorf("%s: a header was sent", tc.name)
		}
	}
}

// case 47
func TestSlowReader(t *testing.T) {
	t.Parallel()
	s := listen(t, hostile.SlowReader(time.Millisecond))
	r := post(s.URL("/"), time.Second)
	r.Body = make([]byte, 32<<20)
	wantClass(t, newClient(t, egress.Config{}).Do(t.Context(), r), egress.ClassTimeoutWrite)
}

// case 49
func TestTLSFailures(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ca, err := hostile.NewAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	other, err := hostile.NewAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	config := func(a *hostile.Authority, host string, until time.Duration) *tls.Config {
		cfg, err := a.Config(host, now.Add(until), false)
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	old := config(ca, "127.0.0.1", time.Hour)
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	client := config(ca, "127.0.0.1", time.Hour)
	client.ClientAuth = tls.RequireAnyClientCert
	for _, tc := range []struct {
		name  string
		cfg   *tls.Config
		words string
	}{
		{"expired", config(ca, "127.0.0.1", -time.Hour), "expired"},
		{"wrong name", config(ca, "example.com", time.Hour), "another name"},
		{"unknown CA", config(other, "127.0.0.1", time.Hour), "unknown authority"},
		{"TLS 1.1", old, "version"},
		{"client certificate wanted", client, "certificate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, err := hostile.ListenTLS(hostile.Always(hostile.Reply{}), tc.cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			res := newClient(t, egress.Config{RootCAs: ca.Pool()}).Do(t.Context(), post(s.URL("/"), long))
			wantClass(t, res, egress.ClassTLS)
			if !strings.Contains(res.Detail, tc.words) {
				t.Errorf("%q does not say %q", res.Detail, tc.words)
			}
			if len(s.Requests()) != 0 {
				t.Error("the request was sent")
			}
		})
	}
	t.Run("no TLS there", func(t *testing.T) {
		t.Parallel()
		s := listen(t, func(c *hostile.Conn) {
			c.Send("SSH-2.0-OpenSSH_9.6\r\n")
			c.Hang()
		})
		wantClass(t, newClient(t, egress.Config{}).Do(t.Context(), post("https://"+s.Addr().String(), long)), egress.ClassTLS)
	})
}

// case 48: an HTTP/2 endpoint that misbehaves fails its attempt, and only
// once.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		timeout time.Duration
		class   string
		status  int
		react   func(f *http2.Framer, stream uint32) bool
	}{
		{"answers", long, "", 204, func(f *http2.Framer, s uint32) bool { return hostile.HTTP2Status(f, s, "204") == nil }},
		{"status 999", long, egress.ClassProtocol, 999, func(f *http2.Framer, s uint32) bool { return hostile.HTTP2Status(f, s, "999") == nil }},
		{"resets the stream", long, egress.ClassProtocol, 0, func(f *http2.Framer, s uint32) bool { return f.WriteRSTStream(s, http2.ErrCodeInternal) == nil }},
		{"refuses the stream", long, egress.ClassProtocol, 0, func(f *http2.Framer, s uint32) bool { return f.WriteRSTStream(s, http2.ErrCodeRefusedStream) == nil }},
		{"blames the protocol", long, egress.ClassProtocol, 0, func(f *http2.Framer, s uint32) bool { return f.WriteRSTStream(s, http2.ErrCodeProtocol) == nil }},
		{"goes away", long, egress.ClassReset, 0, func(f *http2.Framer, _ uint32) bool {
			f.WriteGoAway(0, http2.ErrCodeInternal, nil) // takes none of our streams
			return false
		}},
		{"falls silent", short, egress.ClassTimeoutHeader, 0, func(*http2.Framer, uint32) bool { return false }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			seen := make(chan uint32, 100)
			s, c := listenTLS(t, hostile.HTTP2(func(f *http2.Framer, stream uint32) bool {
				seen <- stream
				return tc.react(f, stream)
			}), true, nil)
			res := c.Do(t.Context(), post(s.URL("/"), tc.timeout))
			wantClass(t, res, tc.class)
			if res.Status != tc.status {
				t.Errorf("status %d, want %d", res.Status, tc.status)
			}
			if res.TLSVersion != "TLS 1.3" || !strings.Contains(string(res.RequestHeader), "\r\ncontent-type: application/json\r\n") {
				t.Errorf("%q with the header %q", res.TLSVersion, res.RequestHeader)
			}
			if len(seen) != 1 {
				t.Errorf("the endpoint saw %d requests", len(seen))
			}
		})
	}
}

// Over TLS a request that asks for HTTP/1.1 gets it, from a server that would
// rather speak HTTP/2.
func TestHTTP1Only(t *testing.T) {
	t.Parallel()
	s, c := listenTLS(t, hostile.Always(hostile.Reply{Status: 201}), true, nil)
	r := post(s.URL("/"), long)
	r.HTTP1 = true
	r.Header = append(r.Header, hook.Header{Name: "x-MiXeD", Value: "1"})
	for i := range 3 {
		res := c.Do(t.Context(), r)
		wantClass(t, res, "")
		if res.Proto != "HTTP/1.1" || res.Status != http.StatusCreated || res.Reused != (i > 0) {
			t.Errorf("%s, status %d, reused %v", res.Proto, res.Status, res.Reused)
		}
	}
	if got := s.Requests()[0].Head; !strings.Contains(got, "\r\nx-MiXeD: 1\r\n") {
		t.Errorf("sent %q", got)
	}
}

// case 54: thousands of failures of every kind leave nothing behind. It is not
// parallel, for it counts what this process has open. (goleak looks at the
// goroutines when all tests are over.)
func TestFailuresLeaveNothing(t *testing.T) {
	const each = 60
	open := openFiles(t)
	for _, b := range []hostile.Behaviour{
		hostile.EndlessBody(), hostile.EndlessHeaders(), hostile.SwitchProtocols(true), hostile.Raw("nonsense\r\n"), hostile.ResetAt(0),
		hostile.ResetAt(30), hostile.ResetReused(0), hostile.CloseReused(), hostile.Raw("HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"),
		hostile.Informational(103), hostile.Junk("junk"), hostile.Junk(""), hostile.ResetInRequest(10), hostile.HugeHeader(1 << 17),
		hostile.AnswerEarly(10, "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n", false),
	} {
		for s, c := range plainAndTLS(t, b) {
			for i := range each {
				r := post(s.URL("/"), long)
				if i%10 == 0 {
					r.Body = make([]byte, 1<<20)
				}
				c.Do(t.Context(), r)
			}
			c.Close()
			waitClosed(t, s, 1)
			s.Close()
		}
	}
	if now := openFiles(t); now > open+2 { // what the runtime opens for itself
		t.Errorf("%d files are open, %d were", now, open)
	}
}

// openFiles counts the open files of this process, where that can be seen.
func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Log(err)
	}
	return len(files)
}
