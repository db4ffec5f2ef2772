//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"grapnel/client"
	"grapnel/internal/serve/offline"
	"grapnel/internal/serve/trial"
	"grapnel/internal/store/postgres/pgtest"
	"grapnel/internal/testaid"
)

// untilStopped are the commands that go on until they are interrupted, or much
// longer than a test: their examples are started, and interrupted when they
// have said something.
var untilStopped = map[string]bool{
	"grapnel serve": true, "grapnel dev": true, "grapnel listen": true, "grapnel tail": true, "grapnel inbox": true, "grapnel bench": true,
}

// elsewhere is what examples name of a machine in production, and what stands
// for it here. Ports become free ones, and measurements short.
var elsewhere = strings.NewReplacer(
	"/var/lib/grapnel", "data", "/run/secrets/grapnel-key", "secret.key",
	"--listen 127.0.0.1:9090", "--listen 127.0.0.1:0", "--listen 127.0.0.1:9001", "--listen 127.0.0.1:0", "--listen :8443", "--listen 127.0.0.1:0",
	"GRAPNEL_LISTEN=:9090", "GRAPNEL_LISTEN=127.0.0.1:0",
	"--duration 1s", "--duration 200ms", "--pending 100000", "--pending 2000",
)

// database is the one in production, for which an empty one stands in.
const database = "postgres://grapnel@db.internal/grapnel"

// trialServer is a grapnel dev that examples talk to.
type trialServer struct {
	cmd    *exec.Cmd
	ready  trial.Event
	client *client.Client
}

// startTrial starts one that lives until the end of all.
func startTrial(t, all *testing.T) *trialServer {
	t.Helper()
	dir := all.TempDir()
	s := &trialServer{cmd: exec.Command("grapnel", "dev", "--ephemeral", "--no-open", "--json", "--listen", "127.0.0.1:0")}
	s.cmd.Dir = dir
	s.cmd.Env = exampleEnv(dir)
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	all.Cleanup(func() {
		_ = s.cmd.Process.Signal(os.Interrupt) // it may have ended
		_ = s.cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var e trial.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		if e.Event == trial.Ready {
			s.ready = e
		}
		if e.Event == trial.FirstDelivery { // all that it makes is there by then
			break
		}
	}
	go func() {
		for lines.Scan() { // so that it never waits for a reader
		}
	}()
	if s.client, err = client.New(client.Config{URL: s.ready.URL, Key: s.ready.Key}); err != nil {
		t.Fatal(err)
	}
	return s
}

// exampleEnv is the environment of an example, without anything of this
// process's that is about Grapnel.
func exampleEnv(dir string, more ...string) []string {
	var env []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		switch {
		case strings.HasPrefix(name, "GRAPNEL_"), name == "HOME", name == "TMPDIR", strings.HasPrefix(name, "XDG_"):
		default:
			env = append(env, v)
		}
	}
	return append(append(env, "HOME="+dir, "XDG_CONFIG_HOME="+filepath.Join(dir, "settings"), "TMPDIR="+dir), more...)
}

// things makes what an example may be about: an endpoint, and an event that
// was delivered to it. It returns their names as environment variables.
func (s *trialServer) things(t *testing.T, dir string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	tenant := s.ready.Tenant
	e, err := s.client.CreateEndpoint(ctx, tenant, client.EndpointInput{
		URL: client.Set(s.ready.Receivers["ok"]), EventTypes: client.Set([]string{"example.*"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := s.client.Publish(ctx, tenant, client.Event{Type: "example.created", Data: json.RawMessage(`{"id":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	delivery := ""
	for tick := time.NewTicker(5 * time.Millisecond); delivery == ""; {
		select {
		case <-ctx.Done():
			t.Fatal("the event is not delivered")
		case <-tick.C:
		}
		event, err := s.client.Event(ctx, tenant, receipt.ID)
		var answer *client.Error
		if err != nil && (!errors.As(err, &answer) || answer.Status != http.StatusNotFound) {
			t.Fatal(err)
		}
		if err != nil {
			continue
		}
		for _, d := range event.Deliveries {
			if d.Endpoint == e.ID && d.AttemptCount > 0 {
				delivery = d.ID
			}
		}
	}
	s.tidy(ctx, t)
	s.files(t, dir, e.Secret)
	return []string{
		"GRAPNEL_URL=" + s.ready.URL, "GRAPNEL_KEY=" + s.ready.Key, "TENANT=" + tenant, "ENDPOINT=" + e.ID, "EVENT=" + receipt.ID, "DELIVERY=" + delivery,
		"SECRET_FILE=" + filepath.Join(dir, "secret.txt"), "GRAPNEL_LISTEN=127.0.0.1:0", "GRAPNEL_INBOX_LISTEN=127.0.0.1:0", "GRAPNEL_DOCTOR_TIMEOUT=1s",
	}
}

// tidy removes what examples before made: tenants, and endpoints that nobody
// answers for, since an example may wait until all has been delivered.
func (s *trialServer) tidy(ctx context.Context, t *testing.T) {
	t.Helper()
	for tenant, err := range s.client.Tenants(ctx) {
		if err == nil && tenant.ID != s.ready.Tenant {
			_, err = s.client.DeleteTenant(ctx, tenant.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	receivers := slices.Collect(maps.Values(s.ready.Receivers))
	for e, err := range s.client.Endpoints(ctx, s.ready.Tenant) {
		if err == nil && !slices.Contains(receivers, e.URL) {
			_, err = s.client.DeleteEndpoint(ctx, s.ready.Tenant, e.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// files writes the files that examples name.
func (s *trialServer) files(t *testing.T, dir, secret string) {
	t.Helper()
	const body = `{"type":"user.created","timestamp":"2026-01-02T15:04:05.000Z","data":{"id":1}}`
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("secret.txt", secret+"\n")
	write("old-secret.txt", secret+"\n")
	write("body.json", body)
	write("invoice.json", `{"id":"inv-2041","amount":1250}`)
	write("openapi.yaml", "openapi: 3.1.0\nwebhooks:\n  user.renamed: {post: {summary: A user has another name}}\n")
	write("user.renamed.json", `{"type":"object"}`)
	write("hooks.ndjson", `{"kind":"tenant","tenant":"moved","dialect":"propstack"}`+"\n"+`{"tenant":"moved","vendor_id":7,"url":"https://example.com/hook","event":"client_created","secret":"s3cret"}`+"\n")
	write("hooks.csv", "kind,tenant,dialect,vendor_id,url,event,secret\ntenant,moved,propstack,,,,\nhook,moved,,7,https://example.com/hook,client_created,s3cret\n")
	if d, err := dialectNamed("propstack"); err != nil {
		t.Fatal(err)
	} else {
		write("acme.yaml", strings.Replace(d.Source(), "name: propstack", "name: acme", 1))
	}
	write("secret.key", base64.StdEncoding.EncodeToString(make([]byte, 32))+"\n")
	write("key", s.ready.Key+"\n")
	write("key.txt", s.ready.Key+"\n")
	for name, at := range map[string]string{"request.txt": time.Now().Format(time.RFC3339), "old-request.txt": "2026-01-02T15:04:05Z"} {
		var out, errs bytes.Buffer
		if code := run([]string{"sign", "--secret-file", filepath.Join(dir, "secret.txt"), "--ts", at}, strings.NewReader(body), &out, &errs); code != exitOK {
			t.Fatalf("%d: %s", code, errs.String())
		}
		write(name, "POST /hook HTTP/1.1\n"+out.String()+"\n"+body)
	}
	write("store_key.txt", "ed58a22dfecb405a50ea3ea56979360d\n")
	var out, errs bytes.Buffer
	if code := run([]string{"sign", "--dialect", "api2cart", "--secret-file", filepath.Join(dir, "store_key.txt"), "--type", "order.add"}, strings.NewReader(body), &out, &errs); code != exitOK {
		t.Fatalf("%d: %s", code, errs.String())
	}
	write("order.txt", out.String()+"\n"+body)
}

// Every example of every command does what it says, against a fresh server.
func TestExamples(t *testing.T) {
	t.Parallel()
	testaid.Require(t, "sh")
	var tree cli
	servers := make(chan *trialServer, 4)
	for range cap(servers) {
		servers <- nil
	}
	for _, c := range commands(parser(t, &tree).Model) {
		t.Run(strings.ReplaceAll(c.path, " ", "-"), func(sub *testing.T) {
			sub.Parallel()
			s := <-servers
			defer func() { servers <- s }()
			for _, line := range exampleLines(c.Node) {
				if s == nil || !s.whole(sub) {
					s = startTrial(sub, t)
				}
				s.example(sub, c, line)
			}
		})
	}
}

// whole reports whether the server still has what it began with: an example
// may have removed the tenant.
func (s *trialServer) whole(t *testing.T) bool {
	tenant, err := s.client.Tenant(t.Context(), s.ready.Tenant)
	return err == nil && tenant.ID == s.ready.Tenant
}

func (s *trialServer) example(t *testing.T, c command, line string) {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	reseals, known := c.path == "grapnel db reseal", strings.Contains(line, database)
	if reseals || known {
		stoppedFolder(t, filepath.Join(dir, "grapnel-data"))
	}
	if known {
		url := pgtest.Empty(t)
		line = strings.ReplaceAll(line, database, url)
		if reseals {
			if err := offline.MigrateDatabase(ctx, url); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd := exec.CommandContext(ctx, "sh", "-eu", "-c", elsewhere.Replace(line))
	cmd.Dir = dir
	cmd.Env = exampleEnv(dir, s.things(t, dir)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	said := &firstWords{said: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	if untilStopped[c.path] {
		go interruptAfter(said.said, stopped, cmd.Process.Pid)
	}
	err := cmd.Wait()
	close(stopped)
	var exit *exec.ExitError
	if untilStopped[c.path] && !strings.HasPrefix(said.String(), "error: --") && errors.As(err, &exit) && (exit.ExitCode() == exitInterrupted || exit.ExitCode() == -1) {
		err = nil // it was interrupted, or sh was
	}
	if err != nil {
		t.Errorf("%s:\n    %s\n%v: %s", c.path, line, err, said.String())
	}
}

// stoppedFolder makes the data folder of a server that was stopped.
func stoppedFolder(t *testing.T, dir string) {
	t.Helper()
	err := offline.Seed(t.Context(), offline.SeedPlan{
		Dir: dir, Tenants: 1, Endpoints: 2, Events: 10, Size: 100,
		URL:  func(_, _ int) string { return "https://example.com/hook" },
		Type: func(_, n int) string { return fmt.Sprint("example.", n) },
	})
	if err != nil {
		t.Fatal(err)
	}
}

// interruptAfter interrupts a process group once it has said something, and
// again until it ends: the first signal may come before anybody listens.
func interruptAfter(said, stopped <-chan struct{}, group int) {
	select {
	case <-said:
	case <-stopped:
		return
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		_ = syscall.Kill(-group, syscall.SIGINT) // it may have ended
		select {
		case <-stopped:
			return
		case <-tick.C:
		}
	}
}

// firstWords keeps output, and tells when there is some.
type firstWords struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	said chan struct{}
}

func (w *firstWords) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.buf.Len() == 0 && len(b) > 0 {
		close(w.said)
	}
	return w.buf.Write(b)
}

func (w *firstWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}
