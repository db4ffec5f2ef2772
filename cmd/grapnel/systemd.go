package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// This file speaks the two small protocols by which systemd and a service
// know of each other, sd_notify(3) and sd_listen_fds(3).

// notifier tells systemd how the service is. Without a socket it tells nobody.
type notifier struct {
	conn     *net.UnixConn // nil: nobody wants to know
	watchdog time.Duration // how often the service must say that it lives; 0: never
}

// newNotifier reads what systemd says in the environment.
func newNotifier(getenv func(string) string) (*notifier, error) {
	socket := getenv("NOTIFY_SOCKET")
	if socket == "" {
		return &notifier{}, nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("tell systemd, as NOTIFY_SOCKET wants: %w", err)
	}
	n := &notifier{conn: conn}
	if pid := getenv("WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
		if usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 {
			n.watchdog = time.Duration(usec) * time.Microsecond
		}
	}
	return n, nil
}

// tell sends a state, such as "READY=1". That systemd does not hear it changes
// nothing for anybody else, so there is no error.
func (n *notifier) tell(state string) {
	if n.conn != nil {
		_, _ = n.conn.Write([]byte(state))
	}
}

func (n *notifier) close() {
	if n.conn != nil {
		n.conn.Close()
	}
}

// watch says again and again that the service lives, as long as alive has no
// error, until ctx ends. systemd restarts a service that falls silent.
func (n *notifier) watch(ctx context.Context, alive func(context.Context) error) {
	if n.watchdog == 0 {
		return
	}
	tick := time.NewTicker(n.watchdog / 2)
	defer tick.Stop()
	for {
		limit, cancel := context.WithTimeout(ctx, n.watchdog/2)
		err := alive(limit)
		cancel()
		if err == nil {
			n.tell("WATCHDOG=1")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// firstPassed is the number of the first file that systemd passes.
const firstPassed = 3

// passedListeners takes the sockets that systemd has bound: one of the name
// "admin" for the admin listener, one of any other name for the public one. In
// a unit the names are given by FileDescriptorName=. Without any, both are nil.
func passedListeners(getenv func(string) string) (public, admin net.Listener, err error) {
	count, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil, nil // nothing is passed, or not to us
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	for i := range count {
		name := "unknown"
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		l, err := passed(firstPassed+i, name)
		into := &public
		if name == "admin" {
			into = &admin
		}
		if err == nil && *into != nil {
			l.Close()
			err = errors.New("there is another one for the same purpose")
		}
		if err != nil {
			closeAll(public, admin)
			return nil, nil, fail(exitUsage, "pass one stream socket for TCP, and at most one more with FileDescriptorName=admin", "the socket %q that systemd passes cannot be used: %w", name, err)
		}
		*into = l
	}
	return public, admin, nil
}

func passed(fd int, name string) (net.Listener, error) {
	f := os.NewFile(uintptr(fd), name)
	defer f.Close() // the listener has one of its own
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	if _, ok := l.(*net.TCPListener); !ok {
		l.Close()
		return nil, errors.New("it is not for TCP")
	}
	return l, nil
}

func closeAll(listeners ...net.Listener) {
	for _, l := range listeners {
		if l != nil {
			l.Close()
		}
	}
}

// started says that the service is ready, and that it lives as long as alive
// says so, until the returned function is called.
func (n *notifier) started(url string, alive func(context.Context) error) (stop func()) {
	watching, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.watch(watching, alive)
	}()
	n.tell("READY=1\nSTATUS=serving on " + url)
	return func() {
		cancel()
		<-done
	}
}
