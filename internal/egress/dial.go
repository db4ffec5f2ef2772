package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// maxAddresses is how many of a name's addresses are tried.
const maxAddresses = 6

// phase is how far the making of a connection has come.
type phase int32

const (
	inDNS     phase = 1
	inConnect phase = 2
	inTLS     phase = 3
)

// progress tells others how far a dialler has come. It may be nil.
type progress struct{ phase atomic.Int32 }

func (p *progress) enter(now phase) {
	if p != nil {
		p.phase.Store(int32(now))
	}
}

// dial makes a connection to a target, with TLS if its scheme says so. http1
// says that nothing newer is to be offered, and id, which may be nil, with what
// certificates it is made. Doing the handshake here gives it a
// time limit and failures of its own.
func (c *Client) dial(ctx context.Context, t *target, id *Identity, http1 bool, deadline time.Time, p *progress) (*conn, *failure) {
	nc, f := c.dialTCP(ctx, t, deadline, p)
	if f != nil {
		return nil, f
	}
	nc.key = t.key(http1, id)
	if !t.https {
		return nc, nil
	}
	cfg, f := c.tlsConfig(id)
	if f != nil {
		nc.abandon()
		return nil, f
	}
	begin := time.Now()
	ctx, cancel := c.limit(ctx, deadline, c.cfg.TLSTimeout)
	defer cancel()
	p.enter(inTLS)
	cfg = cfg.Clone()
	cfg.ServerName, cfg.NextProtos = t.host, offered[:]
	if http1 {
		cfg.NextProtos = offered[1:]
	}
	over := tls.Client(nc, cfg)
	err := over.HandshakeContext(ctx)
	nc.took.tls = time.Since(begin)
	if err != nil {
		nc.abandon()
		return nil, handshakeFailure(nc, err)
	}
	state := over.ConnectionState()
	nc.stream, nc.tls, nc.http2 = over, tls.VersionName(state.Version), state.NegotiatedProtocol == offered[0]
	return nc, nil
}

// offered are the protocols that a TLS handshake may settle on.
var offered = [...]string{"h2", "http/1.1"}

// key says which connections may be used for requests to the target.
func (t *target) key(http1 bool, id *Identity) poolKey {
	k := poolKey{addr: t.peer, https: t.https, http1: t.https && http1}
	if id != nil {
		k.as = id.ID
	}
	return k
}

func handshakeFailure(conn *conn, err error) *failure {
	f, ok := tlsFailure(err)
	switch {
	case ok:
	case errors.Is(err, context.Canceled):
		f = &failure{class: ClassCanceled, detail: "the attempt was called off during the TLS handshake"}
	case isTimeout(err):
		f = &failure{class: ClassTimeoutTLS, detail: "the TLS handshake did not end in time"}
	case isReset(err):
		f = &failure{class: ClassReset, detail: "the host closed the connection during the TLS handshake"}
	default:
		f = &failure{class: ClassTLS, detail: "TLS failed: " + plainWords(rootCause(err))}
	}
	f.remote, f.phases = conn.remote, conn.took
	return f
}

// limit bounds a dialler's step by its own limit, by the attempt's deadline
// and by the closing of the client.
func (c *Client) limit(ctx context.Context, deadline time.Time, d time.Duration) (context.Context, context.CancelFunc) {
	end := time.Now().Add(d)
	if deadline.Before(end) {
		end = deadline
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	stop := context.AfterFunc(c.open, cancel)
	return ctx, func() { stop(); cancel() }
}

// dialTCP resolves a target's host, has every answer vetted and connects to
// one of them.
func (c *Client) dialTCP(ctx context.Context, t *target, deadline time.Time, p *progress) (*conn, *failure) {
	ctx, cancel := c.limit(ctx, deadline, c.cfg.ConnectTimeout)
	defer cancel()
	p.enter(inDNS)
	begin := time.Now()
	addrs, err := c.resolve(ctx, t.host)
	took := phases{dns: time.Since(begin)}
	if err != nil {
		f := lookupFailure(t.host, err)
		if errors.Is(ctx.Err(), context.Canceled) {
			f = &failure{class: ClassCanceled, detail: "the attempt was called off while resolving the name"}
		}
		f.phases = took
		return nil, f
	}
	for _, ip := range addrs {
		if c.guard.check(netip.AddrPortFrom(ip, t.port)) != permitted {
			f := blocked()
			f.phases = took
			return nil, f
		}
	}
	p.enter(inConnect)
	begin = time.Now()
	nc, s, remote, f := c.connect(ctx, addrs[:min(len(addrs), maxAddresses)], t.port)
	took.connect = time.Since(begin)
	if f != nil {
		f.phases = took
		return nil, f
	}
	return &conn{Conn: nc, stream: nc, socket: s, remote: remote, took: took}, nil
}

// resolve gives the addresses of a host, at least one. A literal address is
// itself, and localhost is 127.0.0.1 whatever a resolver says (RFC 6761, section
// 6.3). A name is looked up as fully qualified, so that the machine's search
// domains do not apply (case 82).
func (c *Client) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
	}
	addrs, err := c.cfg.Lookup(ctx, host+".")
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	vetted := make([]netip.Addr, len(addrs))
	for i, ip := range addrs {
		vetted[i] = ip.Unmap() // resolvers give IPv4 addresses in both forms
	}
	return vetted, nil
}

// connect tries the addresses in turn, and gives the connection, its socket
// and which one it was. Each gets its share of the time that is left, so that a
// dead first address does not use up all of it.
func (c *Client) connect(ctx context.Context, addrs []netip.Addr, port uint16) (net.Conn, *socket, string, *failure) {
	var first *failure
	deadline, _ := ctx.Deadline()
	for i, ip := range addrs {
		remote := netip.AddrPortFrom(ip, port).String()
		share := max(time.Until(deadline)/time.Duration(len(addrs)-i), time.Second)
		try, cancel := context.WithTimeout(ctx, share)
		nc, s, f := c.connectOne(try, remote)
		cancel()
		if f == nil {
			return nc, s, remote, nil
		}
		if first == nil {
			first = f
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, nil, "", first
}

// connectOne connects to an address, by itself or through the proxy.
func (c *Client) connectOne(ctx context.Context, remote string) (net.Conn, *socket, *failure) {
	if c.proxy != nil {
		// No socket of ours connects to remote, so nothing else asks again.
		if ap, err := netip.ParseAddrPort(remote); err != nil || c.guard.check(ap) != permitted {
			return nil, nil, blocked()
		}
		return c.proxy.tunnel(ctx, remote)
	}
	dialer := net.Dialer{ControlContext: c.control}
	nc, err := dialer.DialContext(ctx, "tcp", remote)
	if err != nil {
		return nil, nil, connectFailure(remote, err)
	}
	s := newSocket(nc)
	return s, s, nil
}

// control is the second wall: it sees the address that a socket is about to
// connect to, whoever chose it.
func (c *Client) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err == nil && (network == "tcp4" || network == "tcp6") && c.guard.check(ap) == permitted {
		return nil
	}
	c.cfg.Logger.Error("an address that had been vetted was denied as it was dialled", "network", network, "address", address)
	return errBlocked
}
