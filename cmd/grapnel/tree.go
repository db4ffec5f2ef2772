package main

import (
	"strings"

	"github.com/alecthomas/kong"
)

// command is a command as the generated pages and scripts tell of it.
type command struct {
	*kong.Node
	path  string // "grapnel config show"
	flags []*kong.Flag
}

// commands lists the program and all its commands that are shown, parents
// before their children.
func commands(model *kong.Application) []command {
	var out []command
	var walk func(n *kong.Node, above []*kong.Flag)
	walk = func(n *kong.Node, above []*kong.Flag) {
		if n.Hidden {
			return
		}
		c := command{Node: n, path: strings.TrimSpace("grapnel " + n.Path()), flags: append([]*kong.Flag(nil), above...)}
		if n.Type == kong.ApplicationNode {
			c.path = "grapnel"
		}
		for _, f := range n.Flags {
			if !f.Hidden {
				c.flags = append(c.flags, f)
			}
		}
		out = append(out, c)
		for _, child := range n.Children {
			walk(child, c.flags)
		}
	}
	walk(model.Node, nil)
	return out
}

// words are the values that a flag or an argument may have, if they are few.
func words(v *kong.Value) []string {
	text := v.Enum
	if text == "" {
		text = v.Tag.Get("oneof") // as the server's settings have it
	}
	if text == "" {
		return nil
	}
	out := strings.Split(text, ",")
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out
}

// valueKind says what a flag takes: "none", "file", "folder", "words" or "any".
func valueKind(v *kong.Value) string {
	switch {
	case v.IsBool():
		return "none"
	case len(words(v)) > 0:
		return "words"
	}
	switch v.Tag.PlaceHolder {
	case "FILE", "@FILE":
		return "file"
	case "DIR":
		return "folder"
	}
	return "any"
}

// flagText is a flag as pages write it: "-d, --data=JSON".
func flagText(f *kong.Flag) string {
	text := "--" + f.Name
	if f.Tag.Negatable != "" {
		text = "--[no-]" + f.Name
	}
	if f.Short != 0 {
		text = "-" + string(f.Short) + ", " + text
	}
	if !f.IsBool() {
		text += "=" + f.FormatPlaceHolder()
	}
	return text
}

// detail parts a command's long help into text and examples.
func detail(n *kong.Node) (text, examples string) {
	text, examples, _ = strings.Cut(n.Detail, "Examples:")
	return strings.TrimSpace(text), strings.Trim(examples, "\n")
}

// exampleLines are the examples of a command, one command line each; what is
// continued on further lines is kept together.
func exampleLines(n *kong.Node) []string {
	_, examples := detail(n)
	var out []string
	for line := range strings.Lines(examples) {
		line = strings.TrimRight(strings.TrimPrefix(line, "    "), "\n")
		if k := len(out); k > 0 && strings.HasSuffix(out[k-1], "\\") {
			out[k-1] += "\n" + line
		} else if strings.TrimSpace(line) != "" {
			out = append(out, line)
		}
	}
	return out
}
