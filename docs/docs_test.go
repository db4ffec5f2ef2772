// Package docs_test runs what the documents tell people to run. Every command
// in a ```console block of README.md and of the pages beside this file is
// executed, page by page and from top to bottom, in one shell a page, and what
// it prints is held against what the page shows. page_test.go reads the pages,
// shell_test.go runs them.
package docs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// program is the folder with the program under test, built once for all pages.
var program string

func TestMain(m *testing.M) { os.Exit(withProgram(m)) }

func withProgram(m *testing.M) int {
	dir, err := os.MkdirTemp("", "grapnel-docs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "grapnel"), "grapnel/cmd/grapnel")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
		return 1
	}
	program = dir
	return m.Run()
}

// pages are the documents: README.md, and all beside this file.
func pages(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(all, "../README.md")
}

// TestAllCommandsRun counts. The one command that is not run is the one that
// runs this test.
func TestAllCommandsRun(t *testing.T) {
	t.Parallel()
	total, skipped := 0, 0
	for _, file := range pages(t) {
		for _, s := range readPage(t, file).steps {
			total += len(s.commands)
			if s.skip != "" {
				skipped += len(s.commands)
				for _, c := range s.commands {
					t.Logf("%s:%d is not run (%s): %s", file, c.line, s.skip, c.text)
				}
			}
		}
	}
	t.Logf("%d commands in the documents, %d run", total, total-skipped)
	if skipped > 1 {
		t.Errorf("%d of %d commands are not run", skipped, total)
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks finds links to files and headings that are not there.
func TestLinks(t *testing.T) {
	t.Parallel()
	all := append(pages(t), "../ARCHITECTURE.md", "../CONTRIBUTING.md", "../CHANGELOG.md")
	for _, file := range all {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if target := m[1]; !strings.Contains(target, "://") && !strings.HasPrefix(target, "mailto:") {
				checkLink(t, file, target)
			}
		}
	}
}

func checkLink(t *testing.T, file, target string) {
	t.Helper()
	name, anchor, _ := strings.Cut(target, "#")
	at := file
	if name != "" {
		at = filepath.Join(filepath.Dir(file), name)
	}
	text, err := os.ReadFile(at)
	if err != nil {
		if info, statErr := os.Stat(at); statErr == nil && info.IsDir() && anchor == "" {
			return
		}
		t.Errorf("%s links to %s, which is not there", file, target)
		return
	}
	if anchor != "" && !hasHeading(string(text), anchor) {
		t.Errorf("%s links to %s, where there is no such heading", file, target)
	}
}

var notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}\s_-]`)

func hasHeading(text, anchor string) bool {
	for line := range strings.Lines(text) {
		title := strings.TrimLeft(line, "#")
		if title == line {
			continue
		}
		slug := strings.ToLower(strings.TrimSpace(notInAnchor.ReplaceAllString(title, "")))
		if strings.ReplaceAll(slug, " ", "-") == anchor {
			return true
		}
	}
	return false
}
