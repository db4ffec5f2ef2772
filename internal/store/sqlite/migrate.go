package sqlite

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"grapnel/internal/crashpoint"
	"grapnel/internal/store"
)

//go:embed migrations
var migrations embed.FS

// A kind of database: its folder of migrations, and the mark in its header.
type kind struct {
	name string
	app  int64
}

// The kinds. Their marks are "GRPc" and "GRPs".
var (
	controlDB = kind{"control", 0x47525063}
	segmentDB = kind{"segment", 0x47525073}
)

// step is one migration; its number is the schema version that it leads to.
type step struct {
	version int64
	sql     string
}

// steps lists a kind's migrations in order.
func (k kind) steps() ([]step, error) {
	dir := path.Join("migrations", k.name)
	entries, err := fs.ReadDir(migrations, dir)
	if err != nil {
		return nil, err
	}
	var out []step
	for i, e := range entries {
		v, err := strconv.ParseInt(strings.TrimSuffix(e.Name(), ".sql"), 10, 64)
		if err != nil || v != int64(i+1) {
			return nil, fmt.Errorf("migration %s is out of order", e.Name())
		}
		src, err := migrations.ReadFile(path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		out = append(out, step{v, string(src)})
	}
	return out, nil
}

// check reads a database's mark and schema version. It returns whether there
// are migrations to do, and store.ErrNewer for a schema of a later program
// (case 14).
func (k kind) check(c *connection) (pending []step, err error) {
	steps, err := k.steps()
	if err != nil {
		return nil, err
	}
	app, err := c.int(`PRAGMA application_id`)
	if err != nil {
		return nil, err
	}
	version, err := c.int(`PRAGMA user_version`)
	if err != nil {
		return nil, err
	}
	tables, err := c.int(`SELECT count(*) FROM sqlite_schema`)
	if err != nil {
		return nil, err
	}
	if app != k.app && (app != 0 || version != 0 || tables != 0) {
		return nil, fmt.Errorf("this is not a %s database of Grapnel (application_id %#x)", k.name, app)
	}
	if version > int64(len(steps)) {
		return nil, fmt.Errorf("%w: the %s database has schema version %d, this program knows up to %d; use the program that wrote it, or a later one",
			store.ErrNewer, k.name, version, len(steps))
	}
	return steps[version:], nil
}

// migrate brings a database up to date, each step in a transaction of its own,
// so that a failed one leaves the schema before it in use.
func (k kind) migrate(c *connection) error {
	pending, err := k.check(c)
	if err != nil {
		return err
	}
	for _, st := range pending {
		err := c.write(func() error {
			sql := fmt.Sprintf("%s; PRAGMA application_id=%d; PRAGMA user_version=%d", st.sql, k.app, st.version)
			err := wrap(c.db.Exec(sql))
			crashpoint.Hit("mid-migration")
			return err
		})
		if err != nil {
			return fmt.Errorf("migrate the %s database to version %d: %w", k.name, st.version, err)
		}
	}
	return nil
}
