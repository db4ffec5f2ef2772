package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"grapnel/internal/testaid"
)

// notifySocket is what systemd listens at.
type notifySocket struct {
	t    *testing.T
	name string
	conn *net.UnixConn
}

func newNotifySocket(t *testing.T) *notifySocket {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // a socket's name is short
	if err != nil {
		t.Fatal(err)
	}
	n := &notifySocket{t: t, name: filepath.Join(dir, "s")}
	if n.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: n.name, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.conn.Close(); os.RemoveAll(dir) })
	return n
}

// next is the next state that is told and that begins with a text.
func (n *notifySocket) next(prefix string) string {
	n.t.Helper()
	if err := n.conn.SetReadDeadline(time.Now().Add(deadline)); err != nil {
		n.t.Fatal(err)
	}
	for {
		var b [4096]byte
		size, err := n.conn.Read(b[:])
		if err != nil {
			n.t.Fatalf("waited for %s: %v", prefix, err)
		}
		if text := string(b[:size]); strings.HasPrefix(text, prefix) {
			return text
		}
	}
}

// service starts the real program as systemd does: with its variables, and
// with sockets as the files from 3 on.
func service(t *testing.T, env []string, passed []*os.File, args ...string) (*exec.Cmd, *testaid.Buffer) {
	t.Helper()
	program, err := exec.LookPath("grapnel")
	if err != nil {
		t.Fatal(err)
	}
	// LISTEN_PID is the number of the process itself, which a shell can tell.
	cmd := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, program, "serve", "--data", t.TempDir()}, args...)...)
	cmd.Env, cmd.ExtraFiles = append(os.Environ(), env...), passed
	out := &testaid.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
	})
	return cmd, out
}

// pass binds a socket on loopback and gives the file that a service gets.
func pass(t *testing.T) (addr string, file *os.File) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // the file is another handle of the same socket
	if file, err = l.File(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return l.Addr().String(), file
}

func TestNotify(t *testing.T) {
	t.Parallel()
	n := newNotifySocket(t)
	cmd, out := service(t, []string{"NOTIFY_SOCKET=" + n.name, "WATCHDOG_USEC=200000"}, nil, "--listen", "127.0.0.1:0")
	ready := n.next("READY=1")
	_, url, ok := strings.Cut(ready, "STATUS=serving on ")
	if !ok {
		t.Fatalf("%q", ready)
	}
	if code, _ := testaid.Get(t, url+"/readyz"); code != 200 {
		t.Errorf("told to be ready, and answers %d", code)
	}
	for range 3 {
		n.next("WATCHDOG=1")
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	n.next("STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// A watchdog that is meant for another process is left to it.
func TestWatchdogOfAnother(t *testing.T) {
	t.Parallel()
	env := map[string]string{"NOTIFY_SOCKET": newNotifySocket(t).name, "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
	n, err := newNotifier(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	if n.watchdog != 0 {
		t.Error(n.watchdog)
	}
	env["WATCHDOG_PID"] = fmt.Sprint(os.Getpid())
	if n, err := newNotifier(func(name string) string { return env[name] }); err != nil || n.watchdog != time.Second {
		t.Errorf("%v, %v", n, err)
	}
	env["NOTIFY_SOCKET"] = filepath.Join(t.TempDir(), "none")
	if _, err := newNotifier(func(name string) string { return env[name] }); err == nil {
		t.Error("a socket that is not there is fine")
	}
}

func TestSocketActivation(t *testing.T) {
	t.Parallel()
	public, publicFile := pass(t)
	admin, adminFile := pass(t)
	n := newNotifySocket(t)
	env := []string{"NOTIFY_SOCKET=" + n.name, "LISTEN_FDS=2", "LISTEN_FDNAMES=admin:grapnel.socket"}
	// The address of --listen cannot be bound: the socket goes before it.
	cmd, out := service(t, env, []*os.File{adminFile, publicFile}, "--listen", "192.0.2.1:1")
	n.next("READY=1")
	if code, body := testaid.Get(t, "http://"+admin+"/metrics"); code != 200 || !strings.Contains(body, "grapnel_build_info") {
		t.Errorf("%d %.100s", code, body)
	}
	if code, _ := testaid.Get(t, "http://"+public+"/metrics"); code != 404 {
		t.Errorf("metrics on the public listener: %d", code)
	}
	if code, _ := testaid.Get(t, "http://"+public+"/v1/tenants"); code != 401 {
		t.Error(code)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// The socket outlives the service: who connects now is answered by the next one.
	conn, err := net.Dial("tcp", public)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	service(t, []string{"LISTEN_FDS=1"}, []*os.File{publicFile})
	if err := conn.SetReadDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
		t.Errorf("%q, %v", answer, err)
	}
}

func TestSocketActivationRefuses(t *testing.T) {
	t.Parallel()
	_, one := pass(t)
	_, two := pass(t)
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	datagrams, err := udp.File()
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	for name, c := range map[string]struct {
		names string
		files []*os.File
		want  string
	}{
		"two public ones": {"http:https", []*os.File{one, two}, `the socket "https" that systemd passes cannot be used: there is another one`},
		"two admin ones":  {"admin:admin", []*os.File{one, two}, "there is another one"},
		"no TCP":          {"http", []*os.File{datagrams}, `the socket "http"`},
	} {
		cmd, out := service(t, []string{fmt.Sprintf("LISTEN_FDS=%d", len(c.files)), "LISTEN_FDNAMES=" + c.names}, c.files)
		err := cmd.Wait()
		if cmd.ProcessState.ExitCode() != exitUsage || !strings.Contains(out.String(), c.want) || !strings.Contains(out.String(), "hint: ") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
