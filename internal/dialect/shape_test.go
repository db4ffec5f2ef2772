package dialect_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"grapnel/internal/dialect"
)

// Files that are made to keep the reader busy are refused, or read, without much
// memory: what it takes grows with the size of the file, not with its square.
func TestLoadOfHostileFiles(t *testing.T) {
	tail := base[strings.Index(base, "events:"):]
	head := base[:strings.Index(base, "  body:")]
	body := func(json string) string { return head + "  body:\n    json: " + json + "\n" + tail }
	var columns, keys strings.Builder
	for i := range 300 {
		columns.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	for i := range 3000 {
		keys.WriteString("      k" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676)) + ": 1\n")
	}
	for _, c := range []struct{ name, src, want string }{
		{"lists in lists", strings.Repeat("[", 20_000), "f:1: the file is nested too deep"},
		{"mappings in mappings", strings.Repeat("{a: ", 15_000), "f:1: the file is nested too deep"},
		{"quoted brackets between", strings.Repeat(`["]", `, 10_000), "f:1: the file is nested too deep"},
		{"lists by indentation", "a: 1\n" + strings.Repeat("- ", 20_000), "f:2: the file is nested too deep"},
		{"mappings by indentation", columns.String(), "f:129: the file is nested too deep"},
		{"keys by question marks", strings.Repeat("? ", 20_000), "f:1: the file is nested too deep"},
		{"tags", "a: " + strings.Repeat("!a ", 20_000), "f:1: this is an anchor, alias or tag"},
		{"anchors", "a:\n  " + strings.Repeat("&a ", 20_000), "f:2: this is an anchor, alias or tag"},
		{"keys", body("\n" + keys.String()), "more than 2000 keys"},
		{"too large", strings.Repeat("#\n", 40_000), "bytes, more than 65536"},
		{"no UTF-8", "name: a\ntitle: \xff", "f:2: the file is not UTF-8"},
		{"a long catalogue", strings.Replace(base, "subscription:", "catalogue: ["+strings.Repeat("a,", 600)+"a]\nsubscription:", 1), "catalogue has 601 entries, more than 500"},
		{"a long list", body("[" + strings.Repeat("1,", 30_000) + "1]"), ""},
		{"a long text", body(`"` + strings.Repeat("{{", 30_000) + `"`), ""},
		{"many placeholders", body(`"` + strings.Repeat("{event.id}", 6000) + `"`), ""},
		{"a list of texts", body("\n" + strings.Repeat("    - a\n", 7500)), ""},
		{"64 levels", body(strings.Repeat("[", 64) + strings.Repeat("]", 64)), ""},
		{"65 levels", body(strings.Repeat("[", 65) + strings.Repeat("]", 65)), "nested too deep"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := dialect.Load("f", []byte(c.src))
		runtime.ReadMemStats(&after)
		var e *dialect.LoadError
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &e) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %.200v, want %q", c.name, err, c.want)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20 {
			t.Errorf("%s: reading %d bytes took %d MiB", c.name, len(c.src), took>>20)
		}
	}
}

// A byte order mark is no part of the first key, and a second document is shown
// where it begins.
func TestLoadOfWholeFiles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, src, want string }{
		{"a byte order mark", "\ufeff" + base, ""},
		{"a mark behind the beginning", "\ufeff\ufeff" + base, "unknown key"},
		{"a header", "---\n" + base, ""},
		{"a comment and a header", "# Acme\n---\n" + base, ""},
		{"lines that end as on Windows", strings.ReplaceAll(base, "\n", "\r\n"), ""},
		{"a second document", base + "---\nname: two\n", "f:30: a second YAML document"},
	} {
		d, err := dialect.Load("f", []byte(c.src))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
			continue
		}
		if d != nil {
			if _, err := dialect.Load("again", []byte(d.Source())); err != nil {
				t.Errorf("%s: its source: %v", c.name, err)
			}
		}
	}
}
