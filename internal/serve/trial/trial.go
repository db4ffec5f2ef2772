package trial

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"grapnel/client"
	"grapnel/internal/config"
	"grapnel/internal/dialect"
	"grapnel/internal/inbox"
	"grapnel/internal/serve"
)

// Tenant is the trial's one tenant.
const Tenant = "demo"

// Config is what a trial is made from.
type Config struct {
	Settings  config.Config // valid
	Dialect   string        // what the tenant and its receivers speak; "": standard
	Ephemeral bool          // keep the data in a folder that is removed at the end
	Empty     bool          // no endpoints and no events
	AnyPort   bool          // if the port of Settings.Listen is taken, take a free one
	Logger    *slog.Logger
	Now       func() time.Time
	Emit      func(Event) // told of what happens, one after the other
}

// trial is one that runs.
type trial struct {
	Config
	start    time.Time
	dir      string
	state    *state
	inboxes  map[string]*inbox.Inbox
	receiver *http.Server
	address  string // of the receiver
	server   *serve.Server
	api      *client.Client
	watch    *watch
	dialect  *dialect.Dialect
	secret   string // of the tenant, where its dialect has one
}

// Run runs a trial until ctx ends. It returns nil when all went well.
func Run(ctx context.Context, cfg Config) (err error) {
	t := &trial{Config: cfg, start: cfg.Now(), inboxes: map[string]*inbox.Inbox{}}
	if t.Dialect == "" {
		t.Dialect = standard
	}
	if t.dialect, err = dialectOf(t.Dialect); err != nil {
		return err
	}
	t.watch = newWatch(t)
	remove, err := t.folder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if t.state, err = loadState(t.dir, cfg.Settings.AdminKey); err != nil {
		return err
	}
	t.Settings.Data, t.Settings.AdminKey = t.dir, t.state.AdminKey
	if err := t.receive(ctx); err != nil {
		return err
	}
	defer t.receiver.Close()
	if err := t.open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	return t.run(ctx)
}

// folder chooses the data folder and says how to remove it at the end.
func (t *trial) folder() (remove func() error, err error) {
	nothing := func() error { return nil }
	if !t.Ephemeral {
		t.dir, err = filepath.Abs(t.Settings.Data)
		if err == nil {
			err = os.MkdirAll(t.dir, 0o700)
		}
		return nothing, err
	}
	t.dir, err = os.MkdirTemp("", "grapnel-dev-")
	if err != nil {
		return nothing, fmt.Errorf("make a folder for the trial: %w", err)
	}
	return func() error { return os.RemoveAll(t.dir) }, nil
}

// receive starts the receiver. It has a listener of its own, on loopback, so
// that the one address that deliveries may reach leads nowhere else.
func (t *trial) receive(ctx context.Context) error {
	all := make([]*inbox.Inbox, 0, len(customers))
	for _, c := range customers {
		of := inbox.Config{Name: c.name, Reply: c.reply, Now: t.Now, Observe: t.watch.received}
		if t.Dialect != standard {
			of.Dialect = t.dialect
		}
		if t.state.Endpoints[c.name].speaks() == t.Dialect {
			of.Secrets = t.state.secrets(c.name)
		}
		b, err := inbox.New(of)
		if err != nil {
			return err
		}
		t.inboxes[c.name] = b
		all = append(all, b)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", t.state.Receiver)
	if t.state.Receiver == "" || err != nil {
		l, err = lc.Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return fmt.Errorf("start the receiver: %w", err)
	}
	t.address = l.Addr().String()
	t.receiver = &http.Server{Handler: inbox.NewReceiver(all...).Handler(), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() {
		if err := t.receiver.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Logger.Error("the receiver failed", "error", err)
		}
	}()
	return nil
}

// open builds and starts the server.
func (t *trial) open(ctx context.Context) error {
	exempt, err := netip.ParseAddrPort(t.address)
	if err != nil {
		return fmt.Errorf("the receiver's address: %w", err)
	}
	cfg := serve.Config{Settings: t.Settings, Logger: t.Logger, Now: t.Now, Exempt: []netip.AddrPort{exempt}, Observe: t.watch.attempted}
	t.server, err = serve.New(ctx, cfg)
	if t.AnyPort && errors.Is(err, syscall.EADDRINUSE) {
		host, _, _ := net.SplitHostPort(cfg.Settings.Listen)
		cfg.Settings.Listen = net.JoinHostPort(host, "0")
		t.server, err = serve.New(ctx, cfg)
	}
	if err != nil {
		return err
	}
	t.watch.names(t.state)
	if err := t.server.Start(ctx); err != nil {
		return errors.Join(err, t.close())
	}
	if t.api, err = client.New(client.Config{URL: t.server.URL(), Key: t.state.AdminKey}); err != nil {
		return errors.Join(err, t.close())
	}
	return nil
}

// close stops the server within the drain time.
func (t *trial) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), t.Settings.Drain.Std())
	defer cancel()
	return t.server.Stop(ctx)
}

// run tells what happens until ctx ends.
func (t *trial) run(ctx context.Context) error {
	err := t.seed(ctx)
	if err == nil {
		t.emit(Event{Event: Ready, URL: t.server.URL(), API: t.server.URL() + "/v1", Key: t.state.AdminKey, Tenant: Tenant,
			Dialect: t.dialect.Name(), VendorKey: t.state.VendorKey, Secret: t.secret, Calls: t.calls(), Samples: t.samples(),
			Receivers: t.receivers(), Data: t.dir, Ephemeral: t.Ephemeral, TookMS: t.took()})
		err = t.publish(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil // stopped while it began
		}
		return fmt.Errorf("set the trial up: %w", err)
	}
	t.watch.follow(ctx)
	return nil
}

func (t *trial) receivers() map[string]string {
	out := map[string]string{}
	for _, c := range customers {
		out[c.name] = t.url(c.name)
	}
	return out
}

func (t *trial) url(name string) string { return "http://" + t.address + inbox.Path(name) }

// took is the time since the start in milliseconds.
func (t *trial) took() float64 { return milliseconds(t.Now().Sub(t.start)) }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (t *trial) emit(e Event) {
	e.At = t.Now().UTC()
	t.Emit(e)
}
