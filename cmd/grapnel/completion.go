package main

import (
	_ "embed"
	"fmt"
	"strings"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish,pwsh" help:"The shell: bash, zsh, fish or pwsh."`
}

// Help gives examples.
func (*completionCmd) Help() string {
	return `Prints a script that lets the shell complete commands, flags and the values of flags that have
a few. It asks no server.

    bash  source <(grapnel completion bash), or into /etc/bash_completion.d/grapnel
    zsh   into a file _grapnel in a folder of $fpath
    fish  into ~/.config/fish/completions/grapnel.fish
    pwsh  grapnel completion pwsh | Out-String | Invoke-Expression

Examples:

    grapnel completion bash > grapnel.bash
    grapnel completion zsh > _grapnel`
}

// The scripts; @TABLE@ is where the table of what there is goes.
var (
	//go:embed completion/grapnel.bash
	bashScript string
	//go:embed completion/grapnel.zsh
	zshScript string
	//go:embed completion/grapnel.fish
	fishScript string
	//go:embed completion/grapnel.ps1
	pwshScript string
)

// Run prints the script.
func (c *completionCmd) Run(p *program) error {
	script := map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript, "pwsh": pwshScript}[c.Shell]
	text := strings.Replace(script, "@TABLE@\n", completionTable(commands(p.model)), 1)
	if p.JSON {
		return p.object(map[string]string{"shell": c.Shell, "script": text})
	}
	return p.printf("%s", text)
}

// completionTable is what can be written where, one line each, parted by "|":
// the command, what the line is about (command, flag or argument), the word,
// what kind of value follows, the values that there are, and what it means.
//
//	grapnel|command|send|||Publish an event.
//	grapnel send|flag|--color|words|auto always never|Use colours …
//	grapnel completion|argument||words|bash zsh fish pwsh|The shell …
func completionTable(all []command) string {
	var b strings.Builder
	line := func(fields ...string) {
		for i, f := range fields {
			if i > 0 {
				b.WriteByte('|')
			}
			// The table stands in single quotes, and "|" parts its fields.
			b.WriteString(strings.NewReplacer("|", "/", "'", "’", "\n", " ").Replace(f))
		}
		b.WriteByte('\n')
	}
	for _, c := range all {
		for _, child := range c.Children {
			if !child.Hidden {
				line(c.path, "command", child.Name, "", "", child.Help)
			}
		}
		for _, f := range c.flags {
			line(c.path, "flag", "--"+f.Name, valueKind(f.Value), strings.Join(words(f.Value), " "), f.Help)
			if f.Short != 0 {
				line(c.path, "flag", fmt.Sprintf("-%c", f.Short), valueKind(f.Value), strings.Join(words(f.Value), " "), f.Help)
			}
		}
		for _, a := range c.Positional {
			line(c.path, "argument", "", valueKind(a), strings.Join(words(a), " "), a.Help)
		}
	}
	return b.String()
}
