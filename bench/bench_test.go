package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"grapnel/bench"
	"grapnel/internal/crash/standin"
)

// The test binary is its own worker and, by the stand-in, its own server.
func TestMain(m *testing.M) {
	var err error
	switch arg := append(os.Args, "")[1]; arg {
	case "bench-worker":
		err = bench.Worker(context.Background(), os.Args[2], os.Stdin, os.Stdout)
	case "bench-serve":
		err = standin.Main(os.Args[2:], standin.None)
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func options(t *testing.T, scenarios ...string) bench.Options {
	t.Helper()
	return bench.Options{
		Scenarios: scenarios, Duration: 100 * time.Millisecond, Runs: 1, Connections: 4, Batch: 10, Events: 500,
		Dir: t.TempDir(), Serve: []string{os.Args[0], "bench-serve"}, Work: []string{os.Args[0], "bench-worker"},
		Version: "v0", Commit: "c0ffee", Dialects: []string{"sixpark"},
	}
}

func TestEveryScenarioAccountsForAllEvents(t *testing.T) {
	o := options(t, bench.Scenarios()...)
	o.JSON = true
	var stdout, stderr bytes.Buffer
	if err := bench.Run(t.Context(), o, &stdout, &stderr); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var report bench.Report
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatalf("%v: %.500s", err, stdout.String())
	}
	if report.Machine.Cores < 1 || report.Machine.Go == "" || report.Commit != "c0ffee" || report.Seconds <= 0 {
		t.Errorf("report's head: %+v", report)
	}
	if len(report.Scenarios) != len(bench.Scenarios()) {
		t.Fatalf("%d scenarios reported", len(report.Scenarios))
	}
	for _, s := range report.Scenarios {
		checkScenario(t, s)
	}
}

func checkScenario(t *testing.T, s bench.ScenarioReport) {
	t.Helper()
	must := map[string]string{
		"throughput": "delivered ÷ bare limit", "batch": "delivered ÷ bare limit", "latency": "due to arrived, p99",
		"hang": "p99 with ÷ without", "dialects": "sixpark ÷ standard", "growth": "full ÷ empty",
	}
	found := false
	for _, f := range s.Figures {
		t.Logf("%s: %s: %g %s %v", s.Name, f.Name, f.Median, f.Unit, f.Values)
		found = found || f.Name == must[s.Name] && f.Median > 0
		for _, v := range f.Values {
			if zero := f.Name == "lost" || f.Name == "duplicates" || strings.HasPrefix(f.Name, "publishes refused"); zero && v != 0 {
				t.Errorf("%s: %s is %g", s.Name, f.Name, v)
			}
		}
	}
	if !found {
		t.Errorf("%s does not tell %q", s.Name, must[s.Name])
	}
}

func TestTable(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if err := bench.Run(t.Context(), options(t, "latency"), &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"machine", "commit c0ffee", "latency", "due to arrived, p99", " ms"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, stdout.String())
		}
	}
}

func TestRefusesWhatCannotBeMeasured(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]bench.Options{
		`no scenario "speed"`:                 {Scenarios: []string{"speed"}},
		"--size is 10 bytes":                  {Size: 10},
		"--batch is 5000 events":              {Batch: 5000},
		"counts and rates cannot be negative": {Connections: -1},
		"server: ended before it":             {Scenarios: []string{"latency"}, Serve: []string{"false"}, Work: []string{os.Args[0], "bench-worker"}},
		"bench worker ended":                  {Scenarios: []string{"latency"}, Work: []string{"false"}},
	} {
		o.Dir = t.TempDir()
		if err := bench.Run(t.Context(), o, &bytes.Buffer{}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// An interrupt ends all processes and removes all data.
func TestInterrupt(t *testing.T) {
	o := options(t, "throughput")
	o.Duration = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := bench.Run(ctx, o, &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
		t.Error("no error")
	}
	left, err := os.ReadDir(o.Dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
