package faultvfs

import (
	"os"
	"strings"
	"sync"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// Op is a kind of call.
type Op int

// The kinds of calls that can fail.
const (
	Read Op = iota
	Write
	Sync
	Truncate
	Open
	Delete
	Size
	Rename
	Lock
	ops
)

// String is the call's name.
func (o Op) String() string {
	return [...]string{"read", "write", "sync", "truncate", "open", "delete", "size", "rename", "lock"}[o]
}

// FS is a file system whose calls can be made to fail. Its zero value is not
// usable.
type FS struct {
	name  string
	inner vfs.VFSFilename

	mu      sync.Mutex
	counts  [ops]int
	once    map[Op]fault
	always  map[Op]error
	dead    bool
	pragmas map[string]string
	hits    int
	lazy    bool
	disk    *disk
	killAt  int
	atSync  func()
}

// fault fails the call that brings a count to at.
type fault struct {
	at   int
	code sqlite3.ExtendedErrorCode
}

// Register makes a file system known to SQLite by a name of its own, until
// Unregister.
func Register(name string) *FS {
	f := &FS{name: name, inner: vfs.Find("os").(vfs.VFSFilename), once: map[Op]fault{}, always: map[Op]error{}, pragmas: map[string]string{}}
	vfs.Register(name, f)
	return f
}

// Unregister forgets the name.
func (f *FS) Unregister() { vfs.Unregister(f.name) }

// Name is what to open a database with.
func (f *FS) Name() string { return f.name }

// Fail lets the n-th call of a kind from now on fail once (1: the next one).
func (f *FS) Fail(op Op, n int, code sqlite3.ExtendedErrorCode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.once[op] = fault{f.counts[op] + n, code}
}

// FailAll lets all calls of a kind fail until Heal.
func (f *FS) FailAll(op Op, code sqlite3.ErrorCode) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.always[op] = code
}

// Kill lets everything fail from now on: what was not written will not be.
func (f *FS) Kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead = true
}

// Lazy lets syncs succeed without doing anything. A process can be killed
// without that, only a machine cannot, and tests are many times faster.
func (f *FS) Lazy() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lazy = true
}

// sync syncs, unless that is off.
func (f *FS) sync(fn func() error) error {
	f.mu.Lock()
	look := f.atSync
	f.mu.Unlock()
	if look != nil {
		look()
	}
	if err := f.call(Sync); err != nil {
		return err
	}
	f.mu.Lock()
	lazy := f.lazy
	f.mu.Unlock()
	if lazy {
		return nil
	}
	return fn()
}

// SyncDir makes the names in a folder durable.
func (f *FS) SyncDir(dir string) error {
	err := f.sync(func() error {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		defer d.Close()
		return d.Sync()
	})
	if err == nil {
		f.note(func(d *disk) { d.syncedDir(dir) })
	}
	return err
}

// Heal ends FailAll, and a Fail that did not happen yet.
func (f *FS) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.once)
	clear(f.always)
}

// Pragma answers a pragma with a fixed value, whatever is asked or set.
func (f *FS) Pragma(name, value string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pragmas[strings.ToLower(name)] = value
}

// Count is how many calls of a kind there were.
func (f *FS) Count(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[op]
}

// Hits is how many calls failed by Fail.
func (f *FS) Hits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hits
}

// call counts a call and says whether it fails.
func (f *FS) call(op Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[op]++
	f.dead = f.dead || op == Sync && f.counts[op] == f.killAt
	if f.dead {
		return sqlite3.IOERR
	}
	if err := f.always[op]; err != nil {
		return err
	}
	if one, ok := f.once[op]; ok && f.counts[op] == one.at {
		delete(f.once, op)
		f.hits++
		return one.code
	}
	return nil
}

// Open is not used: SQLite calls OpenFilename.
func (f *FS) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return nil, 0, sqlite3.CANTOPEN
}

// OpenFilename opens a file.
func (f *FS) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	if err := f.call(Open); err != nil {
		return nil, 0, err
	}
	inner, flags, err := f.inner.OpenFilename(name, flags)
	if err != nil {
		return nil, flags, err
	}
	path := name.String()
	f.note(func(d *disk) { d.created(path) })
	return &file{File: inner, fs: f, path: path}, flags, nil
}

// Delete removes a file.
func (f *FS) Delete(name string, syncDir bool) error {
	if err := f.call(Delete); err != nil {
		return err
	}
	err := f.inner.Delete(name, syncDir)
	if err == nil {
		f.note(func(d *disk) { d.deleted(name) })
	}
	return err
}

// Access asks about a file.
func (f *FS) Access(name string, flags vfs.AccessFlag) (bool, error) {
	return f.inner.Access(name, flags)
}

// FullPathname makes a path absolute.
func (f *FS) FullPathname(name string) (string, error) { return f.inner.FullPathname(name) }

// file is an open file.
type file struct {
	vfs.File
	fs   *FS
	path string
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.call(Read); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.call(Write); err != nil {
		return 0, err
	}
	n, err := f.File.WriteAt(p, off)
	if err == nil {
		f.fs.note(func(d *disk) { d.changed(f.path, change{off, append([]byte{}, p...)}) })
	}
	return n, err
}

func (f *file) Sync(flags vfs.SyncFlag) error {
	err := f.fs.sync(func() error { return f.File.Sync(flags) })
	if err == nil {
		f.fs.note(func(d *disk) { d.synced(f.path) })
	}
	return err
}

func (f *file) Truncate(size int64) error {
	if err := f.fs.call(Truncate); err != nil {
		return err
	}
	err := f.File.Truncate(size)
	if err == nil {
		f.fs.note(func(d *disk) { d.changed(f.path, change{off: size}) })
	}
	return err
}

func (f *file) Size() (int64, error) {
	if err := f.fs.call(Size); err != nil {
		return 0, err
	}
	return f.File.Size()
}

func (f *file) Lock(level vfs.LockLevel) error {
	if err := f.fs.call(Lock); err != nil {
		return err
	}
	return f.File.Lock(level)
}

// SharedMemory is that of the file itself: the index of the log.
func (f *file) SharedMemory() vfs.SharedMemory {
	if s, ok := f.File.(vfs.FileSharedMemory); ok {
		return s.SharedMemory()
	}
	return nil
}

func (f *file) LockState() vfs.LockLevel {
	if s, ok := f.File.(vfs.FileLockState); ok {
		return s.LockState()
	}
	return vfs.LOCK_EXCLUSIVE + 1 // not known
}

// Pragma answers what a test has fixed.
func (f *file) Pragma(name, value string) (string, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if v, ok := f.fs.pragmas[name]; ok {
		return v, nil
	}
	return "", sqlite3.NOTFOUND
}
