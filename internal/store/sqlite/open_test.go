package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/sqlite"
	"grapnel/internal/store/sqlite/faultvfs"
)

// case 19: a second start says who has the folder.
func TestSecondOpenNamesTheHolder(t *testing.T) {
	t.Parallel()
	f := newFolder(t, sqlite.Options{})
	f.open(t)
	_, err := sqlite.Open(t.Context(), sqlite.Options{Dir: f.dir})
	if !errors.Is(err, store.ErrLocked) {
		t.Fatalf("got %v, want ErrLocked", err)
	}
	host, _ := os.Hostname()
	for _, part := range []string{strconv.Itoa(os.Getpid()), host, f.dir, "since 20"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %q", err, part)
		}
	}
	f.reopen(t)
}

// case 21: a link to a folder is that folder, and whoever has it by one name has it by
// the other.
func TestLinkedFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Skip(err)
	}
	for _, names := range [][2]string{{link, dir}, {dir, link}} {
		st, err := sqlite.Open(t.Context(), sqlite.Options{Dir: names[0]})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sqlite.Open(t.Context(), sqlite.Options{Dir: names[1]}); !errors.Is(err, store.ErrLocked) {
			t.Errorf("both have it: %v", err)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// case 4: without durable commits the store does not start.
func TestRefusesCommitsThatAreNotDurable(t *testing.T) {
	t.Parallel()
	for pragma, value := range map[string]string{"synchronous": "1", "journal_mode": "delete"} {
		fs := faultvfs.Register("pragma-" + pragma)
		t.Cleanup(fs.Unregister)
		fs.Pragma(pragma, value)
		_, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir(), VFS: fs.Name()})
		if err == nil || !strings.Contains(err.Error(), pragma) || !strings.Contains(err.Error(), "durable") {
			t.Errorf("with %s=%s: %v", pragma, value, err)
		}
	}
}

// case 14: an older program does not touch what a newer one wrote.
func TestRefusesNewerSchema(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"control.db", "segments/seg-0000000000000000.db"} {
		f := newFolder(t, sqlite.Options{})
		f.open(t)
		f.st.Close()
		version := ask(t, filepath.Join(f.dir, name), `PRAGMA user_version`)
		execute(t, filepath.Join(f.dir, name), `PRAGMA user_version=99`)
		err := f.tryOpen(t)
		if !errors.Is(err, store.ErrNewer) || !strings.Contains(err.Error(), "99") || !strings.Contains(err.Error(), "up to "+version) {
			t.Fatalf("%s: got %v, want ErrNewer with both versions", name, err)
		}
		execute(t, filepath.Join(f.dir, name), `PRAGMA user_version=`+version)
		f.open(t)
	}
}

func TestRefusesForeignFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	execute(t, filepath.Join(dir, "control.db"), `CREATE TABLE other (a)`)
	_, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "not a control database of Grapnel") {
		t.Fatalf("got %v", err)
	}
}

// case 14: a migration that fails leaves what there was.
func TestFailedMigrationLeavesTheFile(t *testing.T) {
	t.Parallel()
	f := newFolder(t, sqlite.Options{})
	fs := faultvfs.Register("migration")
	t.Cleanup(fs.Unregister)
	for n := 1; ; n++ {
		fs.Fail(faultvfs.Write, n, sqlite3.IOERR_WRITE)
		st, err := sqlite.Open(t.Context(), sqlite.Options{Dir: f.dir, VFS: fs.Name()})
		if err == nil {
			st.Close()
			break
		}
	}
	fs.Heal()
	f.open(t)
	s := newScript(t, f)
	s.run()
	s.check("after migrations that failed")
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, o := range []sqlite.Options{{}, {Dir: t.TempDir(), SegmentEvents: -1}, {Dir: t.TempDir(), SegmentAge: -1}} {
		if _, err := sqlite.Open(t.Context(), o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

// A crash between the count of a removed segment and the removal of its file
// counts nothing twice, and the file goes.
func TestCrashWhileRemoving(t *testing.T) {
	t.Parallel()
	f := newFolder(t, sqlite.Options{SegmentEvents: 3})
	f.open(t)
	s := newScript(t, f)
	for range 8 {
		s.append()
	}
	if err := f.st.Settle(); err != nil {
		t.Fatal(err)
	}
	f.st.Close()
	execute(t, filepath.Join(f.dir, "control.db"), `INSERT INTO removed VALUES (0); INSERT INTO expired VALUES (1, 3); UPDATE meta SET value = 3 WHERE name = 'expired'`)
	f.open(t)
	stats, err := f.st.Stats(t.Context())
	if err != nil || stats.Events != 5 || stats.Expired != 3 {
		t.Fatalf("stats are %+v, %v", stats, err)
	}
	if _, err := os.Stat(filepath.Join(f.dir, "segments", "seg-0000000000000000.db")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the file is still there: %v", err)
	}
	if _, err := f.st.Event(t.Context(), hook.AllTenants, s.acked[0].ID); !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := f.st.Event(t.Context(), hook.AllTenants, hook.EventIDFrom(s.acked[3].ID.Seq(), s.acked[3].ID.Tail())); err != nil {
		t.Fatal(err)
	}
}

func execute(t *testing.T, path, sql string) {
	t.Helper()
	c, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Exec(sql); err != nil {
		t.Fatal(err)
	}
}

// ask runs a query of one value beside an open store.
func ask(t *testing.T, path, sql string) string {
	t.Helper()
	c, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	st, _, err := c.Prepare(sql)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if !st.Step() {
		t.Fatal(st.Err())
	}
	return st.ColumnText(0)
}

// A folder that has lost a file is refused, with what to do, rather than taken
// for one with less in it.
func TestRefusesFoldersWithHoles(t *testing.T) {
	t.Parallel()
	const segment = "segments/seg-0000000000000000.db"
	for _, c := range []struct {
		name, file, want string
		harm             func(path string) error
	}{
		{"segment removed", segment, "files are missing", os.Remove},
		{"segment emptied", segment, "files are missing", func(p string) error { return os.Truncate(p, 0) }},
		{"control removed", "control.db", "control.db is missing", os.Remove},
		{"control emptied", "control.db", "control.db is missing", func(p string) error { return os.Truncate(p, 0) }},
	} {
		f := newFolder(t, sqlite.Options{})
		f.open(t)
		s := newScript(t, f)
		for range 3 {
			s.append()
		}
		lease, err := f.st.Acquire(t.Context(), "n")
		if err != nil {
			t.Fatal(err)
		}
		if err := f.st.Checkpoint(t.Context(), lease, store.Progress{Floor: s.acked[2].ID}); err != nil {
			t.Fatal(err)
		}
		f.st.Close()
		path := filepath.Join(f.dir, c.file)
		kept, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.harm(path); err != nil {
			t.Fatal(err)
		}
		if _, err := sqlite.Open(t.Context(), sqlite.Options{Dir: f.dir}); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "backup") {
			t.Errorf("%s: got %v", c.name, err)
		}
		if err := os.WriteFile(path, kept, 0o600); err != nil {
			t.Fatal(err)
		}
		st, err := sqlite.Open(t.Context(), sqlite.Options{Dir: f.dir})
		if err != nil {
			t.Errorf("%s, and put back: %v", c.name, err)
			continue
		}
		st.Close()
	}
}
