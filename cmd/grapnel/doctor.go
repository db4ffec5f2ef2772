package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"grapnel/internal/config"
)

type doctorCmd struct {
	serverSettings `embed:""`
	URL            string        `env:"GRAPNEL_URL" placeholder:"URL" help:"A running server, to compare clocks with and to know whose port it is (default: the address of --listen)."`
	Lookup         string        `default:"example.com" placeholder:"NAME" help:"Name to resolve for a sign that DNS works (default ${default})."`
	Timeout        time.Duration `default:"5s" placeholder:"TIME" help:"How long a check may wait for the network (default ${default})."`
}

// Help gives examples.
func (*doctorCmd) Help() string {
	return `Checks what a server needs of its machine, with the settings that grapnel serve would have: the
settings themselves, the data folder (room, rights, how long a sync takes), the databases if no
server has them open, file descriptors, ports, certificates, DNS, clocks, whether a running server
takes its own way out for broken, and that deliveries to forbidden addresses are refused. With
--store the database takes the folder's place: its version and settings, the role's rights, its
clock, the schema, connections, notifications, and the servers that run on it. What
cannot be looked at is skipped, with the reason. Nothing is changed. Exit code 1 if a check failed.

Examples:

    grapnel doctor
    grapnel doctor --data /var/lib/grapnel --public-url https://hooks.example.com
    grapnel doctor --json
    grapnel doctor --store postgres://grapnel@db.internal/grapnel --secret-key-file secret.key`
}

// How a check ended.
const (
	checkOK      = "ok"
	checkWarning = "warning" // it works, and may not for long
	checkFailed  = "failed"
	checkSkipped = "skipped" // it could not be made
)

// finding is what one check found.
type finding struct {
	Check  string `json:"check"`
	Result string `json:"result"`
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`
}

// healthReport is what --json prints.
type doctorReport struct {
	OK     bool      `json:"ok"` // nothing failed
	Checks []finding `json:"checks"`
}

// doctor looks around.
type doctor struct {
	program  *program
	settings config.Config
	url      string // of a server that may run; not "" only when it was named
	lookup   string
	timeout  time.Duration
	report   doctorReport
}

func (d *doctor) add(check, result, hint, format string, args ...any) {
	d.report.Checks = append(d.report.Checks, finding{Check: check, Result: result, Detail: fmt.Sprintf(format, args...), Hint: hint})
}

// bounded is a context for one question to the network.
func (d *doctor) bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d.timeout)
}

// Run makes all checks.
func (c *doctorCmd) Run(p *program) error {
	if c.Timeout <= 0 {
		return fail(exitUsage, "write a time such as 5s", "--timeout must be more than 0")
	}
	d := &doctor{program: p, settings: c.Config, url: strings.TrimRight(c.URL, "/"), lookup: c.Lookup, timeout: c.Timeout}
	d.checkSettings()
	place := []func(){d.checkFolder, d.checkRoom, d.checkDatabases}
	if d.settings.Store != "" {
		place = []func(){d.checkDatabase}
	}
	for _, check := range append(place,
		d.checkDescriptors, d.checkPorts, d.checkCertificate,
		d.checkRoots, d.checkPublicName, d.checkLookup, d.checkClock, d.checkWayOut, d.checkGuard,
	) {
		check()
	}
	failed := 0
	for _, f := range d.report.Checks {
		if f.Result == checkFailed {
			failed++
		}
	}
	d.report.OK = failed == 0
	if err := d.print(p); err != nil {
		return err
	}
	if failed > 0 {
		return fail(exitFailure, "the hints above say what to do", "%d of %d checks failed", failed, len(d.report.Checks))
	}
	return nil
}

func (d *doctor) print(p *program) error {
	if p.JSON {
		return p.object(d.report)
	}
	t := p.newTable("CHECK", "RESULT", "WHAT WAS FOUND")
	for _, f := range d.report.Checks {
		if err := t.row(f.Check, f.Result, f.Detail); err != nil {
			return err
		}
		if f.Hint != "" {
			if err := t.row("", "", "→ "+f.Hint); err != nil {
				return err
			}
		}
	}
	return t.end()
}

// checkSettings names every fault; the other checks go on with what there is.
func (d *doctor) checkSettings() {
	p := d.program
	faults := settingFaults(d.settings.ReadSecrets(p.getenv, p.sources))
	faults = append(faults, settingFaults(d.settings.Validate(p.sources))...)
	for _, f := range faults {
		d.add("settings", checkFailed, f.Remedy, "%s", f)
	}
	for _, f := range settingFaults(mistypedEnv(p.model)) {
		d.add("settings", checkWarning, f.Remedy, "%s", f)
	}
	if len(faults) == 0 {
		changed := 0
		for _, v := range d.settings.Values(p.sources) {
			if v.Origin != "default" {
				changed++
			}
		}
		d.add("settings", checkOK, "", "all are right; %d differ from their defaults or were given", changed)
	}
}

// listeners are the addresses that the server would listen on.
func (d *doctor) listeners() []string {
	all := []string{d.settings.Listen, d.settings.AdminListen}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}
