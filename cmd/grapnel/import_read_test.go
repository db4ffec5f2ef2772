package main

import (
	"io"
	"strings"
	"testing"
)

// A line that is too long is refused, and kept whole to be corrected; one that
// is too long for that too is said to be left out.
func TestLongLinesOfImports(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		size int
		kept bool
	}{{20 << 20, true}, {maxKept + 1, false}} {
		line := `{"label":"` + strings.Repeat("x", c.size) + `"}` + "\n"
		r, err := newJSONRecords(strings.NewReader(line + "{}\n"))
		if err != nil {
			t.Fatal(err)
		}
		long, err := r.next()
		if err != nil || !strings.HasPrefix(long.wrong, "has more than 1048576 bytes") || strings.Contains(long.wrong, "file of refused records") == c.kept {
			t.Errorf("%d: %q, %v", c.size, long.wrong, err)
		}
		if kept := string(long.text) == line; kept != c.kept || !c.kept && long.text != nil {
			t.Errorf("%d: %d bytes of %d are kept", c.size, len(long.text), len(line))
		}
		if next, err := r.next(); err != nil || next.wrong != "" || next.line != 2 {
			t.Errorf("%d: behind it: %+v, %v", c.size, next, err)
		}
		if _, err := r.next(); err != io.EOF {
			t.Errorf("%d: %v", c.size, err)
		}
	}
}

// A table has the order of hooks in columns too.
func TestOrderInTables(t *testing.T) {
	t.Parallel()
	r, err := newCSVRecords(strings.NewReader("tenant,ordering,skip_after\na,key,5\na,,\na,key,many\na,key,1.5\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []record{
		{json: []byte(`{"ordering":"key","skip_after":5,"tenant":"a"}`)}, {json: []byte(`{"tenant":"a"}`)},
		{field: "/skip_after", wrong: "is no whole number"}, {field: "/skip_after", wrong: "is no whole number"},
	} {
		got, err := r.next()
		if err != nil || string(got.json) != string(want.json) || got.field != want.field || got.wrong != want.wrong {
			t.Errorf("%s, %s %s, %v; want %s, %s %s", got.json, got.field, got.wrong, err, want.json, want.field, want.wrong)
		}
	}
}
