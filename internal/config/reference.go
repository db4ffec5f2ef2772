package config

import (
	"fmt"
	"strings"
)

// Setting is one setting as the reference tells of it.
type Setting struct {
	Group   string // the heading that it stands under
	Name    string // "max-in-flight": the key in a settings file, and the flag without dashes; "" for a secret without a flag
	Env     string // environment variable
	Default string // "" when there is none
	Dev     string // default of the trial server where it is another; else ""
	Range   string // what it may be, in words
	Meaning string // in sentences
	List    bool   // may be given several times
	Secret  bool   // its value is never shown
}

// Flag is the setting as it is given on the command line; "" for one that has
// no flag.
func (s Setting) Flag() string {
	if s.Name == "" {
		return ""
	}
	return "--" + s.Name
}

// Value is a setting with what it is set to.
type Value struct {
	Setting
	Text   string // as it could be written; "set" or "not set" for a secret
	Origin string // "default", "flag", an environment variable's name or "file:line"
}

// fileSetting is the one setting that is none of the server's, but of how the
// others are read.
var fileSetting = Setting{Group: "Settings file", Name: "config", Env: EnvName("config"), Range: "YAML file",
	Meaning: "File to read settings from. A flag goes before its environment variable, that before the file, and the file before the default."}

// All lists every setting of the server, in the order of the reference.
func All() []Setting {
	serve, dev := ServeVars(), DevVars()
	out := []Setting{fileSetting}
	groups := []string{}
	byGroup := map[string][]Setting{}
	for _, f := range fields() {
		meaning, _, _ := strings.Cut(f.tag.Get("help"), " (default")
		s := Setting{Group: f.tag.Get("group"), Name: f.name, Env: f.env(), Default: f.fallback(serve), Range: f.bounds(),
			Meaning: strings.TrimSuffix(meaning, ".") + ".", List: f.list(), Secret: f.name == ""}
		if d := f.fallback(dev); d != s.Default {
			s.Dev = d
		}
		if more := f.tag.Get("more"); more != "" {
			s.Meaning += " " + more
		}
		if byGroup[s.Group] == nil {
			groups = append(groups, s.Group)
		}
		byGroup[s.Group] = append(byGroup[s.Group], s)
	}
	for _, g := range groups {
		out = append(out, byGroup[g]...)
	}
	return out
}

// Values lists what every setting is set to, but for --config itself, in the
// order of All. Secrets are only told to be there, and URLs are shown without
// their user names and passwords.
func (c *Config) Values(from Sources) []Value {
	byEnv := map[string]field{}
	for _, f := range fields() {
		byEnv[f.env()] = f
	}
	var out []Value
	for _, s := range All() {
		f, ok := byEnv[s.Env]
		if !ok {
			continue
		}
		v := Value{Setting: s, Text: f.text(c), Origin: "default"}
		switch s.Name {
		case "egress-proxy", "public-url":
			v.Text = withoutUser(v.Text)
		case "store":
			v.Text = withoutPassword(v.Text)
		}
		switch {
		case s.Secret && v.Text == "":
			v.Text = "not set"
		case s.Secret:
			v.Text, v.Origin = "set", s.Env
		case from != nil:
			v.Origin = from(s.Name)
		}
		out = append(out, v)
	}
	for i, v := range out { // a secret may have come from a file
		if file := c.secretFile(v.Env); v.Secret && v.Text == "set" && file != "" {
			out[i].Origin = "--" + file
		}
	}
	return out
}

// secretFile is the setting whose file a secret was read from, or "".
func (c *Config) secretFile(env string) string {
	switch {
	case env == EnvAdminKey && c.AdminKeyFile != "":
		return "admin-key-file"
	case env == EnvSecretKey && c.SecretKeyFile != "":
		return "secret-key-file"
	}
	return ""
}

// Reference is the page of all settings, in Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	group := ""
	for _, s := range All() {
		if s.Group != group {
			group = s.Group
			fmt.Fprintf(&b, "\n## %s\n\n| flag | environment | in the file | default | range | meaning |\n|---|---|---|---|---|---|\n", group)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", code(s.Flag()), code(s.Env), code(fileKey(s)), defaultText(s), s.Range, cell(s))
	}
	return b.String()
}

const referenceHead = `# Settings

Made from ` + "`internal/config`" + ` by ` + "`make generate`" + `; ` + "`grapnel config reference`" + ` prints it too.

These are all settings of ` + "`grapnel serve`" + `, and ` + "`grapnel dev`" + ` takes the same. A flag goes
before its environment variable, that before the settings file, and the file
before the default. A setting that is wrong is named with the place that it
comes from, and the server does not start. A variable that begins with
` + "`GRAPNEL_`" + ` and looks like a misspelt setting is told of at the start.

A settings file is YAML, with one setting a line and lists for those that may
be given several times:

` + "```yaml" + `
data: /var/lib/grapnel
listen: 127.0.0.1:8080
retention: 14d
egress-allow:
  - 10.20.0.0/16
secret-key-file: /run/secrets/grapnel-secret-key
` + "```" + `

A key that is no setting is an error. Secrets have no flag and no key in the
file: they come from the environment, or from files that settings name.

Times are written with units, such as ` + "`500ms`, `30s`, `24h`, `30d`" + `; sizes as
` + "`512KiB`, `1MiB` or `2MB`" + `; rates as ` + "`100/s`, `6000/m` or `20/h`" + `.
`

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// fileKey is the setting's key in a settings file, which cannot name itself.
func fileKey(s Setting) string {
	if s.Name == fileSetting.Name {
		return ""
	}
	return s.Name
}

func defaultText(s Setting) string {
	text := code(s.Default)
	if s.Dev != "" {
		text += "; `dev`: " + code(s.Dev)
	}
	return text
}

// cell is the meaning, fit for a table. Flags in it are marked as such.
func cell(s Setting) string {
	words := strings.Split(strings.ReplaceAll(s.Meaning, "|", `\|`), " ")
	for i, w := range words {
		bare := strings.TrimRight(w, ".,;:)")
		for _, o := range All() {
			if bare == "--"+o.Name || bare == o.Env {
				words[i] = "`" + bare + "`" + w[len(bare):]
			}
		}
	}
	return strings.Join(words, " ")
}
