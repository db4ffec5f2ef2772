package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"grapnel/internal/testaid"
)

// pty opens a pseudo-terminal: what a person has, and what the program has.
func pty(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		testaid.Missing(t, "there are no pseudo-terminals: "+err.Error())
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		testaid.Missing(t, "there are no pseudo-terminals: "+err.Error())
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

func TestConfirmAsks(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, "n\n": false, "\n": false, "\x04": false} {
		person, side := pty(t)
		p, _, _ := surroundings(global{}, nil)
		p.stdin, p.stderr = side, side
		if _, err := io.WriteString(person, answer); err != nil {
			t.Fatal(err)
		}
		err := p.confirm("delete the tenant acme", false)
		var f *failure
		if want != (err == nil) || err != nil && (!errors.As(err, &f) || f.code != exitFailure) {
			t.Errorf("%q: %v", answer, err)
		}
		text, err := bufio.NewReader(person).ReadString('?')
		if err != nil || !strings.Contains(text, "This will delete the tenant acme. Go on?") {
			t.Errorf("%q %v", text, err)
		}
	}
}

func TestTerminalColors(t *testing.T) {
	t.Parallel()
	_, side := pty(t)
	for _, c := range []struct {
		color string
		env   map[string]string
		want  bool
	}{
		{"auto", map[string]string{"TERM": "xterm"}, true},
		{"auto", map[string]string{"TERM": "dumb"}, false},
		{"auto", map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, false},
		{"never", map[string]string{"TERM": "xterm"}, false},
		{"always", map[string]string{"TERM": "dumb", "NO_COLOR": "1"}, true},
	} {
		p, _, _ := surroundings(global{Color: c.color}, c.env)
		if got := p.colors(side); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestProgressBar(t *testing.T) {
	t.Parallel()
	person, side := pty(t)
	p, _, _ := surroundings(global{}, map[string]string{"TERM": "xterm"})
	p.stderr = side
	told := p.progress(10, "copying")
	told.told = told.told.Add(-barEvery)
	told.set(5)
	told.end()
	if _, err := io.WriteString(side, "after"); err != nil {
		t.Fatal(err)
	}
	text, err := bufio.NewReader(person).ReadString('a')
	if err != nil || !strings.HasPrefix(text, "\r\x1b[Kcopying  [===============               ]  5 of 10") || !strings.HasSuffix(text, "\r\x1b[Ka") {
		t.Errorf("%q %v", text, err)
	}
}

// Ctrl-C ends what waits for the person at the terminal: a question, although
// the command watches for signals, and what is read from standard input.
func TestInterruptAtTheTerminal(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args  []string
		ready string // that it has written when it reads, "" where it writes nothing
	}{
		{[]string{"tenants", "delete", "t", "--url", "http://127.0.0.1:1"}, "Go on?"},
		{[]string{"verify", "--secret-file", secret}, ""},
		{[]string{"verify", "--secret-file", "-"}, ""},
	} {
		person, side := pty(t)
		program, err := exec.LookPath("grapnel")
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, c.args...)
		cmd.Env = append(os.Environ(), "GRAPNEL_KEY=k")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = side, side, side
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // so that Ctrl-C is a signal to it
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may have ended
		said := bufio.NewReader(person)
		for text := ""; c.ready != "" && !strings.Contains(text, c.ready); {
			b, err := said.ReadByte()
			if err != nil {
				t.Fatalf("%v: %q: %v", c.args, text, err)
			}
			text += string(b)
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		if !pressUntil(t, person, done) {
			t.Errorf("%v: Ctrl-C does nothing", c.args)
		} else if code := shellCode(cmd.ProcessState); code != exitInterrupted {
			t.Errorf("%v: exit code %d, want %d", c.args, code, exitInterrupted)
		}
	}
}

// pressUntil presses Ctrl-C until a process has ended: the first may come
// before it reads.
func pressUntil(t *testing.T, person io.Writer, done <-chan error) bool {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(deadline); ; {
		if _, err := io.WriteString(person, "\x03"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-done:
			return true
		case <-limit:
			return false
		case <-tick.C:
		}
	}
}

// shellCode is the exit code as a shell tells it: 128 more than the signal that
// ended the process before it could do so itself.
func shellCode(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}
