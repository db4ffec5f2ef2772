package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgserver"
	"grapnel/internal/testaid"
)

// External is the environment variable with the URL of a server that tests use
// instead of one of their own. Its user has to be allowed to create databases.
const External = "GRAPNEL_TEST_POSTGRES"

var shared = sync.OnceValues(func() (*Cluster, error) {
	if text := os.Getenv(External); text != "" {
		server, err := pgserver.At(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", External, err)
		}
		return &Cluster{Cluster: server}, nil
	}
	return start(Options{})
})

// Shared is the cluster that the tests of a binary share. It ends with the
// binary.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	c, err := shared()
	if errors.Is(err, pgserver.ErrMissing) {
		testaid.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Database makes a database with an empty store in it, which goes with the test,
// and returns its URL.
func Database(t testing.TB) string {
	t.Helper()
	return Shared(t).Database(t)
}

// Empty makes a database with nothing in it, as Database does.
func Empty(t testing.TB) string {
	t.Helper()
	return Shared(t).create(t, "template0")
}

// Database makes a database with an empty store in this cluster.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	name, err := c.template(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c.create(t, name)
}

// template makes the database that others are copies of: a migrated one. Copying
// is ten times as fast as migrating.
func (c *Cluster) template(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.migrated != "" {
		return c.migrated, nil
	}
	name := fmt.Sprintf("grapnel_test_%d_migrated", os.Getpid())
	err := c.Exec(ctx, "postgres", `DROP DATABASE IF EXISTS `+name, `CREATE DATABASE `+name+` TEMPLATE template0`)
	if err != nil {
		return "", err
	}
	if err := postgres.Migrate(ctx, c.URL(name)); err != nil {
		return "", err
	}
	c.migrated = name
	return name, nil
}

// strategy has PostgreSQL 15 and later copy a template's files, as 14 does, which on
// a server that does not sync takes an eighth of the time of their default.
func (c *Cluster) strategy(ctx context.Context) (string, error) {
	if c.copies != nil {
		return *c.copies, nil
	}
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is left to be done on it
	var said string
	err = conn.QueryRow(ctx, `SELECT CASE WHEN current_setting('server_version_num')::int >= 150000 THEN ' STRATEGY file_copy' ELSE '' END`).Scan(&said)
	if err != nil {
		return "", err
	}
	c.copies = &said
	return said, nil
}

// create makes a database that goes with the test.
func (c *Cluster) create(t testing.TB, template string) string {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock() // a template can be copied by one at a time
	c.made++
	name := fmt.Sprintf("grapnel_test_%d_%d", os.Getpid(), c.made)
	strategy, err := c.strategy(t.Context())
	if err == nil {
		err = c.Exec(t.Context(), "postgres", `CREATE DATABASE `+name+` TEMPLATE `+template+strategy)
	}
	if err != nil {
		t.Fatal(err)
	}
	if c.brief {
		return c.URL(name)
	}
	t.Cleanup(func() {
		if err := c.Exec(context.Background(), "postgres", `DROP DATABASE `+name+` WITH (FORCE)`); err != nil {
			t.Logf("a test's database is left behind: %v", err)
		}
	})
	return c.URL(name)
}
