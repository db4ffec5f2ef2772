package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/store"
)

// importTable is there while a store is being copied into the database, and says how
// far that is. It is no part of the schema, so that a store which was never copied has
// nothing of it: it comes with the configuration and goes when everything is there.
//
// name, since: of the source. after: the last event that was copied. copied: all of the
// log is there.
const importTable = `CREATE TABLE grapnel.import (
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	name text NOT NULL,
	since text NOT NULL,
	after bigint NOT NULL,
	copied boolean NOT NULL,
	events bigint NOT NULL,
	attempts bigint NOT NULL,
	deliveries bigint NOT NULL,
	bodies bigint NOT NULL
) WITH (fillfactor = 10)`

// importState is a row of it.
type importState struct {
	name, since                          string
	after                                int64
	copied                               bool
	events, attempts, deliveries, bodies int64
}

// importing reads how far a copy into the database is; nil if none is under way.
func importing(ctx context.Context, db database) (*importState, error) {
	var there bool
	err := db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
		WHERE n.nspname = 'grapnel' AND c.relname = 'import')`).Scan(&there)
	if err != nil || !there {
		return nil, err
	}
	at := &importState{}
	err = db.QueryRow(ctx, `SELECT name, since, after, copied, events, attempts, deliveries, bodies FROM grapnel.import`).
		Scan(&at.name, &at.since, &at.after, &at.copied, &at.events, &at.attempts, &at.deliveries, &at.bodies)
	return at, err
}

// refuseHalf refuses a database that only a part of a store is in.
func refuseHalf(ctx context.Context, db database) error {
	at, err := importing(ctx, db)
	if err == nil && at != nil {
		err = fmt.Errorf("%w: a store is being moved into this database, and %d events are there so far: let grapnel db move end, or run it again with the same folder, which goes on where it was; to give it up, run DROP SCHEMA grapnel CASCADE in the database",
			store.ErrLocked, at.events)
	}
	return err
}

// resumes refuses to go on with a copy of another store.
func (at *importState) resumes(from store.SourceInfo) error {
	const advice = "to begin anew, run DROP SCHEMA grapnel CASCADE in the database"
	switch {
	case at.since != from.Since:
		return fmt.Errorf("%w: a part of another folder's store is in the database: move that one, or, %s", store.ErrLocked, advice)
	case at.name != from.Name:
		return fmt.Errorf("%w: the folder has been in use since a part of it was copied, so that the rest would not match: %s", store.ErrLocked, advice)
	}
	return nil
}

// ErrNotEmpty says that there is a store in a database already.
var ErrNotEmpty = errors.New("the database is not empty")

// refuseFull refuses a database that anything was stored in, or that a server is at
// work in.
func refuseFull(ctx context.Context, tx pgx.Tx) error {
	var revision, events, others, nodes int64
	err := tx.QueryRow(ctx, `SELECT r.n, (SELECT h.events + (h.last <> 0)::integer FROM grapnel.head AS h),
			(SELECT count(*) FROM grapnel.changes) + (SELECT count(*) FROM grapnel.requests) + (SELECT count(*) FROM grapnel.inbox),
			(SELECT count(*) FROM grapnel.appenders WHERE at > now() - $1::float8 * interval '1 second')
		FROM grapnel.revision AS r FOR UPDATE`, heardOf.Seconds()).Scan(&revision, &events, &others, &nodes)
	switch {
	case err != nil:
		return err
	case revision+events+others > 0:
		return fmt.Errorf("%w: a store with %d events is there already: name another one; if what is there can go, run DROP SCHEMA grapnel CASCADE in it first", ErrNotEmpty, events)
	case nodes > 0:
		return fmt.Errorf("%w: a server has the database: stop it first; one that was killed is forgotten after %s", store.ErrLocked, heardOf)
	}
	return nil
}
