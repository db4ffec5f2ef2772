package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/client"
)

// What is forwarded is what the server would send: names in their own case,
// nothing added; and a redirection is an answer like any other.
func TestForwardedAsItIs(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			got <- err.Error()
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		var text strings.Builder
		for !strings.HasSuffix(text.String(), "\r\n\r\n") {
			line, err := in.ReadString('\n')
			if text.WriteString(line); err != nil {
				break
			}
		}
		body := make([]byte, 2)
		_, _ = io.ReadFull(in, body) // compared below
		_, _ = io.WriteString(conn, "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
		got <- text.String() + string(body)
	}()
	target := fmt.Sprintf("http://%s/hooks?x=1", l.Addr())
	status, err := newForwarder(target).send(t.Context(), &client.LiveRequest{
		Method: http.MethodPut, Headers: [][2]string{{"webhook-id", "1"}, {"X-A", "b"}, {"x-a", "c"}, {"X-A", "d"}}, Body: []byte("{}"),
	})
	if err != nil || status != http.StatusFound {
		t.Errorf("%d, %v", status, err)
	}
	want := "PUT /hooks?x=1 HTTP/1.1\r\nHost: " + l.Addr().String() + "\r\nContent-Length: 2\r\nX-A: b\r\nX-A: d\r\nwebhook-id: 1\r\nx-a: c\r\nConnection: close\r\n\r\n{}"
	if diff := cmp.Diff(want, <-got); diff != "" {
		t.Error(diff)
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"3000": "http://127.0.0.1:3000", "localhost:3000/a": "http://localhost:3000/a", "https://[::1]:8/b?c": "https://[::1]:8/b?c",
		"http://app.localhost": "http://app.localhost", "127.9.9.9:1": "http://127.9.9.9:1",
		"0": "", "70000": "", "-1": "", "": "", "example.com": "", "http://127.0.0.1.example.com": "", "http://0.0.0.0:80": "", "ftp://localhost": "", "http://10.0.0.1": "",
	} {
		c := listenCmd{Target: target}
		if got, err := c.resolve(); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", target, got, err)
		}
	}
	c := listenCmd{Target: "https://example.com/x", AllowRemote: true}
	if got, err := c.resolve(); got != c.Target || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// A position is there after it was kept, belongs to one run at a time, and to
// what it was kept for.
func TestPosition(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	getenv := func(name string) string {
		return map[string]string{"XDG_STATE_HOME": dir}[name]
	}
	id := identity{Server: "s", Tenant: "t", Target: "x"}
	first, err := openPosition("", id, getenv)
	if err != nil || first.cursor != "" || filepath.Dir(first.file) != filepath.Join(dir, "grapnel") {
		t.Fatalf("%+v, %v", first, err)
	}
	if _, err := openPosition("", id, getenv); err == nil || !strings.Contains(err.Error(), "another grapnel listen") {
		t.Errorf("a second one: %v", err)
	}
	for _, cursor := range []string{"a", "b"} {
		if err := first.keep(cursor); err != nil {
			t.Fatal(err)
		}
	}
	first.close()
	again, err := openPosition("", id, getenv)
	if err != nil || again.cursor != "b" {
		t.Fatalf("%+v, %v", again, err)
	}
	again.close()
	other := id
	other.Endpoint = "e"
	apart, err := openPosition("", other, getenv)
	if err != nil || apart.file == first.file {
		t.Fatalf("%+v, %v", apart, err)
	}
	apart.close()
	if _, err := openPosition(first.file, other, getenv); err == nil {
		t.Error("takes the position of something else")
	}
	if err := os.WriteFile(first.file, []byte(`{"version":2,"cursor":"x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openPosition("", id, getenv); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Errorf("another version: %v", err)
	}
}
