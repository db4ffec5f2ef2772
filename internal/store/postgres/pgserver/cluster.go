package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/child"
)

// owner owns the cluster, and is who connects.
const owner = "grapnel"

// Options say how a cluster is.
type Options struct {
	// Durable has it sync what it commits, as a server in use does.
	Durable bool
	// Settings are lines of postgresql.conf besides, such as "max_connections=20".
	Settings []string
}

// Cluster is a PostgreSQL server.
type Cluster struct {
	base   *url.URL // of its database postgres
	dir    string   // "": somebody else's server
	bin    string
	reaper *reaper

	options Options
}

// At is a server that runs already. Nothing here starts or stops it.
func At(address string) (*Cluster, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	return &Cluster{base: u}, nil
}

// Own reports whether the server is one that Start started.
func (c *Cluster) Own() bool { return c.dir != "" }

// Start makes a cluster and starts it. Whoever starts one ends it by End; it ends with
// the process at the latest.
func Start(o Options) (c *Cluster, err error) {
	c = &Cluster{options: o}
	if c.bin, err = binaries(); err != nil {
		return nil, err
	}
	// Under /tmp, whatever folder tests have for what passes: the path of a socket has
	// to be short, and another user than the test's has to get there.
	if c.dir, err = os.MkdirTemp("/tmp", "grapnel-pg-"); err != nil {
		return nil, err
	}
	if err := giveAway(c.dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(c.dir))
	}
	if c.reaper, err = newReaper(c); err != nil {
		return nil, errors.Join(err, os.RemoveAll(c.dir))
	}
	if err := c.init(); err != nil {
		c.End()
		return nil, err
	}
	return c, nil
}

// init makes the cluster's files and starts it, on another port if somebody
// takes the first one meanwhile.
func (c *Cluster) init() error {
	_, err := c.run("initdb", "-D", c.data(), "-U", owner, "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	if err != nil {
		return err
	}
	for range 3 {
		port, perr := freePort()
		if perr != nil {
			return perr
		}
		c.base = address(port)
		if err = c.configure(c.options); err != nil {
			return err
		}
		if err = c.Resume(); err == nil {
			return nil
		}
	}
	return err
}

func (c *Cluster) configure(o Options) error {
	lines := []string{
		"listen_addresses='127.0.0.1'", "port=" + c.base.Port(), "unix_socket_directories='" + c.dir + "'",
		"max_connections=200", "shared_buffers=64MB", "max_locks_per_transaction=512", "logging_collector=off", "log_min_messages=warning",
	}
	if !o.Durable {
		lines = append(lines, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	}
	lines = append(lines, o.Settings...)
	path := filepath.Join(c.data(), "postgresql.auto.conf")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	return giveAway(path)
}

// freePort finds a port that stays free while the server is restarted: none of those
// that the kernel gives to outgoing connections.
func freePort() (int, error) {
	addr, err := child.FreeAddr()
	if err != nil {
		return 0, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// Resume starts the server again after Stop, and waits until it takes
// connections.
func (c *Cluster) Resume() error {
	log := filepath.Join(c.dir, "log")
	if _, err := c.run("pg_ctl", "-D", c.data(), "-w", "-t", "60", "-s", "-l", log, "start"); err != nil {
		text, _ := os.ReadFile(log) // whatever there is of it helps
		return fmt.Errorf("%w\n%s", err, text)
	}
	return nil
}

// Stop stops the server: "fast" rolls back what runs, "immediate" is as good as
// a crash.
func (c *Cluster) Stop(mode string) error {
	_, err := c.run("pg_ctl", "-D", c.data(), "-w", "-t", "60", "-s", "-m", mode, "stop")
	return err
}

// End stops the server and removes its files. Of a server that ran already it changes
// nothing.
func (c *Cluster) End() {
	if c.reaper != nil {
		c.reaper.finish()
	}
}

// URL is the address of one of its databases.
func (c *Cluster) URL(database string) string {
	u := *c.base
	u.Path = "/" + database
	return u.String()
}

// Exec runs statements in one of its databases, each by itself.
func (c *Cluster) Exec(ctx context.Context, database string, statements ...string) error {
	conn, err := pgx.Connect(ctx, c.URL(database))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is left to be done on it
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// PID is the process id of the server's first process, whose children all others are.
func (c *Cluster) PID() (int, error) {
	text, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strconv.Atoi(line)
}
