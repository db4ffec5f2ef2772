package testaid_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"grapnel/internal/testaid"
)

// outcome stands in for a test and keeps how it ended.
type outcome struct {
	testing.TB
	skipped, failed string
}

func (o *outcome) Helper() {}

func (o *outcome) Skip(args ...any) { o.skipped = fmt.Sprint(args...); runtime.Goexit() }

func (o *outcome) Fatal(args ...any) { o.failed = fmt.Sprint(args...); runtime.Goexit() }

func (o *outcome) Errorf(format string, args ...any) { o.failed = fmt.Sprintf(format, args...) }

func outcomeOf(do func(t testing.TB)) *outcome {
	o := &outcome{}
	ended := make(chan struct{})
	go func() { defer close(ended); do(o) }()
	<-ended
	return o
}

func TestRequire(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("PATH", folder)
	for _, strict := range []string{"", "1"} {
		t.Setenv(testaid.Strict, strict)
		o := outcomeOf(func(t testing.TB) { testaid.Require(t, "a-tool") })
		if said := o.skipped + o.failed; (strict != "") != (o.failed != "") || !strings.Contains(said, "a-tool is not installed") {
			t.Errorf("%s=%q: %+v", testaid.Strict, strict, o)
		}
	}
	tool := filepath.Join(folder, "a-tool")
	if err := os.WriteFile(tool, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "windows" {
		return // a program has another name there
	}
	if got := testaid.Require(t, "a-tool"); got != tool {
		t.Error(got)
	}
}

func TestFresh(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte("page"), 0o600); err != nil {
		t.Fatal(err)
	}
	testaid.Fresh(t, file, "page")
	if o := outcomeOf(func(t testing.TB) { testaid.Fresh(t, file, "another") }); !strings.Contains(o.failed, "make generate") {
		t.Errorf("%+v", o)
	}
}
