package child_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"grapnel/internal/child"
)

const role = "GRAPNEL_CHILD_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "server", "stubborn":
		serve(os.Getenv(role) == "stubborn")
	case "failing":
		os.Exit(3)
	}
}

// serve answers 200 until SIGTERM comes; a stubborn one goes on.
func serve(stubborn bool) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	l, err := net.Listen("tcp", os.Getenv("ADDR"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	go func() { _ = http.Serve(l, ok) }() // ends with the process
	<-stop
	for stubborn {
		<-stop
	}
}

func start(t *testing.T, as string) (*child.Process, string) {
	t.Helper()
	addr, err := child.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	p, err := child.Start(child.Config{Command: []string{os.Args[0]}, Env: []string{role + "=" + as, "ADDR=" + addr}, Stderr: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p, "http://" + addr
}

func TestReadyAndStop(t *testing.T) {
	p, url := start(t, "server")
	if err := p.Ready(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	u, err := child.ReadUsage(p.PID())
	if err != nil {
		t.Skip(err) // no /proc
	}
	if u.PeakRSS <= 0 || u.RSS <= 0 || u.FDs < 3 || u.Sockets < 1 {
		t.Errorf("usage of a running server: %+v", u)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
	if p.Killed() {
		t.Error("it counts as killed")
	}
}

func TestStopKillsTheStubborn(t *testing.T) {
	p, url := start(t, "stubborn")
	if err := p.Ready(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop: %v", err)
	}
	if !p.Killed() {
		t.Error("it was not killed")
	}
}

func TestReadyTellsThatItEnded(t *testing.T) {
	p, url := start(t, "failing")
	if err := p.Ready(t.Context(), url); !errors.Is(err, child.ErrEnded) {
		t.Errorf("ready: %v", err)
	}
}
