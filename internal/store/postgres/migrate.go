package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/crashpoint"
	"grapnel/internal/store"
)

//go:embed migrations
var migrations embed.FS

// step is one migration; its number is the schema version that it leads to.
type step struct {
	version int
	sql     string
	// works is the oldest schema version whose programs go on working once it is done:
	// what its first line says, "-- Works with N.", or its own number.
	works int
}

// worksWith begins the line that says so.
const worksWith = "-- Works with "

// newStep reads a migration.
func newStep(version int, sql string) (step, error) {
	st := step{version, sql, version}
	line, _, _ := strings.Cut(sql, "\n")
	if text, ok := strings.CutPrefix(line, worksWith); ok {
		n, err := strconv.Atoi(strings.TrimSuffix(text, "."))
		if err != nil || n < 1 || n > version {
			return st, fmt.Errorf("migration %d begins with %q: there should be a version of 1 to %d", version, line, version)
		}
		st.works = n
	}
	return st, nil
}

// steps lists the migrations in order.
func steps() ([]step, error) {
	entries, err := fs.ReadDir(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	out := make([]step, len(entries))
	for _, e := range entries { // by name: 10.sql comes before 2.sql
		v, err := strconv.Atoi(strings.TrimSuffix(e.Name(), ".sql"))
		if err != nil || v < 1 || v > len(out) || out[v-1].sql != "" {
			return nil, fmt.Errorf("migration %s is out of order", e.Name())
		}
		src, err := migrations.ReadFile("migrations/" + e.Name())
		if err != nil {
			return nil, err
		}
		if out[v-1], err = newStep(v, string(src)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Migrate makes the schema in a database, or brings it up to date.
func Migrate(ctx context.Context, url string) error {
	err := connected(ctx, url, func(conn *pgx.Conn) error {
		all, err := steps()
		if err == nil {
			_, err = checkServer(ctx, conn)
		}
		if err == nil {
			err = migrate(ctx, conn, all)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("migrate: %w", mapped(err))
	}
	return nil
}

// connected runs fn with a connection of its own.
func connected(ctx context.Context, url string, fn func(conn *pgx.Conn) error) error {
	opts, err := Options{URL: url}.withDefaults()
	if err != nil {
		return err
	}
	cfg, err := poolConfig(opts)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg.ConnConfig)
	if err != nil {
		return err
	}
	return errors.Join(fn(conn), conn.Close(ctx))
}

// migrationLock is what nodes that start together wait for each other with.
const migrationLock = `SELECT pg_advisory_xact_lock(1198678382, 0)`

// migrate brings the schema up to date, and refuses a database that only a part of a
// store is in.
func migrate(ctx context.Context, conn *pgx.Conn, all []step) error {
	if err := bringUp(ctx, conn, all); err != nil {
		return err
	}
	return mapped(refuseHalf(ctx, conn))
}

// bringUp does all migrations that are missing, in one transaction, so that a failed
// one leaves the schema before it in use. store.ErrNewer: the schema is a later
// program's, which this one cannot work with (case 14).
func bringUp(ctx context.Context, conn *pgx.Conn, all []step) error {
	if at, err := schemaOf(ctx, conn); err != nil || at.version >= len(all) {
		return mapped(errors.Join(err, at.usable(len(all))))
	}
	for began := time.Now(); ; {
		err := bringUpNow(ctx, conn, all)
		if !isCode(err, codeLocked, codeDeadlock) || time.Since(began) > migrationTime {
			return mapped(err)
		}
		select {
		case <-time.After(time.Duration(50+rand.IntN(200)) * time.Millisecond):
		case <-ctx.Done():
			return mapped(err)
		}
	}
}

// migrationTime bounds for how long migrations are tried that others' locks stand in the
// way of.
const migrationTime = time.Minute

// migrationLockSQL bounds how long nodes that run wait behind a migration which itself
// waits for them. It is shorter than deadlock_timeout (1 s): of a deadlock the migration
// is the victim, which tries again, and not what somebody publishes.
const migrationLockSQL = `SET LOCAL lock_timeout = '300ms'`

// bringUpNow does them, unless somebody holds what they need for too long.
func bringUpNow(ctx context.Context, conn *pgx.Conn, all []step) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, migrationLock); err != nil {
			return err
		}
		at, err := schemaOf(ctx, conn) // another node may have been faster
		if err != nil || at.version >= len(all) {
			return errors.Join(err, at.usable(len(all)))
		}
		if err := nobodyOlder(ctx, tx, at, all[at.version:]); err != nil {
			return err
		}
		return migrateFrom(ctx, tx, all[at.version:])
	})
}

// heardOf is how long after it was last heard of a program counts as running.
const heardOf = 5 * keepEvery

// nobodyOlder refuses migrations after which programs that run now would not work any
// more: those have to be stopped first.
func nobodyOlder(ctx context.Context, tx pgx.Tx, at schema, pending []step) error {
	works := at.works
	for _, st := range pending {
		works = max(works, st.works)
	}
	if at.version == 0 || works <= at.works {
		return nil
	}
	var n int
	err := tx.QueryRow(ctx, `SELECT count(*) FROM grapnel.appenders WHERE schema < $1 AND at > now() - $2::float8 * interval '1 second'`, works, heardOf.Seconds()).Scan(&n)
	if err == nil && n > 0 {
		err = fmt.Errorf("%w: %d nodes run, or ran %s ago, a program that does not work with schema version %d any more: upgrade all nodes to a version of Grapnel between, or stop them all first",
			store.ErrLocked, n, heardOf, pending[len(pending)-1].version)
	}
	return err
}

// migrateFrom does migrations in a transaction.
func migrateFrom(ctx context.Context, tx pgx.Tx, pending []step) error {
	if _, err := tx.Exec(ctx, migrationLockSQL); err != nil {
		return err
	}
	for _, st := range pending {
		sql := fmt.Sprintf("%s;\nUPDATE grapnel.meta SET schema_version = %d, works_with = greatest(works_with, %d)", st.sql, st.version, st.works)
		if st.version == 1 {
			sql = `CREATE SCHEMA IF NOT EXISTS grapnel;
				CREATE TABLE grapnel.meta (one boolean PRIMARY KEY DEFAULT true CHECK (one), schema_version integer NOT NULL, works_with integer NOT NULL);
				INSERT INTO grapnel.meta (schema_version, works_with) VALUES (0, 0);` + sql
		}
		if _, err := tx.Conn().PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			return fmt.Errorf("migrate the database to version %d: %w", st.version, err)
		}
		crashpoint.Hit("mid-migration")
	}
	return nil
}

// schema is what a database has: its version, 0 if there is none, and the oldest
// version whose programs work with it.
type schema struct{ version, works int }

// usable refuses a schema that a program which knows versions up to one cannot work
// with.
func (at schema) usable(knows int) error {
	if at.works <= knows {
		return nil
	}
	return fmt.Errorf("%w: the database has schema version %d, which programs that know version %d work with; this one knows up to %d. Use the program that wrote it, or a later one",
		store.ErrNewer, at.version, at.works, knows)
}

// schemaOf reads what a database has. It asks the catalogue's tables: to_regclass
// would answer from what the session remembers of it.
func schemaOf(ctx context.Context, conn *pgx.Conn) (at schema, err error) {
	var there bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
		WHERE n.nspname = 'grapnel' AND c.relname = 'meta')`).Scan(&there)
	if err == nil && there {
		err = conn.QueryRow(ctx, `SELECT schema_version, works_with FROM grapnel.meta`).Scan(&at.version, &at.works)
	}
	return at, err
}
