package vendortest

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"grapnel/internal/child"
	"grapnel/internal/testaid"
)

// PHP starts a receiver in PHP that ends with the test: a file for PHP's own
// web server, which answers every request with it. The environment has SECRET
// and what env adds ("NAME=value").
func PHP(t testing.TB, file, secret string, env ...string) (url string) {
	t.Helper()
	php := testaid.Require(t, "php")
	return receiver(t, secret, env, func(addr string) []string {
		return []string{php, "-d", "post_max_size=64M", "-d", "memory_limit=512M", "-S", addr, file}
	})
}

// PHPScript starts a receiver in PHP that listens by itself, on ADDR of its
// environment.
func PHPScript(t testing.TB, file, secret string, env ...string) (url string) {
	t.Helper()
	php := testaid.Require(t, "php")
	return receiver(t, secret, env, func(string) []string { return []string{php, "-d", "memory_limit=512M", file} })
}

// Node starts a receiver in JavaScript that ends with the test. It listens on
// ADDR of its environment, which also has SECRET.
func Node(t testing.TB, file, secret string, env ...string) (url string) {
	t.Helper()
	node := testaid.Require(t, "node")
	return receiver(t, secret, env, func(string) []string { return []string{node, file} })
}

func receiver(t testing.TB, secret string, env []string, command func(addr string) []string) string {
	t.Helper()
	addr, err := child.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	p, err := child.Start(child.Config{Command: command(addr), Env: append([]string{"SECRET=" + secret, "ADDR=" + addr}, env...), Stdout: &said, Stderr: &said})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the receiver said: %s", last(said.String(), 20))
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			c.Close()
			return "http://" + addr
		}
		select {
		case <-p.Done():
			t.Fatalf("the receiver ended before it listened: %s", said.String())
		case <-ctx.Done():
			t.Fatalf("the receiver does not listen: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// last are the last lines of a text.
func last(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(len(all)-lines, 0):], "\n")
}
