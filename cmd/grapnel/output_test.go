package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"grapnel/client"
	"grapnel/internal/testaid"
)

// surroundings makes a program that writes into buffers.
func surroundings(g global, env map[string]string) (p *program, stdout, stderr *bytes.Buffer) {
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	return &program{
		global: g, stdin: strings.NewReader(""), stdout: stdout, stderr: stderr,
		getenv: func(name string) string { return env[name] }, sources: func(string) string { return "default" },
	}, stdout, stderr
}

// case 112
func TestPlain(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"as it is: é 漢 👩‍💻":     "as it is: é 漢 👩‍💻",
		"a\r\nerror: forged":    `a\r\nerror: forged`,
		"\x1b[2J\x1b]0;t\x07":   `\u001b[2J\u001b]0;t\u0007`,
		"\u009b31m":             `\u009b31m`,
		"tab\t\x7f":             `tab\t\u007f`,
		"x\u2028y\u202ez\u2066": `x\u2028y\u202ez\u2066`,
		"bad \xff\xfe\ufffd":    `bad \xff\xfe` + "\ufffd",
		"\U000e0041":            `\udb40\udc41`,
	} {
		if got := plain(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// case 112: whatever a server says, what is printed is one line of harmless
// characters, and JSON says the same as before.
func FuzzPlain(f *testing.F) {
	f.Add("\x1b[31m\n\u2028\xff")
	f.Fuzz(func(t *testing.T, s string) {
		if out := plain(s); strings.ContainsFunc(out, hostile) || !utf8.ValidString(out) {
			t.Errorf("%q", out)
		}
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		line := escapeJSON(append(b, '\n'))
		var was, is string
		if json.Unmarshal(b, &was) != nil || json.Unmarshal(line, &is) != nil || was != is || strings.ContainsFunc(strings.TrimSuffix(string(line), "\n"), hostile) {
			t.Errorf("%q became %q", b, line)
		}
	})
}

// case 112: an error of a server cannot forge lines or move the cursor.
func TestReportIsPlain(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	code := report(&out, &client.Error{Status: 503, Type: "http://x/v1/problems/unavailable\x1b[2J", Detail: "no\nhint: forged \x1b[31mred", RetryAfter: 3 * time.Second})
	want := "error: no\\nhint: forged \\u001b[31mred\nhint: try again in 3s\ntype: http://x/v1/problems/unavailable\\u001b[2J\n"
	if code != exitUnavailable || out.String() != want {
		t.Errorf("%d\n%s", code, out.String())
	}
}

func TestReportJoined(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	code := report(&out, errors.Join(fail(exitConflict, "", "first"), fail(exitUsage, "do this", "second")))
	if code != exitConflict || out.String() != "error: first\nerror: second\nhint: do this\n" {
		t.Errorf("%d\n%s", code, out.String())
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int{400: 6, 401: 3, 403: 3, 404: 4, 405: 1, 409: 5, 410: 4, 412: 5, 413: 6, 415: 6, 422: 6, 428: 5, 429: 7, 500: 1, 502: 7, 503: 7, 504: 7} {
		if got := report(new(bytes.Buffer), fmt.Errorf("wrapped: %w", &client.Error{Status: status})); got != want {
			t.Errorf("%d: %d, want %d", status, got, want)
		}
	}
	if got := report(new(bytes.Buffer), &client.Error{Status: 422, Type: "http://x/v1/problems/mismatch"}); got != exitConflict {
		t.Error(got)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	p, out, _ := surroundings(global{}, nil)
	if err := p.table([]string{"NAME", "STATE", "X"}, [][]string{{"é漢", "failed", ""}, {"longer name", "ok", "a\nb"}, {"short"}}); err != nil {
		t.Fatal(err)
	}
	want := "NAME         STATE   X\né漢           failed\nlonger name  ok      a\\nb\nshort\n"
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
}

// A long table is printed as it comes, not when it ends.
func TestLongTable(t *testing.T) {
	t.Parallel()
	p, out, _ := surroundings(global{}, nil)
	table := p.newTable("N")
	for i := range tableSample + 5 {
		if err := table.row(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		if i < tableSample-1 && out.Len() > 0 {
			t.Fatal("printed before the widths are known")
		}
		if i >= tableSample && strings.Count(out.String(), "\n") != i+2 {
			t.Fatalf("%d rows, %d lines", i+1, strings.Count(out.String(), "\n"))
		}
	}
	if err := table.end(); err != nil || strings.Count(out.String(), "\n") != tableSample+6 {
		t.Error(err, strings.Count(out.String(), "\n"))
	}
}

func TestColors(t *testing.T) {
	t.Parallel()
	for when, want := range map[string]string{"always": "S\n" + colorRed + "failed" + colorReset, "auto": "S\nfailed", "never": "S\nfailed"} {
		p, out, _ := surroundings(global{Color: when}, nil)
		if err := p.table([]string{"S"}, [][]string{{"failed"}}); err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(out.String(), colorBold+"S"+colorReset, "S"); got != want+"\n" {
			t.Errorf("%s: %q", when, got)
		}
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	p, out, _ := surroundings(global{}, nil)
	if err := p.fields(field{"id", "1"}, field{"left out", ""}, field{"state", "ok\n"}); err != nil {
		t.Fatal(err)
	}
	if out.String() != "id     1\nstate  ok\\n\n" {
		t.Errorf("%q", out.String())
	}
}

func TestNoteAndQuiet(t *testing.T) {
	t.Parallel()
	p, out, errs := surroundings(global{}, nil)
	p.note("a %s", "b\nc")
	if out.Len() > 0 || errs.String() != "a b\\nc\n" {
		t.Errorf("%q %q", out, errs)
	}
	p, _, errs = surroundings(global{Quiet: true}, nil)
	p.note("a")
	told := p.progress(10, "x")
	told.add(1)
	told.grow(11)
	told.set(2)
	told.end()
	if errs.Len() > 0 {
		t.Errorf("%q", errs)
	}
}

// Away from a terminal, progress is a line each ten seconds.
func TestProgressLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, _, errs := surroundings(global{}, nil)
		told := p.progress(100, "copying")
		for range 25 {
			time.Sleep(time.Second) // of the bubble's clock
			told.add(4)
		}
		told.end()
		if want := "copying: 40 of 100 after 10.0 s\ncopying: 80 of 100 after 20.0 s\n"; errs.String() != want {
			t.Errorf("%q", errs)
		}
	})
}

func TestConfirmWithoutTerminal(t *testing.T) {
	t.Parallel()
	p, _, errs := surroundings(global{}, nil)
	if err := p.confirm("delete it", true); err != nil {
		t.Error(err)
	}
	var f *failure
	if err := p.confirm("delete it", false); !errors.As(err, &f) || f.code != exitUsage || f.hint != "add --yes to do it" || errs.Len() > 0 {
		t.Errorf("%v, %q", err, errs)
	}
}

func TestRelative(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "now", -999 * time.Millisecond: "now", -119 * time.Second: "119 s ago", 2 * time.Minute: "in 2 min", -3 * time.Hour: "3 h ago", 49 * time.Hour: "in 2 d",
	} {
		if got := relative(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

func TestMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		for text, want := range map[string]time.Time{
			"2h": now.Add(-2 * time.Hour), "7d": now.Add(-7 * 24 * time.Hour), "0s": now, "2026-01-31T08:00:00.5+01:00": time.Date(2026, 1, 31, 7, 0, 0, 5e8, time.UTC),
		} {
			var got past
			if err := got.UnmarshalText([]byte(text)); err != nil || !got.Equal(want) {
				t.Errorf("%s: %s, %v", text, got, err)
			}
		}
		var ahead future
		if err := ahead.UnmarshalText([]byte("90d")); err != nil || !ahead.Equal(now.Add(90*24*time.Hour)) {
			t.Error(ahead, err)
		}
		for _, text := range []string{"", "2", "yesterday", "-2h", "2026-01-31"} {
			if _, err := moment(text, -1); err == nil {
				t.Errorf("%q was taken", text)
			}
		}
	})
}

func TestCount(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{"1 delivery": count(1, "delivery"), "2 deliveries": count(2, "delivery"), "0 keys": count(0, "key"), "3 attempts": count(3, "attempt")} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// A shell hands curl the request byte for byte, whatever is in it.
func TestCurlIsQuoted(t *testing.T) {
	t.Parallel()
	sh := testaid.Require(t, "sh")
	for _, body := range []string{
		`{"id":1}`, `it's $HOME "x" \ %s ` + "`date`", "@file", "-", "two\nlines\n", "é漢", "\x1b[31m", "nul\x00", "\xff\xfe", "a\r\nb", strings.Repeat("x'", maxCurlBody),
	} {
		a := &client.Attempt{Request: client.Sent{Method: "POST", URL: "https://example.com/a'b?c=[1]&d=$e", Headers: client.Headers{
			{Name: "Host", Value: "example.com"}, {Name: "X-A", Value: "it's; $x"}, {Name: "x-empty", Value: ""}, {Name: "Content-Length", Value: "8"}, {Name: "Authorization", Value: "[secret]"},
		}}}
		sent := &client.Body{Text: body}
		if !utf8.ValidString(body) {
			sent = &client.Body{Text: "//4=", Encoding: "base64"}
		}
		command, missing, err := attemptCurl(a, sent)
		if err != nil || !cmp.Equal(missing, []string{"Authorization"}) {
			t.Fatal(err, missing)
		}
		if strings.ContainsAny(command, "\x1b\x00\r") {
			t.Errorf("%q can harm a terminal", command)
		}
		// What stands in for curl prints its arguments, then its standard input.
		run := exec.CommandContext(t.Context(), sh, "-eu")
		run.Stdin = strings.NewReader(`curl() { for a; do printf '%s\n=\n' "$a"; done; case "$a" in @-) cat;; esac; }` + "\n" + command + "\n")
		out, err := run.Output()
		if err != nil {
			t.Fatal(err)
		}
		head := "-sS -g --path-as-is -X POST https://example.com/a'b?c=[1]&d=$e -H X-A:_it's;_$x -H x-empty; -H Authorization:_[secret] -H accept: -H user-agent: -H content-type: "
		head = strings.ReplaceAll(strings.ReplaceAll(head, " ", "\n=\n"), "_", " ")
		if want, bin := head+"--data-raw\n=\n"+body+"\n=\n", head+"--data-binary\n=\n@-\n=\n"+body; string(out) != want && string(out) != bin {
			t.Errorf("%.60q:\n%.600q", body, out)
		}
	}
}
