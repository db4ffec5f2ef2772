package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"grapnel/internal/serve/offline"
	"grapnel/internal/store"
)

type dbMoveCmd struct {
	folder
	SecretKeyFile string `env:"GRAPNEL_SECRET_KEY_FILE" placeholder:"FILE" help:"The file with the key that secrets are sealed with (default: the one in the folder)."`
	NoVerify      bool   `help:"Do not read everything again afterwards, in the folder and in the database, and compare it row by row."`
}

// Help gives examples.
func (*dbMoveCmd) Help() string {
	return `Everything in a data folder (--data) is copied into a PostgreSQL database with nothing in it
(--store, or GRAPNEL_STORE, which keeps a password off the command line): the configuration with
its secrets, which stay sealed with the same key, events, attempts, what is to be sent and when,
and remembered keys. No server may have the folder open. If the move is cut short, the same
command goes on where it was; until it is complete nothing can open the database. The folder
stays as it is, but servers refuse to start on it afterwards.

Examples:

    grapnel db move --data grapnel-data --store postgres://grapnel@db.internal/grapnel
    GRAPNEL_STORE=postgres://grapnel@db.internal/grapnel grapnel db move --data grapnel-data --no-verify`
}

// Run moves.
func (c *dbMoveCmd) Run(p *program) error {
	if c.Store == "" {
		return fail(exitUsage, "give its URL with --store or in GRAPNEL_STORE: postgres://USER@HOST/DATABASE", "no database is named to move to")
	}
	source := folder{Data: c.Data}
	ctx, stop := untilSignal()
	defer stop()
	const hint = "stop the server that has it"
	if err := source.there(); err != nil {
		return err
	}
	if err := source.current(ctx, hint); err != nil {
		return err
	}
	bar := p.progress(0, "copying, events")
	defer func() { bar.end() }()
	compares := false
	moved, err := offline.Move(ctx, offline.MovePlan{
		Dir: c.Data, Database: c.Store, Shown: c.shown(), KeyFile: c.SecretKeyFile, Key: p.getenv("GRAPNEL_SECRET_KEY"), Verify: !c.NoVerify,
		Progress: func(comparing bool, done, total int64) {
			if comparing != compares {
				bar.end()
				bar, compares = p.progress(total, "comparing, events"), comparing
			}
			bar.grow(total)
			bar.set(done)
		},
	})
	bar.end()
	if err != nil {
		return moveError(err, c.Data)
	}
	if p.JSON {
		return p.object(moved)
	}
	return c.tell(p, moved)
}

// tell says what was moved, and what comes next.
func (c *dbMoveCmd) tell(p *program, m *offline.Moved) error {
	compared := "and compared "
	if !m.Verified {
		compared = ""
	}
	took := time.Duration(m.Seconds * float64(time.Second)).Round(10 * time.Millisecond)
	err := p.printf("moved %d events with %d deliveries and %d attempts, %d tenants and %d endpoints %sin %s\n",
		m.Events, m.Deliveries, m.Attempts, m.Tenants, m.Endpoints, compared, took)
	if err != nil {
		return err
	}
	key := c.SecretKeyFile
	if key == "" {
		key = filepath.Join(c.Data, offline.KeyName)
	}
	return p.printf("start servers with --store, and with the key that the secrets are sealed with (%s)\n", plain(key))
}

// moveError tells what to do about what keeps a folder from being moved.
func moveError(err error, dir string) error {
	switch {
	case errors.Is(err, offline.ErrSecrets):
		return fail(exitConflict, "name the key file with --secret-key-file, or give the key in GRAPNEL_SECRET_KEY", "%w", err)
	case errors.Is(err, offline.ErrNotEmpty), errors.Is(err, store.ErrLocked):
		return fail(exitConflict, "nothing was changed; see docs/postgresql.md, \"Moving from SQLite\"", "%w", err)
	case errors.Is(err, store.ErrUnavailable):
		return unreached(fmt.Errorf("%w; the same command goes on where it was", err))
	}
	return fmt.Errorf("move %s: %w", dir, err)
}
