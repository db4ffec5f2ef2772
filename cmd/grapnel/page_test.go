package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"grapnel/internal/config"
	"grapnel/internal/testaid"
)

const pageHead = `# Command line

Made from the program's commands by ` + "`make generate`" + `; it says what ` + "`--help`" + ` says. The program
prints the same as manual pages with ` + "`grapnel man`" + `.

Standard output is for data alone: a table for people, or JSON with ` + "`--json`" + `, one object, or one line
for each thing where there are many. Everything else goes to standard error. Secrets come from
files, standard input or the environment, never from the command line, which others can see.

Every flag of a command has an environment variable, which counts where the flag is not given.

| exit code | meaning |
|---|---|
| 0 | all is well |
| 1 | failure |
| 2 | the command line or a setting is wrong |
| 3 | the key is wrong, or lacks a right |
| 4 | not found |
| 5 | conflict, or a condition does not hold |
| 6 | the server refused the data |
| 7 | the server is not there, or takes nothing now |
| 8 | not all was delivered |
| 9 | the signature does not hold |
| 130 | interrupted |
`

// cliPage is docs/cli.md.
func cliPage(model *kong.Application) string {
	var b strings.Builder
	b.WriteString(pageHead)
	all := commands(model)
	global := map[string]bool{}
	b.WriteString("\n## For every command\n\n")
	flagTable(&b, all[0].flags)
	for _, f := range all[0].flags {
		global[f.Name] = true
	}
	for _, c := range all[1:] {
		section(&b, c, global)
	}
	return b.String()
}

// takesSettings reports whether a command has the flags of grapnel serve: not
// whether some have the same names.
func takesSettings(c command) bool {
	of := reflect.Indirect(c.Target)
	if c.path == "grapnel serve" || of.Kind() != reflect.Struct {
		return false
	}
	f, ok := of.Type().FieldByName("Config")
	return ok && f.Anonymous && f.Type == reflect.TypeFor[config.Config]()
}

func section(b *strings.Builder, c command, global map[string]bool) {
	fmt.Fprintf(b, "\n##%s %s\n\n%s\n\n```\n%s\n```\n", strings.Repeat("#", strings.Count(c.path, " ")-1), c.path, c.Help, synopsis(c))
	text, examples := detail(c.Node)
	if text != "" {
		fmt.Fprintf(b, "\n%s\n", text)
	}
	if len(c.Positional) > 0 {
		b.WriteString("\n| argument | meaning |\n|---|---|\n")
		for _, a := range c.Positional {
			fmt.Fprintf(b, "| `%s` | %s |\n", strings.ToUpper(a.Name), cellText(a.Help))
		}
	}
	var own []*kong.Flag
	shared := takesSettings(c)
	for _, f := range c.flags {
		switch {
		case global[f.Name]:
		case shared && (f.Name == "config" || isSetting(f.Name)):
		default:
			own = append(own, f)
		}
	}
	if len(own) > 0 {
		b.WriteString("\n")
		flagTable(b, own)
	}
	if shared {
		b.WriteString("\nIt takes the settings of [grapnel serve](#grapnel-serve) too.\n")
	}
	if len(c.Children) == 0 || strings.TrimSpace(examples) != "" {
		fmt.Fprintf(b, "\n```sh\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(examples, "    "), "\n    ", "\n"))
	}
}

func flagTable(b *strings.Builder, flags []*kong.Flag) {
	b.WriteString("| flag | environment | meaning |\n|---|---|---|\n")
	for _, f := range flags {
		env := ""
		if len(f.Envs) > 0 {
			env = "`" + strings.Join(f.Envs, "`, `") + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", flagText(f), env, cellText(f.Help))
	}
}

func cellText(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// The page says what the program says.
func TestCLIPage(t *testing.T) {
	t.Parallel()
	var tree cli
	testaid.Fresh(t, filepath.Join("..", "..", "docs", "cli.md"), cliPage(parser(t, &tree).Model))
}

// The page has, in a command's own section, each flag that --help shows of it,
// but for those of every command and those that are told to be grapnel serve's.
func TestCLIPageHasEveryFlag(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	var tree cli
	all := commands(parser(t, &tree).Model)
	for _, c := range all[1:] {
		_, own, ok := strings.Cut(string(b), fmt.Sprintf("\n##%s %s\n", strings.Repeat("#", strings.Count(c.path, " ")-1), c.path))
		if !ok {
			t.Errorf("there is no section of %s", c.path)
			continue
		}
		own, _, _ = strings.Cut(own, "\n## ")
		own, _, _ = strings.Cut(own, "\n### ")
		own, _, _ = strings.Cut(own, "\n#### ")
		asServe := strings.Contains(own, "It takes the settings of [grapnel serve]")
		for _, f := range c.flags {
			row := "| `" + flagText(f) + "` | "
			common := slices.ContainsFunc(all[0].flags, func(g *kong.Flag) bool { return g == f })
			ofServe := asServe && strings.Contains(strings.Join(f.Envs, " "), config.EnvName(f.Name))
			if !common && !ofServe && !strings.Contains(own, row) {
				t.Errorf("%s: the page lacks --%s", c.path, f.Name)
			}
		}
		if asServe && c.path != "grapnel dev" && c.path != "grapnel doctor" && !strings.HasPrefix(c.path, "grapnel config ") {
			t.Errorf("%s is said to take the settings of grapnel serve", c.path)
		}
	}
}

// What --help shows is what the page and the manual pages are made of: every
// flag, argument and example of every command.
func TestHelpShowsTheTree(t *testing.T) {
	t.Parallel()
	var tree cli
	for _, c := range commands(parser(t, &tree).Model)[1:] {
		var out, errs bytes.Buffer
		// kong ends the process after help, unless it is told not to.
		code := helpOnly(t, strings.Fields(c.path)[1:], &out, &errs)
		if code != 0 {
			t.Errorf("%s --help: %d, %s", c.path, code, errs.String())
			continue
		}
		help := strings.Join(strings.Fields(out.String()), " ")
		for _, f := range c.flags {
			if !strings.Contains(help, "--"+f.Name) && !strings.Contains(help, "--[no-]"+f.Name) || !strings.Contains(help, strings.TrimSuffix(strings.Join(strings.Fields(f.Help), " "), ".")) {
				t.Errorf("%s --help does not show --%s with its help", c.path, f.Name)
			}
		}
		for _, line := range exampleLines(c.Node) {
			if !strings.Contains(help, strings.Join(strings.Fields(line), " ")) {
				t.Errorf("%s --help does not show the example %s", c.path, line)
			}
		}
	}
}

// helpOnly parses "… --help" and returns the exit code.
func helpOnly(t *testing.T, args []string, out, errs *bytes.Buffer) (code int) {
	t.Helper()
	var tree cli
	type exited struct{ code int }
	defer func() {
		if e, ok := recover().(exited); ok {
			code = e.code
		}
	}()
	k, err := newParser(&tree, kong.Writers(out, errs), kong.Exit(func(code int) { panic(exited{code}) }), kong.Bind(&fileResolver{}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Parse(append(args, "--help"))
	t.Errorf("%v --help did not end: %v", args, err)
	return 1
}

// Every command and flag has help that is a sentence, and every command that
// does something two examples or more, each with the command in it.
func TestEveryCommandIsExplained(t *testing.T) {
	t.Parallel()
	var tree cli
	for _, c := range commands(parser(t, &tree).Model)[1:] {
		if !isSentence(c.Help) {
			t.Errorf("%s: help %q is no sentence", c.path, c.Help)
		}
		for _, f := range c.flags {
			if f.Name != "help" && !isSentence(f.Help) {
				t.Errorf("%s --%s: help %q is no sentence", c.path, f.Name, f.Help)
			}
		}
		for _, a := range c.Positional {
			if !isSentence(a.Help) {
				t.Errorf("%s %s: help %q is no sentence", c.path, a.Name, a.Help)
			}
		}
		uses := 0
		for _, line := range exampleLines(c.Node) {
			if strings.Contains(line+" ", c.path+" ") {
				uses++
			}
		}
		if c.Leaf() && uses < 2 {
			t.Errorf("%s has %d examples that use it, want two or more", c.path, uses)
		}
	}
}

func isSentence(s string) bool {
	return len(s) > 5 && strings.ToUpper(s[:1]) == s[:1] && strings.HasSuffix(s, ".")
}
