package serve

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
	"sync"
	"time"

	"grapnel/internal/api"
	"grapnel/internal/auth"
	"grapnel/internal/config"
	"grapnel/internal/crashpoint"
	"grapnel/internal/dialect"
	"grapnel/internal/dialect/all"
	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/ingest"
	"grapnel/internal/keyring"
	"grapnel/internal/manage"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
	"grapnel/internal/store/sqlite"
	"grapnel/internal/telemetry"
)

// Config is what a Server is made from.
type Config struct {
	Settings config.Config // valid
	Logger   *slog.Logger
	Now      func() time.Time    // the clock of the upkeep
	Exempt   []netip.AddrPort    // single addresses that deliveries may go to although they are private
	Observe  func(*hook.Attempt) // told of every attempt; must not block; may be nil
}

// Server is a whole server. Its life is New, Start, Stop.
type Server struct {
	settings config.Config
	logger   *slog.Logger
	now      func() time.Time
	adminKey hook.Secret // made at this start, or ""

	listener  net.Listener
	store     store.Store
	lease     store.Lease
	directory *directory.Directory
	egress    *egress.Client
	manager   *manage.Manager
	dispatch  *dispatch.Dispatcher
	ingest    *ingest.Ingester
	gate      *gate
	http      *http.Server

	undo    []func()       // what New has opened, to be closed if it fails
	running sync.WaitGroup // what Start has started
	cancel  func()         // ends what of it does not end by itself
	failed  chan error     // gets the reason when the server cannot go on
}

// keyFile is the name of the keyring's file in the data folder.
const keyFile = "secret.key"

// Bounds of the listener. A request's body is bounded by the API.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second
	writeTimeout      = 90 * time.Second
	idleTimeout       = 120 * time.Second
	maxHeaderBytes    = 64 << 10
	hangUpTime        = time.Second
)

// New builds all parts and takes possession of the data folder, but serves
// and sends nothing yet. Whoever has a Server must end it by Stop.
func New(ctx context.Context, cfg Config) (*Server, error) {
	s := &Server{settings: cfg.Settings, logger: cfg.Logger, now: cfg.Now, cancel: func() {}, failed: make(chan error, 2)}
	if err := s.assemble(ctx, cfg); err != nil {
		for i := len(s.undo) - 1; i >= 0; i-- {
			s.undo[i]()
		}
		return nil, err
	}
	return s, nil
}

func (s *Server) assemble(ctx context.Context, cfg Config) error {
	if err := s.openStore(ctx); err != nil {
		return err
	}
	if err := s.listen(ctx); err != nil {
		return err
	}
	return s.build(ctx, cfg)
}

// openStore opens the data folder and takes the lease.
func (s *Server) openStore(ctx context.Context) (err error) {
	if err = os.MkdirAll(s.settings.Data, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	s.store, err = sqlite.Open(ctx, sqlite.Options{
		Dir: s.settings.Data, Logger: s.logger,
		// Crash tests make segments small and short-lived; else Set changes nothing.
		SegmentEvents:     crashpoint.Set("segment-events", 0),
		IdempotencyWindow: crashpoint.Set("idempotency-window", s.settings.IdempotencyWindow.Std()),
	})
	if err != nil {
		return fmt.Errorf("open the data folder: %w", err)
	}
	s.undo = append(s.undo, func() { s.store.Close() })
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	if s.lease, err = s.store.Acquire(ctx, host); err != nil {
		return fmt.Errorf("acquire the lease: %w", err)
	}
	s.directory, err = directory.Load(ctx, s.store)
	return err
}

// listen binds the address; nothing is answered before Start.
func (s *Server) listen(ctx context.Context) (err error) {
	var lc net.ListenConfig
	if s.listener, err = lc.Listen(ctx, "tcp", s.settings.Listen); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s.undo = append(s.undo, func() { s.listener.Close() })
	return nil
}

// build makes everything between the store and the listener.
func (s *Server) build(ctx context.Context, cfg Config) error {
	ring, err := keyring.Open(keyring.Source{File: filepath.Join(s.settings.Data, keyFile), Env: s.settings.SecretKey, MustExist: s.directory.Revision() > 0})
	if err != nil {
		return err
	}
	if err := ring.Covers(s.sealed); err != nil {
		return fmt.Errorf("open the secrets in the data folder: %w", err)
	}
	dialects, err := all.Registry()
	if err != nil {
		return err
	}
	if err := s.checkRetention(dialects); err != nil {
		return err
	}
	self := []netip.AddrPort{addrPort(s.listener.Addr())}
	s.egress, err = egress.New(egress.Config{
		Allow: s.settings.EgressPrefixes(), Logger: s.logger,
		Exempt: func() []netip.AddrPort { return cfg.Exempt },
		Self:   func() []netip.AddrPort { return self },
	})
	if err != nil {
		return err
	}
	s.undo = append(s.undo, s.egress.Close)
	s.manager, err = manage.New(manage.Config{
		Store: s.store, Deliveries: s.store, Directory: s.directory, Dialects: dialects, Ring: ring, Logger: s.logger,
		CheckURL: s.egress.CheckURL, CheckFilter: checkFilter, Retention: s.settings.Retention.Std(),
	})
	if err != nil {
		return err
	}
	if s.adminKey, err = s.manager.EnsureAdmin(ctx, hook.Secret(s.settings.AdminKey)); err != nil {
		return err
	}
	metrics := telemetry.NewMetrics()
	s.dispatch, err = dispatch.New(dispatch.Config{
		Queue: s.store, Lease: s.lease, Directory: s.directory, Dialects: dialects, Egress: s.egress, Ring: ring, Manager: s.manager,
		Metrics: metrics, Logger: s.logger, PublicURL: s.PublicURL(), MaxInFlight: s.settings.MaxInFlight, Observe: cfg.Observe,
	})
	if err != nil {
		return err
	}
	s.ingest, err = ingest.New(ctx, ingest.Config{
		Log: s.store, Directory: s.directory, Policy: policies(dialects), Offer: s.dispatch.Offer,
		Window: s.settings.IdempotencyWindow.Std(), Metrics: metrics, Logger: s.logger,
	})
	if err != nil {
		return err
	}
	s.undo = append(s.undo, s.ingest.Close)
	return s.face(ring, dialects, metrics)
}

// face makes what others see: the API, health and metrics.
func (s *Server) face(ring *keyring.Ring, dialects *dialect.Registry, metrics *telemetry.Metrics) error {
	authenticator, err := auth.New(auth.Config{Keys: s.directory})
	if err != nil {
		return err
	}
	cursors, err := ring.Derive("cursors")
	if err != nil {
		return err
	}
	native, err := api.New(api.Config{
		Auth: authenticator, Manager: s.manager, Directory: s.directory, Dialects: dialects, Publisher: s.ingest, Waker: s.dispatch,
		Reader: s.store, Metrics: metrics, Logger: s.logger, CursorKey: cursors, PublicURL: s.PublicURL(), MaxEventBytes: int64(s.settings.MaxEventSize),
	})
	if err != nil {
		return err
	}
	metrics.SetQueue(s.dispatch.Gauges)
	metrics.SetStore(s.storeGauges)
	metrics.SetEndpoints(s.endpointGauges)
	s.gate = newGate(native)
	s.http = &http.Server{
		Handler: s.front(metrics.Handler()), ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
	return nil
}

// Start begins to deliver, to serve and to keep up.
func (s *Server) Start(ctx context.Context) error {
	if err := s.dispatch.Start(ctx); err != nil {
		return err
	}
	s.running.Go(func() {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("the listener failed: %w", err)
		}
	})
	background, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.running.Go(func() { s.upkeep(background) })
	s.running.Go(func() {
		select {
		case <-s.dispatch.Lost():
			s.failed <- fmt.Errorf("nothing is sent any more: %w", store.ErrLeaseLost)
		case <-background.Done():
		}
	})
	s.logger.Info("server started", "listen", s.listener.Addr().String(), "data", s.settings.Data, "version", telemetry.ReadVersion().Version)
	return nil
}

// gateShare is the part of the drain that requests inside get to finish. One
// whose body has not come by then has had its time: it would hold up the end.
const gateShare = 4

// Stop ends the server. No new attempt begins from now on, and running ones
// finish until ctx ends and are given back then. Meanwhile new requests get
// 503, those inside finish, and what they bring is committed, for the next
// start to send. Then the data folder is let go of.
func (s *Server) Stop(ctx context.Context) error {
	s.logger.Info("server stopping")
	stopped := make(chan error, 1)
	go func() { stopped <- s.dispatch.Stop(ctx) }()
	s.closeGate(ctx)
	s.ingest.Close()
	sent := <-stopped
	s.cancel()
	s.hangUp(ctx)
	s.listener.Close() // closed already if Start was called
	s.running.Wait()
	s.egress.Close()
	// What holds the folder must be let go of however little time is left.
	released := s.store.Release(context.WithoutCancel(ctx), s.lease)
	closed := s.store.Close()
	s.logger.Info("server stopped")
	return errors.Join(sent, released, closed)
}

// closeGate lets no request in any more and waits for those inside. One that
// stays longer than its share gets 503 when it wants to publish, and loses its
// connection in the end.
func (s *Server) closeGate(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.settings.Drain.Std()/gateShare)
	defer cancel()
	if left := s.gate.close(ctx); left > 0 {
		s.logger.Warn("requests are not complete: their senders will have to send them again", "requests", left)
	}
}

// hangUp ends all connections. Answers that are on their way out get a moment;
// connections on which nobody has asked anything must not hold us up.
func (s *Server) hangUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, hangUpTime)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.http.Close()
	}
}

// Addr is the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Failed gets the reason when the server cannot go on. Stop has still to be
// called.
func (s *Server) Failed() <-chan error { return s.failed }

// AdminKey is the admin key that this start has made, to be shown once; ""
// if there was one.
func (s *Server) AdminKey() hook.Secret { return s.adminKey }

// Endpoint finds an endpoint, deleted ones included.
func (s *Server) Endpoint(num hook.EndpointNum) (*hook.Endpoint, bool) {
	return s.directory.Endpoint(num)
}
