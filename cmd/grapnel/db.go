package main

import (
	"context"
	"errors"
	"os"

	"grapnel/internal/config"
	"grapnel/internal/serve/offline"
	"grapnel/internal/store"
)

// dbCmd is about the data folder.
type dbCmd struct {
	Backup        dbBackupCmd        `cmd:"" help:"Copy everything, while the server runs or not."`
	Restore       dbRestoreCmd       `cmd:"" help:"Make a data folder out of a backup."`
	Check         dbCheckCmd         `cmd:"" help:"Look through a data folder or a backup for damage."`
	Stats         dbStatsCmd         `cmd:"" help:"Show how large the store is and how it is."`
	Prune         dbPruneCmd         `cmd:"" help:"Remove old events by hand."`
	Migrate       dbMigrateCmd       `cmd:"" help:"Show schema versions, or bring a folder up to date."`
	Move          dbMoveCmd          `cmd:"" help:"Move a data folder into a PostgreSQL database, with all its history."`
	Reseal        dbResealCmd        `cmd:"" help:"Change the key that secrets are encrypted with."`
	PublisherRole dbPublisherRoleCmd `cmd:"" help:"Print the SQL of a role that may publish in its own transactions, and nothing else."`
}

// Help gives examples.
func (*dbCmd) Help() string {
	return `Most of these work on a data folder that no server has open, or with --store on a PostgreSQL
database, which servers may have open. backup and stats can ask a
running server instead: name it with --url or --context, which go before GRAPNEL_DATA, or
with GRAPNEL_URL alone.

Examples:

    grapnel db backup --to backup.tar && grapnel db check backup.tar
    grapnel db stats`
}

// folder is what commands take that work on a data folder.
type folder struct {
	Data  string `env:"GRAPNEL_DATA" default:"${serve_data}" placeholder:"DIR" help:"The data folder (default ${default})."`
	Store string `env:"GRAPNEL_STORE" placeholder:"URL" help:"A PostgreSQL database instead of a folder, whether servers have it open or not."`
}

// settle lets a folder on the command line go before a database in the environment.
func (f *folder) settle(p *program) {
	if p.sources("data") == "flag" && p.sources("store") != "flag" {
		f.Store = ""
	}
}

// shown is what is worked on, as it may be told: without a password.
func (f *folder) shown() string {
	if f.Store != "" {
		return (&config.Config{Store: f.Store}).ShownStore()
	}
	return f.Data
}

// either is what commands take that work on a folder or ask a server.
type either struct {
	remote
	folder
}

// asks reports whether a server is meant. What stands on the command line goes
// before all that the environment says.
func (e *either) asks(p *program) (bool, error) {
	e.settle(p)
	data, named := p.sources("data"), p.sources("url") == "flag" || p.sources("context") == "flag"
	switch {
	case named && data == "flag":
		return false, fail(exitUsage, "name the folder, or the server that has it open", "--data and --url or --context cannot be together")
	case named:
		return true, nil
	case data != "default" || e.Store != "":
		return false, nil
	}
	c, chosen, err := p.context()
	if err != nil {
		return false, err
	}
	return e.URL != "" || chosen || c.URL != "", nil
}

// there refuses a folder that no server ever used.
func (f *folder) there() error {
	if f.Store != "" {
		return nil
	}
	found, err := offline.Holds(f.Data)
	if err == nil && !found {
		return fail(exitNotFound, "name the folder with --data, or a running server with --url", "there is no data folder of Grapnel at %s", f.Data)
	}
	return err
}

// open opens the folder's store, if it is up to date.
func (f *folder) open(ctx context.Context, hint string) (*offline.Folder, error) {
	if err := f.there(); err != nil {
		return nil, err
	}
	if err := f.current(ctx, hint); err != nil {
		return nil, err
	}
	if f.Store != "" {
		data, err := offline.OpenDatabase(ctx, f.Store)
		return data, unreached(err)
	}
	data, err := offline.Open(ctx, f.Data)
	return data, inUse(err, hint)
}

// inUse tells what to do about a folder that a server has open.
func inUse(err error, hint string) error {
	if errors.Is(err, store.ErrLocked) {
		return fail(exitConflict, hint, "%w", err)
	}
	return err
}

// unreached tells what to do about a database that does not answer.
func unreached(err error) error {
	if errors.Is(err, store.ErrUnavailable) {
		return fail(exitUnavailable, databaseRemedy, "%w", err)
	}
	return err
}

// files lists the databases with their schemas.
func (f *folder) files(ctx context.Context, hint string) ([]offline.File, error) {
	if f.Store != "" {
		file, err := offline.DatabaseSchema(ctx, f.Store)
		return []offline.File{file}, unreached(err)
	}
	if err := f.there(); err != nil {
		return nil, err
	}
	files, err := offline.Schemas(f.Data)
	return files, inUse(err, hint)
}

// noCopy says how a database is copied, which its own tools do best.
func (f *folder) noCopy(verb, command string) error {
	return fail(exitUsage, command+"; see docs/postgresql.md for copies to a point in time",
		"grapnel db %s does not work on a PostgreSQL database: its own tools copy it while it is in use", verb)
}

// current refuses a folder that needs migrating: what only reads should not
// change it.
func (f *folder) current(ctx context.Context, hint string) error {
	files, err := f.files(ctx, hint)
	if err != nil {
		return err
	}
	for _, file := range files {
		switch {
		case f.Store != "" && file.Schema == 0:
			return fail(exitNotFound, "run grapnel db migrate up, or start a server with --store", "there is nothing of Grapnel in database %s", file.Name)
		case file.Schema < file.Current:
			return fail(exitConflict, "run grapnel db migrate up, or use the version of Grapnel that wrote it",
				"%s in %s has schema version %d, this version wants %d", file.Name, f.shown(), file.Schema, file.Current)
		}
	}
	return nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
