package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Replace puts a file with contents in the place of one that is there, or
// makes it, with mode 0600. After a crash the file has all of its old contents
// or all of the new ones; without an error it has the new ones.
func Replace(file string, contents []byte) error {
	return place(file, contents, os.Rename)
}

// Create makes a file with contents, with mode 0600, and never replaces one:
// the error is fs.ErrExist then. A file that has its name has all of its
// contents, after a crash too.
func Create(file string, contents []byte) error {
	return place(file, contents, os.Link)
}

// place writes a file beside its place, and has it named when it is whole and
// on the disk.
func place(file string, contents []byte, name func(from, to string) error) error {
	dir := filepath.Dir(file)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(file)+"-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(contents)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = name(tmp.Name(), file)
	}
	if gone := os.Remove(tmp.Name()); !errors.Is(gone, fs.ErrNotExist) && err == nil { // a rename took it away
		err = gone
	}
	if err != nil {
		return err
	}
	return SyncFolder(dir)
}

// SyncFolder makes the names in a folder last: those of files that were made,
// renamed or removed. On Windows there is nothing to do for it.
func SyncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be flushed there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
