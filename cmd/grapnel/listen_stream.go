package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"

	"grapnel/client"
)

// listenBounds are how long a request may wait. Receivers refuse a timestamp
// that is more than some minutes old.
type listenBounds struct {
	away  time.Duration // for a target that does not answer; then the stream is dropped until it does
	stale time.Duration // behind others; then it is got anew
}

const (
	awayAfter  = 30 * time.Second
	staleAfter = time.Minute
	// slowReader is how far behind a reader is that the server may have let go
	// for that: less than it waits.
	slowReader = 5 * time.Second
)

var (
	errStale = errors.New("the request has waited for too long")
	errAway  = errors.New("the target does not answer")
)

// follow reads the stream of requests. It is opened again where it was when
// what is in it has waited for too long, for the server then signs anew.
func (l *listener) follow(ctx context.Context, api *client.Client) error {
	for wait := probeFirst; ; {
		switch err := l.read(ctx, api); {
		case errors.Is(err, errStale):
			wait = probeFirst
		case errors.Is(err, errAway):
			wait = probeFirst
			if err := l.awaitTarget(ctx); err != nil {
				return err
			}
		case l.greeted && passing(err): // the client reconnects by itself, but not the first time
			l.lost(err)
			if err := pause(ctx, wait); err != nil {
				return err
			}
			wait = min(2*wait, probeMost)
		default:
			return err
		}
	}
}

// read reads one stream until something ends it.
func (l *listener) read(ctx context.Context, api *client.Client) error {
	filter := client.RequestsFilter{Endpoint: l.Endpoint, Types: l.Types, After: l.after}
	for m, err := range api.Requests(ctx, l.tenant, filter) {
		if err == nil {
			err = l.take(ctx, m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// passing reports whether a server that did answer may answer again.
func passing(err error) bool {
	var answer *client.Error
	if errors.As(err, &answer) {
		return answer.Status >= http.StatusInternalServerError || answer.Status == http.StatusTooManyRequests
	}
	code, _, _ := classify(err)
	return code == exitUnavailable
}

// lost tells that the stream broke, unless that is the server's answer to
// requests having waited here: then nothing is wrong.
func (l *listener) lost(err error) {
	if l.behind {
		l.behind = false
		return
	}
	if !l.broken {
		l.p.note("the connection to the server broke: %v; going on when it stands again", err)
	}
	l.broken = true
}

// age is for how long a request may have been on its way: not for longer than
// its stream, whatever the two clocks say.
func (l *listener) age(r *client.LiveRequest) time.Duration {
	if r.SignedAt.IsZero() {
		return 0
	}
	return min(time.Since(r.SignedAt), time.Since(l.opened))
}

// How often it is tried whether the target, or the server, is there again.
const (
	probeFirst = 50 * time.Millisecond
	probeMost  = 2 * time.Second // of a server that is away
	probeEach  = 500 * time.Millisecond
)

// awaitTarget waits until the target takes connections. Nothing is sent.
func (l *listener) awaitTarget(ctx context.Context) error {
	u, err := url.Parse(l.target)
	if err != nil {
		return err
	}
	port := u.Port()
	if port == "" {
		port = u.Scheme // net knows its port
	}
	dialer := &net.Dialer{Timeout: forwardDial}
	for {
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
		if err == nil {
			return conn.Close()
		}
		if err := pause(ctx, probeEach); err != nil {
			return err
		}
	}
}

// pause waits for a while, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
