package pgtest

import (
	"errors"
	"sync"
	"testing"

	"grapnel/internal/store/postgres/pgserver"
	"grapnel/internal/testaid"
)

// Options say how a cluster is.
type Options = pgserver.Options

// Cluster is a PostgreSQL server for tests.
type Cluster struct {
	*pgserver.Cluster
	// brief says that the cluster ends with one test: its databases need not go before,
	// which takes long on a server that syncs.
	brief bool

	mu       sync.Mutex
	migrated string  // the name of the template
	copies   *string // see strategy; nil: not asked yet
	made     int
}

// Start starts a cluster that ends with the test.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c, err := start(o)
	if errors.Is(err, pgserver.ErrMissing) {
		testaid.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	c.brief = true
	t.Cleanup(c.End)
	return c
}

func start(o Options) (*Cluster, error) {
	server, err := pgserver.Start(o)
	if err != nil {
		return nil, err
	}
	return &Cluster{Cluster: server}, nil
}

// Restart stops the server and starts it again.
func (c *Cluster) Restart(t testing.TB, mode string) {
	t.Helper()
	if !c.Own() {
		testaid.Missing(t, "the server that "+External+" names cannot be restarted")
	}
	if err := errors.Join(c.Stop(mode), c.Resume()); err != nil {
		t.Fatal(err)
	}
}
