package pgproxy

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Direction is one of the two ways, or both.
type Direction uint8

// The directions.
const (
	ToServer Direction = 1 << iota
	ToClient
	Both = ToServer | ToClient
)

// Proxy passes connections on to one server.
type Proxy struct {
	listener net.Listener
	server   string
	running  sync.WaitGroup

	mu     sync.Mutex
	conns  map[*conn]bool
	held   [2]chan struct{} // nil: that way is open; closed when it is open again
	delay  time.Duration
	mute   bool
	cuts   []*cut
	late   []*conn // which have a statement that is to be delivered late
	closed bool
}

// Start starts a proxy on a free loopback port, before the server at an address.
func Start(server string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("pgproxy: %w", err)
	}
	p := &Proxy{listener: l, server: server, conns: map[*conn]bool{}}
	p.running.Go(p.accept)
	return p, nil
}

// Before starts a proxy before the server of a database's URL, and returns the URL
// that leads through it.
func Before(database string) (*Proxy, string, error) {
	u, err := url.Parse(database)
	if err != nil {
		return nil, "", fmt.Errorf("pgproxy: %w", err)
	}
	p, err := Start(u.Host)
	if err != nil {
		return nil, "", err
	}
	u.Host = p.Addr()
	return p, u.String(), nil
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Hold makes a black hole: what is said in that direction is kept back, connections
// stay as they are, and new ones get no answer. Nobody is told.
func (p *Proxy) Hold(d Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.held {
		if d>>i&1 == 1 && p.held[i] == nil {
			p.held[i] = make(chan struct{})
		}
	}
}

// Release ends Hold. What was kept back goes on, as it does in a network that heals,
// even if its sender has given it up meanwhile.
func (p *Proxy) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, held := range p.held {
		if held != nil {
			close(held)
			p.held[i] = nil
		}
	}
}

// Delay has every answer wait for so long, that of a connection's start as well.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Mute says whether notifications are dropped, as a pooler drops them (case 33).
func (p *Proxy) Mute(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = on
}

// Drop closes all connections. New ones are taken.
func (p *Proxy) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.close()
	}
}

// Close ends the proxy and all its connections.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.listener.Close()
	p.Release()
	p.Drop()
	p.running.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(client) })
	}
}

// serve connects a client with the server, until either ends.
func (p *Proxy) serve(client net.Conn) {
	c := &conn{proxy: p, client: client, ended: make(chan struct{}), names: map[string]string{}}
	if !p.admit(c) {
		_ = client.Close() // the proxy is going
		return
	}
	defer p.forget(c)
	defer c.close()
	if !c.pass(ToServer) {
		return
	}
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return // the client finds that its connection is closed
	}
	c.attach(server)
	p.running.Go(func() { defer c.close(); c.toClient() })
	c.toServer()
}

func (p *Proxy) admit(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
	return !p.closed
}

func (p *Proxy) forget(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	p.late = slices.DeleteFunc(p.late, func(l *conn) bool { return l == c })
}

// gate is what holds a direction up now; nil: nothing.
func (p *Proxy) gate(d Direction) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d == ToServer {
		return p.held[0]
	}
	return p.held[1]
}

func (p *Proxy) slow() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.delay
}

func (p *Proxy) muted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mute
}
