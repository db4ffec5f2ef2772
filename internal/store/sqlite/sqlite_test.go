package sqlite_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"grapnel/internal/store"
	"grapnel/internal/store/sqlite"
	"grapnel/internal/store/sqlite/faultvfs"
	"grapnel/internal/store/storetest"
)

// names makes the names of file systems differ between tests.
var names atomic.Int64

// folder is a data folder that can be opened again and again, each time through
// a file system of its own.
type folder struct {
	dir  string
	opts sqlite.Options
	fs   *faultvfs.FS
	used []*faultvfs.FS
	// For the next open: whether to record what is synced, and when to die.
	record  bool
	killAt  int
	prepare func(*faultvfs.FS)
	st      *sqlite.Store
}

func newFolder(t *testing.T, opts sqlite.Options) *folder {
	f := &folder{dir: t.TempDir(), opts: opts}
	t.Cleanup(func() {
		if f.st != nil {
			f.st.Close()
		}
		for _, fs := range f.used {
			fs.Unregister()
		}
	})
	return f
}

func (f *folder) tryOpen(t *testing.T) error {
	t.Helper()
	f.fs = faultvfs.Register(fmt.Sprint("fault", names.Add(1)))
	f.fs.Lazy()
	if f.record {
		f.fs.Record()
		f.fs.KillAtSync(f.killAt)
	}
	if f.prepare != nil {
		f.prepare(f.fs)
	}
	f.used = append(f.used, f.fs)
	f.opts.Dir, f.opts.VFS = f.dir, f.fs.Name()
	st, err := sqlite.Open(t.Context(), f.opts)
	f.st = st
	return err
}

// files lists the databases.
func (f *folder) files(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(f.dir, "segments", "seg-*.db"))
	if err != nil {
		t.Fatal(err)
	}
	return append(list, filepath.Join(f.dir, "control.db"))
}

func (f *folder) open(t *testing.T) *sqlite.Store {
	t.Helper()
	if err := f.tryOpen(t); err != nil {
		t.Fatal(err)
	}
	return f.st
}

// crash cuts the store off from its files, then opens them again.
func (f *folder) crash(t *testing.T) *sqlite.Store {
	t.Helper()
	f.fs.Kill()
	f.st.Close()
	return f.open(t)
}

func (f *folder) reopen(t *testing.T) *sqlite.Store {
	t.Helper()
	if err := f.st.Close(); err != nil {
		t.Fatal(err)
	}
	return f.open(t)
}

func harness(t *testing.T, opts sqlite.Options) storetest.Harness {
	f := newFolder(t, opts)
	return storetest.Harness{
		Cuts:   opts.SegmentEvents < 10,
		Store:  f.open(t),
		Reopen: func(t *testing.T) store.Store { return f.reopen(t) },
		Crash:  func(t *testing.T) store.Store { return f.crash(t) },
		Settle: func(t *testing.T) {
			if err := f.st.Settle(); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	for _, events := range []int{3, 250_000} {
		t.Run(fmt.Sprintf("SegmentsOf%d", events), func(t *testing.T) {
			t.Parallel()
			opts := sqlite.Options{SegmentEvents: events, Compress: events == 3} // what is compressed concerns nothing else
			storetest.Run(t, func(t *testing.T) storetest.Harness { return harness(t, opts) })
		})
	}
}
