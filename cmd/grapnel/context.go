package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"grapnel/client"
	"grapnel/internal/disk"
	"grapnel/internal/spelling"
)

// contexts is what the contexts file holds.
type contexts struct {
	Current  string              `yaml:"current,omitempty"`
	Contexts map[string]*setting `yaml:"contexts"`
}

// setting is one context: a server, and what to use there.
type setting struct {
	URL     string `yaml:"url,omitempty"`
	KeyFile string `yaml:"key_file,omitempty"` // absolute
	Key     string `yaml:"key,omitempty"`
	Tenant  string `yaml:"tenant,omitempty"`
}

// contextsFile is where the contexts are.
func (p *program) contextsFile() (string, error) {
	if dir := p.getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "grapnel", "contexts.yaml"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fail(exitUsage, "set HOME or XDG_CONFIG_HOME", "there is no place for contexts: %w", err)
	}
	return filepath.Join(home, ".config", "grapnel", "contexts.yaml"), nil
}

// readContexts reads the contexts; without a file there are none.
func (p *program) readContexts() (*contexts, error) {
	all := &contexts{Contexts: map[string]*setting{}}
	file, err := p.contextsFile()
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return all, nil
	case err != nil:
		return nil, fail(exitUsage, "make it readable for this user", "the contexts cannot be read: %w", err)
	case info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows":
		return nil, fail(exitUsage, "chmod 600 "+file, "others may read or change %s (mode %04o), which holds keys", file, info.Mode().Perm())
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fail(exitUsage, "make it readable for this user", "the contexts cannot be read: %w", err)
	}
	if err := yaml.UnmarshalWithOptions(b, all, yaml.Strict()); err != nil {
		place := ""
		var at yaml.Error
		if errors.As(err, &at) {
			place = fmt.Sprintf(" line %d: %s", at.GetToken().Position.Line, at.GetMessage())
		}
		return nil, fail(exitUsage, "correct the file, or remove it and use grapnel context set", "%s cannot be read:%s", file, place)
	}
	for name, s := range all.Contexts {
		if s == nil {
			delete(all.Contexts, name)
		}
	}
	if all.Contexts == nil {
		all.Contexts = map[string]*setting{}
	}
	return all, nil
}

// writeContexts replaces the contexts file in one step.
func (p *program) writeContexts(all *contexts) error {
	file, err := p.contextsFile()
	if err != nil {
		return err
	}
	b, err := yaml.Marshal(all)
	if err != nil {
		return fmt.Errorf("write the contexts: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("write the contexts: %w", err)
	}
	if err := disk.Replace(file, b); err != nil {
		return fmt.Errorf("write the contexts: %w", err)
	}
	return nil
}

// context finds the context to use: the one that --context or GRAPNEL_CONTEXT
// names, else the current one. chosen reports whether --context named it.
// Without any it is an empty one.
func (p *program) context() (s *setting, chosen bool, err error) {
	if p.Context == "" && p.getenv("HOME") == "" && p.getenv("XDG_CONFIG_HOME") == "" {
		return &setting{}, false, nil
	}
	all, err := p.readContexts()
	if err != nil {
		return nil, false, err
	}
	name := p.Context
	if name == "" {
		name = all.Current
	}
	if name == "" {
		return &setting{}, false, nil
	}
	s, ok := all.Contexts[name]
	if !ok {
		return nil, false, noContext(name, all)
	}
	return s, p.sources("context") == "flag", nil
}

func noContext(name string, all *contexts) error {
	known := slices.Sorted(maps.Keys(all.Contexts))
	hint := "grapnel context set " + name + " --url URL makes it"
	if guess := spelling.Nearest(name, known); guess != "" {
		hint = fmt.Sprintf("did you mean %q?", guess)
	} else if len(known) > 0 {
		hint = "there are " + strings.Join(known, ", ")
	}
	return fail(exitUsage, hint, "there is no context %q", name)
}

// contextCmd is about the contexts.
type contextCmd struct {
	List   contextListCmd   `cmd:"" help:"List the contexts."`
	Set    contextSetCmd    `cmd:"" help:"Make a context, or change one."`
	Use    contextUseCmd    `cmd:"" help:"Make a context the current one."`
	Remove contextRemoveCmd `cmd:"" help:"Remove a context."`
}

// Help gives examples.
func (*contextCmd) Help() string {
	return `A context is a server with its key and tenant under a name, kept in
$XDG_CONFIG_HOME/grapnel/contexts.yaml (else ~/.config/grapnel/contexts.yaml), which none but its
owner may read. What counts is, in this order: a flag (--url, --key-file, --tenant, or a context
that --context names), the environment (GRAPNEL_URL, GRAPNEL_KEY_FILE, GRAPNEL_KEY,
GRAPNEL_TENANT), the context that GRAPNEL_CONTEXT names or the current one, the default. A key
of a context is sent to that context's server alone.

Examples:

    grapnel context set trial --url http://127.0.0.1:8080 --tenant demo
    grapnel context list`
}

// contextShape is a context as it is told: everything but its key.
type contextShape struct {
	Name    string `json:"name"`
	Current bool   `json:"current"`
	URL     string `json:"url,omitempty"`
	KeyFile string `json:"key_file,omitempty"`
	HasKey  bool   `json:"has_key"`
	Tenant  string `json:"tenant,omitempty"`
}

type contextListCmd struct{}

// Help gives examples.
func (*contextListCmd) Help() string {
	return `Examples:

    grapnel context list
    grapnel context list --json`
}

// Run lists the contexts by name.
func (*contextListCmd) Run(p *program) error {
	all, err := p.readContexts()
	if err != nil {
		return err
	}
	t := p.newTable("CURRENT", "NAME", "URL", "KEY", "TENANT")
	for _, name := range slices.Sorted(maps.Keys(all.Contexts)) {
		c := all.shape(name)
		if p.JSON {
			err = p.line(c)
		} else {
			mark, key := "", c.KeyFile
			if c.Current {
				mark = "*"
			}
			if c.HasKey {
				key = "stored"
			}
			err = t.row(mark, name, c.URL, key, c.Tenant)
		}
		if err != nil {
			return err
		}
	}
	if p.JSON {
		return nil
	}
	return t.end()
}

type contextSetCmd struct {
	Name    string  `arg:"" help:"The context's name."`
	URL     string  `placeholder:"URL" help:"The server, such as https://hooks.example.com."`
	KeyFile string  `placeholder:"FILE" help:"File to read the API key from at each call; with - a key is read from standard input now, and stored."`
	Tenant  *string `placeholder:"ID" help:"The tenant that commands are about when they name none."`
}

// Help gives examples.
func (*contextSetCmd) Help() string {
	return `What is not given stays as it is. The first context made becomes the current one.

Examples:

    grapnel context set trial --url http://127.0.0.1:8080 --tenant demo
    echo "$GRAPNEL_KEY" | grapnel context set production --url https://hooks.example.com --key-file -`
}

// shape is a context as it is told.
func (all *contexts) shape(name string) contextShape {
	s := all.Contexts[name]
	return contextShape{Name: name, Current: name == all.Current, URL: s.URL, KeyFile: s.KeyFile, HasKey: s.Key != "", Tenant: s.Tenant}
}

// told writes the contexts, and tells one of them.
func (p *program) told(all *contexts, name, what string) error {
	if err := p.writeContexts(all); err != nil {
		return err
	}
	if p.JSON {
		return p.object(all.shape(name))
	}
	p.note("%s", what)
	return nil
}

// Run stores the context.
func (c *contextSetCmd) Run(p *program) error {
	all, err := p.readContexts()
	if err != nil {
		return err
	}
	if c.Name == "" || strings.ContainsFunc(c.Name, hostile) {
		return fail(exitUsage, "use letters and digits", "the name %q cannot be one", c.Name)
	}
	s := all.Contexts[c.Name]
	if s == nil {
		s = &setting{}
		all.Contexts[c.Name] = s
	}
	if c.URL != "" {
		if _, err := client.New(client.Config{URL: c.URL, Key: "-"}); err != nil {
			return fail(exitUsage, "write one such as https://hooks.example.com", "%w", err)
		}
		s.URL = c.URL
	}
	if s.URL == "" {
		return fail(exitUsage, "name the server with --url", "the context would have no server")
	}
	if c.Tenant != nil {
		s.Tenant = *c.Tenant
	}
	if err := c.setKey(p, s); err != nil {
		return err
	}
	if all.Current == "" {
		all.Current = c.Name
	}
	return p.told(all, c.Name, "the context "+c.Name+" is kept")
}

func (c *contextSetCmd) setKey(p *program, s *setting) error {
	switch c.KeyFile {
	case "":
		return nil
	case "-":
		key, err := readSecret("-", p.stdin)
		if err != nil {
			return err
		}
		s.Key, s.KeyFile = string(key), ""
		return nil
	}
	file, err := filepath.Abs(c.KeyFile)
	if err != nil {
		return fmt.Errorf("find the key file: %w", err)
	}
	if _, err := readSecret(file, p.stdin); err != nil {
		return err
	}
	s.Key, s.KeyFile = "", file
	return nil
}

type contextUseCmd struct {
	Name string `arg:"" help:"The context's name."`
}

// Help gives examples.
func (*contextUseCmd) Help() string {
	return `Examples:

    grapnel context set trial --url http://127.0.0.1:8080 && grapnel context use trial
    grapnel context set local --url http://127.0.0.1:8080 && grapnel context use local`
}

// Run makes the context the current one.
func (c *contextUseCmd) Run(p *program) error {
	all, err := p.readContexts()
	if err != nil {
		return err
	}
	if all.Contexts[c.Name] == nil {
		return noContext(c.Name, all)
	}
	all.Current = c.Name
	return p.told(all, c.Name, "the current context is "+c.Name)
}

type contextRemoveCmd struct {
	Name string `arg:"" help:"The context's name."`
}

// Help gives examples.
func (*contextRemoveCmd) Help() string {
	return `Examples:

    grapnel context set trial --url http://127.0.0.1:8080 && grapnel context remove trial
    grapnel context set local --url http://127.0.0.1:8080 && grapnel context remove local`
}

// Run removes the context; a file that it names stays.
func (c *contextRemoveCmd) Run(p *program) error {
	all, err := p.readContexts()
	if err != nil {
		return err
	}
	if all.Contexts[c.Name] == nil {
		return noContext(c.Name, all)
	}
	delete(all.Contexts, c.Name)
	if all.Current == c.Name {
		all.Current = ""
	}
	if err := p.writeContexts(all); err != nil {
		return err
	}
	if p.JSON {
		return p.object(deleted{c.Name})
	}
	p.note("the context %s is removed", c.Name)
	return nil
}
