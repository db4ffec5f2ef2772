package sqlite

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/disk"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

var _ store.Backuper = (*Store)(nil)

const (
	// copyPages is how many pages are copied before others get a turn: 256 KiB.
	copyPages = 64
	// spareBytes is what has to be left beside a copy, for events that come in
	// meanwhile.
	spareBytes = 64 << 20
)

// scratchDir is where copies are until they are written.
func (s *Store) scratchDir() string { return filepath.Join(s.dir, "backup.tmp") }

// endBackup stops a backup, so that Close does not wait for whoever reads it.
func (s *Store) endBackup() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closing:
	default:
		close(s.closing)
	}
}

// backup is one backup on its way.
type backup struct {
	s        *Store
	q        store.BackupQuery
	tar      *tar.Writer
	manifest Manifest
	mark     hook.EventID
	done     int64
	total    int64 // about
}

// Backup writes a copy of the store as a tar stream. The package's documentation
// says why it can be restored.
func (s *Store) Backup(ctx context.Context, w io.Writer, q store.BackupQuery) (store.BackupInfo, error) {
	if err := s.enter(ctx); err != nil {
		return store.BackupInfo{}, err
	}
	defer s.leave()
	if !s.backingUp.TryLock() {
		return store.BackupInfo{}, store.ErrBackupRunning
	}
	defer s.backingUp.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-s.closing:
			cancel(store.ErrClosed)
		case <-ctx.Done():
		}
	}()
	b := &backup{s: s, q: q, tar: tar.NewWriter(w)}
	err := b.run(ctx)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = errors.Join(cause, err)
		}
		return store.BackupInfo{}, fmt.Errorf("back up %s: %w", s.dir, err)
	}
	return store.BackupInfo{Mark: b.mark, Files: len(b.manifest.Files), Bytes: b.manifest.Bytes(), WithKey: b.manifest.WithKey}, nil
}

func (b *backup) run(ctx context.Context) (err error) {
	s := b.s
	s.removing.Lock() // what is in the list stays there
	defer s.removing.Unlock()
	if err := os.MkdirAll(s.scratchDir(), 0o700); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.scratchDir())) }()
	if err := s.settle(); err != nil {
		return err
	}
	progress, err := s.progress(ctx)
	if err != nil {
		return err
	}
	if err := b.begin(); err != nil {
		return err
	}
	list := s.list()
	b.measure(list)
	for _, g := range list {
		name := path.Join(segmentDir, filepath.Base(g.path))
		err := s.readFor(ctx, people, g, func(c *connection) error { return b.database(ctx, c, name) })
		if err == nil { // out of the transaction: whoever reads the backup slowly must not hold that open
			err = b.send(ctx, name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := b.dialects(ctx); err != nil {
		return err
	}
	if err := b.control(ctx, progress); err != nil {
		return fmt.Errorf("%s: %w", controlName, err)
	}
	if err := b.key(); err != nil {
		return err
	}
	return b.end()
}

// begin notes what the backup promises: what is there now.
func (b *backup) begin() error {
	b.manifest = Manifest{
		Format: backupFormat, Program: b.q.Program, Engine: "sqlite " + b.s.version, CreatedAt: b.q.At.UTC().Truncate(time.Second),
		Schema: map[string]int64{},
	}
	for _, k := range []kind{controlDB, segmentDB} {
		steps, err := k.steps()
		if err != nil {
			return err
		}
		b.manifest.Schema[k.name] = int64(len(steps))
	}
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	if b.mark = b.s.last; !b.mark.IsZero() {
		b.manifest.Mark = b.mark.String()
	}
	return nil
}

// measure guesses how much there is to copy.
func (b *backup) measure(list []*segment) {
	paths := []string{filepath.Join(b.s.dir, controlName)}
	for _, g := range list {
		paths = append(paths, g.path)
	}
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil {
			b.total += info.Size()
		}
	}
}

// copied is where the copy of a file is until it is sent.
func (b *backup) copied(name string) string { return filepath.Join(b.s.scratchDir(), path.Base(name)) }

// database copies a database as its connection sees it. The connection is in a
// transaction, so that the copy is of one moment however long it takes.
func (b *backup) database(ctx context.Context, c *connection, name string) error {
	pages, err := c.int(`PRAGMA page_count`)
	if err != nil {
		return err
	}
	if _, err := c.int(`SELECT count(*) FROM sqlite_schema`); err != nil { // the snapshot begins
		return err
	}
	size, err := c.int(`PRAGMA page_size`)
	if err != nil {
		return err
	}
	if free, ok := disk.Free(b.s.dir); ok && free < pages*size+spareBytes {
		return fmt.Errorf("%w: a copy of %d bytes has to be made beside the store, and only %d are free there: make room, or stop the server and copy the folder", store.ErrFull, pages*size, free)
	}
	return b.copyPages(ctx, c, b.copied(name))
}

// send writes a copy, and removes it.
func (b *backup) send(ctx context.Context, name string) error {
	return errors.Join(b.file(ctx, name, b.copied(name)), os.Remove(b.copied(name)))
}

// copyPages copies a database page by page.
func (b *backup) copyPages(ctx context.Context, c *connection, to string) error {
	dst := "file:" + (&url.URL{Path: to}).EscapedPath() + "?vfs=" + url.QueryEscape(b.s.scratchVFS())
	copying, err := c.db.BackupInit("main", dst)
	if err != nil {
		return wrapOS(err)
	}
	for done := false; !done; {
		if err := ctx.Err(); err != nil {
			return errors.Join(err, copying.Close())
		}
		if done, err = copying.Step(copyPages); err != nil {
			return errors.Join(wrapOS(err), copying.Close())
		}
	}
	return wrapOS(copying.Close())
}

// control copies the configuration, last of all, with the progress that was
// known before the first segment was copied.
func (b *backup) control(ctx context.Context, p store.Progress) error {
	c, err := b.s.open(filepath.Join(b.s.dir, controlName), role{readOnly: true, cache: readerCache, checkpoint: neverCheckpoint})
	if err != nil {
		return err
	}
	if err = c.exec(`BEGIN`); err == nil {
		err = b.database(ctx, c, controlName)
	}
	c.rollback()
	c.close()
	if err == nil {
		err = setProgress(b.copied(controlName), p)
	}
	if err != nil {
		return err
	}
	return b.send(ctx, controlName)
}

// dialects adds the operator's dialect files.
func (b *backup) dialects(ctx context.Context) error {
	folder := filepath.Join(b.s.dir, DialectFolder)
	entries, err := os.ReadDir(folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if !IsDialectFile(e.Name()) {
			continue
		}
		if err := b.file(ctx, path.Join(DialectFolder, e.Name()), filepath.Join(folder, e.Name())); err != nil {
			return err
		}
	}
	return err
}

// setProgress sets the progress in a copy of control.db.
func setProgress(copied string, p store.Progress) error {
	db, err := sqlite3.Open("file:" + (&url.URL{Path: copied}).EscapedPath())
	if err != nil {
		return wrap(err)
	}
	c := &connection{db: db, stmts: map[string]*sqlite3.Stmt{}}
	defer c.close()
	if err := wrap(db.Exec(`PRAGMA journal_mode=DELETE`)); err != nil { // one file
		return err
	}
	return c.write(func() error {
		if err := c.exec(`DELETE FROM lanes`); err != nil {
			return err
		}
		return putProgress(c, p)
	})
}

// file writes one file.
func (b *backup) file(ctx context.Context, name, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	err = b.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: info.Size(), Mode: 0o600, ModTime: b.manifest.CreatedAt})
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(b.tar, sum, b), &interruptible{ctx, io.LimitReader(f, info.Size())})
	if err != nil {
		return err
	}
	b.manifest.Files = append(b.manifest.Files, ManifestFile{Name: name, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))})
	return nil
}

// Write counts what was written.
func (b *backup) Write(p []byte) (int, error) {
	b.done += int64(len(p))
	if b.q.Progress != nil {
		b.q.Progress(b.done, max(b.total, b.done))
	}
	return len(p), nil
}

// interruptible is a reader that ends with a context.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (r *interruptible) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// key adds the key file, if it is asked for and there is one.
func (b *backup) key() error {
	if b.q.KeyFile == "" {
		return nil
	}
	err := b.file(context.Background(), secretName, b.q.KeyFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil // the key came from elsewhere
	}
	b.manifest.WithKey = err == nil
	return err
}

// end writes the manifest, by which a whole backup is told from one that was cut
// short.
func (b *backup) end() error {
	text, err := json.MarshalIndent(b.manifest, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	err = b.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: manifestName, Size: int64(len(text)), Mode: 0o600, ModTime: b.manifest.CreatedAt})
	if err != nil {
		return err
	}
	if _, err := b.tar.Write(text); err != nil {
		return err
	}
	return b.tar.Close()
}
