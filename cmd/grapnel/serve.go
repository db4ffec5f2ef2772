package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"grapnel/internal/config"
	"grapnel/internal/egress"
	"grapnel/internal/keyring"
	"grapnel/internal/serve"
	"grapnel/internal/store"
	"grapnel/internal/telemetry"
)

type serveCmd struct {
	serverSettings `embed:""`
}

// Help gives examples.
func (*serveCmd) Help() string {
	return `The first start makes the data folder and an admin key, which it shows once on standard
error; GRAPNEL_ADMIN_KEY sets the key instead. Signing secrets are kept sealed with secret.key
in the data folder, or with GRAPNEL_SECRET_KEY; without the key that they are sealed with the
server does not start. SIGTERM and SIGINT stop the server in order, a second one at once.

With --store any number of servers share a PostgreSQL database: each takes events, and each
delivers its part of the endpoints. They need the same GRAPNEL_SECRET_KEY, and nothing of the
data folder but its dialects, if there are any.

Under systemd it tells when it is ready and stops (Type=notify), that it lives (WatchdogSec=),
and takes sockets that systemd has bound; the name admin is the admin listener's.

Examples:

    grapnel serve --data /var/lib/grapnel
    grapnel serve --listen 127.0.0.1:9090 --public-url https://hooks.example.com --egress-allow 10.20.0.0/16
    GRAPNEL_ADMIN_KEY=$(cat key) GRAPNEL_LISTEN=:9090 grapnel serve
    grapnel serve --store postgres://grapnel@db.internal/grapnel --secret-key-file /run/secrets/grapnel-key`
}

// gcPercent lets the heap grow to three times what is in use, instead of twice,
// before it is collected: some MiB, for a tenth of the CPU. GOGC overrides it.
const gcPercent = 200

// Run serves until a signal comes.
func (c *serveCmd) Run(p *program) error {
	warnOfMistypedEnv(p.stderr, p.model)
	cfg, err := p.readSettings(&c.serverSettings)
	if err != nil {
		return err
	}
	if err := serve.CheckSettings(&cfg, time.Now, p.getenv, p.sources); err != nil {
		return err
	}
	logger, err := p.logger(&cfg)
	if err != nil {
		return err
	}
	if p.getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := interruptible(p.stderr)
	defer stop()
	service, err := newNotifier(p.getenv)
	if err != nil {
		return err
	}
	defer service.close()
	given := serve.Config{Settings: cfg, Logger: logger, Now: time.Now}
	if given.Listener, given.AdminListener, err = passedListeners(p.getenv); err != nil {
		return err
	}
	s, err := serve.New(ctx, given)
	if err != nil {
		return startError(config.Located(err, p.sources))
	}
	return runServer(ctx, p.stderr, service, s, cfg.Drain.Std())
}

// runServer runs a server until ctx ends or it fails, and ends it in order.
func runServer(ctx context.Context, stderr io.Writer, service *notifier, s *serve.Server, drain time.Duration) error {
	err := s.Start(ctx)
	if err == nil {
		if key := s.AdminKey(); key != "" {
			fmt.Fprintf(stderr, "\nAdmin key (shown this once, keep it safe): %s\n\n", string(key))
		}
		defer service.started(s.URL(), s.Alive)()
		select {
		case <-ctx.Done():
		case err = <-s.Failed():
		}
	}
	service.tell("STOPPING=1\nSTATUS=stopping")
	draining, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	return errors.Join(err, s.Stop(draining))
}

// repeatAfter is how long after the first signal another one is taken for a
// second wish. Terminals and timeout(1) may deliver one wish twice.
const repeatAfter = 300 * time.Millisecond

// interruptible returns a context that ends with the first SIGINT or SIGTERM.
// The second ends the process.
func interruptible(stderr io.Writer) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
			cancel()
		case <-done:
			return
		}
		for first := time.Now(); ; {
			select {
			case <-signals:
				if time.Since(first) < repeatAfter {
					continue
				}
				fmt.Fprintln(stderr, "ended by a second signal")
				os.Exit(exitInterrupted)
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}

// databaseRemedy is what to do about a database that does not answer.
const databaseRemedy = "see that the database runs, that this machine may connect, and that --store names it"

// startError says what to do about the usual reasons why a server does not
// start.
func startError(err error) error {
	var listen *net.OpError
	var file *fs.PathError
	setting := "--listen"
	if bound := (*serve.ListenError)(nil); errors.As(err, &bound) {
		setting = bound.Setting
	}
	switch {
	case err == nil || len(settingFaults(err)) > 0:
		return err
	case errors.Is(err, syscall.EADDRINUSE):
		return fail(exitUnavailable, "another process listens there: end it, or choose another address with "+setting, "%w", err)
	case errors.Is(err, store.ErrUnavailable):
		return fail(exitUnavailable, databaseRemedy, "%w", err)
	case errors.As(err, &listen):
		return fail(exitUnavailable, "choose an address of this machine with "+setting, "%w", err)
	case errors.Is(err, store.ErrLocked):
		return fail(exitConflict, "end that process, or name another folder with --data", "%w", err)
	case errors.Is(err, serve.ErrMoved):
		return fail(exitConflict, "two servers with the same deliveries would send everything twice", "%w", err)
	case errors.Is(err, store.ErrNewer):
		return fail(exitConflict, "use that version of grapnel or a later one, or name another folder with --data", "%w", err)
	case errors.Is(err, keyring.ErrOtherKey), errors.Is(err, keyring.ErrNoKey):
		return fail(exitConflict, "start with the key that the store was used with before: in "+config.EnvSecretKey+" or --secret-key-file, as all servers of a database have it, or in secret.key in the data folder; to change keys, write the new one before the old one", "%w", err)
	case errors.As(err, &file):
		return fail(exitFailure, "name a folder with --data that this user may write to", "%w", err)
	}
	return err
}

// logger makes a server's logger, which also takes what net/http writes to the
// standard one. --quiet and --verbose are its level where none is set.
func (p *program) logger(cfg *config.Config) (*slog.Logger, error) {
	level := cfg.LogLevel
	switch {
	case p.sources("log-level") != "default":
	case p.Quiet:
		level = "error"
	case p.Verbose:
		level = "debug"
	}
	logger, err := telemetry.NewLogger(p.stderr, cfg.LogFormat, level)
	if err == nil {
		log.SetFlags(0)
		log.SetOutput(egress.LogWriter(logger))
	}
	return logger, err
}
