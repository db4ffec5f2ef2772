package sqlite_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"grapnel/internal/store/sqlite"
	"grapnel/internal/store/storetest"
)

// filesWith are the files below a folder that hold a text.
func filesWith(t *testing.T, dir, text string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			var b []byte
			if b, err = os.ReadFile(path); bytes.Contains(b, []byte(text)) {
				out = append(out, filepath.Base(path))
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // what belongs to an open segment goes when nobody reads it
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The bytes of what was purged are in no file of the data folder: not in pages that are
// not used any more, nor in a log.
func TestPurgedBytesAreInNoFile(t *testing.T) {
	t.Parallel()
	for _, events := range []int{7, 1000} {
		opts := sqlite.Options{Dir: t.TempDir(), SegmentEvents: events}
		st, err := sqlite.Open(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		planted := storetest.Plant(t, storetest.Harness{Store: st})
		if len(filesWith(t, opts.Dir, storetest.Marker)) == 0 {
			t.Fatal("the marker is nowhere to begin with")
		}
		planted.Purge(t, st)
		if found := filesWith(t, opts.Dir, storetest.Marker); len(found) > 0 {
			t.Errorf("with %d events in a segment, %v still hold what was purged", events, found)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		if found := filesWith(t, opts.Dir, storetest.Marker); len(found) > 0 {
			t.Errorf("once closed, %v hold what was purged", found)
		}
		if r, err := sqlite.Check(t.Context(), opts.Dir, nil); err != nil || len(r.Findings) > 0 {
			t.Errorf("the folder is damaged: %+v, %v", r, err)
		}
	}
}
