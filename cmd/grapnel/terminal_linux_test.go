package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

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
