package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"grapnel/internal/serve/offline"
)

type dbCheckCmd struct {
	Path string `arg:"" optional:"" placeholder:"DIR|FILE" help:"A data folder or a backup (default: the folder of --data)."`
	folder
}

// Help gives examples.
func (*dbCheckCmd) Help() string {
	return `Every file is read from its first byte to its last: SQLite's own check, the schema, every row,
that no file of the log is missing, and, if the key is there, that the secrets can be opened. In
a backup every file is held against its hash as well, by which any change of it is found; in a
folder a flipped bit inside an event's data cannot be told from other data. Nothing is changed.
No server may have the folder open: check a backup of it instead. With --store every row of a
PostgreSQL database is read, in the state of one moment, and held against the others. The exit
code is 1 if anything is wrong.

Examples:

    grapnel db backup --to backup.tar && grapnel db check backup.tar
    grapnel db backup --to b.tar && grapnel db restore b.tar --data restored && grapnel db check restored --json`
}

// checked is what --json prints.
type checked struct {
	Path     string            `json:"path"`
	OK       bool              `json:"ok"`
	Findings []offline.Finding `json:"findings"`
	Files    []offline.File    `json:"files"`
	Bytes    int64             `json:"bytes"`
	Mark     string            `json:"mark,omitempty"` // of a backup
	Secrets  offline.Secrets   `json:"secrets"`
}

// Run checks.
func (c *dbCheckCmd) Run(p *program) error {
	c.settle(p)
	ctx, stop := untilSignal()
	defer stop()
	path := c.Path
	if path == "" && c.Store != "" {
		return c.database(ctx, p)
	}
	if path == "" {
		path = c.Data
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fail(exitNotFound, "name a data folder or a backup", "there is nothing at %s", path)
	}
	if err != nil {
		return err
	}
	out := &checked{Path: path, Findings: []offline.Finding{}, Secrets: offline.NotChecked}
	if info.IsDir() {
		err = out.folder(ctx, p, path)
	} else {
		err = out.backup(ctx, p, path)
	}
	if err != nil {
		return err
	}
	return out.tell(p)
}

// database checks a PostgreSQL database.
func (c *dbCheckCmd) database(ctx context.Context, p *program) error {
	if err := c.current(ctx, ""); err != nil {
		return err
	}
	bar := p.progress(0, "checking, tables")
	defer bar.end()
	r, err := offline.CheckDatabase(ctx, c.Store, func(string) { bar.add(1) })
	if err != nil {
		return unreached(err)
	}
	out := &checked{Path: c.shown(), Findings: []offline.Finding{}, Secrets: r.TrySecrets(p.getenv("GRAPNEL_SECRET_KEY")), Files: r.Files, Bytes: r.Bytes}
	out.Findings = append(out.Findings, r.Findings...)
	bar.end()
	return out.tell(p)
}

// folder checks a data folder.
func (out *checked) folder(ctx context.Context, p *program, dir string) error {
	if f := (folder{Data: dir}); len(out.Files) == 0 && out.Mark == "" {
		if err := f.there(); err != nil {
			return err
		}
	}
	bar := p.progress(0, "checking, files")
	defer bar.end()
	r, err := offline.Check(ctx, dir, func(string) { bar.add(1) })
	if err != nil {
		return inUse(err, "take a backup of the running server and check that: grapnel db backup --url URL --to FILE")
	}
	out.Secrets = r.TrySecrets(p.getenv("GRAPNEL_SECRET_KEY"))
	out.Findings, out.Files, out.Bytes = append(out.Findings, r.Findings...), r.Files, r.Bytes
	return nil
}

// backup checks a backup: first its hashes, then what is in it, unpacked into a
// temporary folder.
func (out *checked) backup(ctx context.Context, p *program, file string) error {
	in, size, err := openInput(file, p.stdin)
	if err != nil {
		return err
	}
	defer in.Close()
	dir, err := os.MkdirTemp("", "grapnel-check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bar := p.progress(size, "reading, bytes")
	m, err := offline.Unpack(ctx, in, dir, bar.set)
	bar.end()
	if err := ctx.Err(); err != nil {
		return err
	}
	var system *fs.PathError
	if errors.As(err, &system) {
		return fail(exitFailure, "make room there, or set TMPDIR to a folder with more", "the backup cannot be unpacked to be checked: %w", err)
	}
	if err != nil {
		out.Findings = append(out.Findings, offline.Finding{File: file, Problem: err.Error(), Advice: "use another backup"})
		return nil
	}
	out.Mark = m.Mark
	if m.Mark == "" {
		out.Mark = "no events"
	}
	return out.folder(ctx, p, dir)
}

// tell prints what was found; anything that is wrong makes the exit code 1.
func (out *checked) tell(p *program) error {
	out.OK = len(out.Findings) == 0
	if p.JSON {
		if err := p.object(out); err != nil {
			return err
		}
	} else if err := out.print(p); err != nil {
		return err
	}
	if out.OK {
		return nil
	}
	return fail(exitFailure, out.Findings[0].Advice, "%s is damaged: %d findings", out.Path, len(out.Findings))
}

func (out *checked) print(p *program) error {
	if out.OK {
		return p.printf("%s: nothing wrong in %s, %s; secrets %s\n", plain(out.Path), count(int64(len(out.Files)), "file"), sizeText(out.Bytes), out.Secrets)
	}
	rows := make([][]string, len(out.Findings))
	for i, f := range out.Findings {
		rows[i] = []string{f.File, f.Problem, f.Advice}
	}
	return p.table([]string{"FILE", "PROBLEM", "WHAT TO DO"}, rows)
}

type dbMigrateCmd struct {
	Status dbMigrateStatusCmd `cmd:"" help:"Show the schema version of every file."`
	Up     dbMigrateUpCmd     `cmd:"" help:"Bring a folder to this version's schema."`
}

// Help gives examples.
func (*dbMigrateCmd) Help() string {
	return `A server brings its folder or its database (--store) up to date by itself when it starts; this
does it beforehand, and shows what would be done. There is no way back but a backup: an older
version refuses a newer schema. Of a database, servers of the version before go on working where
the migrations say so; where they do not, nothing is done while such servers run. Replace the
servers one after the other: see docs/postgresql.md.

Examples:

    grapnel db backup --to b.tar && grapnel db restore b.tar --data restored && grapnel db migrate status --data restored
    grapnel db backup --to c.tar && grapnel db restore c.tar --data again && grapnel db migrate up --data again`
}

type dbMigrateStatusCmd struct {
	folder
	ShowSQL bool `name:"show-sql" help:"Print the statements of the migrations that are still to be done."`
}

// Help gives examples.
func (*dbMigrateStatusCmd) Help() string {
	return `Examples:

    grapnel db backup --to b.tar && grapnel db restore b.tar --data restored && grapnel db migrate status --data restored
    grapnel db backup --to c.tar && grapnel db restore c.tar --data again && grapnel db migrate status --data again --show-sql`
}

const stopFirst = "stop the server that has it, or restart it: it migrates when it starts"

// Run shows the versions.
func (c *dbMigrateStatusCmd) Run(p *program) error {
	c.settle(p)
	ctx, stop := untilSignal()
	defer stop()
	files, err := c.files(ctx, stopFirst)
	if err != nil {
		return err
	}
	rows := make([][]string, len(files))
	for i, f := range files {
		if p.JSON {
			if err := p.line(f); err != nil {
				return err
			}
		}
		rows[i] = []string{f.Name, fmt.Sprint(f.Schema), fmt.Sprint(f.Current), standing(f)}
	}
	if p.JSON {
		return nil
	}
	if err := p.table([]string{"FILE", "HAS", "WANTED", "STATE"}, rows); err != nil || !c.ShowSQL {
		return err
	}
	for _, f := range files {
		steps, err := f.Pending()
		if err != nil {
			return err
		}
		for _, sql := range steps {
			if err := p.printf("\n-- %s\n%s", f.Name, sql); err != nil {
				return err
			}
		}
	}
	return nil
}

func standing(f offline.File) string {
	switch {
	case f.Schema < f.Current:
		return "to migrate"
	case f.Schema > f.Current:
		return "newer than this program"
	}
	return "up to date"
}

type dbMigrateUpCmd struct {
	folder
	rehearsed
}

// Help gives examples.
func (*dbMigrateUpCmd) Help() string {
	return `Examples:

    grapnel db backup --to b.tar && grapnel db restore b.tar --data restored && grapnel db migrate up --data restored
    grapnel db backup --to c.tar && grapnel db restore c.tar --data again && grapnel db migrate up --data again --dry-run`
}

// migrated is what --json prints.
type migrated struct {
	DryRun bool     `json:"dry_run"`
	Files  []string `json:"files"` // that were, or would be, migrated
}

// Run migrates. Opening a store does it.
func (c *dbMigrateUpCmd) Run(p *program) error {
	c.settle(p)
	ctx, stop := untilSignal()
	defer stop()
	files, err := c.files(ctx, stopFirst)
	if err != nil {
		return err
	}
	out := migrated{DryRun: c.DryRun, Files: []string{}}
	for _, f := range files {
		if f.Schema < f.Current {
			out.Files = append(out.Files, f.Name)
		}
	}
	if len(out.Files) > 0 && !c.DryRun {
		if err := c.migrate(ctx); err != nil {
			return err
		}
	}
	if p.JSON {
		return p.object(out)
	}
	switch {
	case len(out.Files) == 0:
		return p.printf("%s is up to date\n", plain(c.shown()))
	case c.DryRun:
		return p.printf("%d files would be migrated\n", len(out.Files))
	}
	return p.printf("%d files migrated\n", len(out.Files))
}

// migrate brings a folder or a database up to date.
func (f *folder) migrate(ctx context.Context) error {
	if f.Store != "" {
		return unreached(inUse(offline.MigrateDatabase(ctx, f.Store), "upgrade the servers first, or stop them all"))
	}
	return inUse(offline.Migrate(ctx, f.Data), stopFirst)
}
