package sqlite

import (
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// flushBytes is how much of a copy is left to the operating system before it is
// written to the disk: much at once would keep the store's own commits waiting.
const flushBytes = 8 << 20

// scratch is a VFS for copies that need not outlive the process: what SQLite
// syncs is not synced, and what it writes goes to the disk little by little.
type scratch struct{ inner vfs.VFSFilename }

// scratchVFS is the name of the VFS for copies.
func (s *Store) scratchVFS() string { return s.vfs + "-scratch" }

// Open is not used: SQLite calls OpenFilename.
func (scratch) Open(string, vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return nil, 0, sqlite3.CANTOPEN
}

// OpenFilename opens a file.
func (s scratch) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := s.inner.OpenFilename(name, flags)
	if err != nil {
		return f, flags, err
	}
	return &scratchFile{File: f}, flags, nil
}

// Delete removes a file.
func (s scratch) Delete(name string, _ bool) error { return s.inner.Delete(name, false) }

// Access asks about a file.
func (s scratch) Access(name string, flags vfs.AccessFlag) (bool, error) {
	return s.inner.Access(name, flags)
}

// FullPathname makes a path absolute.
func (s scratch) FullPathname(name string) (string, error) { return s.inner.FullPathname(name) }

type scratchFile struct {
	vfs.File
	dirty atomic.Int64
}

func (f *scratchFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	if err == nil && f.dirty.Add(int64(n)) >= flushBytes {
		f.dirty.Store(0)
		err = f.File.Sync(vfs.SYNC_NORMAL)
	}
	return n, err
}

func (f *scratchFile) Sync(vfs.SyncFlag) error { return nil }
