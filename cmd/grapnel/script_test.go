package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"grapnel/internal/convert"
)

func TestMain(m *testing.M) {
	convert.Child() // before the program of a script looks at its name
	testscript.Main(m, map[string]func(){"grapnel": heldMain})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, scripts("testdata"))
}

// scripts is how the scripts of a folder run.
func scripts(dir string) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Values[runningKey{}] = &running{byName: map[string]*child{}}
			e.Defer(e.Values[runningKey{}].(*running).killAll)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"code": code, "start": start, "until": until, "capture": capture, "signal": sendSignal, "insist": insist, "ended": ended,
			"http": request, "empty": empty, "repeat": repeat,
		},
	}
}

// deadline is how long anything that a script waits for may take. It is a
// bound for a test that hangs, not a figure.
const deadline = 60 * time.Second

type runningKey struct{}

// running holds a script's background processes.
type running struct {
	mu     sync.Mutex
	byName map[string]*child
}

type child struct {
	cmd  *exec.Cmd
	done chan struct{}
}

func (r *running) killAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.byName {
		_ = c.cmd.Process.Kill() // it may have ended
		<-c.done
	}
}

func (r *running) get(ts *testscript.TestScript, name string) *child {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.byName[name]
	if c == nil {
		ts.Fatalf("nothing named %s was started", name)
	}
	return c
}

// code N command…: runs a command that must exit with the code N.
func code(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// start NAME command…: runs a command in the background; its output goes to
// the files NAME.out and NAME.err.
func start(ts *testscript.TestScript, neg bool, args []string) {
	name := args[0]
	program, err := exec.LookPath(filepath.Join(strings.Split(ts.Getenv("PATH"), string(filepath.ListSeparator))[0], args[1]))
	ts.Check(err)
	cmd := exec.Command(program, args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, v := range append(os.Environ(), "PATH="+ts.Getenv("PATH")) {
		if !strings.HasPrefix(v, "GRAPNEL_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	for _, v := range []string{"TMPDIR", "XDG_STATE_HOME", "GRAPNEL_ADMIN_KEY", "GRAPNEL_DRAIN", "GRAPNEL_LISTEN", "GRAPNEL_URL", "GRAPNEL_KEY"} {
		if value := ts.Getenv(v); value != "" {
			cmd.Env = append(cmd.Env, v+"="+value)
		}
	}
	for _, out := range []struct {
		suffix string
		set    func(*os.File)
	}{{".out", func(f *os.File) { cmd.Stdout = f }}, {".err", func(f *os.File) { cmd.Stderr = f }}} {
		f, err := os.Create(ts.MkAbs(name + out.suffix))
		ts.Check(err)
		defer f.Close()
		out.set(f)
	}
	ts.Check(cmd.Start())
	c := &child{cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // its code is read from ProcessState
		close(c.done)
	}()
	r := ts.Value(runningKey{}).(*running)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byName[name] = c
}

// until FILE PATTERN: waits until a file has a match.
func until(ts *testscript.TestScript, neg bool, args []string) {
	find(ts, args[0], args[1])
}

// capture VAR FILE PATTERN: waits for a match and sets a variable to its
// first group.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv(args[0], find(ts, args[1], args[2])[1])
}

func find(ts *testscript.TestScript, file, pattern string) []string {
	re := regexp.MustCompile("(?m)" + pattern)
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := os.ReadFile(ts.MkAbs(file))
		ts.Check(err)
		if m := re.FindStringSubmatch(string(b)); m != nil {
			return m
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("%s has no match of %s:\n%s", file, pattern, bytes.TrimSpace(b))
		}
	}
}

// repeat FILE PATTERN command…: runs a command again and again until a file has
// a match.
func repeat(ts *testscript.TestScript, neg bool, args []string) {
	re := regexp.MustCompile("(?m)" + args[1])
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(deadline); ; {
		ts.Check(ts.Exec(args[2], args[3:]...))
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		ts.Check(err)
		if re.Match(b) {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			ts.Fatalf("%s has no match of %s:\n%s", args[0], args[1], b)
		}
	}
}

// signal NAME INT|TERM
func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	s := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM}[args[1]]
	ts.Check(ts.Value(runningKey{}).(*running).get(ts, args[0]).cmd.Process.Signal(s))
}

// insist NAME TERM: sends SIGTERM again and again until the process ends.
func insist(ts *testscript.TestScript, neg bool, args []string) {
	c := ts.Value(runningKey{}).(*running).get(ts, args[0])
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(deadline); ; {
		select {
		case <-c.done:
			return
		case <-limit:
			ts.Fatalf("%s does not end", args[0])
		case <-tick.C:
			if c.cmd.Process.Signal(syscall.SIGTERM) != nil {
				return // it has ended
			}
		}
	}
}

// ended NAME CODE: waits for the end of a background process.
func ended(ts *testscript.TestScript, neg bool, args []string) {
	c := ts.Value(runningKey{}).(*running).get(ts, args[0])
	select {
	case <-c.done:
	case <-time.After(deadline):
		ts.Fatalf("%s does not end", args[0])
	}
	if got := fmt.Sprint(c.cmd.ProcessState.ExitCode()); got != args[1] {
		b, _ := os.ReadFile(ts.MkAbs(args[0] + ".err")) // only to explain
		ts.Fatalf("%s ended with %s, want %s:\n%s", args[0], got, args[1], b)
	}
}

// http METHOD URL [BODY]: makes a request with the key GRAPNEL_KEY, which must
// succeed; the answer goes to the file answer.
func request(ts *testscript.TestScript, neg bool, args []string) {
	req, err := http.NewRequest(args[0], args[1], strings.NewReader(strings.Join(args[2:], " ")))
	ts.Check(err)
	req.Header.Set("Authorization", "Bearer "+ts.Getenv("GRAPNEL_KEY"))
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("answer"), b, 0o600))
	if res.StatusCode/100 != 2 {
		ts.Fatalf("%s %s: %s: %s", args[0], args[1], res.Status, b)
	}
}

// empty DIR: the folder holds nothing.
func empty(ts *testscript.TestScript, neg bool, args []string) {
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(entries) > 0 {
		ts.Fatalf("%s holds %s", args[0], entries[0].Name())
	}
}
