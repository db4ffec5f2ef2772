package main

//lint:file-ignore SA5008 kong takes several tags of the name set

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"grapnel/internal/config"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// cli is the tree of commands; its tags are the reference that --help prints.
type cli struct {
	Dev     devCmd     `cmd:"" set:"data=${dev_data}" set:"listen=${dev_listen}" set:"drain=${dev_drain}" set:"log_format=${dev_log_format}" set:"log_level=${dev_log_level}" help:"Try Grapnel: a server, a receiver and some events in one command."`
	Serve   serveCmd   `cmd:"" set:"data=${serve_data}" set:"listen=${serve_listen}" set:"drain=${serve_drain}" set:"log_format=${serve_log_format}" set:"log_level=${serve_log_level}" help:"Run the server."`
	Send    sendCmd    `cmd:"" help:"Publish an event."`
	Inbox   inboxCmd   `cmd:"" help:"Run a receiver that verifies signatures and answers as it is told."`
	Verify  verifyCmd  `cmd:"" help:"Check the signature of a webhook request on standard input."`
	Bench   benchCmd   `cmd:"" help:"Measure this machine: throughput, latency, memory."`
	Version versionCmd `cmd:"" help:"Print what this program was built from."`

	BenchWorker benchWorkerCmd `cmd:"" hidden:"" help:"A process of grapnel bench."`
}

const about = "Grapnel sends webhooks: it signs, delivers, retries and records them."

// program is what a command gets of its surroundings.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	sources        config.Sources // where a flag's value came from
}

// run is the program, apart from the process around it. It returns the exit
// code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var tree cli
	parser, err := kong.New(&tree, kong.Name("grapnel"), kong.Description(about), kong.Writers(stdout, stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 100}), defaults(), kong.PostBuild(nameTwins))
	if err != nil {
		return report(stderr, err)
	}
	selected, err := parser.Parse(args)
	if err != nil {
		return report(stderr, usageError(err))
	}
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr, getenv: os.Getenv, sources: sourcesOf(selected)}
	return report(stderr, selected.Run(p))
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

// nameTwins gives every flag its environment twin: GRAPNEL_FLAG for the
// servers, GRAPNEL_COMMAND_FLAG for the other commands, so that a server's
// settings do not leak into them.
func nameTwins(k *kong.Kong) error {
	for _, command := range k.Model.Children {
		prefix := "GRAPNEL_"
		if command.Name != "dev" && command.Name != "serve" {
			prefix += strings.ToUpper(command.Name) + "_"
		}
		for _, f := range command.Flags {
			if f.Name == "help" || len(f.Envs) > 0 {
				continue
			}
			twin := prefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
			f.Envs = []string{twin}
			f.Tag.Envs = f.Envs
		}
	}
	return nil
}

// sourcesOf tells where the values of a parsed command line came from.
func sourcesOf(ctx *kong.Context) config.Sources {
	return func(setting string) string {
		for _, p := range ctx.Path {
			if p.Flag != nil && p.Flag.Name == setting {
				return "flag"
			}
		}
		for _, f := range ctx.Flags() {
			if f.Name != setting {
				continue
			}
			for _, name := range f.Envs {
				if _, ok := os.LookupEnv(name); ok {
					return name
				}
			}
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
	text, guess, ok := strings.Cut(err.Error(), ", did you mean ")
	if ok {
		hint = "did you mean " + guess
	}
	return &failure{code: exitUsage, err: errors.New(text), hint: hint}
}
