package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"grapnel/client"
	"grapnel/internal/disk"
	"grapnel/internal/serve/offline"
)

type dbBackupCmd struct {
	either
	To         string `required:"" placeholder:"FILE" help:"Where it goes: a file that does not exist yet, a folder to make one in, or - for standard output."`
	WithoutKey bool   `help:"Leave the key of the secrets out; keep it elsewhere, or the secrets of what is restored cannot be read."`
}

// Help gives examples.
func (*dbBackupCmd) Help() string {
	return `The backup is one tar file. It holds every event that was accepted before the command began,
every outcome that was recorded, and unless --without-key is given the key that endpoints'
secrets are sealed with: whoever has it can read them, so guard it as you guard the server.

With --url or --context a running server is asked, which goes on meanwhile and needs an admin
key. Otherwise the data folder is read, which no server may have open.

Examples:

    grapnel db backup --to backup.tar
    grapnel db backup --without-key --to - | gzip > backup.tar.gz`
}

// backedUp is what --json prints.
type backedUp struct {
	File      string `json:"file"`
	Bytes     int64  `json:"bytes"`
	Files     int    `json:"files"`
	Mark      string `json:"mark,omitempty"`
	CreatedAt string `json:"created_at"`
	WithKey   bool   `json:"with_key"`
}

// Run takes a backup. The stream is held against its manifest on the way, so
// that what is said to be a backup is one.
func (c *dbBackupCmd) Run(p *program) error {
	ctx, stop := untilSignal()
	defer stop()
	out, err := c.target(p)
	if err != nil {
		return err
	}
	m, n, err := c.take(ctx, p, out)
	if err := out.end(err); err != nil {
		return err
	}
	return c.tell(p, out.name, m, n)
}

// take copies the backup into out and checks it.
func (c *dbBackupCmd) take(ctx context.Context, p *program, out io.Writer) (*offline.Backup, int64, error) {
	var n counter
	checked, verify := io.Pipe()
	type result struct {
		m   *offline.Backup
		err error
	}
	done := make(chan result, 1)
	go func() {
		m, err := offline.Verify(ctx, checked)
		if err == nil {
			_, err = io.Copy(io.Discard, checked) // what tar adds at its end
		}
		checked.CloseWithError(err)
		done <- result{m, err}
	}()
	err := c.source(ctx, p, io.MultiWriter(out, verify, &n))
	verify.CloseWithError(err)
	r := <-done
	if err == nil {
		err = r.err
	}
	return r.m, int64(n), err
}

// counter counts what is written.
type counter int64

func (n *counter) Write(p []byte) (int, error) {
	*n += counter(len(p))
	return len(p), nil
}

// source writes the backup, from a server or a folder.
func (c *dbBackupCmd) source(ctx context.Context, p *program, w io.Writer) error {
	asks, err := c.asks(p)
	if err != nil {
		return err
	}
	if asks {
		return c.fromServer(ctx, p, w)
	}
	if c.Store != "" {
		return c.noCopy("backup", "run pg_dump --format=custom --schema=grapnel --file=grapnel.dump "+c.shown())
	}
	data, err := c.folder.open(ctx, "take it from the running server: grapnel db backup --url URL, with an admin key in GRAPNEL_KEY")
	if err != nil {
		return err
	}
	defer data.Close()
	bar := p.progress(0, "backing up, bytes")
	defer bar.end()
	return data.Backup(ctx, w, offline.BackupOptions{At: time.Now(), WithKey: !c.WithoutKey, Progress: func(done, total int64) {
		bar.grow(total)
		bar.set(done)
	}})
}

func (c *dbBackupCmd) fromServer(ctx context.Context, p *program, w io.Writer) error {
	api, err := c.remote.open(p)
	if err != nil {
		return err
	}
	var options []client.Option
	if c.WithoutKey {
		options = append(options, client.WithoutKey())
	}
	from, err := api.Backup(ctx, options...)
	if err != nil {
		return err
	}
	defer from.Close()
	bar := p.progress(0, "backing up, bytes")
	defer bar.end()
	if _, err = io.Copy(io.MultiWriter(w, tick(bar.add)), from); err != nil {
		return fail(exitUnavailable, "see the server's log, and try again", "the backup broke off: %w", err)
	}
	return nil
}

// tick tells how much was written.
type tick func(n int64)

func (t tick) Write(p []byte) (int, error) {
	t(int64(len(p)))
	return len(p), nil
}

func (c *dbBackupCmd) tell(p *program, name string, m *offline.Backup, n int64) error {
	done := backedUp{File: name, Bytes: n, Files: len(m.Files), Mark: m.Mark, CreatedAt: m.CreatedAt.Format(time.RFC3339), WithKey: m.WithKey}
	switch {
	case m.WithKey:
		p.note("the key of the secrets is in this backup: whoever has the file can read them, so guard it")
	case c.WithoutKey:
		p.note("the key of the secrets is not in this backup: keep it as well, or the secrets cannot be read after a restore")
	default:
		p.note("the key of the secrets is not in this backup, for it is not in the data folder: keep GRAPNEL_SECRET_KEY as well, or the secrets cannot be read after a restore")
	}
	switch {
	case name == "-":
		return nil // standard output has the backup
	case p.JSON:
		return p.object(done)
	}
	return p.printf("%s: %s, %d files\n", plain(name), sizeText(n), done.Files)
}

// backupFile is where a backup goes. A file has its name only when it is whole.
type backupFile struct {
	io.Writer
	name string
	file *os.File
}

func (c *dbBackupCmd) target(p *program) (*backupFile, error) {
	if c.To == "-" {
		if terminal(p.stdout) {
			return nil, fail(exitUsage, "send it somewhere: --to FILE, or | gzip > FILE", "standard output is a terminal")
		}
		return &backupFile{Writer: p.stdout, name: "-"}, nil
	}
	name := c.To
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		name = filepath.Join(name, "grapnel-"+time.Now().UTC().Format("20060102T150405Z")+".tar")
	}
	if exists(name) {
		return nil, fail(exitUsage, "name another file, or remove it", "%s is there already", name)
	}
	f, err := os.OpenFile(name+".part", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fail(exitUsage, "name a file in a folder that this user can write to", "the backup cannot be written: %w", err)
	}
	return &backupFile{Writer: f, name: name, file: f}, nil
}

// end gives a whole backup its name, and removes one that is not.
func (o *backupFile) end(err error) error {
	if o.file == nil {
		return err
	}
	if err == nil {
		err = o.file.Sync()
	}
	if cerr := o.file.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(o.file.Name(), o.name)
	}
	if err == nil {
		return disk.SyncFolder(filepath.Dir(o.name))
	}
	return errors.Join(err, os.Remove(o.file.Name()))
}

type dbRestoreCmd struct {
	folder
	File string `arg:"" placeholder:"FILE" help:"The backup, or - for standard input."`
}

// Help gives examples.
func (*dbRestoreCmd) Help() string {
	return `The folder must be empty or not there. Everything in the backup is held against its
manifest and looked through before anything gets its place. Start a server on the folder then:
it goes on where the backup was taken. Deliveries that were made after that are made again, and
events that were accepted after it are not there.

Examples:

    grapnel db backup --to backup.tar && grapnel db restore backup.tar --data restored
    grapnel db backup --to - | grapnel db restore - --data restored`
}

// Run restores a backup.
func (c *dbRestoreCmd) Run(p *program) error {
	c.settle(p)
	ctx, stop := untilSignal()
	defer stop()
	if c.Store != "" {
		return c.noCopy("restore", "run pg_restore --dbname="+c.shown()+" grapnel.dump, on a database without the schema grapnel")
	}
	in, size, err := openInput(c.File, p.stdin)
	if err != nil {
		return err
	}
	defer in.Close()
	bar := p.progress(size, "restoring, bytes")
	defer bar.end()
	m, err := offline.Restore(ctx, in, c.Data, bar.set)
	if err != nil {
		return fail(exitFailure, "see grapnel db restore --help", "%w", err)
	}
	bar.end()
	if !m.WithKey {
		p.note("the key of the secrets was not in the backup: put it at %s, or give it in GRAPNEL_SECRET_KEY, before a server starts", filepath.Join(c.Data, offline.KeyName))
	}
	if p.JSON {
		return p.object(m)
	}
	return p.printf("%s: restored to what it was at %s, %s in %d files\n", plain(c.Data), m.CreatedAt.Format(time.RFC3339), sizeText(m.Bytes()), len(m.Files))
}

// openInput opens a file or standard input. size is 0 where it is not known.
func openInput(name string, stdin io.Reader) (in io.ReadCloser, size int64, err error) {
	if name == "-" {
		return io.NopCloser(stdin), 0, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, fail(exitUsage, "name a backup that this user can read, or - for standard input", "%w", err)
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fail(exitUsage, "name the tar file that grapnel db backup made", "%s is a folder", name)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}
