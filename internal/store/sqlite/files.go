package sqlite

import (
	"errors"
	"io/fs"
	"os"

	"github.com/ncruces/go-sqlite3/vfs"
)

// folders is a VFS that takes care of names itself, such as a test's that keeps
// a record of what was synced.
type folders interface {
	SyncDir(dir string) error
	Rename(from, to string) error
}

// syncDir makes the names in a folder durable. The driver syncs the file
// instead of its folder, so this is ours to do.
func (s *Store) syncDir(dir string) error {
	if v, ok := vfs.Find(s.opts.VFS).(folders); ok {
		return wrap(v.SyncDir(dir))
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// rename gives a file another name, which lasts after syncDir.
func (s *Store) rename(from, to string) error {
	if v, ok := vfs.Find(s.opts.VFS).(folders); ok {
		return wrap(v.Rename(from, to))
	}
	return os.Rename(from, to)
}

// removeDatabase deletes a database with its log. A missing file is no error.
func (s *Store) removeDatabase(path string) error {
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if err := s.remove(path + suffix); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) remove(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil // the driver's own answer to that cannot be told from others
	}
	return wrap(vfs.Find(s.opts.VFS).Delete(path, false))
}
