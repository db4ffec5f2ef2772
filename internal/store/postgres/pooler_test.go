//go:build unix

package postgres_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
	"grapnel/internal/store/storetest"
	"grapnel/internal/testaid"
)

// The whole suite behind a pooler that gives each transaction whatever connection is
// free, two to a database, so that consecutive statements meet on different ones and
// nothing that a session remembers can be relied upon. Units are short, so that most
// tests have several.
func TestStoreBehindAPooler(t *testing.T) {
	t.Parallel()
	p := startPooler(t)
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		d := newDatabase(t, postgres.Options{UnitSpan: 3 * time.Second, Conns: 4, Compress: true})
		d.opts.URL = p.through(t, d.opts.URL)
		return d.harness(t)
	})
}

// pooler is a PgBouncer in front of the shared cluster.
type pooler struct{ address string }

// startPooler starts one that ends with the test.
func startPooler(t *testing.T) *pooler {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program = "/usr/sbin/pgbouncer"; !exists(program) {
			testaid.Missing(t, "pgbouncer is not installed; scripts/setup installs it")
		}
	}
	server, err := url.Parse(pgtest.Shared(t).URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if _, secret := server.User.Password(); secret {
		testaid.Missing(t, "the pooler is set up for a server that asks for no password")
	}
	// Another user than the test's has to get there where we run as root.
	dir, err := os.MkdirTemp("", "grapnel-pooler-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	who := lesser(t, dir)
	port := freePort(t)
	file := filepath.Join(dir, "pgbouncer.ini")
	users := filepath.Join(dir, "users")
	write(t, users, fmt.Sprintf("%q \"\"\n", server.User.Username()))
	write(t, file, strings.Join([]string{
		"[databases]", fmt.Sprintf("* = host=%s port=%s", server.Hostname(), server.Port()),
		"[pgbouncer]", "listen_addr = 127.0.0.1", "listen_port = " + strconv.Itoa(port), "unix_socket_dir =",
		"auth_type = trust", "auth_file = " + users, "pool_mode = transaction", "default_pool_size = 2",
		"max_client_conn = 500", "server_idle_timeout = 5", "ignore_startup_parameters = extra_float_digits",
		"logfile = " + filepath.Join(dir, "log"), "",
	}, "\n"))
	cmd := exec.Command(program, "-q", file)
	cmd.Dir, cmd.SysProcAttr = dir, who
	out := &testaid.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }() // what it says is in out
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	p := &pooler{net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		c, err := net.Dial("tcp", p.address)
		if err == nil {
			c.Close()
			return p
		}
		select {
		case <-ended:
			t.Fatalf("pgbouncer ended: %s", out)
		case <-ctx.Done():
			t.Fatalf("pgbouncer does not listen: %v\n%s", err, out)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// through is the address of a database behind the pooler.
func (p *pooler) through(t *testing.T, direct string) string {
	t.Helper()
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = p.address
	return u.String()
}

// The pass would prove nothing if the pooler kept sessions together: what one
// transaction sets, another client's finds.
func TestPoolerSharesSessions(t *testing.T) {
	t.Parallel()
	direct := pgtest.Empty(t)
	address := startPooler(t).through(t, direct)
	var conns []*pgx.Conn
	for range 3 {
		cfg, err := pgx.ParseConfig(address)
		if err != nil {
			t.Fatal(err)
		}
		cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		conns = append(conns, conn)
	}
	pids := map[int]bool{}
	for _, conn := range conns {
		var pid int
		if err := conn.QueryRow(t.Context(), `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
			t.Fatal(err)
		}
		pids[pid] = true
	}
	if len(pids) == len(conns) {
		t.Errorf("%d clients have a session each: the pooler does not pool", len(pids))
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// lesser is who runs the pooler, which refuses root: the user postgres, to whom the
// folder goes; nil where we are not root.
func lesser(t *testing.T, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}
