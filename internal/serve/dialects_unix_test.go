//go:build unix

package serve_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"grapnel/internal/serve"
)

// What is no dialect file is told at once: nobody waits for a pipe, or reads a
// file of any size.
func TestDialectFilesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		make func(file string) error
		want string
	}{
		{"a pipe", func(file string) error { return syscall.Mkfifo(file, 0o600) }, "no regular file"},
		{"a folder", func(file string) error { return os.Mkdir(file, 0o700) }, "no regular file"},
		{"a link to a pipe", func(file string) error {
			pipe := file + ".pipe"
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				return err
			}
			return os.Symlink(pipe, file)
		}, "no regular file"},
		{"a large file", func(file string) error {
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				return err
			}
			return os.Truncate(file, 1<<40)
		}, "1099511627776 bytes, more than 65536"},
	} {
		data := t.TempDir()
		folder := filepath.Join(data, serve.DialectFolder)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := c.make(filepath.Join(folder, "acme.yaml")); err != nil {
			t.Fatal(err)
		}
		if _, err := serve.DialectsOf(data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
