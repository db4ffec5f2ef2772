package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Run measures what o asks for, and prints the report to stdout and progress
// to stderr. The runs of different scenarios take turns, so that a slow minute
// of the machine does not hit one of them alone.
func Run(ctx context.Context, o Options, stdout, stderr io.Writer) (err error) {
	o, err = o.complete()
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if o.Binary == "" {
		if o.Binary, err = os.Executable(); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
	}
	p := newProgress(stderr, expected(o))
	defer p.close()
	r, err := newRig(o, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	report := newReport(o, time.Now())
	if err := r.runAll(ctx, report); err != nil {
		return err
	}
	report.Seconds = time.Since(report.Started).Seconds()
	p.close()
	if o.SVG != "" {
		if err := report.draw(o.SVG); err != nil {
			return err
		}
	}
	if o.JSON {
		return report.json(stdout)
	}
	return report.table(stdout)
}

func (r *rig) runAll(ctx context.Context, report *Report) error {
	measured := make([]*figures, len(r.Scenarios))
	for i := range measured {
		measured[i] = &figures{}
	}
	for n := range r.Runs {
		shared := &round{maximum: map[int]float64{}}
		for i, name := range r.Scenarios {
			s, _ := find(name) // Options.complete has checked the names
			if s.Once && n > 0 {
				continue
			}
			if s.Bare && shared.bare == 0 {
				r.progress.step(r.Duration, "bare limit, run %d of %d", n+1, r.Runs)
				var err error
				if shared.bare, err = r.limit(ctx); err != nil {
					return err
				}
			}
			r.progress.step(s.Windows(r.Options), "%s, run %d of %d", s.Name, n+1, r.Runs)
			if err := s.Measure(ctx, &run{rig: r, figures: measured[i], round: shared}); err != nil {
				return fmt.Errorf("%s, run %d: %w", s.Name, n+1, err)
			}
		}
	}
	for i, name := range r.Scenarios {
		s, _ := find(name)
		report.Scenarios = append(report.Scenarios, ScenarioReport{
			Name: name, About: s.About, Figures: measured[i].done(), Series: measured[i].series(),
		})
	}
	return nil
}

// expected is how long all windows of load take.
func expected(o Options) (total time.Duration) {
	bare := false
	for _, name := range o.Scenarios {
		s, _ := find(name)
		bare = bare || s.Bare
		if s.Once {
			total += s.Windows(o)
			continue
		}
		total += s.Windows(o) * time.Duration(o.Runs)
	}
	if bare {
		total += o.Duration * time.Duration(o.Runs)
	}
	return total
}

// Describe lists the scenarios with what they measure, one in a line.
func Describe() string {
	var b strings.Builder
	for _, s := range scenarios() {
		note := ""
		if !s.Default {
			note = " (only when named)"
		}
		fmt.Fprintf(&b, "%-17s %s%s\n", s.Name, s.About, note)
	}
	return b.String()
}
