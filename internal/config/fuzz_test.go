package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// A settings file of any content is read in no time. What is wrong with it is said of a
// setting, with its line and what to write; what is read is the same when it is written
// again.
func FuzzFile(f *testing.F) {
	for _, seed := range []string{
		"", "---\n", "# nothing\n", "data: /var/lib/grapnel\nretention: 14d\negress-allow: [10.0.0.0/8, \"fd00::/8\"]\nrate-limit: 100/s\n",
		"max-in-flight: 0x10\ndrain: 1_000s\n", "retention: &a 1d\nlease: *a\n", "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n",
		"listen: |\n  :80\n", "listen: !!binary OjgwCg==\n", "? listen\n: :80\n", "<<: {listen: \":80\"}\n", "listen: :80\nlisten: :81\n", "{listen: [", "\ufeffdata: x\n",
		"store: postgres://u:p@h/d\n", "tls-cert: \"\\0\\x1b\\u2028\"\n", "--- a\n--- b\n", "admin-key: hunter2hunter2hunter2\n", "-", ":", "\x00", "\xff: \xfe\n", "data: 1e999\n", "data: {}\n", "data: null\n", "\t\n",
		strings.Repeat("[", 4000), strings.Repeat("a: ", 4000), strings.Repeat("- ", 4000), strings.Repeat("{a: ", 2000), strings.Repeat("\"", 4001),
	} {
		f.Add(seed)
	}
	name := filepath.Join(f.TempDir(), "grapnel.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		begin := time.Now()
		file, err := readText(t, name, text)
		// Many times what the largest file takes.
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("%d bytes take %s", len(text), took)
		}
		if err != nil {
			for _, one := range faults(err) {
				var e *Error
				if !errors.As(one, &e) || e.Setting == "" || e.Reason == "" || e.Remedy == "" {
					t.Errorf("%#v", one)
				} else if e.Source == "" && len(text) <= maxFile {
					t.Errorf("says no line: %v", one)
				}
			}
			return
		}
		var again strings.Builder
		for _, f := range fields() {
			values := file.Values(f.name)
			if file.values[f.name].line > strings.Count(text, "\n")+strings.Count(text, "\r")+1 {
				t.Errorf("%s is set at %s", f.name, file.Source(f.name))
			}
			if values == nil {
				continue
			}
			var quoted []string
			for _, v := range values {
				if !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return !strconv.IsPrint(r) }) {
					return // YAML has its own way to write it
				}
				quoted = append(quoted, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v)+`"`)
			}
			if f.list() {
				quoted = []string{"[" + strings.Join(quoted, ", ") + "]"}
			}
			fmt.Fprintf(&again, "%s: %s\n", f.name, quoted[0])
		}
		written, err := readText(t, name, again.String())
		if err != nil {
			t.Fatalf("%v\n%s", err, again.String())
		}
		for _, f := range fields() {
			if d := cmp.Diff(file.Values(f.name), written.Values(f.name)); d != "" {
				t.Errorf("%s is another one when it is written again:\n%s\n%s", f.name, again.String(), d)
			}
		}
	})
}

func readText(t *testing.T, name, text string) (*File, error) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return ReadFile(name)
}

// faults are the errors that are joined in one.
func faults(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// Times, sizes and rates that can be read are the same when they are written and read
// again.
func FuzzValues(f *testing.F) {
	for _, seed := range []string{"30s", "1d", "-1d", "106751d", "106752d", "1h0m0s", "0", "1MiB", "9223372036854775807", "-1", "8388608TiB", " 7 KiB", "100/s", "off", "1/", "1000000001/h", "1e9s", "0x1p-2h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var d, d2 Duration
		if d.UnmarshalText([]byte(text)) == nil && (d2.UnmarshalText([]byte(d.String())) != nil || d != d2) {
			t.Errorf("%q is %s, which is %s", text, d, d2)
		}
		var s, s2 Size
		if s.UnmarshalText([]byte(text)) == nil && (s2.UnmarshalText([]byte(s.String())) != nil || s != s2) {
			t.Errorf("%q is %s, which is %s", text, s, s2)
		}
		var r, r2 Rate
		if r.UnmarshalText([]byte(text)) == nil && (r2.UnmarshalText([]byte(r.String())) != nil || r != r2 || r.N < 0 || r.N > maxRate || (r.N == 0) != r.Off()) {
			t.Errorf("%q is %s, which is %s", text, r, r2)
		}
	})
}
