package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// What a script of testdata runs, with the exit code that it wants.
var (
	invocation = regexp.MustCompile(`^(?:\[[^\]]*\] )?(?:!? ?exec|code (\d+)|start \S+) grapnel((?: .*)?)$`)
	quoted     = regexp.MustCompile(`'[^']*'`)
)

// coverage is what the scripts show of one command.
type coverage struct{ help, success, refusal, json bool }

// Every command has a script that runs it well, one that gives it bad input,
// one that asks for its help, and one that asks for JSON. A new command without
// them fails here.
func TestScriptsCoverEveryCommand(t *testing.T) {
	t.Parallel()
	var tree cli
	model := parser(t, &tree).Model
	seen := map[string]*coverage{}
	for _, c := range commands(model)[1:] {
		if c.Leaf() {
			seen[c.path] = &coverage{}
		}
	}
	files, err := filepath.Glob(filepath.Join("testdata", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	onPostgreSQL, err := filepath.Glob(filepath.Join("testdata", "postgres", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	onEither, err := filepath.Glob(filepath.Join("testdata", "either", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range slices.Concat(files, onPostgreSQL, onEither) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		script, _, _ := strings.Cut("\n"+string(text), "\n-- ")
		for line := range strings.Lines(script) {
			note(seen, model, strings.TrimSpace(line))
		}
	}
	for path, c := range seen {
		var missing []string
		for what, there := range map[string]bool{"--help": c.help, "success": c.success, "bad input": c.refusal, "--json": c.json} {
			if !there {
				missing = append(missing, what)
			}
		}
		slices.Sort(missing)
		if len(missing) > 0 {
			t.Errorf("no script in testdata shows %s of %s", strings.Join(missing, ", "), path)
		}
	}
}

// note adds what a line of a script shows.
func note(seen map[string]*coverage, model *kong.Application, line string) {
	m := invocation.FindStringSubmatch(line)
	if m == nil {
		return
	}
	words := strings.Fields(quoted.ReplaceAllString(m[2], "x"))
	node, path := model.Node, "grapnel"
	for _, w := range words {
		i := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == w })
		if i >= 0 {
			node, path = node.Children[i], path+" "+w
		}
	}
	c := seen[path]
	if c == nil {
		return
	}
	failed := m[1] != "" && m[1] != "0" || strings.HasPrefix(line, "!")
	switch {
	case slices.Contains(words, "--help"):
		c.help = true
	case failed:
		c.refusal = true
	default:
		c.success = true
	}
	if slices.Contains(words, "--json") {
		c.json = true
	}
}
