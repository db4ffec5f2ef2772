package testaid

import (
	"bytes"
	"flag"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Strict is the environment variable that makes a test fail which would be
// skipped because something is missing on the machine.
const Strict = "GRAPNEL_TEST_REQUIRE"

// patience is how long an answer may take: a bound for one that never comes.
const patience = time.Minute

var update = flag.Bool("update", false, "write the pages that are made from the code instead of comparing them")

// Require finds a program that a test cannot do without. If it is missing the
// test is skipped, or fails where Strict is set.
func Require(t testing.TB, program string) (path string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		Missing(t, program+" is not installed; scripts/setup installs it")
	}
	return path
}

// Missing ends a test because the machine lacks what it needs: it is skipped,
// or fails where Strict is set.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv(Strict) != "" {
		t.Fatal(what)
	}
	t.Skip("NOT TESTED: " + what)
}

// Fresh compares a page that is made from the code with the file that is
// committed, or writes the file where the test runs with -update.
func Fresh(t testing.TB, file, page string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(page, string(got)); diff != "" {
		t.Errorf("%s is not what the code makes of it: run make generate\n%s", file, diff)
	}
}

// Get fetches an address over a connection of its own, and returns the status
// and the whole body.
func Get(t testing.TB, url string) (status int, body string) {
	t.Helper()
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       patience,
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // it has been read by then
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// Buffer keeps what is written to it, and may be read meanwhile. The zero value
// is empty.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write keeps the bytes.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String is all that was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
