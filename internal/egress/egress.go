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
	MaxIdle        int           // unused connections kept in all; 1,024

	RootCAs *x509.CertPool // nil: the system's
	// Lookup resolves a fully qualified name (it ends in a dot); nil: the
	// system's name servers and hosts file.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	Logger *slog.Logger // nil: nothing is logged
}

// Client sends requests. It is safe for concurrent use.
type Client struct {
	cfg          Config
	guard        *guard
	proxy        *proxy // nil: none
	tls          *tls.Config
	http1, http2 *http.Transport // http2 speaks HTTP/1.1 too, http1 nothing else
	open         context.Context // ends when the client is closed
	close        context.CancelFunc
	targets      targets
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
	c.tls = &tls.Config{RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(1024)}
	c.open, c.close = context.WithCancel(context.Background())
	c.http1 = c.newTransport("http/1.1")
	c.http2 = c.newTransport("h2", "http/1.1")
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
		resolver := &net.Resolver{PreferGo: true}
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

func (c *Client) newTransport(protos ...string) *http.Transport {
	var p http.Protocols
	for _, name := range protos {
		p.SetHTTP1(p.HTTP1() || name == "http/1.1")
		p.SetHTTP2(p.HTTP2() || name == "h2")
	}
	return &http.Transport{
		Proxy:                  nil, // never that of the environment (case 86); Config.Proxy is dialled through
		DialContext:            c.dialPlain,
		DialTLSContext:         c.dialTLS(protos...),
		DisableCompression:     true,
		MaxIdleConns:           c.cfg.MaxIdle,
		MaxIdleConnsPerHost:    c.cfg.MaxIdlePerHost,
		IdleConnTimeout:        c.cfg.IdleTimeout,
		MaxResponseHeaderBytes: c.cfg.MaxResponseHeader,
		Protocols:              &p,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout:               15 * time.Second,
			PingTimeout:                   10 * time.Second,
			WriteByteTimeout:              15 * time.Second,
			MaxReceiveBufferPerStream:     128 << 10, // what a server may send that nobody reads
			MaxReceiveBufferPerConnection: 1 << 20,
		},
	}
}

// Close ends the client: connections that are being made are given up, unused
// ones closed. Requests that run go on.
func (c *Client) Close() {
	c.close()
	c.http1.CloseIdleConnections()
	c.http2.CloseIdleConnections()
}

// Request is one HTTP request. Nothing in it may be changed until some time
// after Do has returned: a transport may still be reading the body.
type Request struct {
	Method string
	URL    string // as its owner gave it
	// Header goes out with names in exactly this case; values of one name stay
	// in this order, names are sent in the transport's. Host and
	// Content-Length are ours, as are all ReservedHeader names. Without a
	// User-Agent none is sent.
	Header  []hook.Header
	Body    []byte
	Timeout time.Duration // over everything, from DNS to the end of the body; 0: ten minutes
	HTTP1   bool          // speak HTTP/1.1 and nothing else
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
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = 10 * time.Minute
	}
	ctx, cancel := context.WithDeadline(ctx, begin.Add(timeout))
	defer cancel()
	deadline, _ := ctx.Deadline()
	a := newAttempt(ctx, begin, deadline)
	req, wrong := newRequest(r, t, a)
	if wrong != "" {
		res.Class, res.Detail = ClassRequest, wrong
		return res
	}
	transport := c.http2
	if r.HTTP1 || len(r.Body) == 0 {
		transport = c.http1 // an HTTP/2 transport may send an empty request again
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		res.fail(a.failure(err))
	} else {
		c.readAnswer(res, resp, a)
	}
	res.finish(a, r, t)
	return res
}

// failure turns the transport's error into one of the classes.
func (a *attempt) failure(err error) *failure {
	var f *failure
	switch {
	case errors.As(err, &f):
		if f.class == ClassCanceled && a.Err() != nil {
			return a.outOfTime(a.Err())
		}
		return f
	case a.Err() != nil:
		return a.outOfTime(a.Err())
	}
	return exchangeFailure(err)
}

func (res *Result) fail(f *failure) {
	res.Class, res.Detail, res.RemoteAddr = f.class, f.detail, f.remote
	res.Timing.DNS, res.Timing.Connect, res.Timing.TLS = f.phases.dns, f.phases.connect, f.phases.tls
}

// finish fills in what is known of every attempt, answered or not.
func (res *Result) finish(a *attempt, r *Request, t *target) {
	res.Timing.Total = time.Since(a.begin)
	if a.conn == nil {
		return
	}
	res.Reused, res.RemoteAddr = a.reused, a.conn.remote
	if !a.reused {
		took := a.conn.took
		res.Timing.DNS, res.Timing.Connect, res.Timing.TLS = took.dns, took.connect, took.tls
	}
	if first, wrote := a.first.Load(), a.wrote.Load(); first > wrote {
		res.Timing.Wait = time.Duration(first - wrote)
	}
	res.TLSVersion = a.conn.tls
	res.RequestHeader = wireHeader(r, t, a.conn.http2)
}
