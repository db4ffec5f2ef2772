package egress_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/egress"
	"grapnel/internal/hostile"
)

// connectProxy is a forward proxy that does what CONNECT asks for, and notes
// what it was asked.
type connectProxy struct {
	url    *url.URL
	auth   string // wanted in Proxy-Authorization; "" for none
	answer string // instead of connecting; "" to connect

	mu      sync.Mutex
	targets []string
	conns   int
}

func startProxy(t *testing.T, p *connectProxy, cfg *tls.Config) *connectProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.url = &url.URL{Scheme: "http", Host: l.Addr().String()}
	if cfg != nil {
		p.url.Scheme, l = "https", tls.NewListener(l, cfg)
	}
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	running.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { p.serve(ctx, nc) })
		}
	})
	t.Cleanup(func() { l.Close(); cancel(); running.Wait() })
	return p
}

func (p *connectProxy) serve(ctx context.Context, nc net.Conn) {
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	p.mu.Lock()
	p.conns++
	p.mu.Unlock()
	req, err := http.ReadRequest(bufio.NewReader(nc))
	if err != nil {
		return
	}
	p.mu.Lock()
	p.targets = append(p.targets, req.Method+" "+req.RequestURI+" "+req.Host)
	p.mu.Unlock()
	switch {
	case p.answer == "silence":
		<-ctx.Done()
		return
	case p.answer != "":
		io.WriteString(nc, p.answer)
		return
	case p.auth != "" && req.Header.Get("Proxy-Authorization") != p.auth:
		io.WriteString(nc, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
		return
	}
	out, err := net.Dial("tcp", req.RequestURI)
	if err != nil {
		io.WriteString(nc, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
		return
	}
	defer out.Close()
	io.WriteString(nc, "HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
	go func() { io.Copy(out, nc); out.Close() }()
	io.Copy(nc, out)
}

func (p *connectProxy) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.targets...)
}

func (p *connectProxy) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns
}

// case 86: with a proxy, what is connected to is what was checked: the proxy
// gets an address, whatever the scheme, and the certificate is checked for the
// name all the same.
func TestProxy(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ca, err := hostile.NewAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	cert := func(name string, h2 bool) *tls.Config {
		cfg, err := ca.Config(name, now.Add(time.Hour), h2)
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	secure, err := hostile.ListenTLS(hostile.Always(hostile.Reply{Status: 200}), cert("hooks.example.com", false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(secure.Close)
	plain := listen(t, hostile.Always(hostile.Reply{Status: 200}))
	for _, c := range []struct {
		name, auth string
		tls        *tls.Config
	}{{"plain", "", nil}, {"over TLS", "", cert("127.0.0.1", false)}, {"with a password", "Basic dXNlcjpwYXNzOndvcmQ=", nil}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := startProxy(t, &connectProxy{auth: c.auth}, c.tls)
			cfg := egress.Config{Proxy: p.url, RootCAs: ca.Pool(), Lookup: answers("127.0.0.1")}
			if c.auth != "" {
				cfg.ProxyAuth = "user:pass:word"
			}
			client := newClient(t, cfg)
			for range 2 {
				res := client.Do(t.Context(), post("http://hooks.example.com:"+port(plain.Addr())+"/", long))
				wantClass(t, res, "")
				if res.RemoteAddr != plain.Addr().String() {
					t.Errorf("the address told is %s", res.RemoteAddr)
				}
				res = client.Do(t.Context(), post("https://hooks.example.com:"+port(secure.Addr())+"/", long))
				wantClass(t, res, "")
				if res.Proto != "HTTP/1.1" || res.TLSVersion != "TLS 1.3" {
					t.Errorf("%s over %s", res.Proto, res.TLSVersion)
				}
			}
			wantClass(t, client.Do(t.Context(), post("https://other.example.com:"+port(secure.Addr())+"/", long)), egress.ClassTLS)
			a, b := "CONNECT "+plain.Addr().String()+" "+plain.Addr().String(), "CONNECT "+secure.Addr().String()+" "+secure.Addr().String()
			if d := cmp.Diff([]string{a, b, b}, p.seen()); d != "" { // connections are used again
				t.Error(d)
			}
		})
	}
}

func port(a netip.AddrPort) string { return fmt.Sprint(a.Port()) }

// case 86, case 82: nothing that the guard denies gets as far as the proxy.
func TestProxyDoesNotDefeatTheGuard(t *testing.T) {
	t.Parallel()
	p := startProxy(t, &connectProxy{}, nil)
	own := netip.MustParseAddrPort("203.0.113.9:8080")
	var mu sync.Mutex
	turns := 0
	lookup := func(ctx context.Context, name string) ([]netip.Addr, error) {
		mu.Lock()
		defer mu.Unlock()
		switch name {
		case "rebinding.example.com.": // public when an endpoint is made, private when it is used
			if turns++; turns == 1 {
				return answers("8.8.8.8")(ctx, name)
			}
			return answers("10.0.0.1")(ctx, name)
		case "mixed.example.com.":
			return answers("8.8.8.8", "192.168.1.1")(ctx, name)
		case "metadata.example.com.":
			return answers("169.254.169.254")(ctx, name)
		case "mapped.example.com.":
			return answers("::ffff:127.0.0.1")(ctx, name)
		}
		return answers("127.0.0.1")(ctx, name)
	}
	c, err := egress.New(egress.Config{Proxy: p.url, Lookup: lookup, Self: func() []netip.AddrPort { return []netip.AddrPort{own} }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if addrs, err := lookup(t.Context(), "rebinding.example.com."); err != nil || !addrs[0].IsGlobalUnicast() {
		t.Fatal(addrs, err)
	}
	targets := []string{
		"http://127.0.0.1/", "http://localhost/", "http://" + p.url.Host + "/", "https://[::1]/", "http://10.0.0.1:3128/", "http://169.254.169.254/latest/meta-data/",
		"http://[::ffff:169.254.169.254]/", "http://[64:ff9b::a9fe:a9fe]/", "http://0.0.0.0/", "http://rebinding.example.com/", "https://mixed.example.com/",
		"http://metadata.example.com/", "http://mapped.example.com/", "http://loopback.example.com/", "http://8.8.8.8:25/", "http://" + own.String() + "/",
	}
	for _, a := range deniedAddrs()[:200] {
		targets = append(targets, "http://"+netip.AddrPortFrom(a, 80).String()+"/")
	}
	for _, target := range targets {
		res := c.Do(t.Context(), post(target, long))
		if res.Class != egress.ClassBlocked && res.Class != egress.ClassRequest {
			t.Errorf("%s: class %q, %s", target, res.Class, res.Detail)
		}
	}
	if n := p.connections(); n != 0 {
		t.Errorf("%d connections reached the proxy: %v", n, p.seen())
	}
}

// What goes wrong at the proxy is told without telling where it is, and logged once.
func TestProxyFailures(t *testing.T) {
	t.Parallel()
	s := listen(t, hostile.Always(hostile.Reply{Status: 200}))
	for name, c := range map[string]struct {
		answer, auth string
		class, word  string
		logged       bool
	}{
		"wants a password":     {"", "Basic x", egress.ClassConnect, "refused the connection (status 407)", true},
		"forbids":              {"HTTP/1.1 403 Forbidden\r\nContent-Length: 100000\r\n\r\nno", "", egress.ClassConnect, "refused the connection (status 403)", true},
		"finds nobody":         {"HTTP/1.1 502 Bad Gateway\r\n\r\n", "", egress.ClassConnect, "could not connect to the host", false},
		"gives up":             {"HTTP/1.1 504 Gateway Timeout\r\n\r\n", "", egress.ClassTimeoutConnect, "in time", false},
		"is none":              {"SSH-2.0-OpenSSH_9.9\r\n", "", egress.ClassConnect, "did not answer CONNECT", true},
		"closes":               {" ", "", egress.ClassConnect, "did not answer CONNECT", true},
		"talks without end":    {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20), "", egress.ClassConnect, "did not answer CONNECT", true},
		"answers for the host": {"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", egress.ClassProtocol, "before it was asked", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			p := startProxy(t, &connectProxy{answer: c.answer, auth: c.auth}, nil)
			client := newClient(t, egress.Config{Proxy: p.url, ProxyAuth: "user:hunter2", Logger: slog.New(slog.NewTextHandler(&log, nil))})
			for range 2 {
				res := client.Do(t.Context(), post(s.URL("/"), long))
				wantClass(t, res, c.class)
				if !strings.Contains(res.Detail, c.word) || strings.Contains(res.Detail, p.url.Host) {
					t.Errorf("detail %q, want %q", res.Detail, c.word)
				}
			}
			if n := strings.Count(log.String(), "level=ERROR"); (n == 1) != c.logged || strings.Contains(log.String(), "hunter2") {
				t.Errorf("%d lines: %s", n, log.String())
			}
		})
	}
	if s.Conns() != 0 {
		t.Error("the endpoint was reached without the proxy")
	}
}

func TestProxyUnreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	s := listen(t, hostile.Always(hostile.Reply{Status: 200}))
	res := newClient(t, egress.Config{Proxy: &url.URL{Scheme: "http", Host: l.Addr().String()}}).Do(t.Context(), post(s.URL("/"), long))
	wantClass(t, res, egress.ClassConnect)
	if res.Detail != "the server's egress proxy cannot be reached" || s.Conns() != 0 {
		t.Errorf("%s, %d connections", res.Detail, s.Conns())
	}
	silent := startProxy(t, &connectProxy{answer: "silence"}, nil)
	c := newClient(t, egress.Config{Proxy: silent.url})
	wantClass(t, c.Do(t.Context(), post(s.URL("/"), short)), egress.ClassTimeoutConnect)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantClass(t, c.Do(ctx, post(s.URL("/"), long)), egress.ClassCanceled)
}

func TestProxyURL(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"socks5://127.0.0.1:1080", "127.0.0.1:3128", "http://", "//proxy"} {
		u, err := url.Parse(raw)
		if err != nil {
			continue
		}
		if c, err := egress.New(egress.Config{Proxy: u}); err == nil {
			c.Close()
			t.Errorf("%s is taken", raw)
		}
	}
}
