package image

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

const (
	root       = "../.."
	dockerfile = "deploy/docker/Dockerfile"
	nobody     = 65532
)

// stage reads the Dockerfile with BuildKit's own parser and linter.
func stage(t *testing.T) *instructions.Stage {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, dockerfile))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := parser.Parse(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	warn := func(rule, description, _, message string, _ []parser.Range) {
		t.Errorf("%s: %s (%s)", rule, message, description)
	}
	stages, _, err := instructions.Parse(tree.AST, linter.New(&linter.Config{Warn: warn}))
	if err != nil {
		t.Fatal(err)
	}
	if len(stages) != 1 {
		t.Fatalf("%d stages", len(stages))
	}
	return &stages[0]
}

func TestDockerfile(t *testing.T) {
	t.Parallel()
	s := stage(t)
	if s.BaseName != "scratch" {
		t.Errorf("the base is %s", s.BaseName)
	}
	var seen []string
	for _, c := range s.Commands {
		seen = append(seen, c.Name())
		switch c := c.(type) {
		case *instructions.RunCommand, *instructions.AddCommand:
			t.Errorf("%s needs a shell or the network", c)
		case *instructions.UserCommand:
			if c.User != fmt.Sprintf("%d:%d", nobody, nobody) {
				t.Errorf("it runs as %s", c.User)
			}
		case *instructions.StopSignalCommand:
			if c.Signal != "SIGTERM" {
				t.Errorf("it is stopped by %s", c.Signal)
			}
		case *instructions.HealthCheckCommand:
			if !slices.Equal(c.Health.Test, []string{"CMD", "/grapnel", "health"}) {
				t.Errorf("its health is asked by %q", c.Health.Test)
			}
		case *instructions.EntrypointCommand:
			if !slices.Equal(c.CmdLine, []string{"/grapnel"}) || c.PrependShell {
				t.Errorf("it runs %q", c.CmdLine)
			}
		}
	}
	for _, name := range []string{"USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"} {
		if !slices.Contains(seen, name) && !slices.Contains(seen, strings.ToLower(name)) {
			t.Errorf("there is no %s: %v", name, seen)
		}
	}
}

// container is a folder with what the image holds and nothing more.
type container struct {
	t    *testing.T
	dir  string
	env  []string
	port string
}

func newContainer(t *testing.T) *container {
	t.Helper()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("NOT CHECKED: only root on Linux can run a program in another root folder")
	}
	c := &container{t: t, dir: t.TempDir(), env: []string{"GRAPNEL_DATA=/data"}}
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", filepath.Join(c.dir, "grapnel"), "./cmd/grapnel")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data := filepath.Join(c.dir, "data")
	if err := os.CopyFS(data, os.DirFS(filepath.Join(root, "deploy/docker/rootfs/data"))); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{data: 0o700, c.dir: 0o555} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(data, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	// Folders above must let others through to the program.
	for dir := filepath.Dir(c.dir); dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.env = append(c.env, "GRAPNEL_LISTEN="+l.Addr().String())
	l.Close()
	return c
}

// command runs the program as the image's user, with the folder as its root.
func (c *container) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/grapnel", args...)
	cmd.Env, cmd.Dir = c.env, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: c.dir, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return cmd
}

// output is what the server writes, read while it does.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// The image has no shell, no certificates, no /tmp, no /etc, no /proc, and only
// its volume can be written to.
func TestProgramRunsWithNothingButItself(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var said output
	server := c.command(ctx, "serve")
	server.Stdout, server.Stderr = &said, &said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	for {
		out, err := c.command(ctx, "health", "--ready").CombinedOutput()
		if err == nil {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("the server ended: %v\n%s", err, said.String())
		case <-ctx.Done():
			t.Fatalf("the server is not healthy: %v\n%s\n%s", err, out, said.String())
		default:
		}
	}
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("SIGTERM ended it with %v\n%s", err, said.String())
	}
	if err := c.command(ctx, "health").Run(); err == nil {
		t.Error("a server that has ended is healthy")
	}
	if strings.Contains(said.String(), `"level":"ERROR"`) {
		t.Errorf("errors in the log:\n%s", said.String())
	}
}
