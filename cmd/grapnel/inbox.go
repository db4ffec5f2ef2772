package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/inbox"
)

type inboxCmd struct {
	Listen     string        `default:"127.0.0.1:9000" placeholder:"ADDR" help:"Address to listen on; port 0 takes a free one (default ${default})."`
	SecretFile []string      `placeholder:"FILE" help:"File that holds the endpoint's secret (whsec_…) or public key (whpk_…), or - for standard input. Several during a rotation. Without it signatures are not checked."`
	Status     int           `default:"200" placeholder:"CODE" help:"Status to answer with (default ${default})."`
	Delay      time.Duration `default:"0s" placeholder:"TIME" help:"Time to wait before the answer."`
	FailRate   float64       `default:"0" placeholder:"SHARE" help:"Share of requests, 0 to 1, to answer with --fail-status."`
	FailStatus int           `default:"500" placeholder:"CODE" help:"Status of such an answer (default ${default})."`
	RetryAfter int           `default:"0" placeholder:"SECONDS" help:"Retry-After to send with answers that are not 2xx."`
	Body       string        `placeholder:"TEXT" help:"Body to answer with."`
}

// Help gives examples.
func (*inboxCmd) Help() string {
	return `Each request is printed on standard output, with whether its signature holds. A server
delivers to a private address such as 127.0.0.1 only if it runs with --egress-allow.

Examples:

    grapnel inbox --listen 127.0.0.1:0 --secret-file "$SECRET_FILE"
    grapnel inbox --listen 127.0.0.1:0 --status 503 --retry-after 30
    grapnel inbox --listen 127.0.0.1:0 --fail-rate 0.5 --delay 2s --json`
}

// Run serves until a signal comes.
func (c *inboxCmd) Run(p *program) error {
	b, err := c.open(p)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fail(exitUnavailable, "choose another address with --listen; port 0 takes a free one", "%w", err)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	srv := &http.Server{Handler: b, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	p.note("inbox listens on http://%s", l.Addr())
	if len(c.SecretFile) == 0 {
		p.note("signatures are not checked: name the endpoint's secret with --secret-file")
	}
	stopped := context.AfterFunc(ctx, func() { srv.Close() })
	defer stopped()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (c *inboxCmd) open(p *program) (*inbox.Inbox, error) {
	var secrets []hook.Secret
	for _, file := range c.SecretFile {
		s, err := readSecret(file, p.stdin)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, s)
	}
	out := &requestPrinter{p: p}
	b, err := inbox.New(inbox.Config{
		Secrets: secrets, Now: time.Now, Observe: out.print,
		Reply: inbox.Reply{Status: c.Status, DelayMS: int(c.Delay.Milliseconds()), FailRate: c.FailRate,
			FailStatus: c.FailStatus, RetryAfter: c.RetryAfter, Body: c.Body},
	})
	if err != nil {
		return nil, fail(exitUsage, "grapnel inbox --help shows what can be set", "%w", err)
	}
	return b, nil
}

// requestPrinter writes requests one after the other.
type requestPrinter struct {
	mu sync.Mutex
	p  *program
}

func (o *requestPrinter) print(r *inbox.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.p.JSON {
		// A reader that has gone is no reason to stop answering.
		_ = o.p.line(r)
		return
	}
	verdict := "not checked"
	switch {
	case r.Verified:
		verdict = "signature ok"
	case r.Checked:
		verdict = "NOT VERIFIED: " + r.Reason
	}
	text := fmt.Sprintf("%s #%d %s %s %s → %d  %d bytes  %s", r.At.Format(time.TimeOnly), r.N, r.Method, r.Path, r.ID, r.Status, r.Size, verdict)
	_ = o.p.printf("%s\n", plain(text)) // as above
	if r.Body != "" {
		_ = o.p.printf("  %s\n", plain(clip(r.Body, 500)))
	}
}

// clip shortens a text for a person's eye.
func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n]) + "…"
}
