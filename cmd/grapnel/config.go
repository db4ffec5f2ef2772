package main

//lint:file-ignore SA5008 kong takes several tags of the name set

import (
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"grapnel/internal/config"
	"grapnel/internal/serve"
)

// configCmd is about the server's settings.
type configCmd struct {
	Show      configShowCmd      `cmd:"" server:"" set:"data=${serve_data}" set:"listen=${serve_listen}" set:"drain=${serve_drain}" set:"log_format=${serve_log_format}" set:"log_level=${serve_log_level}" help:"Print the settings that grapnel serve would run with."`
	Check     configCheckCmd     `cmd:"" server:"" set:"data=${serve_data}" set:"listen=${serve_listen}" set:"drain=${serve_drain}" set:"log_format=${serve_log_format}" set:"log_level=${serve_log_level}" help:"Check the settings that grapnel serve would run with."`
	Reference configReferenceCmd `cmd:"" help:"Print what every setting means."`
}

// Help gives examples.
func (*configCmd) Help() string {
	return `A setting comes from its flag, else from its environment variable, else from the file that
--config names, else it has its default. show and check take the flags of grapnel serve.

Examples:

    grapnel config show --origin
    grapnel config check --listen 127.0.0.1:9090`
}

type configShowCmd struct {
	serverSettings `embed:""`
	Origin         bool `help:"Tell where each value came from: a flag, an environment variable, a line of the file, or the default."`
}

// Help gives examples.
func (*configShowCmd) Help() string {
	return `Secrets are only told to be set. With --json the origin is always there.

Examples:

    grapnel config show
    GRAPNEL_LISTEN=:9090 grapnel config show --origin --retention 7d
    grapnel config show --json`
}

// settingShape is what --json prints of a setting.
type settingShape struct {
	Setting string `json:"setting"` // without dashes; the variable's name for one that has no flag
	Value   string `json:"value"`
	Origin  string `json:"origin"`
	Default string `json:"default"`
	Env     string `json:"env"`
	Group   string `json:"group"`
}

// Run prints the settings, also those that are wrong.
func (c *configShowCmd) Run(p *program) error {
	cfg := c.Config
	wrong := cfg.ReadSecrets(p.getenv, p.sources)
	t := p.newTable("SETTING", "VALUE", "ORIGIN")
	if !c.Origin {
		t = p.newTable("SETTING", "VALUE")
	}
	for _, v := range cfg.Values(p.sources) {
		s := settingShape{Setting: v.Name, Value: v.Text, Origin: v.Origin, Default: v.Default, Env: v.Env, Group: v.Group}
		if s.Setting == "" {
			s.Setting = v.Env
		}
		var err error
		if p.JSON {
			err = p.line(s)
		} else {
			err = t.row(s.Setting, s.Value, s.Origin)
		}
		if err != nil {
			return err
		}
	}
	if !p.JSON {
		if err := t.end(); err != nil {
			return err
		}
	}
	return wrong
}

type configCheckCmd struct {
	serverSettings `embed:""`
}

// Help gives examples.
func (*configCheckCmd) Help() string {
	return `Names every wrong setting with where it came from and what to write instead, and environment
variables that look like misspelt settings. Exit code 0 if all is well, 2 if not. Nothing is
opened but the files that settings name.

Examples:

    grapnel config check
    GRAPNEL_RETENTION=30d grapnel config check --drain 10s`
}

// checkShape is what --json prints.
type checkShape struct {
	Valid  bool         `json:"valid"`
	Faults []faultShape `json:"faults"`
}

type faultShape struct {
	Setting string `json:"setting"`
	Origin  string `json:"origin,omitempty"`
	Reason  string `json:"reason"`
	Remedy  string `json:"remedy,omitempty"`
}

// Run checks.
func (c *configCheckCmd) Run(p *program) error {
	cfg := c.Config
	err := errors.Join(cfg.ReadSecrets(p.getenv, p.sources), cfg.Validate(p.sources), serve.CheckSettings(&cfg, time.Now, p.getenv, p.sources), mistypedEnv(p.model))
	return p.tellFaults(err)
}

// tellFaults ends grapnel config check.
func (p *program) tellFaults(err error) error {
	out := checkShape{Valid: err == nil, Faults: []faultShape{}}
	for _, f := range settingFaults(err) {
		out.Faults = append(out.Faults, faultShape{Setting: strings.TrimPrefix(f.Setting, "--"), Origin: f.Source, Reason: f.Reason, Remedy: f.Remedy})
	}
	if p.JSON {
		return errors.Join(err, p.object(out))
	}
	if err != nil {
		return err
	}
	return p.printf("ok: %d settings are right\n", len(config.All()))
}

// mistypedEnv is variables that look like misspelt settings, as an error.
func mistypedEnv(model *kong.Application) error {
	var errs []error
	for _, e := range config.MistypedEnv(os.Environ(), knownEnv(model)) {
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

// knownEnv are all variables that the program reads.
func knownEnv(model *kong.Application) []string {
	known := []string{config.EnvAdminKey, config.EnvSecretKey, "GRAPNEL_KEY"}
	_ = kong.Visit(model, func(node kong.Visitable, next kong.Next) error { // it passes on what the visitor returns: nothing
		if flag, ok := node.(*kong.Flag); ok {
			known = append(known, flag.Envs...)
		}
		return next(nil)
	})
	return known
}

// isSetting reports whether a flag is one of the server's settings.
func isSetting(flag string) bool {
	return slices.ContainsFunc(config.All(), func(s config.Setting) bool { return s.Name == flag })
}

// checkAnyhow is grapnel config check for a command line that the parser
// refuses over a value: the parser stops at the first. It returns nil where
// something else is wrong.
func checkAnyhow(p *program, args []string, file *config.File, err error) error {
	var parse *kong.ParseError
	if !errors.As(err, &parse) || parse.Context == nil || parse.Context.Selected() == nil || parse.Context.Selected().Path() != "config check" {
		return nil
	}
	given := settingArgs(args)
	source := func(setting string) ([]string, string) {
		env, set := os.LookupEnv(config.EnvName(setting))
		switch values := file.Values(setting); {
		case given[setting] != nil:
			return given[setting], "flag"
		case set:
			return strings.Split(env, ","), config.EnvName(setting)
		case values != nil:
			return values, file.Source(setting)
		}
		return nil, "default"
	}
	from := func(setting string) string {
		_, where := source(setting)
		return where
	}
	cfg := config.Serve()
	wrong := cfg.Assemble(source)
	if wrong == nil {
		return nil // the parser complains of something that is no setting
	}
	return p.tellFaults(errors.Join(wrong, cfg.ReadSecrets(p.getenv, from), cfg.Validate(from), mistypedEnv(p.model)))
}

// settingArgs are the settings on a command line: --name VALUE or --name=VALUE.
func settingArgs(args []string) map[string][]string {
	out := map[string][]string{}
	var names []string
	for _, s := range config.All() {
		names = append(names, s.Name)
	}
	for i, arg := range args {
		name, value, inline := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if !strings.HasPrefix(arg, "--") || !slices.Contains(names, name) {
			continue
		}
		if !inline && i+1 < len(args) {
			value = args[i+1]
		}
		out[name] = append(out[name], strings.Split(value, ",")...)
	}
	return out
}

type configReferenceCmd struct{}

// Help gives examples.
func (*configReferenceCmd) Help() string {
	return `Prints Markdown, the page docs/settings.md; with --json one line for each setting.

Examples:

    grapnel config reference > settings.md
    grapnel config reference --json`
}

// referenceShape is what --json prints of a setting.
type referenceShape struct {
	Setting string `json:"setting"`
	Env     string `json:"env"`
	Group   string `json:"group"`
	Default string `json:"default"`
	Dev     string `json:"dev_default,omitempty"`
	Range   string `json:"range"`
	Meaning string `json:"meaning"`
	List    bool   `json:"list"`
	Secret  bool   `json:"secret"`
}

// Run prints the reference.
func (*configReferenceCmd) Run(p *program) error {
	if !p.JSON {
		return p.printf("%s", config.Reference())
	}
	for _, s := range config.All() {
		out := referenceShape{Setting: s.Name, Env: s.Env, Group: s.Group, Default: s.Default, Dev: s.Dev, Range: s.Range, Meaning: s.Meaning, List: s.List, Secret: s.Secret}
		if out.Setting == "" {
			out.Setting = s.Env
		}
		if err := p.line(out); err != nil {
			return err
		}
	}
	return nil
}
