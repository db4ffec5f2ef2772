package pgserver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrMissing says that there is no PostgreSQL on the machine, and how to get it.
var ErrMissing = errors.New("PostgreSQL is not installed; scripts/setup installs it")

// binaries finds the folder of PostgreSQL's programs: that of initdb in PATH, or
// the latest of those that Debian's packages keep out of it.
func binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil { // pg_ctl is beside the real one
			return filepath.Dir(path), nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", ErrMissing
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 is before all others
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(found[len(found)-1]), nil
}

// command makes a call of one of PostgreSQL's programs.
func (c *Cluster) command(name string, args ...string) (*exec.Cmd, error) {
	who, err := attributes()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.SysProcAttr = c.dir, who
	cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME="+c.dir)
	return cmd, nil
}

// run runs one of PostgreSQL's programs to its end. What it says goes to a file:
// a server that it leaves behind would keep a pipe open.
func (c *Cluster) run(name string, args ...string) (string, error) {
	cmd, err := c.command(filepath.Join(c.bin, name), args...)
	if err != nil {
		return "", err
	}
	out, err := os.CreateTemp("", "grapnel-pg-*.out")
	if err != nil {
		return "", err
	}
	defer func() { _, _ = out.Close(), os.Remove(out.Name()) }()
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	text, rerr := os.ReadFile(out.Name())
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", name, err, strings.TrimSpace(string(text)))
	}
	return string(text), rerr
}

// reaper is a shell that waits for the end of its input, which comes when who
// started it ends in whatever way, and then ends the server and removes its files.
type reaper struct {
	cmd  *exec.Cmd
	held io.Closer
}

const reap = `while read -r _; do :; done; "$1" -D "$2/data" -m immediate -s -w stop >/dev/null 2>&1; cd / && rm -rf "$2"`

func newReaper(c *Cluster) (*reaper, error) {
	cmd, err := c.command("/bin/sh", "-c", reap, "sh", filepath.Join(c.bin, "pg_ctl"), c.dir)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdin = r
	err = cmd.Start()
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return &reaper{cmd, w}, nil
}

// finish has the reaper do its work, and waits for it.
func (r *reaper) finish() {
	_ = r.held.Close() // it is open, and nothing is written to it
	_ = r.cmd.Wait()   // it has nothing to say that would help
}
