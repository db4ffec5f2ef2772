package convert_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/convert"
)

func run(t *testing.T, source, data string) (string, error) {
	t.Helper()
	p, err := convert.Compile(source)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	out, err := convert.Run(t.Context(), []*convert.Program{p}, []byte(data))
	return string(out), err
}

func TestRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, source, data, want string }{
		{"nothing changes", ".", `{"b":1,"a":[true,null,"x"]}`, `{"a":[true,null,"x"],"b":1}`},
		{"a member moves", "{id, price: .price.value}", `{"id":7,"price":{"value":"1","currency":"EUR"}}`, `{"id":7,"price":"1"}`},
		{"digits stay", "{a, b: [.b]}", `{"a":12345678901234567890123,"b":1.10,"c":2}`, `{"a":12345678901234567890123,"b":[1.10]}`},
		{"digits stay in other forms", ".", `[1e5,1E+400,-0,0.10]`, `[1e5,1E+400,-0,0.10]`},
		{"integers of any size", ".a + 1", `{"a":12345678901234567890123}`, `12345678901234567890124`},
		{"floats", "[.[] / 4]", `[1,4e30]`, `[0.25,1e+30]`},
		{"escapes no more than needed", ".", `"\u00e9\/<>&\u2028 \ud83d\ude00\u0000"`, "\"é/<>&\u2028 😀\\u0000\""},
		{"bytes that are no text", "@base64d", `"/w=="`, "\"\uFFFD\""},
		{"an empty array is none for an object", "{a: [], b: {}}", `null`, `{"a":[],"b":{}}`},
	} {
		got, err := run(t, c.source, c.data)
		if err != nil || got != c.want {
			t.Errorf("%s: got %s, %v, want %s", c.name, got, err, c.want)
		}
	}
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, source, data, want string }{
		{"no result", "empty", `1`, "no result"},
		{"two results", ".[]", `[1,2]`, "more than one result"},
		{"an error behind the result", "1, error(\"x\")", `1`, "failed: "},
		{"an error", ".a.b", `{"a":"text"}`, "failed: "},
		{"an error of its own", `error("no price")`, `{}`, "no price"},
		{"too large", `("x" * 500000) as $s | [range(9) | $s]`, `1`, "larger than"},
		{"a text that is too large", `"x" * 5000000`, `1`, "larger than"},
		{"too deep", `reduce range(5000) as $i (.; [.])`, `1`, "nested more than"},
		{"no number", "nan", `1`, "JSON cannot write"},
		{"infinite", "infinite", `1`, "JSON cannot write"},
		{"no JSON", ".", `{`, "not JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := run(t, c.source, c.data)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %.100s, %v, want an error with %q", got, err, c.want)
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"":                            "is empty",
		" \n":                         "is empty",
		".a |":                        "not jq",
		"{\n  a: .a,\n  b: @@\n}":     "in line 3",
		"nonesuch":                    "not jq",
		"env.PATH":                    "the environment",
		"$ENV.PATH":                   "the environment",
		"{a: [.[] | $ENV]}":           "the environment",
		"def f: input; .":             "further inputs",
		"[inputs]":                    "further inputs",
		"now":                         "the clock",
		"if .a then now else . end":   "the clock",
		`"\(now)"`:                    "the clock",
		".a as [$x, {b: $y}] | debug": "the server's log",
		"halt":                        "the program's end",
		`import "a" as a; .`:          "modules",
		`include "a"; .`:              "modules",
		`modulemeta`:                  "modules",
		strings.Repeat(" ", 20000):    "at most",
	} {
		if _, err := convert.Compile(source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want an error with %q", source, err, want)
		}
	}
}

// A chain hands the value on as it is, so that digits stay over all of it, and
// an error names the step.
func TestChain(t *testing.T) {
	t.Parallel()
	var cache convert.Cache
	var chain []*convert.Program
	for _, source := range []string{"{n: .number}", "{m: .n, more: true}", "if .m == 3 then error(\"three\") else . end"} {
		p, err := cache.Get(source)
		if err != nil {
			t.Fatal(err)
		}
		again, err := cache.Get(source)
		if err != nil || again != p {
			t.Errorf("%s was compiled again: %v", source, err)
		}
		chain = append(chain, p)
	}
	got, err := convert.Run(t.Context(), chain, []byte(`{"number":1.50}`))
	if err != nil || string(got) != `{"m":1.50,"more":true}` {
		t.Errorf("got %s, %v", got, err)
	}
	_, err = convert.Run(t.Context(), chain, []byte(`{"number":3}`))
	var step *convert.StepError
	if !errors.As(err, &step) || step.Step != 2 {
		t.Errorf("got %v, want the third step to fail", err)
	}
	if got, err := convert.Run(t.Context(), nil, []byte(` {"b":1, "a":2}`)); err != nil || string(got) != ` {"b":1, "a":2}` {
		t.Errorf("without programs the bytes stay as they are: got %s, %v", got, err)
	}
}

// The deadline is the earlier one of the caller's and of all programs.
func TestTooLong(t *testing.T) {
	t.Parallel()
	p, err := convert.Compile("def f: f; f")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := convert.Run(ctx, []*convert.Program{p}, []byte("1")); err == nil || !strings.Contains(err.Error(), "took too long") {
		t.Errorf("got %v", err)
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	p, err := convert.Compile("def f: f; f")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := convert.Run(ctx, []*convert.Program{p}, []byte("1")); err == nil {
		t.Error("a program went on although nobody waits for it")
	}
}

// FuzzConvert runs programs over data: nothing breaks, and a result is JSON,
// the same each time.
func FuzzConvert(f *testing.F) {
	for _, s := range [][2]string{
		{".", `{"a":1.0}`}, {"{id, a: .b.c}", `{"id":1,"b":{"c":[]}}`}, {".[0] + .[1]", `[1,2.50]`},
		{"with_entries(.value |= tostring)", `{"a":1e400}`}, {"[paths]", `{"a":[1,{"b":2}]}`}, {"@base64d", `"////"`},
		{"del(.a) | .b += 1", `{"a":1,"b":12345678901234567890}`}, {"tojson | fromjson", `"\ud83d\ude00"`},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, source, data string) {
		// What grows without bound is held by the deadline, which fuzzing cannot wait for.
		for _, endless := range []string{"range", "def", "repeat", "until", "while", "recurse", "..", "*", "limit", "first", "infinite", "combinations"} {
			if strings.Contains(source, endless) {
				t.Skip()
			}
		}
		p, err := convert.Compile(source)
		if err != nil || !jsontext.Value(data).IsValid() {
			return
		}
		one, err1 := convert.Run(t.Context(), []*convert.Program{p}, []byte(data))
		two, err2 := convert.Run(t.Context(), []*convert.Program{p}, []byte(data))
		if string(one) != string(two) || (err1 == nil) != (err2 == nil) {
			t.Errorf("twice the same: got %s, %v and %s, %v", one, err1, two, err2)
		}
		if err1 == nil && !jsontext.Value(one).IsValid() {
			t.Errorf("%q of %s is %q, which is no JSON", source, data, one)
		}
	})
}
