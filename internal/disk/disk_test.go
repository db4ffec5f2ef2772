package disk_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"grapnel/internal/disk"
)

func TestReplaceTakesThePlaceOfAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state")
	for _, want := range []string{"first, and long", "second", ""} {
		if err := disk.Replace(file, []byte(want)); err != nil {
			t.Fatal(err)
		}
		holds(t, file, want)
	}
}

func TestCreateNeverReplaces(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state")
	if err := disk.Create(file, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := disk.Create(file, []byte("second")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error = %v, want fs.ErrExist", err)
	}
	holds(t, file, "first")
}

func TestAFailureLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "state", "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := disk.Replace(filepath.Join(dir, "state"), []byte("x")); err == nil {
		t.Error("a folder was replaced by a file")
	}
	if err := disk.Replace(filepath.Join(dir, "none", "state"), []byte("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error = %v, want fs.ErrNotExist", err)
	}
	alone(t, filepath.Join(dir, "state"))
}

func TestFree(t *testing.T) {
	t.Parallel()
	if free, ok := disk.Free(t.TempDir()); ok && free < 0 {
		t.Errorf("%d bytes are free", free)
	} else if !ok && runtime.GOOS == "linux" {
		t.Error("it cannot be told how much is free")
	}
	if _, ok := disk.Free(filepath.Join(t.TempDir(), "none")); ok {
		t.Error("there is room in a folder that does not exist")
	}
}

// holds checks a file, and that no other is beside it.
func holds(t *testing.T, file, want string) {
	t.Helper()
	if got, err := os.ReadFile(file); err != nil || string(got) != want {
		t.Errorf("the file holds %q (%v), want %q", got, err, want)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("the mode is %o", mode)
	}
	alone(t, file)
}

func alone(t *testing.T, file string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != filepath.Base(file) {
			t.Errorf("%s is left behind", e.Name())
		}
	}
}
