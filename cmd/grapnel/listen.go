package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"grapnel/client"
	"grapnel/verify"
)

type listenCmd struct {
	Target      string   `arg:"" help:"Where to: a URL such as http://127.0.0.1:3000/hooks, or a port of this machine."`
	Endpoint    string   `placeholder:"ID" help:"Only what goes to this endpoint, signed with its own secrets."`
	Types       []string `placeholder:"NAMES" help:"Only these event types; prefix.* stands for all that begin with prefix."`
	From        string   `placeholder:"CURSOR" help:"Begin behind this event, at now, or at start; without it, where the last run ended, or now."`
	State       string   `placeholder:"FILE" help:"File that keeps the position (default: one for each server, tenant, endpoint and target in ~/.local/state/grapnel)."`
	Verify      bool     `help:"Check each signature, as the receiver should."`
	SecretFile  string   `placeholder:"FILE" help:"File that holds the secret for --verify, or - for standard input; without it the one that the server tells is used."`
	AllowRemote bool     `help:"Allow a target that is not this machine."`
	scoped
}

// Help gives examples.
func (*listenCmd) Help() string {
	return `Gets a tenant's events as the requests that the server sends, over the connection that this command
opens to the server, and forwards each to a server on this machine: in order, one at a time.
Without --endpoint, all of the tenant's events come, signed with a secret made for this; it is
shown at the start, and stays the same. With --endpoint, the values of the endpoint's own headers that
are credentials, such as Authorization, do not come: [secret] stands for them.

Any answer counts: the endpoint's real deliveries go on beside this. While the target does not
answer, the command waits; a request that waited for long is got anew, so that its signature is
fresh when it is forwarded. The position is written to a file after each answer, so that nothing is
missed and nothing comes twice, whether this command, the server or the target is restarted. Only
what the target is at work on when it, or this command, is killed may come once more.
It runs until it is interrupted, and ends with 130 then.

Examples:

    grapnel listen 3000 --tenant "$TENANT"
    grapnel listen http://localhost:3000/hooks --endpoint "$ENDPOINT" --types 'user.*' --from start
    grapnel listen 3000 --from now --verify --json`
}

// listenStart is what --json prints first.
type listenStart struct {
	Listening struct {
		client.Hello
		Tenant string `json:"tenant"`
		Target string `json:"target"`
		State  string `json:"state"`
	} `json:"listening"`
}

// forwarded is what --json prints of each request.
type forwarded struct {
	At         time.Time `json:"at"`
	Event      string    `json:"event"`
	Type       string    `json:"type"`
	Delivery   string    `json:"delivery,omitempty"`
	Status     int       `json:"status"`
	DurationMS float64   `json:"duration_ms"`
	Verified   *bool     `json:"verified,omitempty"`
	Fault      string    `json:"fault,omitempty"` // why it is not verified
}

// listener is a run of the command.
type listener struct {
	*listenCmd
	p        *program
	tenant   string
	target   string
	position *position
	forward  *forwarder
	verifier *verify.Verifier // nil: signatures are not checked
	greeted  bool
	broken   bool
	after    string    // the cursor behind the last message that was dealt with
	opened   time.Time // when the stream began that is read
	behind   bool      // the last request had waited, or was long at work
	away     bool      // the target has not answered for so long that the stream was dropped
	bounds   listenBounds
}

// Run forwards until a signal comes.
func (c *listenCmd) Run(p *program) error {
	target, err := c.resolve()
	if err != nil {
		return err
	}
	api, tenant, err := c.open(p)
	if err != nil {
		return err
	}
	l := &listener{listenCmd: c, p: p, tenant: tenant, target: target, forward: newForwarder(target), bounds: listenBounds{away: awayAfter, stale: staleAfter}}
	if err := l.readSecret(); err != nil {
		return err
	}
	set, chosen, err := p.context()
	if err != nil {
		return err
	}
	id := identity{Server: p.prefer("url", c.URL, set.URL, chosen, defaultURL), Tenant: tenant, Endpoint: c.Endpoint, Target: target}
	if l.position, err = openPosition(c.State, id, p.getenv); err != nil {
		return err
	}
	defer l.position.close()
	if l.after = l.position.cursor; c.From != "" {
		l.after = c.From
	}
	ctx, stop := untilSignal()
	defer stop()
	return interrupted(ctx, l.follow(ctx, api))
}

// resolve makes the target's URL.
func (c *listenCmd) resolve() (string, error) {
	target := c.Target
	port, notPort := strconv.Atoi(target)
	switch {
	case notPort == nil:
		target = fmt.Sprintf("http://127.0.0.1:%d", port)
	case !strings.Contains(target, "://"):
		target = "http://" + target
	}
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || notPort == nil && (port < 1 || port > 65535) {
		return "", fail(exitUsage, "write a port such as 3000, or a URL such as http://127.0.0.1:3000/hooks", "%q is not a target", plain(c.Target))
	}
	if !c.AllowRemote && !isLocal(u.Hostname()) {
		return "", fail(exitUsage, "forward to this machine, or add --allow-remote", "%s is not this machine", plain(u.Host))
	}
	return target, nil
}

func isLocal(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

func (l *listener) readSecret() (err error) {
	if l.SecretFile == "" {
		return nil
	}
	if l.KeyFile == "-" && l.SecretFile == "-" {
		return fail(exitUsage, "name a file for one of them", "--key-file and --secret-file cannot both be standard input")
	}
	secret, err := readSecret(l.SecretFile, l.p.stdin)
	if err != nil {
		return err
	}
	l.Verify = true
	return l.verifyWith(string(secret))
}

func (l *listener) verifyWith(secret string) (err error) {
	if l.verifier, err = verify.New(secret); err != nil {
		return fail(exitUsage, "the secret begins with whsec_, or is a public key that begins with whpk_", "signatures cannot be checked: %w", err)
	}
	return nil
}

// take deals with a message, and then keeps the position behind it.
func (l *listener) take(ctx context.Context, m *client.LiveMessage) error {
	if ctx.Err() != nil {
		return ctx.Err() // what was read before the signal is got again the next time
	}
	if m.Lost != nil {
		l.lost(m.Lost)
		return nil
	}
	if m.Hello != nil {
		l.opened = time.Now()
	}
	if l.broken {
		l.broken = false
		l.p.note("the connection to the server stands again")
	}
	switch {
	case m.Hello != nil && !l.greeted:
		if err := l.greet(m.Hello); err != nil {
			return err
		}
	case m.Gap != nil:
		l.p.note("events may be missing: the position is from %s, and the oldest event kept is from %s", plain(m.Gap.After), m.Gap.Oldest.Format(time.RFC3339))
	case m.Skipped != nil:
		l.p.note("skipped %s (%s): %s", m.Skipped.Event, m.Skipped.Type, m.Skipped.Reason)
	case m.Request != nil:
		if err := l.deliver(ctx, m.Request); err != nil {
			return err
		}
	}
	if m.Cursor == "" {
		return nil
	}
	l.after = m.Cursor
	return l.position.keep(m.Cursor)
}

// greet says once what begins.
func (l *listener) greet(h *client.Hello) error {
	l.greeted = true
	if l.Verify && l.verifier == nil {
		if h.Secret == "" || h.Dialect != "standard" {
			return fail(exitUsage, "name the secret with --secret-file, or leave --verify out", "the server tells no secret that --verify could use")
		}
		if err := l.verifyWith(h.Secret); err != nil {
			return err
		}
	}
	if l.p.JSON {
		var start listenStart
		start.Listening.Hello, start.Listening.Tenant = *h, l.tenant
		start.Listening.Target, start.Listening.State = l.target, l.position.file
		return l.p.line(start)
	}
	l.p.note("forwarding events of %s to %s, from %s on", l.tenant, l.target, h.Cursor)
	if h.Secret != "" {
		l.p.note("signed with the secret %s", h.Secret)
	}
	return nil
}

// deliver forwards a request when the target answers. A request that has waited
// is not forwarded, for its signature is old: the error is errStale, or errAway
// if the target has been away for long.
func (l *listener) deliver(ctx context.Context, r *client.LiveRequest) error {
	if l.age(r) > l.bounds.stale {
		return errStale
	}
	out := forwarded{At: time.Now(), Event: r.Event, Type: r.Type, Delivery: r.Delivery}
	if l.verifier != nil {
		ok := true
		if err := l.verifier.Verify(canonical(r.Headers), r.Body, out.At); err != nil {
			ok, out.Fault = false, err.Error()
		}
		out.Verified = &ok
	}
	waiting := false
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		begun := time.Now()
		status, err := l.forward.send(ctx, r)
		if err == nil {
			out.Status, out.DurationMS = status, float64(time.Since(begun).Microseconds())/1000
			break
		}
		if !waiting && !l.away {
			l.p.note("%s does not answer: %v; waiting until it does", l.target, err)
		}
		waiting = true
		if time.Since(out.At) >= l.bounds.away {
			l.away = true
			return errAway
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
	if waiting || l.away {
		l.p.note("%s answers again", l.target)
	}
	l.away, l.behind = false, l.age(r) > slowReader
	return l.print(&out)
}

func (l *listener) print(f *forwarded) error {
	if l.p.JSON {
		return l.p.line(f)
	}
	verdict := ""
	switch {
	case f.Verified == nil:
	case *f.Verified:
		verdict = "  signature ok"
	default:
		verdict = "  NOT VERIFIED: " + plain(f.Fault)
	}
	color := colorGreen
	if f.Status/100 != 2 {
		color = colorRed
	}
	return l.p.printf("%s  %-24s  %s  %-8s  %s%s\n", f.At.Local().Format("15:04:05.000"), plain(f.Type),
		paint(l.p.colors(l.p.stdout), color, strconv.Itoa(f.Status)), span(time.Duration(f.DurationMS*float64(time.Millisecond))), plain(f.Event), verdict)
}

func canonical(headers [][2]string) http.Header {
	out := http.Header{}
	for _, h := range headers {
		out.Add(h[0], h[1])
	}
	return out
}

// forwarder sends requests to the target, as plainly as can be.
type forwarder struct {
	target string
	http   *http.Client
}

// How long a connection to the target may take, and how long it may work on a
// request after we were told to end. It may work as long as it likes before:
// somebody may be looking at it in a debugger.
const (
	forwardDial  = 5 * time.Second
	forwardGrace = 5 * time.Second
)

func newForwarder(target string) *forwarder {
	dialer := &net.Dialer{Timeout: forwardDial}
	return &forwarder{target: target, http: &http.Client{
		// A connection for each request: if it cannot be made, the target has
		// certainly not got the request.
		Transport:     &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// send makes one try. The end of ctx leaves it forwardGrace to be answered.
func (f *forwarder) send(ctx context.Context, r *client.LiveRequest) (status int, err error) {
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(forwardGrace, cancel) })
	defer stop()
	req, err := http.NewRequestWithContext(inner, r.Method, f.target, strings.NewReader(string(r.Body)))
	if err != nil {
		return 0, err
	}
	req.GetBody = nil // so that the transport cannot send it a second time
	req.Header["User-Agent"] = nil
	for _, h := range r.Headers { // the map's keys reach the wire as they are
		req.Header[h[0]] = append(req.Header[h[0]], h[1])
	}
	if len(req.Header["User-Agent"]) == 0 {
		req.Header["User-Agent"] = []string{""} // none
	}
	res, err := f.http.Do(req)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}
