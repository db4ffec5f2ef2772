package docs_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// hazard is a row of the table of cases.md.
var hazard = regexp.MustCompile(`^\| ([0-9]+[ab]?) \| (P[0-2]) \| [^|]+ \| ([^|]*) \| ([^|]*) \|$`)

// place is a test, written as folder and name.
var place = regexp.MustCompile("^`([^` ]+)` `((?:Test|Fuzz)[A-Za-z0-9_]+)`$")

// Every case has a row, in order, and every row the tests that name the case, or says
// why there is none.
func TestCases(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("cases.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for n := range 120 {
		if n+1 == 63 {
			want = append(want, "63a", "63b")
		}
		want = append(want, fmt.Sprint(n+1))
	}
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		if !regexp.MustCompile(`^\| [0-9]`).MatchString(line) {
			continue
		}
		m := hazard.FindStringSubmatch(line)
		if m == nil || len(want) == 0 || m[1] != want[0] {
			t.Fatalf("cannot read this row, or another one was to come: %s", line)
		}
		want = want[1:]
		tests, note := strings.TrimSpace(m[3]), strings.TrimSpace(m[4])
		if tests == "" {
			if !strings.HasPrefix(note, "open: ") && !strings.HasPrefix(note, "not here: ") {
				t.Errorf("case %s has no test and no reason why", m[1])
			}
			continue
		}
		for test := range strings.SplitSeq(tests, ", ") {
			if !shows(t, test, m[1]) {
				t.Errorf("case %s: %s does not name it", m[1], test)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("no row for %v", want)
	}
}

// shows reports whether a test names a case in its comment or in what it does itself.
func shows(t *testing.T, test, number string) bool {
	t.Helper()
	m := place.FindStringSubmatch(test)
	if m == nil {
		t.Errorf("case %s: the test is written %q, want a folder and a name", number, test)
		return true
	}
	return regexp.MustCompile(`(?i)\bcases? [^.:;()]*\b` + number + `\b`).MatchString(strings.ReplaceAll(sourceOf(t, "../"+m[1], m[2]), "\n//", ""))
}
