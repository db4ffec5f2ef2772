package postgres_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"grapnel/internal/store"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
	"grapnel/internal/store/sqlite"
	"grapnel/internal/store/storetest"
)

// filled is a folder that random calls have filled.
func filled(rt *rapid.T, t *testing.T) (dir string, f *storetest.Filled) {
	dir, err := os.MkdirTemp(t.TempDir(), "data")
	if err != nil {
		rt.Fatal(err)
	}
	st := openFolder(rt, t.Context(), dir)
	reopen := func(t *testing.T) store.Store {
		if err := st.Close(); err != nil {
			rt.Fatal(err)
		}
		st = openFolder(rt, t.Context(), dir)
		return st
	}
	return dir, storetest.Fill(rt, t, storetest.Harness{Cuts: true, Store: st, Reopen: reopen})
}

func openFolder(rt rapid.TB, ctx context.Context, dir string) *sqlite.Store {
	st, err := sqlite.Open(ctx, sqlite.Options{Dir: dir, SegmentEvents: 5, Compress: true})
	if err != nil {
		rt.Fatal(err)
	}
	return st
}

// files is what a folder holds, but for the lock.
func files(t rapid.TB, dir string) map[string]string {
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "lock" {
			return err
		}
		text, err := os.ReadFile(path)
		out[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// move moves a folder, a few events at a time.
func move(ctx context.Context, dir, url string, how postgres.ImportOptions) (*postgres.Imported, error) {
	from, err := sqlite.OpenSource(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	return postgres.Import(ctx, postgres.Options{URL: url, Conns: 2, UnitSpan: 7 * time.Second}, from, postgres.Few(how))
}

// errCut stands for whatever ends a move.
var errCut = errors.New("cut short")

// Whatever is in a folder is in the database afterwards, with the same answer to every
// question, also when the move was cut short in between. The folder stays as it was.
func TestImport(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir, f := filled(rt, t)
		before := files(rt, dir)
		url := pgtest.Database(t)
		if cuts := rapid.IntRange(0, 4).Draw(rt, "cut"); cuts > 0 {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := move(ctx, dir, url, postgres.ImportOptions{Verify: true, Ready: func() error { return errCut }, Progress: func(postgres.ImportStep, int64) {
				if cuts--; cuts == 0 {
					cancel()
				}
			}})
			cancel()
			if err == nil {
				rt.Fatal("nothing came of cutting the move short")
			}
			if _, err := postgres.Open(t.Context(), postgres.Options{URL: url}); !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "grapnel db move") {
				rt.Fatalf("opened half: %v", err)
			}
		}
		if _, err := move(t.Context(), dir, url, postgres.ImportOptions{Verify: true}); err != nil {
			rt.Fatal(err)
		}
		if after := files(rt, dir); len(after) != len(before) {
			rt.Fatalf("there are %d files in the folder, there were %d", len(after), len(before))
		} else {
			for name, text := range before {
				if after[name] != text {
					rt.Fatalf("%s has changed", name)
				}
			}
		}
		to, err := postgres.Open(t.Context(), postgres.Options{URL: url, Conns: 4, UnitSpan: 7 * time.Second})
		if err != nil {
			rt.Fatal(err)
		}
		defer to.Close()
		from := openFolder(rt, t.Context(), dir)
		defer from.Close()
		f.Same(rt, from, to)
		if r, err := to.Check(t.Context(), nil); err != nil || len(r.Findings) > 0 {
			rt.Fatalf("found %+v, %v", r, err)
		}
		if _, err := move(t.Context(), dir, url, postgres.ImportOptions{}); err == nil {
			rt.Fatal("moved twice")
		}
	})
}
