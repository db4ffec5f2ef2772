package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Config says what to run.
type Config struct {
	Command []string  // program and arguments
	Env     []string  // added to the environment, "NAME=value"
	Stdin   io.Reader // nil: empty
	Stdout  io.Writer // nil: dropped. A file costs the parent nothing
	Stderr  io.Writer // as Stdout
}

// Process is a running or ended child.
type Process struct {
	cmd     *exec.Cmd
	done    chan struct{}
	err     error // of Wait, once done is closed
	started time.Time
}

// Start starts a child. Whoever starts it must end it by Kill or Stop.
func Start(c Config) (*Process, error) {
	cmd := exec.Command(c.Command[0], c.Command[1:]...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, c.Stderr
	p := &Process{cmd: cmd, done: make(chan struct{}), started: time.Now()}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Command[0], err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID is the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Started is the moment before the child was started.
func (p *Process) Started() time.Time { return p.started }

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how an ended child ended: nil for exit code 0.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Killed reports whether an ended child was ended by SIGKILL.
func (p *Process) Killed() bool {
	<-p.done
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// Kill ends the child with SIGKILL and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // an error means that it has ended already
	<-p.done
}

// Signal sends a signal, for example SIGTERM.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Stop asks the child to end (SIGTERM) and waits; when ctx is over first, it
// kills it and says so. An exit code other than 0 is an error.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop: %w", err)
	}
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("did not end after SIGTERM: %w", ctx.Err())
	}
}

// ErrEnded means that a child ended before it was ready.
var ErrEnded = errors.New("ended before it was ready")

// Ready waits until url answers 200, or fails: with ErrEnded when the child
// ends first, with ctx's error when that is over.
func (p *Process) Ready(ctx context.Context, url string) error {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	ticker := time.NewTicker(3 * time.Millisecond)
	defer ticker.Stop()
	for {
		if Answers(ctx, client, url) {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%w: %v", ErrEnded, p.err)
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer 200: %w", url, ctx.Err())
		case <-ticker.C:
		}
	}
}

// Answers reports whether a URL answers 200 now.
func Answers(ctx context.Context, client *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close() // only the status matters
	return resp.StatusCode == http.StatusOK
}

// FreeAddr finds a loopback address with a port that is free now. The port is
// outside the range that the kernel hands out for outgoing connections where
// that can be had, so that it stays free between two starts of a server.
func FreeAddr() (string, error) {
	const from, to, tries = 18200, 32000, 100
	for range tries {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", from+rand.IntN(to-from)))
		if err != nil {
			continue
		}
		addr := l.Addr().String()
		return addr, l.Close()
	}
	return "", fmt.Errorf("no free port on 127.0.0.1 between %d and %d in %d tries", from, to, tries)
}
