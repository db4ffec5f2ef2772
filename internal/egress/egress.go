package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"grapnel/internal/hook"
)

// Config says how requests go out. The zero value of a field is its default.
type Config struct {
	// Allow opens private ranges, with all their ports. Metadata services in
	// them stay closed. Who opens loopback for names should open both
	// 127.0.0.0/8 and ::1/128: a name is blocked if any of its addresses is.
	Allow []netip.Prefix
	// Deny closes ranges, also inside an allowed one: a translator's own range of
	// IPv6, say, or public addresses of one's own.
	Deny []netip.Prefix
	// Exempt lists single addresses that are open although they are private
	// or our own. It is asked at every dial, from several goroutines.
	Exempt func() []netip.AddrPort
	// Self lists our own listeners, which are denied, also inside an allowed
	// range. It is asked at every dial, from several goroutines.
	Self func() []netip.AddrPort
	// DenyPorts are the ports denied on public addresses; nil: those of
	// well-known protocols other than HTTP.
	DenyPorts []uint16

	// Proxy is a forward proxy (http or https) that all requests go through by
	// CONNECT; nil: none. ProxyAuth is USER:PASSWORD for it, or "". Names are
	// resolved and addresses checked here all the same.
	Proxy     *url.URL
	ProxyAuth string

	MaxResponseBody   int   // bytes kept of an answer's body; 64 KiB
	MaxResponseHeader int64 // bytes of an answer's header, 1xx answers before it included; 64 KiB

	ConnectTimeout time.Duration // for DNS and TCP together; 10 s
	TLSTimeout     time.Duration // for the TLS handshake; 10 s
	IdleTimeout    time.Duration // how long an unused connection is kept; 30 s
	MaxIdlePerHost int           // unused connections kept for one host; 256
	MaxIdle        int           // unused connections kept in all, those of HTTP/2 apart; 1,024

	RootCAs *x509.CertPool // nil: the system's
	// Lookup resolves a fully qualified name (it ends in a dot); nil: the
	// system's name servers and hosts file. It must end with its context.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	Logger *slog.Logger // nil: nothing is logged
}

// Client sends requests. It is safe for concurrent use.
type Client struct {
	cfg     Config
	guard   *guard
	proxy   *proxy // nil: none
	tls     *tls.Config
	pool    *pool           // connections that speak HTTP/1.1
	http2   *http.Transport // for those that speak HTTP/2
	newer   newer
	open    context.Context // ends when the client is closed
	close   context.CancelFunc
	targets targets

	identities identities
}

// New makes a client.
func New(cfg Config) (*Client, error) {
	if cfg.MaxResponseBody < 0 || cfg.MaxResponseHeader < 0 || cfg.ConnectTimeout < 0 || cfg.TLSTimeout < 0 || cfg.IdleTimeout < 0 {
		return nil, errors.New("egress: a limit is negative")
	}
	cfg.setDefaults()
	g, err := newGuard(&cfg)
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, guard: g}
	if c.proxy, err = newProxy(cfg.Proxy, cfg.ProxyAuth, cfg.RootCAs, cfg.Logger); err != nil {
		return nil, err
	}
	c.tls = &tls.Config{
		RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(1024),
		DynamicRecordSizingDisabled: true, // a request goes out in as few packets as it can
	}
	c.open, c.close = context.WithCancel(context.Background())
	c.pool = newPool(cfg.MaxIdlePerHost, cfg.MaxIdle, cfg.IdleTimeout)
	c.http2 = c.newTransport()
	return c, nil
}

func (c *Config) setDefaults() {
	setDefault(&c.MaxResponseBody, 64<<10)
	setDefault(&c.MaxResponseHeader, 64<<10)
	setDefault(&c.ConnectTimeout, 10*time.Second)
	setDefault(&c.TLSTimeout, 10*time.Second)
	setDefault(&c.IdleTimeout, 30*time.Second)
	setDefault(&c.MaxIdlePerHost, 256)
	setDefault(&c.MaxIdle, 1024)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Lookup == nil {
		// The pure Go resolver: that of libc reads "0x7f.1" as an address.
		resolver := &net.Resolver{PreferGo: true, Dial: dialNameServer}
		c.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return resolver.LookupNetIP(ctx, "ip", host)
		}
	}
}

func setDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// dialNameServer is a Resolver's Dial. The resolver would go on reading, up to limits of its
// own of some seconds, when whoever asked has given up; so does nothing here.
func dialNameServer(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) }) // it fails once it is closed, which is as good
	return c, nil
}

// Close ends the client: connections that are being made are given up, unused
// ones closed. Requests that run go on.
func (c *Client) Close() {
	c.close()
	c.pool.close()
	c.http2.CloseIdleConnections()
}

// Request is one HTTP request. Nothing in it may be changed until some time
// after Do has returned: the transport for HTTP/2 may still be reading the body.
type Request struct {
	Method string
	URL    string // as its owner gave it
	// Header goes out with names in exactly this case, sorted by name; values
	// of one name stay in this order. Host and Content-Length are ours, as are
	// all ReservedHeader names. Without a User-Agent none is sent.
	Header  []hook.Header
	Body    []byte
	Timeout time.Duration // over everything, from DNS to the end of the body; 0: ten minutes
	HTTP1   bool          // speak HTTP/1.1 and nothing else
	// Identity is what connections to the endpoint are made with; nil: as all are.
	Identity *Identity
	// Waits is called on the caller's goroutine when there is nothing to do but
	// wait: for the answer, with the request sent or a long one being sent, or
	// (long) for a new connection or for HTTP/2, which other goroutines write. It
	// may be called several times, and not at all if the request comes to nothing
	// before. nil: nobody is told.
	Waits func(long bool)
}

// Result is what became of a request.
type Result struct {
	At     time.Time // when it began
	Class  string    // "" for an answer, else why there is none: the Class constants
	Detail string    // the failure in words, for the endpoint's owner; may say why an answer is Truncated
	// Status, Proto and Header are also set for failures that a header
	// preceded (timeout_body, and protocol for 1xx or above 599).
	Status        int
	Proto         string
	Header        http.Header
	Body          []byte // as it came, never decompressed; at most Config.MaxResponseBody
	Truncated     bool   // Body is not all of it
	RequestHeader []byte // lines as sent, each ended by \r\n; nil when there was no connection to send on
	Timing        hook.Timing
	Reused        bool   // the connection had been used before
	RemoteAddr    string // "" when nothing was dialled
	TLSVersion    string // such as "TLS 1.3"; "" without TLS
}

// Do sends a request once and gives what became of it. It never fails: a
// failure is data. It returns by r.Timeout and a little.
func (c *Client) Do(ctx context.Context, r *Request) *Result {
	begin := time.Now()
	res := &Result{At: begin}
	t, problem := c.targets.get(r.URL)
	if problem != nil {
		res.Class, res.Detail = ClassRequest, problem.Message
		return res
	}
	if wrong := checkRequest(r); wrong != "" {
		res.Class, res.Detail = ClassRequest, wrong
		return res
	}
	a := &attempt{ctx: ctx, begin: begin, deadline: deadlineOf(ctx, begin, r.Timeout), request: withHop(r), target: t, result: res}
	c.send(a)
	res.Timing.Total = time.Since(begin)
	return res
}

// deadlineOf is when an attempt must end.
func deadlineOf(ctx context.Context, begin time.Time, timeout time.Duration) time.Time {
	if timeout <= 0 {
		timeout = 10 * time.Minute
	}
	end := begin.Add(timeout)
	if of, ok := ctx.Deadline(); ok && of.Before(end) {
		return of
	}
	return end
}

// send takes the way that the endpoint speaks: HTTP/2, if that may be used and
// was chosen before or is now, and else HTTP/1.1.
func (c *Client) send(a *attempt) {
	may := a.mayUseHTTP2()
	var nc *conn
	if !may || !c.newer.has(a.target.peer) {
		var f *failure
		if nc, f = c.connection(a, !may); f != nil {
			a.fail(f)
			return
		}
		if nc.http2 {
			c.newer.add(a.target.peer)
		}
	}
	if nc == nil || nc.http2 {
		nc = c.overHTTP2(a, nc)
	}
	if nc != nil {
		c.exchange(a, nc)
	}
}

// connection gives a kept connection to the target, or else a new one. It
// breaks off at the attempt's deadline.
func (c *Client) connection(a *attempt, http1 bool) (*conn, *failure) {
	if a.calledOff() {
		return nil, calledOff()
	}
	for key := a.target.key(http1, a.request.Identity); ; {
		nc := c.pool.take(key)
		if nc == nil {
			a.waits(true)
			return c.dial(a.ctx, a.target, a.request.Identity, http1, a.deadline, nil)
		}
		if nc.socket.SetDeadline(a.deadline) == nil && nc.usable() {
			return nc, nil
		}
		nc.abandon()
	}
}
