package egress

import (
	"crypto/tls"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/hostile"
)

// kept is a connection of a pool's that notes when it is closed.
type kept struct {
	net.Conn
	closed bool
}

// Close only notes it.
func (k *kept) Close() error {
	k.closed = true
	return nil
}

func newKept(addr string) *conn { return &conn{stream: &kept{}, key: poolKey{addr: addr}} }

func isClosed(c *conn) bool { return c.stream.(*kept).closed }

// The connection that was used last is taken first, only by requests of its
// kind, and there are never more than the limits say.
func TestPool(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPool(3, 5, time.Minute)
		var all []*conn
		for _, addr := range []string{"a", "a", "a", "a", "b", "b", "c"} {
			c := newKept(addr)
			all = append(all, c)
			p.put(c, time.Now())
			time.Sleep(time.Second)
		}
		// The fourth of a is one too many of a, and the first too many in all.
		for i, c := range all {
			if want := i == 0 || i == 3; isClosed(c) != want {
				t.Errorf("connection %d: closed %v", i, isClosed(c))
			}
		}
		for _, other := range []poolKey{{addr: "d"}, {addr: "a", https: true}, {addr: "a", http1: true}, {}} {
			if p.take(other) != nil {
				t.Errorf("%+v gets a connection", other)
			}
		}
		for _, want := range []struct {
			addr string
			conn *conn
		}{{"b", all[5]}, {"a", all[2]}, {"a", all[1]}, {"a", nil}, {"b", all[4]}, {"b", nil}, {"c", all[6]}, {"c", nil}} {
			if got := p.take(poolKey{addr: want.addr}); got != want.conn {
				t.Errorf("%s: connection %d, want %d", want.addr, slices.Index(all, got), slices.Index(all, want.conn))
			}
		}
		if p.size != 0 || len(p.idle) != 0 || p.oldest != nil || p.newest != nil {
			t.Errorf("%+v is left", p)
		}
		p.close()
	})
}

// Connections go when they were unused for the timeout, each by its own time,
// and all when the pool is closed.
func TestPoolSweeps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPool(10, 10, time.Minute)
		first, second, third := newKept("a"), newKept("b"), newKept("a")
		p.put(first, time.Now())
		time.Sleep(30 * time.Second)
		p.put(second, time.Now())
		p.put(third, time.Now())
		if p.take(third.key) != third {
			t.Fatal("another connection was taken")
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if !isClosed(first) || isClosed(second) {
			t.Errorf("after a minute: %v, %v", isClosed(first), isClosed(second))
		}
		p.put(third, time.Now())
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if !isClosed(second) || isClosed(third) {
			t.Errorf("after a minute and a half: %v, %v", isClosed(second), isClosed(third))
		}
		p.close()
		if !isClosed(third) || p.size != 0 {
			t.Error("closing the pool leaves connections")
		}
		late := newKept("a")
		p.put(late, time.Now())
		if !isClosed(late) || p.take(late.key) != nil {
			t.Error("a closed pool keeps a connection")
		}
	})
}

// What TLS sends for itself after the handshake does not make a connection
// unusable; what the endpoint says, and its end, does.
func TestUsable(t *testing.T) {
	t.Parallel()
	ca, err := hostile.NewAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13, portable} {
		for name, tc := range map[string]struct {
			say  func(*tls.Conn)
			want bool
		}{
			"nothing":          {func(*tls.Conn) {}, true},
			"more than wanted": {func(c *tls.Conn) { io.WriteString(c, "x") }, false},
			"good-bye":         {func(c *tls.Conn) { c.CloseWrite() }, false},
			"the end":          {func(c *tls.Conn) { c.NetConn().Close() }, false},
		} {
			cfg, err := ca.Config("127.0.0.1", time.Now().Add(time.Hour), false)
			if err != nil {
				t.Fatal(err)
			}
			cfg.MaxVersion = version &^ portable
			c, server := tlsPair(t, cfg, &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1", ClientSessionCache: tls.NewLRUClientSessionCache(1)})
			if version == portable {
				c.socket.raw = nil
			}
			tc.say(server)
			if !tc.want {
				for begin := time.Now(); c.usable(); time.Sleep(time.Millisecond) { // it may not have arrived yet
					if time.Since(begin) > 10*time.Second {
						t.Fatalf("TLS %#x: still usable though the endpoint says %s", version, name)
					}
				}
				continue
			}
			for range 2 {
				if !c.usable() {
					t.Errorf("TLS %#x: not usable though the endpoint says %s", version, name)
				}
			}
			c.socket.SetDeadline(time.Time{})
			io.WriteString(server, "hello")
			b := make([]byte, 5)
			if _, err := io.ReadFull(c.stream, b); err != nil || string(b) != "hello" {
				t.Errorf("TLS %#x: then read %q, %v", version, b, err)
			}
		}
	}
}

// portable stands for the newest version of TLS over a socket that cannot be
// asked without waiting.
const portable = 1 << 15

// tlsPair makes a connection between two sides that have shaken hands. With
// TLS 1.3 the client has not read the server's session tickets yet.
func tlsPair(t *testing.T, serverCfg, clientCfg *tls.Config) (*conn, *tls.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s := newSocket(nc)
	client, server := tls.Client(s, clientCfg), tls.Server(other, serverCfg)
	t.Cleanup(func() { nc.Close(); other.Close() })
	done := make(chan error)
	go func() { done <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return &conn{Conn: s, stream: client, socket: s}, server
}

// talker is a stream that says something whenever it is asked.
type talker struct {
	net.Conn
	wrote bool
}

func (s *talker) Read(p []byte) (int, error) { return copy(p, "HTTP/1.1 200 OK\r\n\r\n"), nil }

func (s *talker) Write(p []byte) (int, error) {
	s.wrote = true
	return len(p), nil
}

// case 53: what is said on a new connection before the request is no answer to
// it, and the request is not sent.
func TestEndpointThatSpeaksFirst(t *testing.T) {
	t.Parallel()
	c, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	target, problem := parseTarget("http://a.example/")
	if problem != nil {
		t.Fatal(problem)
	}
	ours, theirs := net.Pipe()
	defer theirs.Close()
	s := &talker{Conn: ours}
	a := &attempt{ctx: t.Context(), deadline: time.Now().Add(time.Hour), request: &Request{Method: "POST"}, target: target, result: &Result{}}
	c.exchange(a, &conn{Conn: ours, stream: s, socket: newSocket(ours), remote: "192.0.2.1:80"})
	if res := a.result; res.Class != ClassProtocol || res.Status != 0 || res.RemoteAddr == "" || s.wrote {
		t.Errorf("wrote %v, %+v", s.wrote, res)
	}
	if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection is not closed: %v", err)
	}
}
