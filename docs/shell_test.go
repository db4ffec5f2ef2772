//go:build unix

package docs_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"grapnel/internal/child"
	"grapnel/internal/testaid"
)

// patience is how long anything that a page waits for may take. It is a bound
// for a page that hangs, not a figure.
const patience = 5 * time.Minute

// mark ends the output of each command, with its exit code.
const mark = "--documents-test-mark--"

// shell runs a page's commands.
type shell struct {
	t     *testing.T
	page  *page
	dir   string
	ports map[string]string
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   chan string // lines; closed at the end
	jobs  []*job
}

// job is a background command.
type job struct {
	pid    int
	output string // file
}

// portNames are the ports that the pages use. Each page gets free ones instead,
// so that pages run beside each other and beside what else runs here.
var portNames = regexp.MustCompile(`\b(8080|8081|9000|9090|3000)\b`)

// TestCommands runs every page that has commands.
func TestCommands(t *testing.T) {
	t.Parallel()
	testaid.Require(t, "bash")
	for _, file := range pages(t) {
		p := readPage(t, file)
		if len(p.steps) == 0 {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".md"), func(t *testing.T) {
			t.Parallel()
			p.run(t)
		})
	}
}

func (p *page) run(t *testing.T) {
	s := &shell{t: t, page: p, ports: map[string]string{}, out: make(chan string, 1024)}
	s.dir = t.TempDir()
	if p.inClone {
		s.clone()
	}
	env := s.environment()
	if !p.noServer {
		env = append(env, s.startServer(env)...)
	}
	s.open(env)
	defer s.close()
	for _, step := range p.steps {
		if step.needs != "" && !s.has(step.needs) {
			return
		}
		s.step(step)
		if t.Failed() {
			return
		}
	}
}

// environment is this process's without what would change what the program
// does, with the program on the path.
func (s *shell) environment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "GRAPNEL_") && !strings.HasPrefix(v, "PATH=") && !strings.HasPrefix(v, "XDG_") && !strings.HasPrefix(v, "HOME=") {
			env = append(env, v)
		}
	}
	home := s.t.TempDir()
	env = append(env, "PATH="+program+string(filepath.ListSeparator)+os.Getenv("PATH"), "HOME="+home, "TERM=dumb")
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} { // they are found by HOME
		if out, err := exec.Command("go", "env", name).Output(); err == nil {
			env = append(env, name+"="+strings.TrimSpace(string(out)))
		}
	}
	address := "127.0.0.1:" + s.port("8080")
	return append(env, "CGO_ENABLED=0", "GRAPNEL_LISTEN="+address, "GRAPNEL_URL=http://"+address)
}

func (s *shell) port(name string) string {
	if s.ports[name] == "" {
		address, err := child.FreeAddr()
		if err != nil {
			s.t.Fatal(err)
		}
		_, s.ports[name], _ = strings.Cut(address, ":")
	}
	return s.ports[name]
}

func (s *shell) mapPorts(text string) string {
	return portNames.ReplaceAllStringFunc(text, s.port)
}

// clone copies the repository's files into the page's folder.
func (s *shell) clone() {
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, to := d.Name(), filepath.Join(s.dir, strings.TrimPrefix(path, ".."))
		switch {
		case path == "..":
			return nil
		case d.IsDir() && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "bin" || name == "dist"):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(to, 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, info.Mode())
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// startServer starts what most pages take for granted, and returns how to
// reach it.
func (s *shell) startServer(env []string) []string {
	cmd := exec.Command(filepath.Join(program, "grapnel"), "dev", "--ephemeral", "--no-open", "--json",
		"--listen", "127.0.0.1:"+s.port("8080"), "--egress-allow", "127.0.0.0/8")
	cmd.Env, cmd.Dir = env, s.t.TempDir()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		s.t.Fatalf("the server did not start: %s", errs.String())
	}
	var ready struct{ Key string }
	if err := json.Unmarshal(lines.Bytes(), &ready); err != nil || ready.Key == "" {
		s.t.Fatalf("the server began with %q", lines.Text())
	}
	go io.Copy(io.Discard, out)
	return []string{"GRAPNEL_KEY=" + ready.Key}
}

// open starts the shell.
func (s *shell) open(env []string) {
	s.cmd = exec.Command("bash", "--norc", "--noprofile")
	s.cmd.Dir, s.cmd.Env = s.dir, env
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := s.cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd.Stdout, s.cmd.Stderr = w, w
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	w.Close()
	s.in = in
	go func() {
		defer close(s.out)
		defer r.Close()
		for lines := bufio.NewReader(r); ; {
			line, err := lines.ReadString('\n')
			if line != "" {
				s.out <- strings.TrimSuffix(line, "\n")
			}
			if err != nil {
				return
			}
		}
	}()
}

// close ends the shell and all that it started.
func (s *shell) close() {
	for len(s.jobs) > 0 {
		s.stop()
	}
	s.in.Close()
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // nothing may be left
	_ = s.cmd.Wait()
}

func (s *shell) step(step step) {
	switch {
	case step.skip != "" || step.needs != "":
	case step.stop:
		s.stop()
	case step.file != "":
		if err := os.WriteFile(filepath.Join(s.dir, step.file), []byte(s.mapPorts(step.content)), 0o600); err != nil {
			s.t.Fatal(err)
		}
	case step.background:
		for _, c := range step.commands {
			s.background(c)
		}
	default:
		for i, c := range step.commands {
			out, code := s.command(s.mapPorts(c.text))
			asked := i+1 < len(step.commands) && step.commands[i+1].text == "echo $?"
			if code != 0 && !asked {
				s.t.Fatalf("%s:%d: exit code %d\n$ %s\n%s", s.page.file, c.line, code, c.text, strings.Join(out, "\n"))
			}
			if want := trimBlank(s.mapAll(c.expect)); len(want) > 0 && !matches(want, out) {
				s.t.Fatalf("%s:%d: the page shows\n%s\n\nbut this is printed\n%s", s.page.file, c.line, strings.Join(c.expect, "\n"), strings.Join(out, "\n"))
			}
		}
	}
}

func (s *shell) mapAll(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = s.mapPorts(line)
	}
	return out
}

// command runs one command and returns what it printed. $? is as it left it.
func (s *shell) command(text string) (out []string, code int) {
	fmt.Fprintf(s.in, "%s\n__code=$?; printf '\\n%s %%d\\n' $__code; (exit $__code)\n", text, mark)
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-s.out:
			if !ok {
				s.t.Fatalf("%s: the shell ended at\n$ %s\n%s", s.page.file, text, strings.Join(out, "\n"))
			}
			if tail, found := strings.CutPrefix(line, mark+" "); found {
				code, _ = strconv.Atoi(tail)
				return trimBlank(out), code
			}
			out = append(out, line)
		case <-timeout:
			s.t.Fatalf("%s: no end of\n$ %s\n%s", s.page.file, text, strings.Join(out, "\n"))
		}
	}
}

// background starts a command and waits until it has printed what the page
// shows.
func (s *shell) background(c command) {
	j := &job{output: filepath.Join(s.t.TempDir(), "output")}
	pid, _ := s.command(fmt.Sprintf("exec 3>&2 2>/dev/null; set -m; { %s\n} >%s 2>&1 </dev/null & set +m; exec 2>&3; echo $!", s.mapPorts(c.text), j.output))
	j.pid, _ = strconv.Atoi(strings.Join(pid, ""))
	if j.pid == 0 {
		s.t.Fatalf("%s:%d: not started: %s", s.page.file, c.line, c.text)
	}
	s.jobs = append(s.jobs, j)
	want := append(append([]string{"…"}, trimBlank(s.mapAll(c.expect))...), "…")
	var out []string
	ok := s.until(func() bool {
		b, _ := os.ReadFile(j.output)
		out = strings.Split(string(b), "\n")
		return matches(want, out)
	})
	if !ok {
		s.t.Fatalf("%s:%d: the page shows\n%s\n\nbut this is printed\n%s", s.page.file, c.line, strings.Join(c.expect, "\n"), strings.Join(out, "\n"))
	}
}

// stop interrupts the last background command, as Ctrl-C does, and waits for
// its end.
func (s *shell) stop() {
	if len(s.jobs) == 0 {
		s.t.Fatalf("%s: nothing runs that could be stopped", s.page.file)
	}
	j := s.jobs[len(s.jobs)-1]
	s.jobs = s.jobs[:len(s.jobs)-1]
	_ = syscall.Kill(-j.pid, syscall.SIGINT) // it may have ended
	if !s.until(func() bool { return syscall.Kill(-j.pid, 0) != nil }) {
		_ = syscall.Kill(-j.pid, syscall.SIGKILL)
		s.t.Errorf("%s: a background command did not end when it was interrupted", s.page.file)
	}
}

// until asks a question again and again until the answer is yes.
func (s *shell) until(yes func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !yes() {
		select {
		case <-ctx.Done():
			return false
		case <-again.C:
		}
	}
	return true
}

// has reports whether a program is there. Where the set-up promises it, its
// absence is a failure.
func (s *shell) has(tool string) bool {
	if _, err := exec.LookPath(tool); err == nil {
		return true
	}
	testaid.Missing(s.t, fmt.Sprintf("the rest of %s needs %s, which is not installed", s.page.file, tool))
	return false
}
