package crashpoint_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"grapnel/internal/crashpoint"
)

// case 2: the list of points is complete, and each point is on some path.
func TestNamesAgreeWithCalls(t *testing.T) {
	t.Parallel()
	calls := findCalls(t, filepath.Join("..", ".."))
	if len(calls) == 0 {
		t.Skip("no point is placed yet")
	}
	names := crashpoint.Names()
	for name, place := range calls {
		if !slices.Contains(names, name) {
			t.Errorf("%s: crashpoint.Hit(%q) is not in Names", place, name)
		}
	}
	for _, name := range names {
		if _, ok := calls[name]; !ok {
			t.Errorf("no call of crashpoint.Hit(%q) in the module", name)
		}
	}
}

// findCalls maps the names of all crashpoint.Hit calls outside tests to where
// one of them stands.
func findCalls(t *testing.T, root string) map[string]string {
	t.Helper()
	calls := map[string]string{}
	files := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if name, ok := hitName(t, files, n); ok {
				calls[name] = files.Position(n.Pos()).String()
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return calls
}

func hitName(t *testing.T, files *token.FileSet, n ast.Node) (string, bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return "", false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "Hit" {
		return "", false
	}
	if pkg, ok := sel.X.(*ast.Ident); !ok || pkg.Name != "crashpoint" {
		return "", false
	}
	if lit, ok := call.Args[0].(*ast.BasicLit); ok {
		if name, err := strconv.Unquote(lit.Value); err == nil {
			return name, true
		}
	}
	t.Errorf("%s: the name of a crash point must be a string literal", files.Position(n.Pos()))
	return "", false
}
