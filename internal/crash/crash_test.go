package crash_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"grapnel/internal/crash"
	"grapnel/internal/crash/standin"
	"grapnel/internal/crashpoint"
)

var (
	kills    = flag.Int("kills", 3, "rounds of TestKill")
	seals    = flag.Int("seals", 3, "rounds of kills while segments are sealed")
	restarts = flag.Int("restarts", 3, "rounds of TestRestart")
	cuts     = flag.Int("cuts", 2, "rounds of TestStopThenKill")
	points   = flag.Int("points", 1, "rounds of TestPoints for each point")
	seed     = flag.Uint64("seed", 1, "seed of all rounds")
	binary   = flag.String("binary", "", "program for TestKill and TestRestart, instead of building one")
)

// The test binary is its own stand-in server: "standin FLAW serve …".
func TestMain(m *testing.M) {
	if len(os.Args) >= 3 && os.Args[1] == "standin" {
		if err := standin.Main(os.Args[3:], standin.Flaw(os.Args[2])); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	_ = os.RemoveAll(buildDir) // a temporary folder, or ""
	os.Exit(code)
}

// buildDir is where built has put the program; "" if it was not asked for.
var buildDir string

// built builds the program with crash points, once for all tests.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "grapnel-crash-")
	if err != nil {
		return "", err
	}
	buildDir = dir
	out := filepath.Join(dir, "grapnel")
	cmd := exec.Command("go", "build", "-tags", "crashpoint", "-o", out, "grapnel/cmd/grapnel")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, text)
	}
	return out, nil
})

// program is what to test: the one that a flag names, or one with crash
// points, which are not armed unless a test does so.
func program(t *testing.T, withPoints bool) string {
	t.Helper()
	if *binary != "" && !withPoints {
		return *binary
	}
	out, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func grapnel(binary string) []string {
	return []string{binary, "serve", "--egress-allow", "127.0.0.0/8"}
}

func run(t *testing.T, o crash.Options) *crash.Report {
	t.Helper()
	o.Seed, o.Log = *seed, t.Output()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	report, err := crash.Run(t.Context(), o)
	if err != nil {
		t.Fatalf("seed %d: %v", o.Seed, err)
	}
	t.Log(report.Summary())
	return report
}

func sound(t *testing.T, r *crash.Report) {
	t.Helper()
	for i, f := range r.Findings() {
		if i == 50 {
			t.Errorf("and %d more", len(r.Findings())-i)
			return
		}
		t.Error(f)
	}
	for _, x := range r.Rounds {
		if s := x.Summary; s.Lost > 0 || s.Stuck > 0 || s.Duplicates > s.InFlight {
			t.Errorf("%s: %d lost, %d stuck, %d duplicates with %d attempts in flight at the fault", x.Name, s.Lost, s.Stuck, s.Duplicates, s.InFlight)
		}
	}
}

// case 1, case 5: SIGKILL at random moments under load.
func TestKill(t *testing.T) {
	sound(t, run(t, crash.Options{Kind: crash.Kill, Rounds: *kills, Command: grapnel(program(t, false))}))
}

// case 1 with seals under way most of the time.
func TestKillWhileSealing(t *testing.T) {
	sound(t, run(t, crash.Options{
		Kind: crash.Kill, Rounds: *seals, Command: grapnel(program(t, true)), Env: []string{crashpoint.Settings + "=segment-events=100"},
	}))
}

// case 12: restarts in good order under load.
func TestRestart(t *testing.T) {
	sound(t, run(t, crash.Options{Kind: crash.Restart, Rounds: *restarts, Command: grapnel(program(t, false))}))
}

// case 13: asked to end under load, and killed while it does so.
func TestStopThenKill(t *testing.T) {
	r := run(t, crash.Options{Kind: crash.StopKill, Rounds: *cuts, Command: grapnel(program(t, false))})
	sound(t, r)
	t.Logf("%d of %d were killed while they ended", r.Reached(), len(r.Rounds))
}

// case 2, case 6, case 7: SIGKILL at every named point.
func TestPoints(t *testing.T) {
	r := run(t, crash.Options{Kind: crash.Points, Rounds: *points, Command: grapnel(program(t, true))})
	sound(t, r)
	reached(t, r)
}

// reached asserts that every point was: a round that ended otherwise shows nothing of it.
func reached(t *testing.T, r *crash.Report) {
	t.Helper()
	for _, x := range r.Rounds {
		if !x.Reached && !x.Before {
			t.Errorf("%s was not reached", x.Name)
		}
	}
}

func flawed(f standin.Flaw) []string { return []string{os.Args[0], "standin", string(f)} }

// The harness is silent about a server that keeps its promises.
func TestHarnessOnASoundServer(t *testing.T) {
	for _, kind := range []crash.Kind{crash.Kill, crash.Restart} {
		r := run(t, crash.Options{Kind: kind, Rounds: 2, Command: flawed(standin.None), Rate: 600})
		sound(t, r)
		for _, x := range r.Rounds {
			if x.Summary.Acknowledged == 0 || x.Summary.Delivered < x.Summary.Acknowledged || x.First == 0 {
				t.Errorf("%s: %+v, first delivery %s", x.Name, x.Summary, x.First)
			}
			if kind == crash.Restart && x.Summary.Duplicates > 0 {
				t.Errorf("%s: %d duplicates", x.Name, x.Summary.Duplicates)
			}
		}
	}
}

// The harness finds each flaw, under the invariant that it breaks.
func TestHarnessFindsFlaws(t *testing.T) {
	for flaw, want := range map[standin.Flaw]string{
		standin.Lose:   "I1 ",
		standin.Forget: "I6 ",
		standin.Twice:  "I5 ",
		standin.Alter:  "I3 ",
	} {
		t.Run(string(flaw), func(t *testing.T) {
			t.Parallel()
			r := run(t, crash.Options{Kind: crash.Kill, Rounds: 2, Command: flawed(flaw), Rate: 600, Settle: 3 * time.Second})
			for _, f := range r.Findings() {
				if strings.Contains(f, ": "+want) {
					return
				}
			}
			t.Errorf("no %sfinding among %d: %.1000q", want, len(r.Findings()), r.Findings())
		})
	}
}

// A server that comes back late is told by its figure.
func TestHarnessMeasuresTheFirstDelivery(t *testing.T) {
	r := run(t, crash.Options{Kind: crash.Kill, Rounds: 1, Command: flawed(standin.Slow), Rate: 600})
	if first := r.Rounds[0].First; first < standin.SlowStart || !strings.Contains(r.Summary(), "first delivery") {
		t.Errorf("first delivery after %s: %s", first, r.Summary())
	}
}

func TestRefusesWhatCannotBeRun(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]crash.Options{
		"Command and Dir are needed": {Kind: crash.Kill},
		`no kind "burn"`:             {Kind: "burn", Command: []string{"true"}, Dir: t.TempDir()},
		"ended before it was ready":  {Kind: crash.Kill, Command: []string{"false"}, Dir: t.TempDir()},
	} {
		if _, err := crash.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
