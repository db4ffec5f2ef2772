package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"grapnel/bench"
	"grapnel/internal/telemetry"
)

type benchCmd struct {
	Name        []string      `arg:"" optional:"" name:"scenario" help:"Scenarios to run; without one, the default ones."`
	Scenario    []string      `placeholder:"NAMES" help:"Scenarios to run, as the arguments; several separated by commas."`
	Duration    time.Duration `default:"10s" placeholder:"TIME" help:"Length of one window of load (default ${default})."`
	Dialect     []string      `placeholder:"NAMES" help:"Measure what an event costs the server in these dialects against standard, in turns; several separated by commas."`
	Runs        int           `default:"3" placeholder:"N" help:"Runs of each scenario; medians are printed (default ${default})."`
	Endpoints   int           `default:"0" placeholder:"N" help:"Endpoints that events are spread over; 0 is the scenario's own number."`
	Tenants     int           `default:"0" placeholder:"N" help:"Tenants of flood and million-endpoints; 0 is the scenario's own number."`
	Size        int           `default:"1024" placeholder:"BYTES" help:"Size of an event's data (default ${default})."`
	Connections int           `default:"64" placeholder:"N" help:"Connections that publish at once (default ${default})."`
	Batch       int           `default:"100" placeholder:"N" help:"Events in one post where a scenario posts batches (default ${default})."`
	Rate        float64       `default:"0" placeholder:"N" help:"Events a second, where a scenario has a timetable; 0 is the scenario's own."`
	Events      int64         `default:"2000000" placeholder:"N" help:"Events that growth stores first (default ${default})."`
	Pending     int64         `default:"10000000" placeholder:"N" help:"Deliveries that wait when backlog starts the server (default ${default})."`
	InFlight    int           `default:"10000" placeholder:"N" help:"Attempts that in-flight keeps under way (default ${default})."`
	Quota       int           `default:"2000" placeholder:"N" help:"Events a second that flood allows a tenant (default ${default})."`
	Store       string        `placeholder:"URL" help:"Have servers keep events in databases of this PostgreSQL server; postgres starts one for the benchmark. Default: in data folders."`
	SVG         string        `name:"svg" placeholder:"FILE" help:"Draw latency over time: all scenarios in one file, or a file for each in a folder that is there."`
}

// Help gives examples.
func (*benchCmd) Help() string {
	return `Server, load and receiver run as processes of their own, over loopback, in a temporary
folder (TMPDIR says where). Progress goes to standard error. docs/benchmarks.md says how each
figure is measured.

Scenarios:

    ` + strings.ReplaceAll(strings.TrimSpace(bench.Describe()), "\n", "\n    ") + `

Examples:

    grapnel bench latency --duration 1s --runs 1
    grapnel bench --scenario throughput,tls --duration 1s --runs 1 --json > throughput.json
    grapnel bench --scenario hang --duration 1s --runs 1 --svg hang.svg
    grapnel bench --store postgres throughput batch --duration 1s --runs 1
    grapnel bench --scenario backlog --pending 100000 --duration 1s --runs 1
    grapnel bench --dialect customers1st,api2cart --duration 1s --runs 1`
}

// Validate refuses, while the command line is read, what bench would refuse.
func (c *benchCmd) Validate() error { return c.options().Validate() }

func (c *benchCmd) options() bench.Options {
	v := telemetry.ReadVersion()
	return bench.Options{
		Scenarios: c.scenarios(), Dialects: c.Dialect, Duration: c.Duration, Runs: c.Runs, Endpoints: c.Endpoints, Tenants: c.Tenants, Size: c.Size,
		Connections: c.Connections, Batch: c.Batch, Rate: c.Rate, Events: c.Events, Pending: c.Pending, InFlight: c.InFlight, Quota: c.Quota,
		SVG: c.SVG, Store: c.Store, Version: v.Version, Commit: v.Revision,
	}
}

func (c *benchCmd) scenarios() []string { return slices.Concat(c.Name, c.Scenario) }

// Run measures.
func (c *benchCmd) Run(p *program) error {
	for _, name := range c.scenarios() {
		if err := knownScenario(name); err != nil {
			return err
		}
	}
	for _, name := range c.Dialect {
		if ext := filepath.Ext(name); ext == ".yaml" || ext == ".yml" {
			return fail(exitUsage, "name one that grapnel dialect list shows", "--dialect: %q is a file", name)
		}
		if _, err := dialectNamed(name); err != nil {
			return err
		}
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	o := c.options()
	o.JSON = p.JSON
	err := bench.Run(ctx, o, p.stdout, p.stderr)
	if ctx.Err() != nil {
		return fail(exitInterrupted, "", "interrupted")
	}
	return err
}

func knownScenario(name string) error {
	all := bench.Scenarios()
	for _, s := range all {
		if s == name {
			return nil
		}
	}
	return fail(exitUsage, "there are "+strings.Join(all, ", "), "there is no scenario %q", name)
}

// benchWorkerCmd is a process that bench starts: the load, the receiver, the bare
// client, or the one that seeds a data folder.
type benchWorkerCmd struct {
	Role string `arg:"" help:"What to be."`
}

// Help gives examples.
func (*benchWorkerCmd) Help() string {
	return `Started by grapnel bench, with orders on standard input.

Examples:

    grapnel bench-worker receiver
    grapnel bench-worker load`
}

// Run works until it is done or standard input ends.
func (c *benchWorkerCmd) Run(p *program) error {
	return bench.Worker(context.Background(), c.Role, p.stdin, p.stdout)
}
