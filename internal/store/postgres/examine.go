package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/store"
)

// Facts are what matters of a database, and of the way to it, for those who run servers
// on it.
type Facts struct {
	Version    string
	Unfit      error // why a server does not start on it; nil: it does
	Durability string
	Standby    bool          // it takes no writes
	Autovacuum bool          // tables are cleaned up
	Encrypted  bool          // the connection is
	Trip       time.Duration // what a question takes
	Skew       time.Duration // by how much the database's clock is ahead of this machine's, true to half of Trip
	Name       string        // of the database
	Role       string        // that was connected as
	Owner      bool          // the role may make the schema, or change it
	MaxConns   int           // that the role's connections share with all others
	OwnConns   int           // that a server has at most
	Schema     int           // version; 0: there is none yet
	Current    int           // version of the schema that this program knows
	Newer      error         // why this program cannot work with the schema; nil: it can
	Heard      bool          // notifications arrive
	Nodes      []store.Node
	Warnings   []string // as Store.Warnings has them
}

// besidesPool are the connections that a server has besides its pool: for leases and to
// listen.
const besidesPool = 2

// factsSQL reads what is the same whether there is a schema or not.
const factsSQL = `SELECT current_setting('server_version'), current_setting('synchronous_commit'), current_setting('synchronous_standby_names'),
	pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean, current_setting('autovacuum')::boolean,
	coalesce((SELECT s.ssl FROM pg_catalog.pg_stat_ssl AS s WHERE s.pid = pg_backend_pid()), false), current_database(), current_user,
	coalesce((SELECT pg_has_role(n.nspowner, 'USAGE') FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'grapnel'), has_database_privilege(current_database(), 'CREATE')),
	current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer`

// Examine looks at a database and changes nothing. An error means that it cannot be
// reached, or that what a server needs of it cannot be read.
func Examine(ctx context.Context, url string) (*Facts, error) {
	all, err := steps()
	if err != nil {
		return nil, err
	}
	opts, err := Options{URL: url}.withDefaults()
	if err != nil {
		return nil, err
	}
	cfg, err := poolConfig(opts)
	if err != nil {
		return nil, err
	}
	f := &Facts{OwnConns: int(cfg.MaxConns) + besidesPool, Current: len(all)}
	if err := connected(ctx, url, func(conn *pgx.Conn) error { return f.read(ctx, conn) }); err != nil {
		return nil, fmt.Errorf("look at the database: %w", mapped(err))
	}
	f.Heard = hears(ctx, url)
	return f, nil
}

func (f *Facts) read(ctx context.Context, conn *pgx.Conn) error {
	var sync, standbys string
	err := conn.QueryRow(ctx, factsSQL).Scan(&f.Version, &sync, &standbys, &f.Standby, &f.Autovacuum, &f.Encrypted, &f.Name, &f.Role, &f.Owner, &f.MaxConns)
	if err != nil {
		return err
	}
	f.Durability = durability(sync, standbys)
	_, f.Unfit = checkServer(ctx, conn)
	if err := f.compareClocks(ctx, conn); err != nil {
		return err
	}
	at, err := schemaOf(ctx, conn)
	if err != nil || at.version == 0 {
		return err
	}
	f.Schema, f.Newer = at.version, at.usable(f.Current)
	if f.Warnings, err = warningsOf(ctx, conn, pinnedFor); err == nil && f.Newer == nil {
		f.Nodes, err = nodesOf(ctx, conn)
	}
	return err
}

// clockTries is how often the clock is asked: the answer that took least is the truest.
const clockTries = 5

func (f *Facts) compareClocks(ctx context.Context, conn *pgx.Conn) error {
	for n := range clockTries {
		var there time.Time
		begin := time.Now()
		if err := conn.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&there); err != nil {
			return err
		}
		if trip := time.Since(begin); n == 0 || trip < f.Trip {
			f.Trip, f.Skew = trip, there.Sub(begin.Add(trip/2))
		}
	}
	return nil
}

// hearingLimit is how long a notification may take.
const hearingLimit = 2 * time.Second

// hears reports whether a connection hears what another one says.
func hears(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, hearingLimit)
	defer cancel()
	err := connected(ctx, url, func(listener *pgx.Conn) error {
		if _, err := listener.Exec(ctx, `LISTEN `+pingChannel); err != nil {
			return err
		}
		err := connected(ctx, url, func(other *pgx.Conn) error {
			_, err := other.Exec(ctx, `SELECT pg_notify($1::text, 'doctor')`, pingChannel)
			return err
		})
		for err == nil {
			n, wrong := listener.WaitForNotification(ctx)
			if wrong == nil && n.Payload == "doctor" {
				break
			}
			err = wrong
		}
		return err
	})
	return err == nil
}
