package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// StartStandby makes a synchronous standby of a server that Start started, on the same
// machine: whatever the server says is committed is on the standby's disk, too. Whoever
// starts one ends it by End.
func (c *Cluster) StartStandby() (s *Cluster, err error) {
	s = &Cluster{bin: c.bin, options: c.options}
	if s.dir, err = os.MkdirTemp("", "grapnel-pg-"); err != nil {
		return nil, err
	}
	if err := giveAway(s.dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	if s.reaper, err = newReaper(s); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	port, err := freePort()
	if err == nil {
		s.base = address(port)
		err = s.Follow(c)
	}
	if err != nil {
		s.End()
		return nil, err
	}
	return s, nil
}

// Follow makes a server that is stopped, or was never started, the synchronous standby
// of another one. What it had is gone.
func (c *Cluster) Follow(primary *Cluster) error {
	if err := os.RemoveAll(c.data()); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(primary.base.Host)
	if err != nil {
		return err
	}
	if _, err := c.run("pg_basebackup", "-h", host, "-p", port, "-U", owner, "-D", c.data(), "-R", "-X", "stream", "-c", "fast", "--no-sync"); err != nil {
		return err
	}
	own := c.options
	own.Settings = append(own.Settings[:len(own.Settings):len(own.Settings)],
		fmt.Sprintf("primary_conninfo='host=%s port=%s user=%s application_name=standby'", host, port, owner))
	if err := c.configure(own); err != nil {
		return err
	}
	if err := c.Resume(); err != nil {
		return err
	}
	return primary.waitFor(context.Background())
}

// waitFor has commits wait for the standby, once that has caught up.
func (c *Cluster) waitFor(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := c.Exec(ctx, "postgres", `ALTER SYSTEM SET synchronous_standby_names = 'standby'`, `SELECT pg_reload_conf()`); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is left to be done on it
	for {
		var synchronous bool
		if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')`).Scan(&synchronous); err != nil || synchronous {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Promote makes a standby a server of its own, and returns when it takes writes.
func (c *Cluster) Promote() error {
	_, err := c.run("pg_ctl", "-D", c.data(), "-w", "-t", "60", "-s", "promote")
	return err
}

// Either is the address of a database on whichever of two servers takes writes.
func Either(a, b *Cluster, database string) string {
	u := *a.base
	u.Host = strings.Join([]string{a.base.Host, b.base.Host}, ",")
	u.Path = "/" + database
	q := u.Query()
	q.Set("target_session_attrs", "read-write")
	u.RawQuery = q.Encode()
	return u.String()
}

// address is that of a server on a port of this machine.
func address(port int) *url.URL {
	return &url.URL{Scheme: "postgres", User: url.User(owner), Host: net.JoinHostPort("127.0.0.1", fmt.Sprint(port)), Path: "/postgres", RawQuery: "sslmode=disable"}
}
