package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"grapnel/internal/testaid"
)

// output runs the program in this process.
func output(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(args, strings.NewReader(""), &out, &errs); code != exitOK {
		t.Fatalf("%v: %d, %s", args, code, errs.String())
	}
	return out.String()
}

// completions are what a shell offers after words; the last one is unfinished.
var completions = []struct{ words, want []string }{
	{[]string{"grapnel", "ver"}, []string{"verify", "version"}},
	{[]string{"grapnel", "config", ""}, []string{"check", "reference", "show"}},
	{[]string{"grapnel", "-q", "config", "sh"}, []string{"show"}},
	{[]string{"grapnel", "--context", "verify", "keyg"}, []string{"keygen"}},
	{[]string{"grapnel", "keygen", "--ki"}, []string{"--kind"}},
	{[]string{"grapnel", "keygen", "--kind", ""}, []string{"ed25519", "hmac"}},
	{[]string{"grapnel", "verify", "--color", "a"}, []string{"always", "auto"}},
	{[]string{"grapnel", "completion", "f"}, []string{"fish"}},
	{[]string{"grapnel", "serve", "--log-level", "d"}, []string{"debug"}},
	{[]string{"grapnel", "sign", "--secret-file", "sec"}, []string{"secret.txt"}},
	{[]string{"grapnel", "version", "x"}, nil},
}

// fill writes a script and a file to name into a new folder.
func fill(t *testing.T, shell string) (dir, script string) {
	t.Helper()
	dir = t.TempDir()
	script = filepath.Join(dir, "script."+shell)
	for name, text := range map[string]string{script: output(t, "completion", shell), filepath.Join(dir, "secret.txt"): "x"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, script
}

func sorted(text string) []string {
	words := strings.Fields(text)
	slices.Sort(words)
	return slices.Compact(words)
}

func TestBashCompletion(t *testing.T) {
	t.Parallel()
	bash := testaid.Require(t, "bash")
	dir, script := fill(t, "bash")
	for _, c := range append(completions, struct{ words, want []string }{[]string{"grapnel", "keygen", "--kind", "=", "h"}, []string{"hmac"}}) {
		cmd := exec.Command(bash, append([]string{"--norc", "-c", `
			source "$1"; shift
			COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
			$(complete -p grapnel | sed 's/.*-F \([^ ]*\) .*/\1/') grapnel
			printf '%s\n' "${COMPREPLY[@]}"`, "bash", script}, c.words...)...)
		cmd.Dir = dir
		// The function is called directly, so compopt has nothing to set.
		out, err := cmd.Output()
		if got := sorted(string(out)); err != nil || strings.Join(got, " ") != strings.Join(c.want, " ") {
			t.Errorf("%q: %q, want %q (%v)", c.words, got, c.want, err)
		}
	}
}

func TestFishCompletion(t *testing.T) {
	t.Parallel()
	fish := testaid.Require(t, "fish")
	dir, script := fill(t, "fish")
	for _, c := range completions {
		cmd := exec.Command(fish, "--no-config", "-c", `source $argv[1]; complete -C "$argv[2]"`, script, strings.Join(c.words, " "))
		cmd.Dir = dir
		out, err := cmd.Output()
		var got []string
		for line := range strings.Lines(string(out)) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			got = append(got, word)
		}
		if err != nil || strings.Join(sorted(strings.Join(got, "\n")), " ") != strings.Join(c.want, " ") {
			t.Errorf("%q: %q, want %q (%v)", c.words, got, c.want, err)
		}
	}
}

// zsh completes at a prompt alone. So the function is run by itself, and the
// builtins that offer words are replaced by ones that print them.
func TestZshCompletion(t *testing.T) {
	t.Parallel()
	zsh := testaid.Require(t, "zsh")
	_, script := fill(t, "zsh")
	if out, err := exec.Command(zsh, "-n", script).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	for _, c := range completions {
		if c.want == nil || strings.HasPrefix(c.want[0], "secret") {
			continue // _files needs a prompt
		}
		cmd := exec.Command(zsh, append([]string{"-f", "-c", `
			compdef() { }
			source "$1"; shift
			words=("$@"); CURRENT=$#
			prefix=${words[CURRENT]}
			compadd() { shift; for w; do [[ $w == $prefix* ]] && print -r -- $w; done }
			_describe() { for w in ${(P)4}; do w=${w%%:*}; [[ $w == $prefix* ]] && print -r -- $w; done }
			_grapnel`, "zsh", script}, c.words...)...)
		out, err := cmd.CombinedOutput()
		if got := sorted(string(out)); strings.Join(got, " ") != strings.Join(c.want, " ") {
			t.Errorf("%q: %q, want %q (%v)", c.words, got, c.want, err)
		}
	}
}

// Every page is roff without complaints, and holds what --help holds.
func TestManPages(t *testing.T) {
	t.Parallel()
	groff := testaid.Require(t, "groff")
	dir := t.TempDir()
	output(t, "man", "--dir", dir, "--quiet")
	var tree cli
	for _, c := range commands(parser(t, &tree).Model) {
		out, err := exec.Command(groff, "-man", "-Tutf8", "-ww", "-z", filepath.Join(dir, pageName(c))).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", pageName(c), err, out)
		}
		text := page(c, "test")
		for _, f := range c.flags {
			if !strings.Contains(text, escapeRoff(flagText(f))) {
				t.Errorf("%s lacks --%s", pageName(c), f.Name)
			}
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != len(commands(parser(t, &tree).Model)) {
		t.Errorf("%d pages, %v", len(files), err)
	}
}

func TestSystemdUnits(t *testing.T) {
	t.Parallel()
	analyze := testaid.Require(t, "systemd-analyze")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, listen := range []string{":8080", "127.0.0.1:443"} {
		dir := t.TempDir()
		for name, args := range map[string][]string{
			"grapnel.service": {"systemd-unit", "--program", self, "--listen", listen, "--config", "/etc/grapnel/a b.yaml"},
			"grapnel.socket":  {"systemd-unit", "--socket", "--listen", listen},
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(output(t, args...)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		out, err := exec.Command(analyze, "verify", filepath.Join(dir, "grapnel.service"), filepath.Join(dir, "grapnel.socket")).CombinedOutput()
		if err != nil || len(bytes.TrimSpace(out)) > 0 {
			t.Errorf("%v\n%s", err, out)
		}
		out, err = exec.Command(analyze, "security", "--offline=yes", "--threshold=20", filepath.Join(dir, "grapnel.service")).CombinedOutput()
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}
