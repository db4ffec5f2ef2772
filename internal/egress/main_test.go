package egress_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/hostile"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if scheme := os.Getenv(receiverEnv); scheme != "" {
		serveReceiver(scheme)
		return
	}
	if os.Getenv(habitatEnv) != "" {
		if err := serveHabitat(); err != nil {
			log.Fatal(err)
		}
		return
	}
	log.SetOutput(io.Discard) // what net/http says about the zoo; TestLogWriter looks at it
	goleak.VerifyTestMain(m)
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// newClient makes a client that may dial loopback, unless cfg says something
// else.
func newClient(t testing.TB, cfg egress.Config) *egress.Client {
	t.Helper()
	if cfg.Allow == nil {
		cfg.Allow = loopback
	}
	c, err := egress.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func listen(t testing.TB, b hostile.Behaviour) *hostile.Server {
	t.Helper()
	s, err := hostile.Listen(b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// listenTLS starts a server with a certificate for 127.0.0.1 and gives the
// client that trusts it.
func listenTLS(t testing.TB, b hostile.Behaviour, h2 bool, change func(*tls.Config)) (*hostile.Server, *egress.Client) {
	t.Helper()
	now := time.Now()
	ca, err := hostile.NewAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := ca.Config("127.0.0.1", now.Add(time.Hour), h2)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(cfg)
	}
	s, err := hostile.ListenTLS(b, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, newClient(t, egress.Config{RootCAs: ca.Pool()})
}

// long is a deadline that no test reaches unless something is broken.
const long = 30 * time.Second

// short is a deadline that a test waits for.
const short = 300 * time.Millisecond

func post(url string, timeout time.Duration) *egress.Request {
	return &egress.Request{
		Method: "POST", URL: url, Body: []byte(`{"a":1}`), Timeout: timeout,
		Header: []hook.Header{{Name: "Content-Type", Value: "application/json"}},
	}
}

// wantClass checks how an attempt ended. want is a class, or "" for an answer.
func wantClass(t testing.TB, res *egress.Result, want string) {
	t.Helper()
	if res.Class != want {
		t.Errorf("class %q (%s, status %d), want %q", res.Class, res.Detail, res.Status, want)
	}
	if res.Class != "" && res.Detail == "" {
		t.Error("a failure without words")
	}
	if strings.ContainsFunc(res.Detail, func(r rune) bool { return r < ' ' }) {
		t.Errorf("control characters in %q", res.Detail)
	}
	if res.Timing.Total > long {
		t.Errorf("took %v", res.Timing.Total)
	}
}

// waitClosed waits until the server has no connection left.
func waitClosed(t testing.TB, s *hostile.Server, conns int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	if err := s.WaitClosed(ctx, conns); err != nil {
		t.Error(err)
	}
}
