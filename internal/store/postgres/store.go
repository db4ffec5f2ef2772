package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

var _ store.Store = (*Store)(nil)

// Options say where the store is.
type Options struct {
	// URL is the database's address, as libpq has it.
	URL string
	// Conns is how many connections there may be, besides one for leases. 0: 16.
	Conns int
	// UnitSpan is how much time a unit of the log covers. 0: 24 hours.
	UnitSpan time.Duration
	// IdempotencyWindow is how long a key keeps Append from taking it again.
	// 0: 24 hours.
	IdempotencyWindow time.Duration
	// Timeout is how long a call may take, waiting for a connection included.
	// 0: 30 seconds.
	Timeout time.Duration
	// Compress has what events carry and bodies compressed before they are sent.
	// What is stored already is read either way.
	Compress bool
	// Lease is how long a lease lasts that is not renewed. 0: 10 seconds.
	Lease time.Duration
	// Version is what other nodes are told of the program that acquires a lease.
	Version string
	// Address says, when a lease is acquired, where its node can be reached. nil: nobody
	// is told.
	Address func() string
	// Logger gets what happens in the background. nil: nothing is logged.
	Logger *slog.Logger
}

// withDefaults fills in what is not set.
func (o Options) withDefaults() (Options, error) {
	if o.Conns < 0 || o.UnitSpan < 0 || o.IdempotencyWindow < 0 || o.Timeout < 0 || o.Lease < 0 {
		return o, errors.New("postgres: the limits of a store cannot be negative")
	}
	if o.Conns == 0 {
		o.Conns = 16
	}
	if o.UnitSpan == 0 {
		o.UnitSpan = 24 * time.Hour
	}
	if o.IdempotencyWindow == 0 {
		o.IdempotencyWindow = 24 * time.Hour
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Lease == 0 {
		o.Lease = 10 * time.Second
	}
	if o.Address == nil {
		o.Address = func() string { return "" }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Store is a PostgreSQL database. See the package's documentation.
type Store struct {
	opts   Options
	log    *slog.Logger
	pool   *pgxpool.Pool
	leases *pgxpool.Pool // of one connection: a lease is renewed however busy the others are
	engine string        // with its version
	schema int           // version that this program knows

	way   way         // to the server
	full  atomic.Bool // the last append found no room on the disk
	sizes sizes

	endKeeping context.CancelFunc // nil until it has begun
	kept       chan struct{}      // closed when it has ended
	warned     map[string]bool    // what holds now was logged; keeping's alone
	toDrop     chan struct{}      // there are tables to be dropped

	lanesLook      int // as the constants; tests say otherwise
	pendingExactly int64
	dropAtOnce     int64
	redeliveredTo  int

	now func() time.Time // this machine's clock

	revision atomic.Int64 // of the configuration, as far as it is known here

	// Appends are made by one caller at a time, as the contract says.
	appending sync.Mutex
	appender  string
	serial    int64

	others atomic.Bool   // there are other nodes
	news   chan struct{} // events were stored that other nodes may be told of

	gate   sync.RWMutex // held by calls, and by Close
	closed bool
}

// Open connects to the store and brings its schema up to date. store.ErrNewer: it
// was written by a later program.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{lanesLook: lanesLook, pendingExactly: pendingExactly, dropAtOnce: dropAtOnce, redeliveredTo: redeliveredLimit, now: time.Now, opts: opts, log: opts.Logger, appender: hook.NewID("app_"), news: make(chan struct{}, 1), toDrop: make(chan struct{}, 1)}
	if err := s.connect(ctx); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := s.start(ctx); err != nil {
		s.disconnect()
		return nil, fmt.Errorf("open store: %w", err)
	}
	background, end := context.WithCancel(context.WithoutCancel(ctx))
	s.endKeeping, s.kept = end, make(chan struct{})
	go s.keeping(background)
	return s, nil
}

// connect makes the pools, which connect when they are used.
func (s *Store) connect(ctx context.Context) error {
	cfg, err := poolConfig(s.opts)
	if err != nil {
		return err
	}
	cfg.ConnConfig.Tracer = &s.way.trips
	if s.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return err
	}
	cfg = cfg.Copy()
	cfg.MaxConns, cfg.MinConns, cfg.MinIdleConns = 1, 0, 0
	if s.leases, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		s.pool.Close()
	}
	return err
}

// disconnect closes the pools.
func (s *Store) disconnect() {
	s.pool.Close()
	s.leases.Close()
}

// poolConfig is how connections are made and kept.
func poolConfig(opts Options) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(opts.URL)
	if err != nil {
		return nil, unreadable(opts.URL, err)
	}
	if !asks(opts.URL, "pool_max_conns") {
		cfg.MaxConns = int32(opts.Conns)
	}
	cfg.MaxConnIdleTime = 5 * time.Minute
	cfg.MaxConnLifetime = time.Hour
	cfg.MaxConnLifetimeJitter = 5 * time.Minute
	// A server that has gone without a word (case 26) is found out by the time limits
	// of calls; a connection that a call has given up is closed.
	cfg.PingTimeout = 5 * time.Second
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	// What survives a pooler: types of arguments are asked for once, and each statement
	// is sent whole. Without knowing them (exec) arrays would go as text, which takes
	// twice as long. Who connects directly may say otherwise in the URL.
	if !asks(opts.URL, "default_query_exec_mode") {
		cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "grapnel"
	}
	cfg.ConnConfig.BuildContextWatcherHandler = giveUp
	cfg.AfterConnect = takesWrites
	return cfg, nil
}

// unreadable is the error of a URL that cannot be read. The driver's own quotes parts
// of what it cannot tell apart, which may be the password (case 105): it is told only
// where the password is known and not in it.
func unreadable(address string, err error) error {
	if u, bad := url.Parse(address); bad == nil && (u.User != nil && strings.Count(address, "@") == 1 || !strings.Contains(address, "@")) {
		password, _ := u.User.Password()
		secrets := append(u.Query()["password"], u.Query()["sslpassword"]...)
		if !slices.ContainsFunc(append(secrets, password), func(s string) bool { return s != "" && strings.Contains(err.Error(), s) }) {
			return err
		}
	}
	return errors.New("the database's URL cannot be read: write %20 and the like for what is special in the user's name and the password")
}

// takesWrites refuses a connection that is made while an operator or a provider has the
// database take no writes: it would stay so to its end (case 36).
func takesWrites(_ context.Context, conn *pgx.Conn) error {
	if conn.PgConn().ParameterStatus("default_transaction_read_only") == "on" {
		return fmt.Errorf("%w: the database takes no writes (default_transaction_read_only)", store.ErrUnavailable)
	}
	return nil
}

// start checks the server, migrates, and makes this store known as an appender.
func (s *Store) start(ctx context.Context) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return mapped(err)
	}
	defer conn.Release()
	version, err := checkServer(ctx, conn.Conn())
	if err != nil {
		return err
	}
	s.engine = "postgresql " + version
	all, err := steps()
	if err != nil {
		return err
	}
	s.schema = len(all)
	if err := migrate(ctx, conn.Conn(), all); err != nil {
		return err
	}
	var revision int64
	err = conn.QueryRow(ctx, `SELECT n FROM grapnel.revision`).Scan(&revision)
	if err == nil {
		s.know(revision)
		err = s.beKnown(ctx, conn)
	}
	return mapped(err)
}

// know notes a revision, unless a later one is known.
func (s *Store) know(revision int64) {
	for {
		old := s.revision.Load()
		if revision <= old || s.revision.CompareAndSwap(old, revision) {
			return
		}
	}
}

// enter begins a call; leave ends it. In between the store is not closed, and the
// context ends with the time that a call may take.
func (s *Store) enter(ctx context.Context) (limited context.Context, leave func(), err error) {
	s.gate.RLock()
	if s.closed {
		s.gate.RUnlock()
		return nil, nil, store.ErrClosed
	}
	limited, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	return limited, func() { cancel(); s.gate.RUnlock() }, nil
}

// toWrite is enter for a call that writes.
func (s *Store) toWrite(ctx context.Context) (limited context.Context, leave func(), err error) {
	return s.enter(context.WithValue(ctx, writing{}, true))
}

// Close lets go of the connections. It waits for running calls.
func (s *Store) Close() error {
	s.gate.Lock()
	defer s.gate.Unlock()
	if !s.closed {
		s.closed = true
		s.endKeeping()
		<-s.kept
		s.forgetMe()
		s.disconnect()
	}
	return nil
}
