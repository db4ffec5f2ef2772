package offline_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"grapnel/internal/keyring"
	"grapnel/internal/serve/offline"
	"grapnel/internal/store"
)

// made is a data folder without events, and the key file of a server.
func made(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := offline.Migrate(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, offline.KeyName), []byte(keyring.NewKey()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func opened(t testing.TB, dir string) *offline.Folder {
	t.Helper()
	f, err := offline.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestHolds(t *testing.T) {
	t.Parallel()
	if found, err := offline.Holds(t.TempDir()); found || err != nil {
		t.Errorf("an empty folder: %t, %v", found, err)
	}
	if found, err := offline.Holds(made(t)); !found || err != nil {
		t.Errorf("a data folder: %t, %v", found, err)
	}
}

func TestOneAtATime(t *testing.T) {
	t.Parallel()
	dir := made(t)
	opened(t, dir)
	if _, err := offline.Open(t.Context(), dir); !errors.Is(err, store.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if _, err := offline.Check(t.Context(), dir, nil); !errors.Is(err, store.ErrLocked) {
		t.Errorf("checked while it is open: %v", err)
	}
	if _, err := offline.Schemas(dir); !errors.Is(err, store.ErrLocked) {
		t.Errorf("schemas read while it is open: %v", err)
	}
}

func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	for _, withKey := range []bool{true, false} {
		f := opened(t, made(t))
		at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
		var tar bytes.Buffer
		if err := f.Backup(t.Context(), &tar, offline.BackupOptions{At: at, WithKey: withKey}); err != nil {
			t.Fatal(err)
		}
		said, err := offline.Verify(t.Context(), bytes.NewReader(tar.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if said.WithKey != withKey || !said.CreatedAt.Equal(at) || said.Bytes() == 0 {
			t.Errorf("the backup says %+v", said)
		}
		dir := filepath.Join(t.TempDir(), "restored")
		var written int64
		if _, err := offline.Restore(t.Context(), &tar, dir, func(n int64) { written = n }); err != nil {
			t.Fatal(err)
		}
		if written != said.Bytes() {
			t.Errorf("%d bytes were told of, want %d", written, said.Bytes())
		}
		report, err := offline.Check(t.Context(), dir, nil)
		if err != nil || len(report.Findings) > 0 || len(report.Files) == 0 {
			t.Fatalf("what was restored: %+v, %v", report, err)
		}
		want := offline.NotChecked
		if withKey {
			want = offline.Readable
		}
		if got := report.TrySecrets(""); got != want {
			t.Errorf("with the key %t the secrets are %s, want %s", withKey, got, want)
		}
		if got := report.TrySecrets("no key"); got != offline.Unreadable || len(report.Findings) != 1 {
			t.Errorf("with a wrong key the secrets are %s, and found is %v", got, report.Findings)
		}
	}
}

func TestSchemasAndStats(t *testing.T) {
	t.Parallel()
	dir := made(t)
	files, err := offline.Schemas(dir)
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if steps, err := f.Pending(); err != nil || len(steps) > 0 || f.Schema != f.Current {
			t.Errorf("%s is not up to date: %+v, %v", f.Name, f, err)
		}
		f.Schema = 0
		if steps, err := f.Pending(); err != nil || int64(len(steps)) != f.Current {
			t.Errorf("a new %s has %d steps to do (%v), want %d", f.Name, len(steps), err, f.Current)
		}
	}
	s, err := opened(t, dir).Stats(t.Context())
	if err != nil || !s.Writable || s.Events != 0 || s.Oldest != nil || s.LastEvent != "" || s.Engine == "" {
		t.Errorf("stats: %+v, %v", s, err)
	}
}

func TestNothingToPrune(t *testing.T) {
	t.Parallel()
	f := opened(t, made(t))
	before := time.Now()
	for _, dry := range []bool{true, false} {
		p, err := f.Prune(t.Context(), before, dry)
		if want := (offline.Pruned{DryRun: dry, Before: before.UTC()}); err != nil || *p != want {
			t.Errorf("pruned %+v, %v", p, err)
		}
	}
}
