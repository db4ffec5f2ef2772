package sqlite

import (
	"errors"
	"io"
	"sync"
	"syscall"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// runBytes is the most that waits to be written in one piece.
const runBytes = 256 << 10

// writeBack is a VFS that joins SQLite's page-sized writes to a file into longer
// ones: a commit and a checkpoint write neighbouring pages one by one, and the
// calls cost more than the bytes.
//
// What waits is written before anything can depend on it: before a sync, before
// a read of it by any connection, before the size is asked, and when a
// checkpoint ends. All connections of a file share what waits for it. A write to
// the database that fails then is not forgotten, for SQLite was told that it took
// place: it is tried again by whoever comes next, and fails them too until it
// succeeds. In the log, what fails is part of a transaction that is not committed
// and fails with it; there it must not come back later. All this relies on
// synchronous=FULL: a commit is seen by others only after the log was synced.
type writeBack struct {
	inner vfs.VFSFilename

	mu    sync.Mutex
	files map[string]*shared
}

// shared is what waits for one file.
type shared struct {
	log   bool // the file is a write-ahead log
	mu    sync.Mutex
	refs  int
	off   int64
	run   []byte
	owner *joinedFile // who wrote the run
}

func newWriteBack(inner vfs.VFSFilename) *writeBack {
	return &writeBack{inner: inner, files: map[string]*shared{}}
}

// Open is not used: SQLite calls OpenFilename.
func (w *writeBack) Open(string, vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return nil, 0, sqlite3.CANTOPEN
}

// OpenFilename opens a file.
func (w *writeBack) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	kind := flags & (vfs.OPEN_MAIN_DB | vfs.OPEN_WAL)
	f, flags, err := w.inner.OpenFilename(name, flags)
	if err != nil || kind == 0 || name == nil {
		return f, flags, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	path := name.String()
	sh := w.files[path]
	if sh == nil {
		sh = &shared{log: kind&vfs.OPEN_WAL != 0}
		w.files[path] = sh
	}
	sh.refs++
	j := &joinedFile{File: f, sh: sh, close: func() { w.release(path, sh) }}
	if sh.log && name.URIParameter(aheadParameter) != "" {
		if db, ok := name.DatabaseFile().(interface{ Unwrap() vfs.File }); ok {
			if db, ok := db.Unwrap().(*joinedFile); ok {
				db.wal = j
			}
		}
	}
	return j, flags, nil
}

// release forgets a file that nobody has open any more.
func (w *writeBack) release(path string, sh *shared) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if sh.refs--; sh.refs == 0 && w.files[path] == sh {
		delete(w.files, path)
	}
}

// Delete removes a file.
func (w *writeBack) Delete(name string, syncDir bool) error { return w.inner.Delete(name, syncDir) }

// Access asks about a file.
func (w *writeBack) Access(name string, flags vfs.AccessFlag) (bool, error) {
	return w.inner.Access(name, flags)
}

// FullPathname makes a path absolute.
func (w *writeBack) FullPathname(name string) (string, error) { return w.inner.FullPathname(name) }

// flush writes what waits. Called with mu held.
func (sh *shared) flush(f *joinedFile) error {
	if len(sh.run) == 0 {
		return nil
	}
	_, err := f.File.WriteAt(sh.run, sh.off)
	if err == nil || sh.log && sh.owner == f {
		sh.run, sh.owner = sh.run[:0], nil
	}
	if errors.Is(err, syscall.ENOSPC) {
		return vfs.SystemError(err, sqlite3.FULL)
	}
	return err
}

// joinedFile is a connection's view of a file.
type joinedFile struct {
	vfs.File
	sh    *shared
	close func()
	wal   *joinedFile // of a connection that reads ahead, the database's log
	ahead ahead
}

// aheadParameter in a database's URI lets a connection read its log ahead while
// it moves that into the file. It is for connections that do nothing else.
const aheadParameter = "ahead"

// aheadBytes is how much is read at once.
const aheadBytes = 64 << 10

// ahead is what was read of a log beyond what was asked for. What a checkpoint
// moves is synced and does not change until it ends, and most of it lies in the
// order in which it is moved: page by page, the calls would cost more than the
// bytes.
type ahead struct {
	on   bool
	off  int64
	data []byte
	buf  []byte
	end  int64 // of the last read
}

// read answers a read from what was read ahead, or reads ahead if it is near the
// last one.
func (a *ahead) read(f vfs.File, p []byte, off int64) (n int, ok bool) {
	near := off >= a.end && off < a.end+aheadBytes
	a.end = off + int64(len(p))
	if off >= a.off && a.end <= a.off+int64(len(a.data)) {
		return copy(p, a.data[off-a.off:]), true
	}
	if !near {
		return 0, false
	}
	if a.buf == nil {
		a.buf = make([]byte, aheadBytes)
	}
	got, err := f.ReadAt(a.buf, off)
	if a.off, a.data = off, a.buf[:got]; got < len(p) || err != nil && !errors.Is(err, io.EOF) {
		a.data = nil
		return 0, false
	}
	return copy(p, a.data), true
}

// settle writes what waits, then calls fn.
func (f *joinedFile) settle(fn func() error) error {
	f.sh.mu.Lock()
	err := f.sh.flush(f)
	f.sh.mu.Unlock()
	if err != nil {
		return err
	}
	return fn()
}

func (f *joinedFile) WriteAt(p []byte, off int64) (int, error) {
	sh := f.sh
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if n := int64(len(sh.run)); n > 0 && (off != sh.off+n || n+int64(len(p)) > runBytes) {
		if err := sh.flush(f); err != nil {
			return 0, err
		}
	}
	if len(p) > runBytes {
		return f.File.WriteAt(p, off)
	}
	if len(sh.run) == 0 {
		sh.off, sh.owner = off, f
	}
	sh.run = append(sh.run, p...)
	return len(p), nil
}

func (f *joinedFile) ReadAt(p []byte, off int64) (int, error) {
	sh := f.sh
	sh.mu.Lock()
	if n := int64(len(sh.run)); n > 0 && off < sh.off+n && sh.off < off+int64(len(p)) {
		if err := sh.flush(f); err != nil {
			sh.mu.Unlock()
			return 0, err
		}
	}
	sh.mu.Unlock()
	if f.ahead.on {
		if n, ok := f.ahead.read(f.File, p, off); ok {
			return n, nil
		}
	}
	return f.File.ReadAt(p, off)
}

func (f *joinedFile) Sync(flags vfs.SyncFlag) error {
	return f.settle(func() error { return f.File.Sync(flags) })
}

func (f *joinedFile) Truncate(size int64) error {
	return f.settle(func() error { return f.File.Truncate(size) })
}

func (f *joinedFile) Size() (size int64, err error) {
	err = f.settle(func() error {
		size, err = f.File.Size()
		return err
	})
	return size, err
}

func (f *joinedFile) Unlock(lock vfs.LockLevel) error {
	err := f.settle(func() error { return nil })
	if e := f.File.Unlock(lock); err == nil {
		err = e
	}
	return err
}

func (f *joinedFile) Close() error {
	err := f.settle(func() error { return nil })
	f.close()
	if e := f.File.Close(); err == nil {
		err = e
	}
	return err
}

// CheckpointStart is called before a checkpoint writes.
func (f *joinedFile) CheckpointStart() {
	if f.wal != nil {
		f.wal.ahead = ahead{on: true, buf: f.wal.ahead.buf, end: -aheadBytes}
	}
}

// CheckpointDone is called before others may rely on what a checkpoint wrote. It
// cannot fail; what could not be written keeps waiting.
func (f *joinedFile) CheckpointDone() {
	if f.wal != nil {
		f.wal.ahead.on = false
	}
	_ = f.settle(func() error { return nil })
}

// SharedMemory is that of the file itself: the index of the log.
func (f *joinedFile) SharedMemory() vfs.SharedMemory {
	if s, ok := f.File.(vfs.FileSharedMemory); ok {
		return s.SharedMemory()
	}
	return nil
}

// SizeHint reserves room.
func (f *joinedFile) SizeHint(size int64) error {
	if s, ok := f.File.(vfs.FileSizeHint); ok {
		return f.settle(func() error { return s.SizeHint(size) })
	}
	return sqlite3.NOTFOUND
}

// LockState is the lock that the connection has.
func (f *joinedFile) LockState() vfs.LockLevel {
	if s, ok := f.File.(vfs.FileLockState); ok {
		return s.LockState()
	}
	return vfs.LOCK_EXCLUSIVE + 1 // not known
}

// Pragma lets the file below answer a pragma.
func (f *joinedFile) Pragma(name, value string) (string, error) {
	if p, ok := f.File.(vfs.FilePragma); ok {
		return p.Pragma(name, value)
	}
	return "", sqlite3.NOTFOUND
}
