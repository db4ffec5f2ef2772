package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	"grapnel/internal/ledger"
)

// Kind is how rounds end the server.
type Kind string

// The kinds.
const (
	Kill     Kind = "kill"      // SIGKILL at a random moment
	Restart  Kind = "restart"   // SIGTERM at a random moment, and wait
	StopKill Kind = "stop-kill" // SIGTERM at a random moment, and SIGKILL soon after
	Points   Kind = "points"    // each named crash point in turn; the program must be built with the tag
)

// Options says what to do.
type Options struct {
	Kind    Kind
	Rounds  int      // for Points: how many times each
	Seed    uint64   // decides moments, counts and what is published
	Command []string // the program with its arguments; --data and --listen are appended
	Env     []string // added to the program's environment, "NAME=value"
	Dir     string   // where data folder and ledgers go; it must exist
	Points  []string // for Points: which; none: all that a server on this store can reach

	// Database makes an empty PostgreSQL database and returns its URL: the store of a
	// server instead of a data folder. It is called once, and for Points once for each
	// round; nil: a folder.
	Database func(ctx context.Context) (string, error)

	Rate        float64       // events a second; default 1,500
	Connections int           // that publish at once; default 12
	MinLoad     time.Duration // before the fault; default 100 ms
	MaxLoad     time.Duration // default 500 ms
	Settle      time.Duration // in which all must be delivered after the restart; default 10 s
	Window      time.Duration // as ledger.Record.Window; default 5 s
	Log         io.Writer     // a line for each round; nil: none
}

func (o Options) complete() (Options, error) {
	if len(o.Command) == 0 || o.Dir == "" {
		return o, errors.New("crash: Command and Dir are needed")
	}
	if !slices.Contains([]Kind{Kill, Restart, StopKill, Points}, o.Kind) {
		return o, fmt.Errorf("crash: there is no kind %q", o.Kind)
	}
	if len(o.Points) == 0 {
		o.Points = pointsOf(o.Database != nil)
	}
	set(&o.Rounds, 1)
	set(&o.Rate, 1500)
	set(&o.Connections, 12)
	set(&o.MinLoad, 100*time.Millisecond)
	set(&o.MaxLoad, max(500*time.Millisecond, o.MinLoad))
	set(&o.Settle, 10*time.Second)
	set(&o.Window, 5*time.Second)
	if o.Log == nil {
		o.Log = io.Discard
	}
	return o, nil
}

func set[T comparable](v *T, byDefault T) {
	var zero T
	if *v == zero {
		*v = byDefault
	}
}

// Round is what one round showed.
type Round struct {
	Name     string // "kill 17", "after-send:3"
	Summary  ledger.Summary
	Reached  bool          // the crash point was; for StopKill: it had not ended yet
	Before   bool          // no point was armed: it prepares the next round
	First    time.Duration // from the start after the fault to the first delivery; 0: there was none to wait for
	Ready    time.Duration // from that start to readiness
	Ended    time.Duration // from SIGTERM to the end of the process
	Took     time.Duration
	Findings []ledger.Finding
}

// Report is what all rounds showed.
type Report struct {
	Options Options
	Rounds  []Round
}

// Run does the rounds. An error means that the harness could not go on, or
// that the server did not come back; violations are in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	report := &Report{Options: o}
	random := rand.New(rand.NewPCG(o.Seed, 0))
	if o.Kind == Points {
		return report, runPoints(ctx, report, random)
	}
	w, err := newWorld(ctx, o, filepath.Join(o.Dir, "data"))
	if err != nil {
		return report, err
	}
	defer w.close()
	for n := range o.Rounds {
		plan := plan{name: fmt.Sprintf("%s %d", o.Kind, n+1), random: random, orderly: o.Kind == Restart, cut: o.Kind == StopKill}
		if err := w.round(ctx, report, plan); err != nil {
			return report, err
		}
	}
	return report, nil
}

// Reached counts the rounds that ended the server where they meant to.
func (r *Report) Reached() (n int) {
	for _, x := range r.Rounds {
		if x.Reached {
			n++
		}
	}
	return n
}

// Findings lists all violations with the round that showed them.
func (r *Report) Findings() []string {
	var all []string
	for _, round := range r.Rounds {
		for _, f := range round.Findings {
			all = append(all, round.Name+": "+f.String())
		}
	}
	return all
}

// Summary is the report in one line.
func (r *Report) Summary() string {
	var s ledger.Summary
	var first, ready, took []time.Duration
	reached, armed := 0, 0
	for _, x := range r.Rounds {
		s.Acknowledged += x.Summary.Acknowledged
		s.Unknown += x.Summary.Unknown
		s.Requests += x.Summary.Requests
		s.Delivered += x.Summary.Delivered
		s.Lost += x.Summary.Lost
		s.Stuck += x.Summary.Stuck
		s.Duplicates += x.Summary.Duplicates
		s.InFlight += x.Summary.InFlight
		s.Oldest = max(s.Oldest, x.Summary.Oldest)
		took, ready = append(took, x.Took), append(ready, x.Ready)
		if x.First > 0 {
			first = append(first, x.First)
		}
		if x.Reached {
			reached++
		}
		if !x.Before {
			armed++
		}
	}
	text := fmt.Sprintf("%d rounds of %s, seed %d: %d acknowledged, %d lost, %d stuck, %d duplicates of %d attempts in flight (oldest %s), %d findings; first delivery after the restart p50 %s max %s, ready p50 %s max %s, round p50 %s",
		len(r.Rounds), r.Options.Kind, r.Options.Seed, s.Acknowledged, s.Lost, s.Stuck, s.Duplicates, s.InFlight, round(s.Oldest), len(r.Findings()),
		round(quantile(first, 0.5)), round(quantile(first, 1)), round(quantile(ready, 0.5)), round(quantile(ready, 1)), round(quantile(took, 0.5)))
	if r.Options.Kind == Points {
		text += fmt.Sprintf("; %d of %d points reached", reached, armed)
	}
	return text
}

func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(q*float64(len(sorted)-1))]
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
