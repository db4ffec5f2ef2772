package docs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a\nb", false},
		{"a…c", "a b c", true},
		{"a…c", "a b", false},
		{"…", "", true},
		{"…\nb\n…", "a\nb\nc", true},
		{"…\nb", "a\nc", false},
		{"a.c", "abc", false},
		{"a\n\nb", "a\nb", false},
	} {
		if matches(strings.Split(c.want, "\n"), strings.Split(c.got, "\n")) != c.ok {
			t.Errorf("%q against %q: want %v", c.want, c.got, c.ok)
		}
	}
}

func TestReadPage(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "page.md")
	text := "<!-- run: no server -->\n# Title\n\n```console\n$ echo 'a\nb' \\\n    c\na\nb c\n$ true\n```\n\n<!-- run: background -->\n```console\n$ sleep 9\n```\n" +
		"<!-- run: stop -->\n\n<!-- run: skip too long -->\n```console\n$ make\n```\n\n```json\n{}\n```\n<!-- run: file x.py -->\n```python\nprint()\n```\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := &page{file: file, noServer: true, steps: []step{
		{line: 5, commands: []command{{line: 5, text: "echo 'a\nb' \\\n    c", expect: []string{"a", "b c"}}, {line: 10, text: "true"}}},
		{line: 15, background: true, commands: []command{{line: 15, text: "sleep 9"}}},
		{line: 17, stop: true},
		{line: 21, skip: "too long", commands: []command{{line: 21, text: "make"}}},
		{line: 29, file: "x.py", content: "print()\n"},
	}}
	if diff := cmp.Diff(want, readPage(t, file), cmp.AllowUnexported(page{}, step{}, command{})); diff != "" {
		t.Error(diff)
	}
}
