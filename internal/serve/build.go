package serve

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"grapnel/internal/api"
	"grapnel/internal/auth"
	"grapnel/internal/config"
	"grapnel/internal/convert"
	"grapnel/internal/dialect"
	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/ingest"
	"grapnel/internal/keyring"
	"grapnel/internal/live"
	"grapnel/internal/manage"
	"grapnel/internal/store"
	"grapnel/internal/telemetry"
)

// busyPerCore is how many attempts may take each processor: enough to keep it
// busy, and few enough for nobody to wait long behind them.
const busyPerCore = 8

// build makes everything between the store and the listener.
func (s *Server) build(ctx context.Context, cfg Config) error {
	ring, err := keyring.Open(s.keySource())
	if err != nil {
		return err
	}
	if err := s.covered(ring); err != nil {
		return err
	}
	dialects, err := DialectsOf(s.settings.Data)
	if err != nil {
		return err
	}
	if err := checkRetention(dialects, s.settings.Retention); err != nil {
		return err
	}
	if err := s.openDoor(cfg); err != nil {
		return err
	}
	s.converters, s.endConverters = convert.New(convert.PoolConfig{Logger: s.logger})
	s.undo = append(s.undo, s.endConverters)
	s.programs, s.endPrograms = convert.NewGuests(convert.PoolConfig{Logger: s.logger})
	s.undo = append(s.undo, s.endPrograms)
	s.manager, err = manage.New(manage.Config{
		Store: s.store, Deliveries: s.store, Directory: s.directory, Dialects: dialects, Ring: ring, Logger: s.logger,
		CheckURL: s.egress.CheckURL, CheckFilter: checkFilter, Retention: s.settings.Retention.Std(),
		MaxEndpoints: s.settings.MaxEndpoints, Tell: s.tell, Converters: s.converters, Programs: s.programs,
	})
	if err != nil {
		return err
	}
	if s.shared() {
		if err := s.manager.EnsureKey(ctx); err != nil {
			return err
		}
	}
	if err := s.complete(ctx); err != nil {
		return err
	}
	if s.adminKey, err = s.manager.EnsureAdmin(ctx, hook.Secret(s.settings.AdminKey)); err != nil {
		return err
	}
	if s.pins, err = s.pin(ctx, dialects); err != nil {
		return err
	}
	matching, err := s.withMissing(dialects)
	if err != nil {
		return err
	}
	metrics := telemetry.NewMetrics()
	s.live, s.failures = live.New(live.Config{}), newFailures()
	if s.tracer, err = telemetry.NewTracer(ctx, os.Getenv, s.logger); err != nil {
		return err
	}
	s.undo = append(s.undo, func() { s.closeTracer(ctx) })
	if err := s.join(ctx); err != nil {
		return err
	}
	s.dispatch, err = dispatch.New(dispatch.Config{
		Queue: s.store, Lease: s.lease, Directory: s.directory, Dialects: dialects, Egress: s.egress, Ring: ring, Manager: s.manager,
		Metrics: metrics, Tracer: s.tracer, Logger: s.logger, PublicURL: s.PublicURL(), Pins: s.pins, MaxInFlight: s.settings.MaxInFlight, Observe: cfg.Observe,
		CatchUp:  s.catchUpTo(),
		Busy:     busyPerCore * runtime.GOMAXPROCS(0),
		Recorded: s.recorded,
	})
	if err != nil {
		return err
	}
	s.keeper, err = dispatch.NewKeeper(dispatch.KeeperConfig{
		Leaser: s.store, Dispatcher: s.dispatch, Lease: s.lease, Logger: s.logger,
		Length: s.settings.Lease.Std(), Every: s.settings.Renew.Std(), HandOver: s.settings.Drain.Std(),
	})
	if err != nil {
		return err
	}
	s.replayer, err = manage.NewReplayer(manage.ReplayConfig{Manager: s.manager, Log: s.store, Wake: s.dispatch.Wake, Shared: s.sharedReplays()})
	if err != nil {
		return err
	}
	s.ingest, err = ingest.New(ctx, ingest.Config{
		Log: s.store, Directory: s.directory, Policy: ingest.Policies(matching), Offer: s.offer,
		Window: s.window(), Metrics: metrics, Tracer: s.tracer, Logger: s.logger,
		Limits: s.limits(), Pending: s.dispatch.Pending, Room: s.room.check,
	})
	if err != nil {
		return err
	}
	s.undo = append(s.undo, s.ingest.Close)
	return s.face(ring, dialects, metrics)
}

// complete gives what is stored what this version of the program wants of it.
// Where the store cannot just now, the upkeep tries again: what lacks something
// works as it did, and the rest of the server with it.
func (s *Server) complete(ctx context.Context) error {
	n, err := s.manager.Complete(ctx)
	s.incomplete = hook.CodeOf(err) == hook.CodeUnavailable
	switch {
	case s.incomplete:
		s.logger.Error("what this version needs of the configuration cannot be stored yet", "error", err)
		return nil
	case err != nil:
		return fmt.Errorf("complete the configuration: %w", err)
	}
	if n > 0 {
		s.logger.Info("configuration completed for this version", "records", n)
	}
	return nil
}

// keySource says where the keyring's keys are.
func (s *Server) keySource() keyring.Source {
	if s.settings.SecretKeyFile != "" {
		return keyring.Source{File: s.settings.SecretKeyFile, MustExist: true}
	}
	if s.shared() {
		return keyring.Source{Env: s.settings.SecretKey, MustExist: true}
	}
	return keyring.Source{File: filepath.Join(s.settings.Data, keyring.FileName), Env: s.settings.SecretKey, MustExist: s.directory.Revision() > 0}
}

// openDoor makes the way out. Our own listeners are closed to it (case 87).
func (s *Server) openDoor(cfg Config) (err error) {
	self := []netip.AddrPort{addrPort(s.listener.Addr())}
	if s.adminListener != nil {
		self = append(self, addrPort(s.adminListener.Addr()))
	}
	var proxy *url.URL
	if s.settings.EgressProxy != "" {
		if proxy, err = url.Parse(s.settings.EgressProxy); err != nil {
			return &config.Error{Setting: "--egress-proxy", Reason: "is not a URL", Remedy: "write it as http://HOST:PORT"}
		}
	}
	s.egress, err = egress.New(egress.Config{
		Allow: s.settings.EgressPrefixes(), Deny: s.settings.DeniedPrefixes(), Logger: s.logger, Proxy: proxy, ProxyAuth: s.settings.ProxyAuth,
		Exempt: func() []netip.AddrPort { return cfg.Exempt },
		Self:   func() []netip.AddrPort { return self },
	})
	if err != nil {
		return err
	}
	s.undo = append(s.undo, s.egress.Close)
	return nil
}

// offer takes committed events on.
func (s *Server) offer(events []*hook.Event) {
	s.dispatch.Offer(events)
	s.live.Committed(events)
}

// face makes what others see: the API, health and metrics.
func (s *Server) face(ring *keyring.Ring, dialects *dialect.Registry, metrics *telemetry.Metrics) error {
	known := auth.Config{Keys: s.directory}
	if s.current != nil {
		known = auth.Config{Keys: s.current, Current: s.current.known}
	}
	links, err := ring.DeriveAll("portal links")
	if err != nil {
		return err
	}
	known.Links = &auth.Links{Secrets: links, Known: s.directory}
	authenticator, err := auth.New(known)
	if err != nil {
		return err
	}
	s.auth = authenticator
	cursors, err := ring.DeriveAll("cursors")
	if err != nil {
		return err
	}
	backuper, _ := s.store.(store.Backuper) // nil: the engine has a way of its own
	inbox, _ := s.store.(store.Inbox)       // nil: nothing is published in it
	native, err := api.New(api.Config{
		Auth: authenticator, Manager: s.manager, Directory: s.directory, Dialects: dialects, Publisher: s.ingest, Waker: s.dispatch, Canceller: s.canceller(), Queue: s.dispatch, Matching: s.ingest, Replayer: s.replayer, CatchUp: s.catchUp(),
		Reader: s.store, Extent: s.store, Purger: s.store, Cluster: s.cluster(), Node: s.node, Inbox: inbox, Backup: backuper, KeyFile: s.keyFile(ring), Program: telemetry.ReadVersion().Version,
		IdempotencyWindow: s.window(), PublishDeadline: s.publishDeadline(), Live: s.live, Composer: &dispatch.Composer{Dialects: dialects, Ring: ring, PublicURL: s.PublicURL(), Pins: s.pins},
		Metrics: metrics, Tracer: s.tracer, Logger: s.logger, CursorKeys: cursors, PublicURL: s.PublicURL(), MaxEventBytes: int64(s.settings.MaxEventSize),
		MaxBatchBytes: int64(s.settings.MaxBatchSize), Proxies: s.settings.ProxyPrefixes(),
		RateLimit:  api.Rate{N: s.settings.RateLimit.N, Per: s.settings.RateLimit.Per, Burst: s.settings.RateBurst},
		FailedKeys: api.Rate{N: s.settings.FailedKeyLimit.N, Per: s.settings.FailedKeyLimit.Per},
	})
	if err != nil {
		return err
	}
	metrics.SetQueue(s.dispatch.Gauges)
	metrics.SetStore(s.storeGauges)
	metrics.SetEndpoints(s.endpointGauges)
	if n, ok := s.store.(store.Networked); ok {
		metrics.SetNode(func() telemetry.NodeGauges { return s.nodeGauges(n) })
	}
	if s.vendors, err = s.hostVendors(native, metrics); err != nil {
		return err
	}
	var inside http.Handler = s.vendors
	if s.current != nil {
		inside = s.current.ahead(inside)
	}
	s.gate = newGate(inside)
	s.gate.refuse = s.refuseAtGate
	s.http = s.httpServer(s.front(metrics.Handler()))
	s.http.TLSConfig = s.tlsConfig()
	if s.adminListener != nil {
		s.admin = s.httpServer(s.back(metrics.Handler()))
	}
	return nil
}

// keyFile is the file in the data folder that the ring's keys came from; "" if
// they came from elsewhere.
func (s *Server) keyFile(ring *keyring.Ring) string {
	if file := filepath.Join(s.settings.Data, keyring.FileName); ring.Origin() == file {
		return file
	}
	return ""
}
