package bench_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/bench"
	"grapnel/internal/config"
	"grapnel/internal/serve"
	"grapnel/internal/store/postgres/pgserver"
)

// The test binary is its own worker and its own server.
func TestMain(m *testing.M) {
	var err error
	switch arg := append(os.Args, "")[1]; arg {
	case "bench-worker":
		err = bench.Worker(context.Background(), os.Args[2], os.Stdin, os.Stdout)
	case "bench-serve":
		err = serveUntilTerm(os.Args[2:])
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// serveUntilTerm is grapnel serve with the settings that the environment gives.
func serveUntilTerm(args []string) error {
	c := config.Serve()
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.StringVar(&c.Data, "data", "", "folder")
	flags.StringVar(&c.Listen, "listen", "", "address")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c.EgressAllow, c.AdminKey, c.SecretKey = []string{"127.0.0.0/8"}, os.Getenv(config.EnvAdminKey), os.Getenv(config.EnvSecretKey)
	err := c.Assemble(func(setting string) ([]string, string) {
		name := "GRAPNEL_" + strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))
		if v, ok := os.LookupEnv(name); ok && name != config.EnvAdminKey {
			return []string{v}, name
		}
		return nil, ""
	})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s, err := serve.New(ctx, serve.Config{Settings: c, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		return err
	}
	if err = s.Start(ctx); err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, s.Stop(context.Background()))
}

func options(t *testing.T, scenarios ...string) bench.Options {
	t.Helper()
	return bench.Options{
		Scenarios: scenarios, Duration: 300 * time.Millisecond, Runs: 1, Connections: 4, Batch: 10, Events: 500,
		Pending: 300, InFlight: 20, Tenants: 5, Endpoints: 10,
		Dir: t.TempDir(), Serve: []string{os.Args[0], "bench-serve"}, Work: []string{os.Args[0], "bench-worker"},
		Version: "v0", Commit: "c0ffee", Dialects: []string{"sixpark"},
	}
}

func TestEveryScenarioAccountsForAllEvents(t *testing.T) {
	t.Parallel()
	for _, name := range bench.Scenarios() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t, name)
			o.JSON = true
			report := runJSON(t, o)
			if report.Machine.Cores < 1 || report.Machine.Go == "" || report.Commit != "c0ffee" || report.Seconds <= 0 {
				t.Errorf("report's head: %+v", report)
			}
			if len(report.Scenarios) != 1 {
				t.Fatalf("%d scenarios reported", len(report.Scenarios))
			}
			checkScenario(t, report.Scenarios[0])
		})
	}
}

// TestOnPostgreSQL: servers keep their events in databases, which the report tells the
// costs of, and which are gone afterwards.
func TestOnPostgreSQL(t *testing.T) {
	t.Parallel()
	o := options(t, "throughput", "batch")
	c, err := pgserver.Start(pgserver.Options{Durable: true})
	if errors.Is(err, pgserver.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.End()
	o.JSON, o.Store = true, c.URL("postgres")
	report := runJSON(t, o)
	if len(report.Scenarios) != 2 || report.Settings.Store != "postgres" {
		t.Fatalf("%d scenarios reported, on %q", len(report.Scenarios), report.Settings.Store)
	}
	for _, s := range report.Scenarios {
		checkScenario(t, s)
		if !slices.ContainsFunc(s.Figures, func(f bench.Figure) bool {
			return f.Name == "write-ahead log" && f.Median > float64(report.Settings.Size)
		}) {
			t.Errorf("%s: an event is not in the write-ahead log", s.Name)
		}
	}
	conn, err := pgx.Connect(t.Context(), o.Store)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	left := 0
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_database WHERE datname LIKE 'grapnel\_bench\_%'`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d databases are left: %v", left, err)
	}
}

func TestStoreIsChecked(t *testing.T) {
	t.Parallel()
	for store, scenario := range map[string]string{"mysql://secret@there/db": "throughput", "postgres": "growth"} {
		o := options(t, scenario)
		o.Store = store
		err := bench.Run(t.Context(), o, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "--store") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s on %s: %v", scenario, store, err)
		}
	}
}

func runJSON(t *testing.T, o bench.Options) *bench.Report {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if err := bench.Run(t.Context(), o, &stdout, &stderr); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	report := new(bench.Report)
	if err := json.Unmarshal(stdout.Bytes(), report); err != nil {
		t.Fatalf("%v: %.500s", err, stdout.String())
	}
	return report
}

func checkScenario(t *testing.T, s bench.ScenarioReport) {
	t.Helper()
	must := map[string]string{
		"throughput": "delivered ÷ bare limit", "batch": "delivered ÷ bare limit", "latency": "due to arrived, p99",
		"hang": "at half of the maximum: p99 with ÷ without", "dialects": "sixpark ÷ standard", "growth": "full ÷ empty",
		"dead-30": "at 0.8 × that: with ÷ without", "flood": "quota 2000/s: p99 with ÷ without", "fan-out": "accepted after, max",
		"in-flight": "fast ones, p99 with ÷ without", "recovery": "first delivery after the restart", "tls": "TLS with HTTP/2 ÷ plain",
		"million-endpoints": "server CPU, many ÷ one", "backlog": "drained ÷ fresh", "disk": "zstd: on disk",
	}
	found := false
	for _, f := range s.Figures {
		t.Logf("%s: %s: %g %s %v", s.Name, f.Name, f.Median, f.Unit, f.Values)
		found = found || f.Name == must[s.Name] && f.Median > 0
		for _, v := range f.Values {
			if zero := strings.HasPrefix(f.Name, "lost") || f.Name == "duplicates" && s.Name != "recovery" || strings.HasPrefix(f.Name, "publishes refused"); zero && v != 0 {
				t.Errorf("%s: %s is %g", s.Name, f.Name, v)
			}
		}
	}
	if !found {
		t.Errorf("%s does not tell %q", s.Name, must[s.Name])
	}
}

func TestTableAndPicture(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	o := options(t, "latency", "latency")
	o.SVG = filepath.Join(t.TempDir(), "a.svg")
	if err := bench.Run(t.Context(), o, &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"machine", "commit c0ffee", "\nlatency", "due to arrived, p99", " ms", "10 endpoint(s)"} {
		if strings.Count(stdout.String(), want) < 1 {
			t.Errorf("the table does not say %q:\n%s", want, stdout.String())
		}
	}
	text, err := os.ReadFile(o.SVG)
	if err != nil || !strings.Contains(string(text), "latency: latency over time") || !strings.HasSuffix(string(text), "</svg>\n") {
		t.Errorf("the picture: %v, %s", err, text)
	}
}

func TestRefusesWhatCannotBeMeasured(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]bench.Options{
		`no scenario "speed"`:                 {Scenarios: []string{"speed"}},
		"--size is 10 bytes":                  {Size: 10},
		"--batch is 5000 events":              {Batch: 5000},
		"counts and rates cannot be negative": {Connections: -1},
		"--in-flight is 99999":                {InFlight: 99_999},
		"a tenant can have 1000000 at most":   {Endpoints: 2_000_000},
		"--tenants is 2000000":                {Tenants: 2_000_000},
		"none has a timetable":                {Scenarios: []string{"throughput", "tls"}, SVG: "a.svg"},
		"there is no folder":                  {Scenarios: []string{"latency"}, SVG: filepath.Join("no", "such", "a.svg")},
		"server: ended before it":             {Scenarios: []string{"latency"}, Duration: 100 * time.Millisecond, Serve: []string{"false"}, Work: []string{os.Args[0], "bench-worker"}},
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
	t.Parallel()
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
