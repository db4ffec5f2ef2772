package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"grapnel/internal/config"
)

// serverSettings are the server's settings on a command that takes them.
type serverSettings struct {
	ConfigFile    settingsFile `name:"config" group:"Settings file" placeholder:"FILE" help:"YAML file to read settings from; its keys are the flags without dashes."`
	config.Config `embed:""`
}

// settingsFile is the path of a settings file.
type settingsFile string

// BeforeResolve reads the file, before the parser asks what is in it. It is
// called for the flag of every command whose variable is set.
func (settingsFile) BeforeResolve(ctx *kong.Context, trace *kong.Path, from *fileResolver) error {
	name, ok := ctx.FlagValue(trace.Flag).(settingsFile)
	if ok && from.file == nil && slices.Contains(ctx.Flags(), trace.Flag) {
		from.file, from.err = config.ReadFile(string(name))
	}
	return nil
}

// fileResolver gives the parser what the settings file says of a flag that
// neither the command line nor the environment sets.
type fileResolver struct {
	file *config.File
	err  error // of reading the file; told instead of whatever the parser says
}

// Validate has nothing to add: the file has been checked as it was read.
func (*fileResolver) Validate(*kong.Application) error { return nil }

// Resolve is asked for every flag that is not on the command line.
func (r *fileResolver) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	values := r.file.Values(flag.Name)
	if values == nil || envOf(flag) != "" {
		return nil, nil
	}
	return strings.Join(values, ","), nil
}

// envOf is the variable that sets a flag, or "" if none is set.
func envOf(flag *kong.Flag) string {
	for _, name := range flag.Envs {
		if _, ok := os.LookupEnv(name); ok {
			return name
		}
	}
	return ""
}

// readSettings completes and checks a server's settings.
func (p *program) readSettings(c *serverSettings) (config.Config, error) {
	cfg := c.Config
	if err := cfg.ReadSecrets(p.getenv, p.sources); err != nil {
		return cfg, err
	}
	return cfg, cfg.Validate(p.sources)
}

// warnOfMistypedEnv tells of variables that look like misspelt settings. They
// end nothing: a variable may be somebody else's.
func warnOfMistypedEnv(stderr io.Writer, model *kong.Application) {
	for _, e := range config.MistypedEnv(os.Environ(), knownEnv(model)) {
		fmt.Fprintf(stderr, "warning: %s\nhint: %s\n", e, e.Remedy)
	}
}
