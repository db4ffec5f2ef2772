package serve

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"grapnel/internal/crashpoint"
	"grapnel/internal/hook"
	"grapnel/internal/manage"
	"grapnel/internal/store"
	"grapnel/internal/store/postgres"
	"grapnel/internal/telemetry"
)

// shared reports whether other servers may work with the same store.
func (s *Server) shared() bool { return s.settings.Store != "" }

// publishLimit is how long a publish may wait for the database. One that is reached
// over a network may fall silent (case 26), and whoever publishes has to hear so
// before giving up.
const publishLimit = 10 * time.Second

// publishDeadline is how long a publish may wait for the store; 0: as long as usual.
func (s *Server) publishDeadline() time.Duration {
	if s.shared() {
		return publishLimit
	}
	return 0
}

// openDatabase opens the PostgreSQL database that the settings name.
func (s *Server) openDatabase(ctx context.Context) (store.Store, error) {
	st, err := postgres.Open(ctx, postgres.Options{
		URL: s.settings.Store, Lease: s.settings.Lease.Std(), Logger: s.logger, Compress: s.settings.Compression == "zstd",
		IdempotencyWindow: crashpoint.Set("idempotency-window", s.window()), Version: telemetry.ReadVersion().Version, Address: s.reach,
	})
	if err != nil {
		return nil, fmt.Errorf("open the database %s: %w", s.settings.ShownStore(), err)
	}
	return st, nil
}

// nodeName is the name of this start of this server: no other start has it.
func nodeName(given string) string {
	if given == "" {
		host, err := os.Hostname()
		if err != nil || host == "" {
			host = "localhost"
		}
		given, _, _ = strings.Cut(host, ".")
	}
	const letters = 8 // beside a name, two starts alike are not to be expected
	return given + hook.NewID("-")[:letters+1]
}

// catchUp takes over what other servers have configured; nil: there are none.
func (s *Server) catchUp() func(context.Context) {
	if s.current == nil {
		return nil
	}
	return s.current.catchUp
}

// catchUpTo takes over what other servers have configured up to a revision; nil: there
// are none.
func (s *Server) catchUpTo() func(ctx context.Context, revision int64) {
	if s.current == nil {
		return nil
	}
	return func(ctx context.Context, revision int64) {
		if s.directory.Revision() < revision {
			s.current.catchUp(ctx)
		}
	}
}

// sharedReplays says which replays are this server's; nil: all are.
func (s *Server) sharedReplays() *manage.SharedReplays {
	shared, ok := s.store.(store.ReplaySharer)
	if !ok || !s.shared() {
		return nil
	}
	return &manage.SharedReplays{Store: shared, Tenure: s.dispatch.Tenure}
}

// cluster knows the servers that share the store.
func (s *Server) cluster() store.Cluster {
	if c, ok := s.store.(store.Cluster); ok {
		return c
	}
	return &store.Alone{Now: s.now, Node: store.Node{
		Name: s.node, Version: telemetry.ReadVersion().Version, Address: s.reach(), Started: s.now(),
	}}
}
