package dialect_test

import (
	"go/doc/comment"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"grapnel/internal/testaid"
)

// docs/dialect-format.md is the package's comment.
func TestFormatPageIsFresh(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}

	printer := &comment.Printer{HeadingLevel: 2, HeadingID: func(*comment.Heading) string { return "" }}
	page := string(printer.Markdown(new(comment.Parser).Parse(file.Doc.Text())))
	page = strings.ReplaceAll(page, "&lt;", "<")
	testaid.Fresh(t, "../../docs/dialect-format.md", "# The format of dialect files\n\n"+
		"Made from `internal/dialect/doc.go` by `make generate`. [Adding a vendor](adding-a-vendor.md) shows a file grow;\n"+
		"`grapnel dialect show NAME` prints those that are built in.\n\n"+page)
}
