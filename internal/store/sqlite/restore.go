package sqlite

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"

	"grapnel/internal/disk"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// restoreDir is where a backup is unpacked inside the folder that it is for.
const restoreDir = "restore.tmp"

// RestoreOptions say how to restore.
type RestoreOptions struct {
	Dir      string                 // the data folder to make; it must be empty or not there
	Progress func(written int64)    // nil: nobody is told
	Verify   func(dir string) error // a last look at what was unpacked, before it is moved into place; nil: none
}

// Restore makes a data folder out of a backup. Nothing has its place in the
// folder before all of it was read and every hash was right; control.db comes
// last, so that a folder whose restoring was cut short is never taken for a whole
// one.
func Restore(ctx context.Context, r io.Reader, o RestoreOptions) (*Manifest, error) {
	if err := makeEmpty(o.Dir); err != nil {
		return nil, err
	}
	tmp := filepath.Join(o.Dir, restoreDir)
	m, err := restore(ctx, r, tmp, o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("restore: %w; nothing was put into %s", err, o.Dir), os.RemoveAll(tmp))
	}
	if err := moveIn(m, tmp, o.Dir); err != nil {
		return nil, fmt.Errorf("restore: %w; empty %s before the next try", err, o.Dir)
	}
	return m, nil
}

// makeEmpty makes sure of an empty folder.
func makeEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return os.MkdirAll(dir, 0o700)
	case err != nil:
		return fmt.Errorf("restore: %w", err)
	case len(entries) > 0:
		return fmt.Errorf("restore: %s is not empty (%s is in it): name a folder that is empty or not there", dir, entries[0].Name())
	}
	return nil
}

func restore(ctx context.Context, r io.Reader, tmp string, o RestoreOptions) (*Manifest, error) {
	m, err := Unpack(ctx, r, tmp, o.Progress)
	if err == nil && o.Verify != nil {
		err = o.Verify(tmp)
	}
	return m, err
}

// Unpack writes a backup's files into a new folder and holds every one against
// the manifest. progress, if not nil, is told how many bytes were written.
func Unpack(ctx context.Context, r io.Reader, dir string, progress func(written int64)) (*Manifest, error) {
	for _, name := range []string{segmentDir, DialectFolder} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return nil, err
		}
	}
	u := &unpacker{ctx: ctx, dir: dir, progress: progress}
	return u.run(r)
}

// Verify reads a backup and holds every file against the manifest, without
// writing anything.
func Verify(ctx context.Context, r io.Reader, progress func(read int64)) (*Manifest, error) {
	u := &unpacker{ctx: ctx, progress: progress}
	return u.run(r)
}

func (u *unpacker) run(r io.Reader) (*Manifest, error) {
	u.input.r = r
	m, err := u.read(tar.NewReader(&u.input))
	if err != nil {
		return nil, err
	}
	return m, u.compare(m)
}

// unpacker unpacks a backup.
type unpacker struct {
	ctx      context.Context
	dir      string // "": the files are only read
	progress func(int64)
	written  int64
	input    counting
	found    []ManifestFile
}

// counting counts what was read. Nothing is made of a backup that is not in it:
// a stream that asks for more to be written than it holds is refused (case 114).
type counting struct {
	r io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// read reads the stream up to its end, where the manifest is.
func (u *unpacker) read(r *tar.Reader) (*Manifest, error) {
	for {
		h, err := r.Next()
		switch {
		case errors.Is(err, io.EOF) && len(u.found) == 0, errors.Is(err, io.ErrUnexpectedEOF) && len(u.found) == 0:
			return nil, errors.New("this is no tar file, or only the beginning of one")
		case err != nil:
			return nil, cutShort(err)
		}
		switch {
		case !plain(h):
			return nil, fmt.Errorf("this is no backup of Grapnel: %q is no plain file, or has records of its own", hook.Clip(h.Name))
		case h.Typeflag != tar.TypeReg || h.Name != manifestName && !backupName(h.Name):
			return nil, fmt.Errorf("this is no backup of Grapnel: %q does not belong into one", hook.Clip(h.Name))
		case h.Name == manifestName:
			return u.last(r, h.Size)
		}
		if slices.ContainsFunc(u.found, func(f ManifestFile) bool { return f.Name == h.Name }) {
			return nil, fmt.Errorf("%s is there twice", h.Name)
		}
		if err := u.file(h.Name, r); err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name, cutShort(err))
		}
	}
}

// plain reports whether a header says only what our backups do: a file that lies
// in the stream as it is. A sparse file is large without being there.
func plain(h *tar.Header) bool {
	if h.Typeflag != tar.TypeReg || h.Size < 0 {
		return false
	}
	for name := range h.PAXRecords {
		if name != "size" && name != "mtime" && name != "path" {
			return false
		}
	}
	return true
}

// last reads the manifest, and that nothing follows it.
func (u *unpacker) last(r *tar.Reader, size int64) (*Manifest, error) {
	if size > maxManifest {
		return nil, fmt.Errorf("%s has %d bytes, which cannot be right", manifestName, size)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, cutShort(err)
	}
	switch _, err := r.Next(); {
	case err == nil:
		return nil, fmt.Errorf("something follows %s, which comes last in a backup", manifestName)
	case !errors.Is(err, io.EOF):
		return nil, cutShort(err)
	}
	return parseManifest(text)
}

// cutShort says what an early end means.
func cutShort(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errCut
	case errors.Is(err, tar.ErrHeader):
		return errors.New("this is no tar file, or a damaged one")
	}
	return err
}

// file reads one file, and writes it onto the disk.
func (u *unpacker) file(name string, r io.Reader) error {
	if u.dir == "" {
		return u.copy(name, io.Discard, r)
	}
	f, err := os.OpenFile(filepath.Join(u.dir, filepath.FromSlash(name)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := u.copy(name, f, r); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

func (u *unpacker) copy(name string, to io.Writer, r io.Reader) error {
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, sum, u), &interruptible{u.ctx, r})
	if err == nil {
		u.found = append(u.found, ManifestFile{Name: name, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))})
	}
	return err
}

// Write counts what was written.
func (u *unpacker) Write(p []byte) (int, error) {
	if u.written += int64(len(p)); u.written > u.input.n {
		return 0, errors.New("the file is larger than what the backup holds of it")
	}
	if u.progress != nil {
		u.progress(u.written)
	}
	return len(p), nil
}

// compare holds what was found against the manifest.
func (u *unpacker) compare(m *Manifest) error {
	for _, got := range u.found {
		want := m.file(got.Name)
		switch {
		case want == nil:
			return fmt.Errorf("%s is in the backup, but not in its manifest", got.Name)
		case *want != got:
			return fmt.Errorf("%s is damaged: its SHA-256 is %s, it should be %s; take another backup", got.Name, got.SHA256, want.SHA256)
		}
	}
	for _, want := range m.Files {
		if !slices.Contains(u.found, want) {
			return fmt.Errorf("%s is missing; take another backup", want.Name)
		}
	}
	return checkSchemas(m)
}

// checkSchemas refuses what a later program wrote.
func checkSchemas(m *Manifest) error {
	for _, k := range []kind{controlDB, segmentDB} {
		steps, err := k.steps()
		if err != nil {
			return err
		}
		if v := m.Schema[k.name]; v > int64(len(steps)) {
			return fmt.Errorf("%w: the %s database has schema version %d, this program knows up to %d; use version %s, which made the backup, or a later one",
				store.ErrNewer, k.name, v, len(steps), m.Program)
		}
	}
	return nil
}

// moveIn gives the files their places, control.db last.
func moveIn(m *Manifest, tmp, dir string) error {
	for _, name := range []string{segmentDir, DialectFolder} {
		if err := os.Rename(filepath.Join(tmp, name), filepath.Join(dir, name)); err != nil {
			return err
		}
		if err := disk.SyncFolder(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	for _, name := range []string{secretName, controlName} {
		if m.file(name) == nil {
			continue
		}
		if err := disk.SyncFolder(dir); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(tmp, path.Base(name)), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	return disk.SyncFolder(dir)
}
