package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"grapnel/internal/config"
	"grapnel/internal/serve/trial"
)

func parser(t *testing.T, tree *cli) *kong.Kong {
	t.Helper()
	k, err := newParser(tree)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The flags' defaults are those that the settings document.
func TestDefaults(t *testing.T) {
	t.Parallel()
	var tree cli
	k := parser(t, &tree)
	for args, want := range map[string]config.Config{"serve": config.Serve(), "dev": config.Dev()} {
		if _, err := k.Parse([]string{args}); err != nil {
			t.Fatal(err)
		}
		got := tree.Serve.Config
		if args == "dev" {
			got = tree.Dev.Config
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", args, d)
		}
	}
}

// Every command has two examples or more, and every flag a twin in the
// environment that no other flag of the command has.
func TestTree(t *testing.T) {
	t.Parallel()
	var tree cli
	k := parser(t, &tree)
	for _, c := range k.Model.Children {
		checkCommand(t, c)
		if n := len(c.Flags); c.Name == "serve" && n > 40 {
			t.Errorf("%s has %d settings", c.Name, n)
		}
	}
}

func checkCommand(t *testing.T, c *kong.Node) {
	t.Helper()
	_, examples, ok := strings.Cut(c.Detail, "Examples:")
	if n := strings.Count(examples, c.FullPath()); !ok || n < 2 {
		t.Errorf("%s has %d examples", c.FullPath(), n)
	}
	if c.Help == "" {
		t.Errorf("%s has no help", c.FullPath())
	}
	seen := map[string]string{}
	for _, f := range c.Flags {
		if f.Name == "help" {
			continue
		}
		if len(f.Envs) != 1 || !strings.HasPrefix(f.Envs[0], "GRAPNEL_") || seen[f.Envs[0]] != "" {
			t.Errorf("%s --%s: environment twins %v, also of %q", c.FullPath(), f.Name, f.Envs, seen[f.Envs[0]])
			continue
		}
		seen[f.Envs[0]] = f.Name
		if !strings.HasSuffix(f.Help, ".") {
			t.Errorf("%s --%s has the help %q", c.FullPath(), f.Name, f.Help)
		}
	}
	for _, child := range c.Children {
		checkCommand(t, child)
	}
}

func TestSources(t *testing.T) {
	var tree cli
	t.Setenv("GRAPNEL_DRAIN", "5s")
	ctx, err := parser(t, &tree).Parse([]string{"serve", "--listen", ":1"})
	if err != nil {
		t.Fatal(err)
	}
	from := sourcesOf(ctx, nil)
	for setting, want := range map[string]string{"listen": "flag", "drain": "GRAPNEL_DRAIN", "data": "default"} {
		if got := from(setting); got != want {
			t.Errorf("%s: %s, want %s", setting, got, want)
		}
	}
	if tree.Serve.Drain.Std() != 5*time.Second {
		t.Error(tree.Serve.Drain)
	}
}

func TestWaitingFlag(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]time.Duration{"": 0, "--wait": 30 * time.Second, "--wait=2m": 2 * time.Minute, "--wait=false": 0} {
		var tree cli
		if _, err := parser(t, &tree).Parse(append([]string{"send", "x"}, strings.Fields(args)...)); err != nil {
			t.Fatal(err)
		}
		if got := time.Duration(tree.Send.Wait); got != want {
			t.Errorf("%q: %s", args, got)
		}
	}
}

func TestRunReportsOnStderr(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	if code := run([]string{"nonsense"}, strings.NewReader(""), &out, &errs); code != exitUsage || out.Len() != 0 || !strings.HasPrefix(errs.String(), "error: ") {
		t.Errorf("%d, %q, %q", code, out.String(), errs.String())
	}
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{
		"127.0.0.1:0": true, "127.9.9.9:1": true, "[::1]:80": true, "localhost:80": true, "[::ffff:127.0.0.1]:80": true,
		":80": false, "0.0.0.0:80": false, "[::]:80": false, "192.168.1.1:80": false, "example.com:80": false, "x": false,
	} {
		if got := loopback(addr); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0.0 ms", 0: "0.0 ms", 600 * time.Microsecond: "0.6 ms", 12_345 * time.Microsecond: "12.3 ms", 99_960 * time.Microsecond: "100 ms",
		100 * time.Millisecond: "0.1 s", 8_001_300 * time.Microsecond: "8.0 s", 5 * time.Second: "5.0 s", 99_960 * time.Millisecond: "100 s",
		5 * time.Minute: "5.0 min", 2 * time.Hour: "2.0 h", 240 * time.Hour: "240 h",
	} {
		if got := span(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}

func TestAttemptLine(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	next := at.Add(5_013 * time.Millisecond)
	e := trial.Event{Type: "invoice.paid", Endpoint: "flaky", HTTPStatus: 500, Attempt: 2, TookMS: 8001.3, At: at, NextAt: &next, Delivery: "dlv_1"}
	if got, want := attemptLine(e), "Sent invoice.paid → flaky … 500 in 8.0 s (attempt 2), retry in 5.0 s   dlv_1"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	e.NextAt, e.State, e.Verified = nil, "failed", true
	if got, want := attemptLine(e), "Sent invoice.paid → flaky … 500 in 8.0 s (attempt 2), failed for good   dlv_1"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
