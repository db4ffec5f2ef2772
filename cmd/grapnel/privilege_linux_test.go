package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"grapnel/client"
	"grapnel/internal/testaid"
)

// nobody is the user and group without any rights.
const nobody = 65534

// unprivileged is a folder that anybody may enter, with the program in it, and how to
// run that as nobody.
func unprivileged(t *testing.T) (dir string, run func(ctx context.Context, args ...string) *exec.Cmd) {
	t.Helper()
	if os.Getuid() != 0 {
		testaid.Missing(t, "to become another user takes root")
	}
	dir = t.TempDir()
	for folder := dir; folder != os.TempDir() && folder != "/"; folder = filepath.Dir(folder) {
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "grapnel") // by this name the tests' program is the real one
	if err := os.WriteFile(program, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir, func(ctx context.Context, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Dir = "/"
		cmd.Env = []string{"GRAPNEL_ADMIN_KEY=an-admin-key-for-tests", "HOME=/nonexistent", "PATH=/nonexistent"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		return cmd
	}
}

var capabilities = regexp.MustCompile(`(?m)^Cap(Inh|Prm|Eff|Amb):\t0+$`)

// case 117: a server needs no rights but those to its data folder: a user who owns
// nothing else, with no home, no capabilities and nothing on the PATH, takes events,
// delivers them, and stops in good order.
func TestNeedsNoRights(t *testing.T) {
	t.Parallel()
	dir, run := unprivileged(t)
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(data, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("Webhook-Id") }))
	defer receiver.Close()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	cmd := run(ctx, "serve", "--listen", "127.0.0.1:0", "--data", data, "--egress-allow", "127.0.0.1/32", "--log-format", "json")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url := ""
	lines := bufio.NewScanner(log)
	for url == "" && lines.Scan() {
		var line struct{ Listen string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Listen != "" {
			url = "http://" + line.Listen
		}
	}
	go func() {
		for lines.Scan() { // so that it never waits for a reader
		}
	}()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil || len(capabilities.FindAll(status, -1)) != 4 {
		t.Errorf("it has capabilities: %v\n%s", err, status)
	}
	api, err := client.New(client.Config{URL: url, Key: "an-admin-key-for-tests"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.PutTenant(ctx, "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.CreateEndpoint(ctx, "acme", client.EndpointInput{URL: client.Set(receiver.URL)}); err != nil {
		t.Fatal(err)
	}
	r, err := api.Publish(ctx, "acme", client.Event{Type: "a", Data: json.RawMessage(`1`)})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case id := <-got:
		if id != r.ID {
			t.Errorf("delivered %q, not %q", id, r.ID)
		}
	case <-ctx.Done():
		t.Fatal("nothing was delivered")
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// case 21: a data folder that cannot be used is a clear line and an exit code, at the
// start and in doctor.
func TestFolderWithoutRights(t *testing.T) {
	t.Parallel()
	dir, run := unprivileged(t)
	foreign := filepath.Join(dir, "foreign")
	if err := os.Mkdir(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	hidden := filepath.Join(dir, "hidden")
	if err := os.Mkdir(hidden, 0o700); err != nil {
		t.Fatal(err)
	}
	folders := map[string]string{
		"another user's": foreign, "in another user's": filepath.Join(foreign, "data"), "behind another user's": filepath.Join(hidden, "data"),
	}
	own, fixed := filepath.Join(dir, "own"), filepath.Join(dir, "fixed")
	for _, folder := range []string{own, fixed} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(own, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(own, fixed, "", unix.MS_BIND, ""); err != nil {
		t.Logf("read-only file systems are not tried: %v", err)
	} else {
		t.Cleanup(func() { _ = unix.Unmount(fixed, unix.MNT_DETACH) })
		if err := unix.Mount("", fixed, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		folders["read-only"] = fixed
	}
	for name, folder := range folders {
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		for _, args := range [][]string{
			{"serve", "--listen", "127.0.0.1:0", "--data", folder}, {"doctor", "--listen", "127.0.0.1:0", "--data", folder, "--lookup", "localhost", "--timeout", "1s"},
		} {
			out, err := run(ctx, args...).CombinedOutput()
			text := string(out)
			if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 {
				t.Errorf("%s: %s ended with %v: %s", name, args[0], err, text)
			}
			if !strings.Contains(text, folder) && !strings.Contains(text, filepath.Dir(folder)) || !strings.Contains(text, "permission denied") && !strings.Contains(text, "read-only") {
				t.Errorf("%s: %s does not say what is wrong: %s", name, args[0], text)
			}
			if args[0] == "serve" && (strings.Count(text, "error: ") != 1 || strings.Contains(text, "goroutine")) {
				t.Errorf("%s: not one clear line: %s", name, text)
			}
			t.Logf("%s: %s", name, text)
		}
	}
}
