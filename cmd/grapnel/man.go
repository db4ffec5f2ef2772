package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"

	"grapnel/internal/spelling"
	"grapnel/internal/telemetry"
)

type manCmd struct {
	Command []string `arg:"" optional:"" help:"The command whose page to print, such as config show; without one the program's."`
	Dir     string   `placeholder:"DIR" help:"Write the pages of all commands into this folder instead, as files such as grapnel-config-show.1."`
}

// Help gives examples.
func (*manCmd) Help() string {
	return `The pages are made from the same tree as --help.

Examples:

    grapnel man > grapnel.1
    grapnel man config show | head -20
    grapnel man --dir man1`
}

// pageShape is what --json prints of a page.
type pageShape struct {
	Command string `json:"command"`
	Name    string `json:"name"` // the file's
	Text    string `json:"text,omitempty"`
}

// Run prints one page, or writes all.
func (c *manCmd) Run(p *program) error {
	all := commands(p.model)
	version := telemetry.ReadVersion().Version
	if c.Dir != "" {
		if len(c.Command) > 0 {
			return fail(exitUsage, "leave one of them out", "--dir writes the pages of all commands, and a command is named")
		}
		return c.write(p, all, version)
	}
	path := strings.Join(append([]string{"grapnel"}, c.Command...), " ")
	var known []string
	for _, k := range all {
		if k.path == path {
			if p.JSON {
				return p.object(pageShape{Command: path, Name: pageName(k), Text: page(k, version)})
			}
			return p.printf("%s", page(k, version))
		}
		known = append(known, strings.TrimPrefix(k.path, "grapnel "))
	}
	hint := "grapnel --help shows what there is"
	if guess := spelling.Nearest(strings.Join(c.Command, " "), known); guess != "" {
		hint = fmt.Sprintf("did you mean %q?", guess)
	}
	return fail(exitUsage, hint, "there is no command %q", strings.Join(c.Command, " "))
}

func (c *manCmd) write(p *program, all []command, version string) error {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return fail(exitFailure, "name a folder that this user may write to", "%w", err)
	}
	for _, k := range all {
		file := filepath.Join(c.Dir, pageName(k))
		if err := os.WriteFile(file, []byte(page(k, version)), 0o644); err != nil {
			return fail(exitFailure, "name a folder that this user may write to", "%w", err)
		}
		if p.JSON {
			if err := p.line(pageShape{Command: k.path, Name: pageName(k)}); err != nil {
				return err
			}
		}
	}
	p.note("wrote %d pages to %s", len(all), c.Dir)
	return nil
}

func pageName(c command) string { return strings.ReplaceAll(c.path, " ", "-") + ".1" }

// page is a command's manual page in roff, with the man macros.
func page(c command, version string) string {
	r := &roff{}
	name := strings.ReplaceAll(c.path, " ", "-")
	r.macro("TH", strings.ToUpper(name), "1", "", "grapnel "+version, "Grapnel")
	r.macro("SH", "NAME")
	r.text(name + " \\- " + escapeRoff(strings.TrimSuffix(helpOf(c), ".")))
	r.macro("SH", "SYNOPSIS")
	r.macro("B", c.path)
	r.text(escapeRoff(strings.TrimSpace(strings.TrimPrefix(synopsis(c), c.path))))
	if text, _ := detail(c.Node); text != "" {
		r.macro("SH", "DESCRIPTION")
		r.paragraphs(text)
	}
	if len(c.Children) > 0 {
		r.macro("SH", "COMMANDS")
		for _, child := range c.Children {
			if !child.Hidden {
				r.item(child.Name, child.Help)
			}
		}
	}
	if len(c.Positional) > 0 {
		r.macro("SH", "ARGUMENTS")
		for _, a := range c.Positional {
			r.item(a.Name, a.Help)
		}
	}
	r.macro("SH", "OPTIONS")
	for _, f := range c.flags {
		help := f.Help
		if len(f.Envs) > 0 {
			help += " Environment: " + strings.Join(f.Envs, ", ") + "."
		}
		r.item(flagText(f), help)
	}
	if lines := exampleLines(c.Node); len(lines) > 0 {
		r.macro("SH", "EXAMPLES")
		r.verbatim(lines)
	}
	r.macro("SH", "EXIT STATUS")
	r.text(exitText)
	r.seeAlso(c)
	return r.String()
}

// exitText is the exit codes, the same for all commands.
const exitText = "0 all is well; 1 failure; 2 the command line or a setting is wrong; 3 the key is wrong or lacks a right; 4 not found; " +
	"5 conflict; 6 the server refused the data; 7 the server is not there or takes nothing now; 8 not all was delivered; " +
	"9 the signature does not hold; 130 interrupted."

// helpOf is a command's help line; the program's is what it is about.
func helpOf(c command) string {
	if c.Type == kong.ApplicationNode {
		return about
	}
	return c.Help
}

// synopsis is how the command is written.
func synopsis(c command) string {
	words := []string{c.path}
	if len(c.Children) > 0 {
		words = append(words, "COMMAND")
	}
	for _, f := range c.flags {
		if f.Required {
			words = append(words, "--"+f.Name+"="+f.FormatPlaceHolder())
		}
	}
	words = append(words, "[OPTION...]")
	for _, a := range c.Positional {
		text := strings.ToUpper(a.Name)
		if a.IsCumulative() {
			text += "..."
		}
		if !a.Required {
			text = "[" + text + "]"
		}
		words = append(words, text)
	}
	return strings.Join(words, " ")
}

// roff writes roff.
type roff struct{ strings.Builder }

// macro writes a request with quoted arguments.
func (r *roff) macro(name string, args ...string) {
	r.WriteString("." + name)
	for _, a := range args {
		r.WriteString(` "` + strings.ReplaceAll(escapeRoff(a), `"`, `\(dq`) + `"`)
	}
	r.WriteString("\n")
}

// text writes a line of text that is escaped.
func (r *roff) text(s string) {
	if s != "" {
		r.WriteString(s + "\n")
	}
}

// item writes a term and what it means.
func (r *roff) item(term, meaning string) {
	r.WriteString(".TP\n")
	r.macro("B", term)
	if meaning == "" {
		meaning = "-"
	}
	r.text(escapeRoff(meaning))
}

// paragraphs writes text that empty lines part; lines that are indented stay
// as they are.
func (r *roff) paragraphs(text string) {
	for block := range strings.SplitSeq(text, "\n\n") {
		if strings.HasPrefix(block, "    ") {
			r.verbatim(strings.Split(block, "\n"))
			continue
		}
		r.WriteString(".PP\n")
		for line := range strings.SplitSeq(strings.Trim(block, "\n"), "\n") {
			r.text(escapeRoff(line))
		}
	}
}

// verbatim writes lines that are not filled.
func (r *roff) verbatim(lines []string) {
	r.WriteString(".PP\n.RS 4\n.nf\n")
	for _, l := range lines {
		for part := range strings.SplitSeq(l, "\n") {
			r.text(escapeRoff(strings.TrimPrefix(part, "    ")))
		}
	}
	r.WriteString(".fi\n.RE\n")
}

// seeAlso names the parent's page and the neighbours'.
func (r *roff) seeAlso(c command) {
	var names []string
	for n := c.Parent; n != nil; n = n.Parent {
		names = append(names, "grapnel-"+strings.ReplaceAll(n.Path(), " ", "-"))
		if n.Type == kong.ApplicationNode {
			names[len(names)-1] = "grapnel"
		}
	}
	for _, child := range c.Children {
		if !child.Hidden {
			names = append(names, "grapnel-"+strings.ReplaceAll(child.Path(), " ", "-"))
		}
	}
	if len(names) == 0 {
		return
	}
	r.macro("SH", "SEE ALSO")
	for i, n := range names {
		end := ","
		if i == len(names)-1 {
			end = ""
		}
		r.macro("BR", n, "(1)"+end)
	}
}

// escapeRoff writes a line so that roff takes none of it for its own.
func escapeRoff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`,
		"…", `\[u2026]`, "→", `\[u2192]`, "–", `\[u2013]`).Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}
