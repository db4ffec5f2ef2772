package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"grapnel/internal/config"
	"grapnel/internal/hook"
	"grapnel/internal/serve"
	"grapnel/internal/serve/trial"
)

type devCmd struct {
	serverSettings  `embed:""`
	NoOpen          bool   `help:"Do not open a browser. There are no pages yet, so nothing is opened either way."`
	Dialect         string `default:"standard" placeholder:"NAME" help:"What the tenant and the receivers speak: a name that grapnel dialect list shows (default ${default})."`
	Ephemeral       bool   `help:"Keep the data in a temporary folder, and remove it at the end."`
	Empty           bool   `help:"Make no endpoints and send no events."`
	DangerousPublic bool   `help:"Listen on an address that others can reach, with a key that is shown on the screen."`
}

// Help gives examples.
func (*devCmd) Help() string {
	return `Starts a server on loopback with one tenant, demo, and a receiver beside it that plays
three customers: ok, flaky (fails half of the time) and slow. A few events are sent through the
public API; what becomes of them is told as it happens. With --dialect all of it is as with that
vendor, and its own management API answers calls. Deliveries to private addresses stay
forbidden, but for the receiver's own.

Examples:

    grapnel dev --ephemeral
    grapnel dev --ephemeral --listen 127.0.0.1:0
    grapnel dev --ephemeral --dialect api2cart
    grapnel dev --json --ephemeral --no-open | grep -m1 first_delivery`
}

// Run runs the trial until a signal comes.
func (c *devCmd) Run(p *program) error {
	warnOfMistypedEnv(p.stderr, p.model)
	cfg, err := p.readSettings(&c.serverSettings)
	if err != nil {
		return err
	}
	if !c.DangerousPublic && !loopback(cfg.Listen) {
		return &config.Error{Setting: "--listen", Source: p.sources("listen"), Reason: fmt.Sprintf("%q can be reached by others, and the trial shows its admin key", cfg.Listen),
			Remedy: "use grapnel serve for that, write an address such as 127.0.0.1:8080, or insist with --dangerous-public"}
	}
	if cfg.Store != "" {
		return &config.Error{Setting: "--store", Source: p.sources("store"), Reason: "the trial keeps its data in a folder", Remedy: "leave it out, or use grapnel serve"}
	}
	if c.Ephemeral && p.sources("data") == "flag" {
		return fail(exitUsage, "leave one of them out", "--ephemeral keeps the data in a temporary folder, --data in one of yours")
	}
	if ext := filepath.Ext(c.Dialect); ext == ".yaml" || ext == ".yml" {
		return fail(exitUsage, "put it into the folder "+serve.DialectFolder+" of a data folder and use grapnel serve; grapnel dialect check shows an event of it", "--dialect: %q is a file, and the trial speaks what is built in", c.Dialect)
	}
	if _, err := dialectNamed(c.Dialect); err != nil {
		return err
	}
	logger, err := p.logger(&cfg)
	if err != nil {
		return err
	}
	ctx, stop := interruptible(p.stderr)
	defer stop()
	n := &narrator{out: p.stdout}
	emit := n.tell
	if p.JSON {
		emit = func(e trial.Event) {
			// A reader that has gone is no reason to stop.
			_ = p.line(e)
		}
	}
	return startError(trial.Run(ctx, trial.Config{
		Settings: cfg, Dialect: c.Dialect, Ephemeral: c.Ephemeral, Empty: c.Empty, AnyPort: p.sources("listen") == "default",
		Logger: logger, Now: time.Now, Emit: emit,
	}))
}

// loopback reports whether only this machine reaches an address.
func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// narrator tells a person what happens.
type narrator struct{ out io.Writer }

func (n *narrator) tell(e trial.Event) {
	switch e.Event {
	case trial.Ready:
		n.ready(e)
	case trial.Attempted:
		fmt.Fprintf(n.out, "  %s\n", attemptLine(e))
	case trial.FirstDelivery:
		fmt.Fprintf(n.out, "  First delivery: the receiver verified the signature, %.1f s after the start.\n", e.TookMS/1000)
	}
}

func (n *narrator) ready(e trial.Event) {
	where := e.Data
	if e.Ephemeral {
		where += " (removed at the end)"
	}
	event := `{"type":"user.created","data":{"id":2}}`
	send := `user.created -d '{"id":3}'`
	if len(e.Samples) > 0 {
		event, send = e.Samples[0], e.Samples[1]
	}
	fmt.Fprintf(n.out, `  Ready in %.1f s
  API        %s  key  %s
  Receiver   %s (built in: what your customer sees; also flaky, slow)
  Data       %s

  Try:  curl -s %s/tenants/%s/events -H 'authorization: Bearer %s' -d '%s'
  Or:   GRAPNEL_URL=%s GRAPNEL_KEY=%s grapnel send %s --wait
`, e.TookMS/1000, e.API, e.Key, e.Receivers["ok"], where, e.API, e.Tenant, e.Key, event, e.URL, e.Key, send)
	if len(e.Calls) > 0 {
		fmt.Fprintf(n.out, "\n  %s as its clients know it:\n", e.Dialect)
		for _, call := range e.Calls {
			fmt.Fprintf(n.out, "        %s\n", call)
		}
		fmt.Fprintln(n.out)
	}
	fmt.Fprint(n.out, "  Stop: Ctrl-C\n\n")
}

// attemptLine is one attempt in words.
func attemptLine(e trial.Event) string {
	what := e.Type
	if what == "" {
		what = e.EventID
	}
	result := fmt.Sprint(e.HTTPStatus)
	if e.HTTPStatus == 0 {
		result = e.Class
	}
	line := fmt.Sprintf("Sent %s → %s … %s in %s", what, e.Endpoint, result, span(milliseconds(e.TookMS)))
	if e.Attempt > 1 {
		line += fmt.Sprintf(" (attempt %d)", e.Attempt)
	}
	switch {
	case e.NextAt != nil:
		line += fmt.Sprintf(", retry in %s", span(e.NextAt.Sub(e.At)))
	case e.State == hook.Failed.String():
		line += ", failed for good"
		if e.Reason != "" {
			line += ": " + e.Reason
		}
	case e.Verified:
		line += ", signature verified"
	}
	return line + "   " + e.Delivery
}

// milliseconds is the time span that an event tells as a number.
func milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

// span is a time span for a person's eye: at most three digits that count.
func span(d time.Duration) string {
	unit, name := time.Hour, "h"
	switch {
	case d < 100*time.Millisecond:
		unit, name = time.Millisecond, "ms"
	case d < 100*time.Second:
		unit, name = time.Second, "s"
	case d < 100*time.Minute:
		unit, name = time.Minute, "min"
	}
	n := max(0, float64(d)/float64(unit))
	if n >= 99.95 { // would be four digits
		return fmt.Sprintf("%.0f %s", n, name)
	}
	return fmt.Sprintf("%.1f %s", n, name)
}
