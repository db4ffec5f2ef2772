package serve_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"grapnel/client"
	"grapnel/internal/config"
	"grapnel/internal/inbox"
	"grapnel/internal/keyring"
	"grapnel/internal/serve"
)

// ask sends a request with a key, as if a proxy had taken it from an address.
func ask(t *testing.T, s *serve.Server, method, path, key, from, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Authorization", "Bearer "+key)
	if from != "" {
		req.Header.Set("X-Forwarded-For", from)
	}
	req.Header.Set("Expect", "100-continue") // what is refused before its body is not sent
	res, err := (&http.Transport{ExpectContinueTimeout: time.Minute}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

// The limits of the settings reach the parts that keep them.
func TestLimits(t *testing.T) {
	t.Parallel()
	cfg := settings(t, t.TempDir())
	cfg.AdminKey = "gk_given_by_the_test"
	cfg.TrustedProxies = []string{"127.0.0.0/8"}
	cfg.RateLimit, cfg.RateBurst = config.Rate{N: 1, Per: time.Hour}, 5
	cfg.FailedKeyLimit = config.Rate{N: 2, Per: time.Hour}
	cfg.MaxEndpoints, cfg.MaxBatchSize, cfg.MaxEventSize = 1, 64<<10, 1<<10
	s, _ := start(t, serve.Config{Settings: cfg})
	admin := func(method, path, body string) *http.Response {
		t.Helper()
		return ask(t, s, method, path, cfg.AdminKey, "198.51.100.1", body)
	}
	for i, c := range []struct {
		method, path, body string
		want               int
		left               string
	}{
		{"PUT", "/v1/tenants/acme", "{}", 201, `"key";r=4;t=3600`},
		{"POST", "/v1/tenants/acme/endpoints", `{"url":"https://example.com/"}`, 201, `"key";r=3;t=7200`},
		{"POST", "/v1/tenants/acme/endpoints", `{"url":"https://example.com/"}`, 409, `"key";r=2;t=10800`},
		{"POST", "/v1/events", `[` + strings.Repeat(" ", 66<<10) + `]`, 413, `"key";r=1;t=14400`},
		{"GET", "/v1/tenants", "", 200, `"key";r=0;t=18000`},
		{"GET", "/v1/tenants", "", 429, `"key";r=0;t=18000`},
	} {
		res := admin(c.method, c.path, c.body)
		if res.StatusCode != c.want || res.Header.Get("RateLimit") != c.left || res.Header.Get("RateLimit-Policy") != `"key";q=5;w=18000` {
			t.Errorf("%d: %d, %v; want %d", i, res.StatusCode, res.Header, c.want)
		}
	}
	for i, c := range []struct {
		from string
		want int
	}{{"198.51.100.7", 401}, {"198.51.100.7", 401}, {"198.51.100.7", 429}, {"198.51.100.8", 401}} {
		if res := ask(t, s, "GET", "/v1/tenants", "gk_wrong", c.from, ""); res.StatusCode != c.want {
			t.Errorf("%d, from %s: %d, want %d", i, c.from, res.StatusCode, c.want)
		}
	}
}

// A file with the key for secrets is used and not written to.
func TestSecretKeyFile(t *testing.T) {
	t.Parallel()
	cfg := settings(t, t.TempDir())
	cfg.SecretKeyFile = filepath.Join(t.TempDir(), "key")
	text := []byte("# made by the test\n" + keyring.NewKey() + "\n")
	put(t, cfg.SecretKeyFile, text)
	start(t, serve.Config{Settings: cfg})
	if _, err := os.Stat(filepath.Join(cfg.Data, "secret.key")); err == nil {
		t.Error("another key was made")
	}
	if now, err := os.ReadFile(cfg.SecretKeyFile); err != nil || string(now) != string(text) {
		t.Errorf("%v, %q", err, now)
	}
}

// case 86: with --egress-proxy a delivery reaches its endpoint through the
// proxy, and not without it.
func TestEgressProxy(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			asked.Add(1)
			go forward(in)
		}
	}()
	box, target, addr := receiver(t, inbox.Reply{})
	cfg := settings(t, t.TempDir())
	cfg.EgressProxy, cfg.ProxyAuth = "http://"+l.Addr().String(), "user:password"
	_, c := start(t, serve.Config{Settings: cfg, Exempt: []netip.AddrPort{addr}})
	if _, err := c.PutTenant(t.Context(), "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set(target)}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Publish(t.Context(), "acme", client.Event{Type: "user.created", Data: json.RawMessage(`{}`)}); err != nil {
		t.Fatal(err)
	}
	await(t, "the delivery", func() bool { return len(box.Requests()) == 1 })
	if asked.Load() != 1 {
		t.Errorf("the proxy was asked %d times", asked.Load())
	}
}

// forward does what one CONNECT asks for.
func forward(in net.Conn) {
	defer in.Close()
	req, err := http.ReadRequest(bufio.NewReader(in))
	if err != nil || req.Method != http.MethodConnect || req.Header.Get("Proxy-Authorization") != "Basic dXNlcjpwYXNzd29yZA==" {
		fmt.Fprint(in, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
		return
	}
	out, err := net.Dial("tcp", req.RequestURI)
	if err != nil {
		return
	}
	defer out.Close()
	fmt.Fprint(in, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(out, in); out.Close() }() // until either side ends
	_, _ = io.Copy(in, out)
}
