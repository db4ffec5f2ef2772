package serve

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"grapnel/internal/auth"
	"grapnel/internal/config"
	"grapnel/internal/convert"
	"grapnel/internal/crashpoint"
	"grapnel/internal/disk"
	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/ingest"
	"grapnel/internal/live"
	"grapnel/internal/manage"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
	"grapnel/internal/store/sqlite"
	"grapnel/internal/telemetry"
	"grapnel/internal/vendors"
)

// Config is what a Server is made from.
type Config struct {
	Settings config.Config // valid
	Logger   *slog.Logger
	Now      func() time.Time    // the clock of the upkeep and of certificates
	Exempt   []netip.AddrPort    // single addresses that deliveries may go to although they are private
	Observe  func(*hook.Attempt) // told of every attempt; must not block; may be nil

	// Listener and AdminListener take the place of the addresses in Settings
	// where somebody else has bound them; nil: nobody has.
	Listener, AdminListener net.Listener
}

// Server is a whole server. Its life is New, Start, Stop.
type Server struct {
	settings config.Config
	logger   *slog.Logger
	now      func() time.Time
	adminKey hook.Secret // made at this start, or ""

	listener      net.Listener
	adminListener net.Listener // nil: there is none
	certificate   *certificate // nil: plain HTTP
	store         store.Store
	node          string // its name among those of the store
	lease         store.Lease
	directory     *directory.Directory
	current       *current // nil: nobody else changes the configuration
	egress        *egress.Client
	manager       *manage.Manager
	pins          *dispatch.Pins
	converters    convert.Runner
	endConverters func()
	programs      *convert.Guests
	endPrograms   func()
	replayer      *manage.Replayer
	auth          *auth.Authenticator
	tracer        *telemetry.Tracer // nil: no traces
	dispatch      *dispatch.Dispatcher
	keeper        *dispatch.Keeper
	ingest        *ingest.Ingester
	mover         atomic.Pointer[ingest.Mover] // nil: the store has no inbox
	live          *live.Hub
	failures      *failures
	vendors       *vendors.Host
	incomplete    bool // the configuration lacks something; only the upkeep asks after the start
	room          *room
	gate          *gate
	http          *http.Server
	admin         *http.Server // nil: there is none

	undo    []func()       // what New has opened, to be closed if it fails
	running sync.WaitGroup // what Start has started
	cancel  func()         // ends what of it does not end by itself
	failed  chan error     // gets the reason when the server cannot go on
}

// New builds all parts and takes possession of the data folder, but serves
// and sends nothing yet. Whoever has a Server must end it by Stop.
func New(ctx context.Context, cfg Config) (*Server, error) {
	s := &Server{
		settings: cfg.Settings, logger: cfg.Logger, now: cfg.Now, cancel: func() {}, failed: make(chan error, 1),
		room: newRoom(cfg.Settings.Data, cfg.Settings.MinFree),
	}
	if s.shared() {
		s.room = newRoom("", 0)
	}
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
	if err := s.listen(ctx, cfg); err != nil {
		return err
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	return s.build(ctx, cfg)
}

// openStore opens the store that the settings name.
func (s *Server) openStore(ctx context.Context) (err error) {
	s.node = nodeName(s.settings.Node)
	if s.settings.Store != "" {
		s.store, err = s.openDatabase(ctx)
	} else {
		s.store, err = s.openFolder(ctx)
	}
	if err != nil {
		return err
	}
	s.undo = append(s.undo, func() { s.store.Close() })
	return nil
}

// load reads the configuration.
func (s *Server) load(ctx context.Context) (err error) {
	if s.directory, err = directory.Load(ctx, s.store); err == nil && s.shared() {
		s.current = newCurrent(s.directory)
	}
	return err
}

// join takes a lease, by which other servers know of this one and of its address, and
// give it its share. Whatever may end the start comes before: a server that tries again
// and again must not have others wait for it.
func (s *Server) join(ctx context.Context) (err error) {
	if s.lease, err = s.store.Acquire(ctx, s.node); err != nil {
		return fmt.Errorf("acquire the lease: %w", err)
	}
	s.undo = append(s.undo, s.giveBack)
	return nil
}

// ErrMoved says that what a data folder held is in a database now.
var ErrMoved = sqlite.ErrMoved

// openFolder opens the data folder.
func (s *Server) openFolder(ctx context.Context) (store.Store, error) {
	if err := os.MkdirAll(s.settings.Data, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	if err := sqlite.Moved(s.settings.Data); err != nil {
		return nil, err
	}
	if kind := disk.Network(s.settings.Data); kind != "" {
		s.logger.Warn("the data folder is on a network file system, whose locks and syncs are only as good as the other end: use a local disk, or PostgreSQL", "data", s.settings.Data, "kind", kind)
	}
	st, err := sqlite.Open(ctx, sqlite.Options{
		Dir: s.settings.Data, Logger: s.logger, Compress: s.settings.Compression == "zstd",
		// Crash tests make segments small and short-lived; else Set changes nothing.
		SegmentEvents:     crashpoint.Set("segment-events", 0),
		IdempotencyWindow: crashpoint.Set("idempotency-window", s.window()),
	})
	if err != nil {
		return nil, fmt.Errorf("open the data folder: %w", err)
	}
	return st, nil
}

// giveBack gives the lease of a start that fails to other servers at once, which then
// count it no more.
func (s *Server) giveBack() {
	ctx, cancel := context.WithTimeout(context.Background(), hangUpTime)
	defer cancel()
	lease := s.lease
	lease.Leaves = true
	_ = s.store.Release(ctx, lease) // it ends by itself
}

// window is how long keys are remembered, by all parts.
func (s *Server) window() time.Duration { return s.settings.IdempotencyWindow.Std() }

// Addr is the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// AdminAddr is the address of the admin listener; nil if there is none.
func (s *Server) AdminAddr() net.Addr {
	if s.adminListener == nil {
		return nil
	}
	return s.adminListener.Addr()
}

// Failed gets the reason when the server cannot go on. Stop has still to be
// called.
func (s *Server) Failed() <-chan error { return s.failed }

// fail says that the server cannot go on. The first reason is told; nobody waits
// until somebody listens.
func (s *Server) fail(why error) {
	select {
	case s.failed <- why:
	default:
		s.logger.Error("the server cannot go on for one more reason", "error", why)
	}
}

// AdminKey is the admin key that this start has made, to be shown once; ""
// if there was one.
func (s *Server) AdminKey() hook.Secret { return s.adminKey }

// Endpoint finds an endpoint, deleted ones included.
func (s *Server) Endpoint(num hook.EndpointNum) (*hook.Endpoint, bool) {
	return s.directory.Endpoint(num)
}
