package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"grapnel/internal/crashpoint"
)

// Settings of a build with crash points that bring rare paths into a round's
// reach: segments that are full after a hundred events, and a retention
// that is over for the events of one round while the next one runs.
const (
	smallSegments  = crashpoint.Settings + "=segment-events=100"
	shortRetention = smallSegments + ",retention=2500ms,idempotency-window=1s,upkeep-every=100ms"
)

// ageLoad is how long the round before mid-retention publishes at least: more
// than one segment's worth, and long before the next round's events.
const ageLoad = 700 * time.Millisecond

// maxCount is the highest hit of a point on an event's path that is armed.
const maxCount = 40

// pointsOf lists what a server can reach. None meets mid-move, and on PostgreSQL there
// are no segments to seal or to remove.
func pointsOf(postgres bool) []string {
	return slices.DeleteFunc(crashpoint.Names(), func(name string) bool {
		return name == "mid-move" || postgres && (name == "mid-seal" || name == "mid-retention")
	})
}

// runPoints arms every point in a world of its own, so that the points of a
// first start (a migration) are reached as well.
func runPoints(ctx context.Context, report *Report, random *rand.Rand) error {
	for _, point := range report.Options.Points {
		for n := range report.Options.Rounds {
			count := 1
			if n > 0 && !strings.HasPrefix(point, "mid-") {
				count = 1 + random.IntN(maxCount)
			}
			dir := filepath.Join(report.Options.Dir, fmt.Sprintf("data-%s-%d", point, n+1))
			p := plan{name: fmt.Sprintf("%s:%d", point, count), random: random, point: true}
			if n > 0 {
				p.name += fmt.Sprintf(" (%d)", n+1)
			}
			if err := runPoint(ctx, report, p, dir, point, count); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

func runPoint(ctx context.Context, report *Report, p plan, dir, point string, count int) error {
	w, err := newWorldUnstarted(ctx, report.Options, dir)
	if err != nil {
		return err
	}
	defer w.close()
	armed := []string{fmt.Sprintf("%s=%s:%d", crashpoint.Environment, point, count)}
	switch point {
	case "mid-seal":
		p.env = []string{smallSegments}
		armed = append(armed, smallSegments)
	case "mid-retention":
		p.env = []string{smallSegments}
		if err := w.age(ctx, report, p); err != nil {
			return err
		}
		armed = append(armed, shortRetention)
	}
	if err := w.start(ctx, armed); err != nil {
		if p.reached = w.killedItself(); !p.reached {
			return err
		}
		p.point = false
		if err := w.start(ctx, p.env); err != nil { // as a supervisor would
			return fmt.Errorf("it does not start after a crash at its start: %w", err)
		}
	}
	if err := w.setUp(ctx); err != nil {
		if w.killedItself() {
			return errors.New("it reached the point before it had an endpoint: a greater count is needed")
		}
		return err
	}
	return w.round(ctx, report, p)
}

// age does a round of its own, whose events are old enough to be removed in
// the next.
func (w *world) age(ctx context.Context, report *Report, p plan) error {
	if err := w.start(ctx, p.env); err != nil {
		return err
	}
	if err := w.setUp(ctx); err != nil {
		return err
	}
	first := plan{name: p.name + " before", random: p.random, env: p.env, before: true, load: ageLoad}
	if err := w.round(ctx, report, first); err != nil {
		return err
	}
	w.server.Kill()
	return nil
}
