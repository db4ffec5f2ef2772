package main

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// keyboard is a terminal as standard input. A signal ends a read of it, which
// the terminal itself would let go on: a command that watches for signals is
// not ended by them otherwise.
type keyboard struct {
	*os.File
	interrupted bool // a read has ended by a signal
}

// errInterrupted: a signal came while the person at the terminal was waited for.
var errInterrupted = errors.New("interrupted")

// interactive makes a terminal's reads end by signals. Any other input stays
// as it is.
func interactive(stdin io.Reader) io.Reader {
	if f, ok := stdin.(*os.File); ok && terminal(f) {
		return &keyboard{File: f}
	}
	return stdin
}

// gaveUp reports whether a signal ended a read of the terminal: whatever a
// command makes of what it has read until then does not count.
func gaveUp(stdin io.Reader) bool {
	k, ok := stdin.(*keyboard)
	return ok && k.interrupted
}

// Read reads what is typed. After errInterrupted nothing may be read any more,
// for the read that was given up gets the next line.
func (k *keyboard) Read(b []byte) (int, error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	type result struct {
		n   int
		err error
	}
	typed, line := make(chan result, 1), make([]byte, len(b)) // not b, which is given back while the read goes on
	go func() {
		n, err := k.File.Read(line)
		typed <- result{n, err}
	}()
	select {
	case r := <-typed:
		return copy(b, line[:r.n]), r.err
	case <-signals:
		k.interrupted = true
		return 0, errInterrupted
	}
}

// WriteTo hides that of the file, which would not end by a signal.
func (k *keyboard) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{k})
}
