package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// requirement is a row of the tables of contracts.md.
var requirement = regexp.MustCompile(`^\| ([A-Z0-9]+-[A-Z]+[0-9]+) \| ([SAE]) \| [^|]+ \| ([^|]*) \| (works|open: [^|]+) \|$`)

// numbers are how many requirements each contract has.
var numbers = map[string]int{"C1": 35, "PS": 17, "SM": 17, "SP": 23, "A2": 33}

// Every requirement has a row; one that works names a test, and that test names
// the requirement; what a vendor's own document says is open only where it is a
// screen.
func TestContracts(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("contracts.md")
	if err != nil {
		t.Fatal(err)
	}
	seen, count := map[string]bool{}, map[string]int{}
	for _, line := range strings.Split(string(page), "\n") {
		if !regexp.MustCompile(`^\| [A-Z0-9]{2}-`).MatchString(line) {
			continue
		}
		m := requirement.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("cannot read the row %s", line)
			continue
		}
		number, mark, test, state := m[1], m[2], m[3], m[4]
		if seen[number] {
			t.Errorf("%s has two rows", number)
		}
		seen[number] = true
		count[number[:2]]++
		switch {
		case state == "works" && !tested(t, test, number):
			t.Errorf("%s works, says its row, but %s does not name it", number, test)
		case state != "works" && mark == "S" && !strings.Contains(state, "screen"):
			t.Errorf("%s is what the vendor's document says, and it is %s", number, state)
		}
	}
	for vendor, want := range numbers {
		if count[vendor] != want {
			t.Errorf("%s has %d rows, want %d", vendor, count[vendor], want)
		}
	}
}

// tested reports whether a test, written as folder and `TestName`, names the
// requirement: in its name, its comment, or what it does itself.
func tested(t *testing.T, test, number string) bool {
	t.Helper()
	m := regexp.MustCompile("^`([^` ]+)` `(Test[A-Za-z0-9_]+)`$").FindStringSubmatch(strings.TrimSpace(test))
	if m == nil {
		t.Errorf("%s: the test is written %q, want a folder and a name", number, test)
		return false
	}
	if strings.Contains(m[2], strings.ReplaceAll(number, "-", "")) {
		return true
	}
	text := sourceOf(t, "../"+m[1], m[2])
	return regexp.MustCompile(number + `\b`).MatchString(text)
}

// sourceOf is a test of a folder, its comment included.
func sourceOf(t *testing.T, folder, name string) string {
	t.Helper()
	files, err := filepath.Glob(folder + "/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Name.Name != name {
				continue
			}
			begin := f.Pos()
			if f.Doc != nil {
				begin = f.Doc.Pos()
			}
			return string(text[set.Position(begin).Offset:set.Position(f.End()).Offset])
		}
	}
	return ""
}
