package egress

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// maxProxyAnswer bounds the header of a proxy's answer to CONNECT, in bytes.
const maxProxyAnswer = 16 << 10

// proxy is a forward proxy that all connections go through. It is asked for
// addresses, never for names: what the guard has passed is what is connected
// to, so that a name which resolves to something else by then changes nothing
// (cases 82 and 86). What lies behind an address in the proxy's network only
// the proxy can tell.
type proxy struct {
	address string // HOST:PORT
	host    string
	tls     *tls.Config // nil: the proxy itself is spoken to in clear
	head    string      // lines of every request to it, each ended by \r\n
	logger  *slog.Logger

	mu     sync.Mutex
	warned time.Time
}

// newProxy is nil without a URL. auth is USER:PASSWORD, or "".
func newProxy(u *url.URL, auth string, roots *x509.CertPool, logger *slog.Logger) (*proxy, error) {
	if u == nil {
		return nil, nil
	}
	p := &proxy{host: u.Hostname(), head: "User-Agent: Grapnel\r\n", logger: logger}
	port := u.Port()
	switch u.Scheme {
	case "http":
		port = cmp.Or(port, "80")
	case "https":
		port = cmp.Or(port, "443")
		p.tls = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, ServerName: p.host, NextProtos: []string{"http/1.1"}}
	default:
		return nil, errors.New("egress: the proxy's URL must begin with http:// or https://")
	}
	if p.host == "" {
		return nil, errors.New("egress: the proxy's URL has no host")
	}
	p.address = net.JoinHostPort(p.host, port)
	if auth != "" {
		p.head += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(auth)) + "\r\n"
	}
	return p, nil
}

// tunnel connects to the proxy and has it connect to target ("ip:port"), which
// has been vetted. It gives the tunnel and the socket beneath.
func (p *proxy) tunnel(ctx context.Context, target string) (net.Conn, *socket, *failure) {
	nc, s, err := p.dial(ctx)
	if err != nil {
		return nil, nil, p.unreachable(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) }) // it may be closed
	f := p.ask(nc, target)
	if !stop() && f == nil {
		f = &failure{}
	}
	if f == nil {
		return nc, s, nil
	}
	s.Close()
	if ctx.Err() != nil {
		return nil, nil, connectFailure(target, ctx.Err())
	}
	f.remote = target
	return nil, nil, f
}

// dial connects to the proxy. Its address is the operator's word, and so the
// guard is not asked.
func (p *proxy) dial(ctx context.Context) (net.Conn, *socket, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", p.address)
	if err != nil {
		return nil, nil, err
	}
	s := newSocket(nc)
	if p.tls == nil {
		return s, s, nil
	}
	t := tls.Client(s, p.tls)
	if err := t.HandshakeContext(ctx); err != nil {
		s.Close()
		return nil, nil, err
	}
	return t, s, nil
}

// ask sends CONNECT and reads the answer.
func (p *proxy) ask(nc net.Conn, target string) *failure {
	if _, err := io.WriteString(nc, "CONNECT "+target+" HTTP/1.1\r\nHost: "+target+"\r\n"+p.head+"\r\n"); err != nil {
		return p.broken(err)
	}
	r := bufio.NewReaderSize(io.LimitReader(nc, maxProxyAnswer), 1024)
	// Closing the body would read on, into the tunnel.
	res, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return p.broken(err)
	}
	switch {
	case res.StatusCode == http.StatusOK && r.Buffered() > 0:
		return &failure{class: ClassProtocol, detail: "the host sent something before it was asked"}
	case res.StatusCode == http.StatusOK:
		return nil
	case res.StatusCode == http.StatusGatewayTimeout:
		return &failure{class: ClassTimeoutConnect, detail: "the host did not accept the connection of the server's egress proxy in time"}
	case res.StatusCode == http.StatusBadGateway, res.StatusCode == http.StatusServiceUnavailable:
		return &failure{class: ClassConnect, detail: "the server's egress proxy could not connect to the host (status " + strconv.Itoa(res.StatusCode) + ")"}
	}
	p.warn("the egress proxy refuses connections", fmt.Errorf("status %d for CONNECT %s", res.StatusCode, target))
	return &failure{class: ClassConnect, detail: "the server's egress proxy refused the connection (status " + strconv.Itoa(res.StatusCode) + ")"}
}

// unreachable is the failure when there is no connection to the proxy. Where
// the proxy is is nobody's business but the operator's.
func (p *proxy) unreachable(ctx context.Context, err error) *failure {
	if errors.Is(ctx.Err(), context.Canceled) {
		return connectFailure("", ctx.Err())
	}
	p.warn("the egress proxy cannot be reached", err)
	if isTimeout(err) {
		return &failure{class: ClassTimeoutConnect, detail: "the server's egress proxy did not answer in time"}
	}
	return &failure{class: ClassConnect, detail: "the server's egress proxy cannot be reached"}
}

func (p *proxy) broken(err error) *failure {
	p.warn("the egress proxy does not answer as a proxy does", err)
	return &failure{class: ClassConnect, detail: "the server's egress proxy did not answer CONNECT"}
}

// warnEvery is how often the log tells that something is wrong with the proxy.
const warnEvery = time.Minute

func (p *proxy) warn(message string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.warned) >= warnEvery {
		p.warned = now
		p.logger.Error(message, "proxy", p.address, "error", err)
	}
}
