package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// maxAddresses is how many of a name's addresses are tried.
const maxAddresses = 6

// conn is a connection with what its making took.
type conn struct {
	net.Conn
	remote string
	took   phases
	tls    string // version, or ""
	http2  bool
	read   atomic.Int64 // bytes that came in, below TLS
}

// Read counts what comes in.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// dialPlain is Transport.DialContext.
func (c *Client) dialPlain(ctx context.Context, _, addr string) (net.Conn, error) {
	conn, err := c.dialTCP(ctx, addr)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// dialTLS is Transport.DialTLSContext for a set of protocols. Doing the
// handshake here gives it a time limit and failures of its own.
func (c *Client) dialTLS(protos ...string) func(ctx context.Context, _, addr string) (net.Conn, error) {
	return func(ctx context.Context, _, addr string) (net.Conn, error) {
		conn, err := c.dialTCP(ctx, addr)
		if err != nil {
			return nil, err
		}
		begin := time.Now()
		a := attemptOf(ctx)
		ctx, cancel := c.limit(ctx, a, c.cfg.TLSTimeout)
		defer cancel()
		a.enter(inTLS)
		host, _, _ := net.SplitHostPort(addr)
		cfg := c.tls.Clone()
		cfg.ServerName, cfg.NextProtos = host, protos
		t := tls.Client(conn, cfg)
		if err := t.HandshakeContext(ctx); err != nil {
			conn.Close()
			conn.took.tls = time.Since(begin)
			return nil, handshakeFailure(conn, err)
		}
		conn.took.tls = time.Since(begin)
		state := t.ConnectionState()
		conn.tls, conn.http2 = tls.VersionName(state.Version), state.NegotiatedProtocol == "h2"
		return t, nil
	}
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

func attemptOf(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

func (a *attempt) enter(p phase) {
	if a != nil {
		a.phase.Store(int32(p))
	}
}

// limit bounds a dialler's step by its own limit, by the attempt's deadline
// and by the closing of the client: the transport lets diallers run on when
// nobody waits for them any more.
func (c *Client) limit(ctx context.Context, a *attempt, d time.Duration) (context.Context, context.CancelFunc) {
	end := time.Now().Add(d)
	if a != nil && a.deadline.Before(end) {
		end = a.deadline
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	stop := context.AfterFunc(c.open, cancel)
	return ctx, func() { stop(); cancel() }
}

// dialTCP resolves addr ("host:port"), has every answer vetted and connects
// to one of them. All its errors are failures.
func (c *Client) dialTCP(ctx context.Context, addr string) (*conn, error) {
	a := attemptOf(ctx)
	ctx, cancel := c.limit(ctx, a, c.cfg.ConnectTimeout)
	defer cancel()
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, &failure{class: ClassRequest, detail: "the URL has no usable host"}
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, &failure{class: ClassRequest, detail: "the URL has no usable port"}
	}
	a.enter(inDNS)
	begin := time.Now()
	addrs, err := c.resolve(ctx, host)
	took := phases{dns: time.Since(begin)}
	if err != nil {
		f := lookupFailure(host, err)
		if errors.Is(ctx.Err(), context.Canceled) {
			f = &failure{class: ClassCanceled, detail: "the attempt was called off while resolving the name"}
		}
		f.phases = took
		return nil, f
	}
	for _, ip := range addrs {
		if c.guard.check(netip.AddrPortFrom(ip, uint16(port))) != permitted {
			f := blocked()
			f.phases = took
			return nil, f
		}
	}
	a.enter(inConnect)
	begin = time.Now()
	nc, remote, f := c.connect(ctx, addrs[:min(len(addrs), maxAddresses)], uint16(port))
	took.connect = time.Since(begin)
	if f != nil {
		f.phases = took
		return nil, f
	}
	return &conn{Conn: nc, remote: remote, took: took}, nil
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

// connect tries the addresses in turn, and says which one it was. Each gets
// its share of the time that is left, so that a dead first address does not
// use up all of it.
func (c *Client) connect(ctx context.Context, addrs []netip.Addr, port uint16) (net.Conn, string, *failure) {
	var first *failure
	deadline, _ := ctx.Deadline()
	for i, ip := range addrs {
		remote := netip.AddrPortFrom(ip, port).String()
		share := max(time.Until(deadline)/time.Duration(len(addrs)-i), time.Second)
		try, cancel := context.WithTimeout(ctx, share)
		nc, f := c.connectOne(try, remote)
		cancel()
		if f == nil {
			return nc, remote, nil
		}
		if first == nil {
			first = f
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, "", first
}

// connectOne connects to an address, by itself or through the proxy.
func (c *Client) connectOne(ctx context.Context, remote string) (net.Conn, *failure) {
	if c.proxy != nil {
		// No socket of ours connects to remote, so nothing else asks again.
		if ap, err := netip.ParseAddrPort(remote); err != nil || c.guard.check(ap) != permitted {
			return nil, blocked()
		}
		return c.proxy.tunnel(ctx, remote)
	}
	dialer := net.Dialer{ControlContext: c.control}
	nc, err := dialer.DialContext(ctx, "tcp", remote)
	if err != nil {
		return nil, connectFailure(remote, err)
	}
	return nc, nil
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
