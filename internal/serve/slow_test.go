package serve_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/client"
	"grapnel/internal/config"
	"grapnel/internal/serve"
	"grapnel/internal/store/eithertest"
)

// pipes is a network of pipes, which a bubble of virtual time can hold.
type pipes struct {
	conns chan net.Conn
	over  chan struct{}
	once  sync.Once
}

// Accept takes a connection.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.over:
		return nil, net.ErrClosed
	}
}

// Close ends it.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.over) })
	return nil
}

// Addr is made up.
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.over:
		return nil, net.ErrClosed
	}
}

// slow is a kind of caller that takes its time.
type slow struct {
	name string
	n    int
	call func(c net.Conn) // until nothing can be written any more
	ends time.Duration    // after the connection was made
}

// drip writes a text and then one byte a second.
func drip(text, then string) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
		for {
			time.Sleep(time.Second)
			if _, err := io.WriteString(c, then); err != nil {
				return
			}
		}
	}
}

// case 63a: callers that say nothing, or send their headers or bodies byte by byte, or read
// no answers, or announce much and send nothing of it, lose their connections when their
// time is over, and not before. Until then, nobody else waits, although they have keys and
// take all the memory that one tenant may.
func TestSlowCallers(t *testing.T) {
	t.Parallel()
	eithertest.OnlySQLite(t, "its answers come in virtual time")
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{conns: make(chan net.Conn), over: make(chan struct{})}
		cfg := settings(t, t.TempDir())
		cfg.RequestTimeout, cfg.IdleTimeout = config.Duration(time.Minute), config.Duration(2*time.Minute)
		s, err := serve.New(t.Context(), serve.Config{Settings: cfg, Listener: p, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{DialContext: p.dial}
		c, err := client.New(client.Config{URL: "http://server", Key: string(s.AdminKey()), HTTP: &http.Client{Transport: transport}, Retries: -1})
		if err != nil {
			t.Fatal(err)
		}
		for _, tenant := range []string{"slow", "acme"} {
			if _, err := c.PutTenant(t.Context(), tenant, client.TenantInput{}); err != nil {
				t.Fatal(err)
			}
		}
		publish := "POST /v1/tenants/slow/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + string(s.AdminKey()) + "\r\n"
		wrong := slowCallers(t, p, []slow{
			{"silent", 30, func(net.Conn) {}, 10 * time.Second},
			{"slow with its first line", 30, drip("GET /v1/", "x"), 10 * time.Second},
			{"slow with its headers", 30, drip("GET /livez HTTP/1.1\r\nHost: a\r\n", "X: y\r\n"), 10 * time.Second},
			{"slow with its body", 30, drip(publish+"Content-Length: 1000\r\n\r\n{", " "), time.Minute},
			{"slow with its chunks", 30, drip(publish+"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", "1\r\n \r\n"), time.Minute},
			{"greedy", 150, drip(publish+"Content-Length: 1000000\r\n\r\n{", " "), time.Minute},
			{"idle", 30, func(c net.Conn) { io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n") }, 2 * time.Minute},
		})
		for range 150 {
			begin := time.Now()
			if _, err := c.Publish(t.Context(), "acme", client.Event{Type: "a", Data: json.RawMessage("1")}); err != nil {
				t.Errorf("somebody else is refused: %v", err)
			}
			if took := time.Since(begin); took > 100*time.Millisecond {
				t.Errorf("somebody else waits for %s", took)
			}
			time.Sleep(time.Second)
		}
		for _, text := range wrong() {
			t.Error(text)
		}
		for _, err := range c.Events(t.Context(), "slow", client.EventFilter{}) {
			t.Errorf("an event of the slow ones is stored, %v", err)
		}
		transport.CloseIdleConnections()
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// slowCallers connects them all. What it returns says, when all are over, which have
// ended too early or too late.
func slowCallers(t *testing.T, p *pipes, kinds []slow) (wrong func() []string) {
	t.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex
	faults := map[string]int{}
	for _, kind := range kinds {
		for range kind.n {
			conn, err := p.dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			go kind.call(conn)
			all.Go(func() {
				_, _ = io.Copy(io.Discard, bufio.NewReader(conn)) // it ends when the server closes it
				took := time.Since(begin)
				conn.Close()
				refused := kind.name == "greedy" && took < 2*time.Second // for others of the tenant have all of its share
				if (took < kind.ends || took > kind.ends+2*time.Second) && !refused {
					mu.Lock()
					defer mu.Unlock()
					faults[fmt.Sprintf("%s: over after %s, want %s", kind.name, took.Round(time.Second), kind.ends)]++
				}
			})
		}
	}
	return func() (out []string) {
		all.Wait()
		for text, n := range faults {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%d of those %s", n, text)))
		}
		return out
	}
}
