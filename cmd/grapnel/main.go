package main

//lint:file-ignore SA5008 kong takes several tags of the name set

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"grapnel/internal/config"
	"grapnel/internal/convert"
	"grapnel/internal/spelling"
)

func main() {
	convert.Child() // a server starts this program for its converters
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// cli is the tree of commands; its tags are the reference that --help prints.
type cli struct {
	Global global `embed:"" group:"global"`

	Dev   devCmd   `cmd:"" group:"try" set:"data=${dev_data}" set:"listen=${dev_listen}" set:"drain=${dev_drain}" set:"log_format=${dev_log_format}" set:"log_level=${dev_log_level}" help:"Try Grapnel: a server, a receiver and some events in one command."`
	Inbox inboxCmd `cmd:"" group:"try" help:"Run a receiver that verifies signatures and answers as it is told."`

	Serve serveCmd `cmd:"" group:"run" set:"data=${serve_data}" set:"listen=${serve_listen}" set:"drain=${serve_drain}" set:"log_format=${serve_log_format}" set:"log_level=${serve_log_level}" help:"Run the server."`

	Send       sendCmd       `cmd:"" group:"events" help:"Publish an event."`
	Events     eventsCmd     `cmd:"" group:"events" help:"List, show and cancel events."`
	Deliveries deliveriesCmd `cmd:"" group:"events" help:"List and show deliveries with their attempts, and send them again."`
	Tail       tailCmd       `cmd:"" group:"events" help:"Watch deliveries while they are made."`
	Listen     listenCmd     `cmd:"" group:"events" help:"Forward a tenant's events to a server on this machine."`
	Replay     replayCmd     `cmd:"" group:"events" help:"Send again what did not arrive."`

	Tenants   tenantsCmd   `cmd:"" group:"configure" help:"Create, list, change and delete tenants."`
	Endpoints endpointsCmd `cmd:"" group:"configure" help:"Create, list, change, pause, test and delete endpoints."`
	Types     typesCmd     `cmd:"" group:"configure" help:"Keep the catalogue of event types."`
	Keys      keysCmd      `cmd:"" group:"configure" help:"Create, list and revoke API keys."`
	Import    importCmd    `cmd:"" group:"configure" help:"Take tenants, keys and hooks over from elsewhere."`
	Context   contextCmd   `cmd:"" group:"configure" help:"Keep servers, keys and tenants under names."`

	Verify  verifyCmd  `cmd:"" group:"tools" help:"Check the signature of a webhook request on standard input."`
	Bench   benchCmd   `cmd:"" group:"tools" help:"Measure this machine: throughput, latency, memory."`
	Version versionCmd `cmd:"" group:"tools" help:"Print what this program was built from."`

	Dialect     dialectCmd     `cmd:"" group:"tools" help:"List, show, check and try wire contracts."`
	Sign        signCmd        `cmd:"" group:"tools" help:"Sign a body as an attempt would, and print the headers."`
	Keygen      keygenCmd      `cmd:"" group:"tools" help:"Make a signing secret, or print the public half of one."`
	OpenAPI     openapiCmd     `cmd:"" name:"openapi" group:"tools" help:"Print the OpenAPI document of the API."`
	Completion  completionCmd  `cmd:"" group:"tools" help:"Print a completion script for a shell."`
	Man         manCmd         `cmd:"" group:"tools" help:"Print a manual page, or write all of them."`
	DB          dbCmd          `cmd:"" name:"db" group:"operate" help:"Back up, restore, check and tend the data folder."`
	Audit       auditCmd       `cmd:"" group:"operate" help:"List who changed what, and when."`
	Nodes       nodesCmd       `cmd:"" group:"operate" help:"List the servers that share a store."`
	Config      configCmd      `cmd:"" group:"operate" help:"Show and check the server's settings."`
	Doctor      doctorCmd      `cmd:"" server:"" group:"operate" set:"data=${serve_data}" set:"listen=${serve_listen}" set:"drain=${serve_drain}" set:"log_format=${serve_log_format}" set:"log_level=${serve_log_level}" help:"Check what a server needs of its machine."`
	Health      healthCmd      `cmd:"" group:"operate" help:"Ask a server whether it is well."`
	SystemdUnit systemdUnitCmd `cmd:"" group:"operate" help:"Print a systemd unit for the server."`

	BenchWorker benchWorkerCmd `cmd:"" hidden:"" group:"tools" help:"A process of grapnel bench."`
}

// groups are the headings that --help shows commands and flags under.
var groups = kong.Groups{
	"try": "Try:", "run": "Run:", "events": "Publish and inspect:", "configure": "Configure:",
	"operate": "Operate:", "tools": "Tools:", "global": "For every command:",
	"Settings file": "Settings file:", "Listening": "Listening:", "Storage": "Storage:", "Delivery": "Delivery:", "Limits": "Limits:",
	"Secrets": "Secrets:", "Logs": "Logs:",
}

const about = "Grapnel sends webhooks: it signs, delivers, retries and records them."

// program is what a command gets of its surroundings.
type program struct {
	global
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	sources        config.Sources    // where a flag's value came from
	model          *kong.Application // of the command line
}

// run is the program, apart from the process around it. It returns the exit
// code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	for i, arg := range args {
		if !utf8.ValidString(arg) { // and would be another text when the parser has read it
			return report(stderr, fail(exitUsage, "write it in UTF-8, or put it into a file", "argument %d is not UTF-8", i+1))
		}
	}
	var tree cli
	var file fileResolver
	parser, err := newParser(&tree, kong.Writers(stdout, stderr), kong.Bind(&file), kong.Resolvers(&file))
	if err != nil {
		return report(stderr, err)
	}
	selected, err := parser.Parse(args)
	if file.err != nil {
		return report(stderr, file.err)
	}
	if err != nil {
		p := &program{global: global{JSON: slices.Contains(args, "--json")}, stdout: stdout, stderr: stderr, getenv: os.Getenv, model: parser.Model}
		if wrong := checkAnyhow(p, args, file.file, err); wrong != nil {
			return report(stderr, wrong)
		}
		return report(stderr, usageError(err))
	}
	p := &program{global: tree.Global, stdin: interactive(stdin), stdout: stdout, stderr: stderr, getenv: os.Getenv, sources: sourcesOf(selected, file.file), model: parser.Model}
	err = selected.Run(p)
	if gaveUp(p.stdin) {
		return exitInterrupted
	}
	return report(stderr, err)
}

// newParser makes the parser of the command line.
func newParser(tree *cli, more ...kong.Option) (*kong.Kong, error) {
	help := kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 100, NoExpandSubcommands: true}
	return kong.New(tree, append(more, kong.Name("grapnel"), kong.Description(about), kong.ConfigureHelp(help), groups, defaults(), kong.PostBuild(nameTwins))...)
}

// defaults makes the two servers' defaults known to the tags.
func defaults() kong.Vars {
	vars := kong.Vars{}
	for name, v := range config.ServeVars() {
		vars["serve_"+name] = v
	}
	for name, v := range config.DevVars() {
		vars["dev_"+name] = v
	}
	return vars
}

// nameTwins gives every flag of a command its environment twin: GRAPNEL_FLAG
// for the servers and what shows a server's settings, GRAPNEL_COMMAND_FLAG for
// the other commands, so that a server's settings do not leak into them.
func nameTwins(k *kong.Kong) error {
	for _, command := range k.Model.Children {
		prefix := "GRAPNEL_"
		if command.Name != "dev" && command.Name != "serve" {
			prefix += envName(command.Name) + "_"
		}
		nameTwinsOf(command, prefix)
	}
	return nil
}

func nameTwinsOf(command *kong.Node, prefix string) {
	for _, f := range command.Flags {
		if f.Name != "help" && len(f.Envs) == 0 {
			f.Envs = []string{prefix + envName(f.Name)}
			if command.Tag.Has("server") && isSetting(f.Name) { // it takes the server's settings, not its own
				f.Envs = []string{config.EnvName(f.Name)}
			}
			f.Tag.Envs = f.Envs
		}
	}
	for _, child := range command.Children {
		nameTwinsOf(child, prefix+envName(child.Name)+"_")
	}
}

func envName(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }

// sourcesOf tells where the values of a parsed command line came from. The
// file may be nil.
func sourcesOf(ctx *kong.Context, file *config.File) config.Sources {
	return func(setting string) string {
		for _, p := range ctx.Path {
			if p.Flag != nil && p.Flag.Name == setting && !p.Resolved {
				return "flag"
			}
		}
		for _, f := range ctx.Flags() {
			if name := envOf(f); f.Name == setting && name != "" {
				return name
			}
		}
		if line := file.Source(setting); line != "" {
			return line
		}
		return "default"
	}
}

// usageError turns the parser's complaint into one with a hint.
func usageError(err error) error {
	var parse *kong.ParseError
	hint := "grapnel --help shows what there is"
	if errors.As(err, &parse) && parse.Context != nil {
		if cmd := parse.Context.Selected(); cmd != nil {
			hint = cmd.FullPath() + " --help shows what there is"
		}
	}
	text := err.Error()
	if before, guess, ok := strings.Cut(text, ", did you mean "); ok {
		text, hint = before, "did you mean "+guess
	}
	if m := wrongChoice.FindStringSubmatch(text); m != nil {
		choices := strings.Split(strings.ReplaceAll(m[1], `"`, ""), ",")
		if guess := spelling.Nearest(m[2], choices); guess != "" {
			hint = fmt.Sprintf("did you mean %q?", guess)
		}
	}
	return &failure{code: exitUsage, err: errors.New(text), hint: hint}
}

// wrongChoice is how the parser refuses a value that is none of a few.
var wrongChoice = regexp.MustCompile(`must be one of (.+) but got "(.*)"$`)
