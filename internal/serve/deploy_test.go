package serve_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"grapnel/internal/keyring"
	"grapnel/internal/serve"
	"grapnel/internal/store/eithertest"
	"grapnel/internal/store/postgres/pgtest"
	"grapnel/internal/testaid"
)

const (
	dashboardFile = "../../deploy/grafana/grapnel.json"
	alertsFile    = "../../deploy/prometheus/alerts.yaml"
)

// promtool runs Prometheus's own checker and returns what it says.
func promtool(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testaid.Require(t, "promtool"), args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// scrape is what /metrics shows after the canary's story.
func scrape(t *testing.T) string {
	t.Helper()
	statuses := make(chan int, 3)
	for _, s := range []int{500, 200, 410} {
		statuses <- s
	}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(<-statuses) }))
	defer receiver.Close()
	u, err := url.Parse(receiver.URL)
	if err != nil {
		t.Fatal(err)
	}
	r := record(t, "json", netip.MustParseAddrPort(u.Host))
	defer r.stop()
	r.story(receiver.URL)
	_, body := testaid.Get(t, r.server.URL()+"/metrics")
	return body
}

type dashboard struct {
	Panels []struct {
		ID          int
		Type, Title string
		Description string
		GridPos     struct{ H, W, X, Y int }
		Targets     []struct{ Expr string }
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	b, err := os.ReadFile(dashboardFile)
	if err == nil {
		err = json.Unmarshal(b, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// expressions are those of the dashboard, with Grafana's variables filled in,
// and those of the alerts.
func expressions(t *testing.T) (out []string) {
	t.Helper()
	fill := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$instance", ".*")
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			out = append(out, fill.Replace(target.Expr))
		}
	}
	var alerts struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
			}
		}
	}
	b, err := os.ReadFile(alertsFile)
	if err == nil {
		err = yaml.Unmarshal(b, &alerts)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range alerts.Groups {
		for _, r := range g.Rules {
			out = append(out, r.Expr)
		}
	}
	if len(out) < 50 {
		t.Fatalf("only %d expressions were found", len(out))
	}
	return out
}

// notOn lists the metrics that a store does not have, as docs/metrics.md says.
func notOn(t *testing.T, postgres bool) map[string]bool {
	t.Helper()
	b, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	sign := "PostgreSQL only."
	if postgres {
		sign = "Not on PostgreSQL."
	}
	out := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		if name := regexp.MustCompile("^\\| `([a-z_]+)` ").FindStringSubmatch(line); name != nil && strings.Contains(line, sign) {
			out[name[1]] = true
		}
	}
	if len(out) == 0 {
		t.Fatalf("no metric is %q", sign)
	}
	return out
}

// seriesIn are the names of what is served.
func seriesIn(served string) map[string]bool {
	series := map[string]bool{}
	for line := range strings.Lines(served) {
		if name := regexp.MustCompile(`^[a-z_]+`).FindString(line); name != "" {
			series[name] = true
		}
	}
	return series
}

// Every metric that the dashboard and the alerts ask for is served, where the store is
// one that has it, and what is served is well-formed.
func TestMetricsThatAreAskedForAreServed(t *testing.T) {
	served := scrape(t)
	series := seriesIn(served)
	not := notOn(t, eithertest.Postgres())
	for name := range not {
		if series[name] {
			t.Errorf("%s is served, and docs/metrics.md says that it is not", name)
		}
	}
	s, _ := start(t, serve.Config{Settings: nodeSettings(t, pgtest.Database(t), keyring.NewKey())})
	_, shared := testaid.Get(t, s.URL()+"/metrics")
	onPostgres := seriesIn(shared)
	asked := map[string]bool{}
	for _, expr := range expressions(t) {
		for _, name := range regexp.MustCompile(`\b(grapnel|go|process)_[a-z_]+`).FindAllString(expr, -1) {
			asked[name] = true
		}
	}
	for name := range asked {
		if !series[name] && !not[name] || not[name] && !eithertest.Postgres() && !onPostgres[name] {
			t.Errorf("%s is asked for and not served", name)
		}
	}
	for _, text := range []string{served, shared} {
		if out := promtool(t, text, "check", "metrics"); strings.TrimSpace(out) != "" {
			t.Error(out)
		}
	}
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	promtool(t, "", "check", "rules", "--lint=all", "--lint-fatal", alertsFile)
	promtool(t, "", "test", "rules", "../../deploy/prometheus/alerts_test.yaml")
}

// promtool reads no dashboards, so each of its expressions becomes a rule.
func TestDashboardExpressionsAreValid(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for i, expr := range expressions(t) {
		text, err := json.Marshal(expr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "  - {record: \"expression:%d\", expr: %s}\n", i, text)
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", "--lint=none", file)
}

func TestDashboardPanels(t *testing.T) {
	t.Parallel()
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range readDashboard(t).Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && (p.Title == "" || p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("panel %d %q lacks something", p.ID, p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%q lies over %q, or beyond the edge", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

// The manifests for those without Helm are what Helm made of the chart as it
// is. Helm takes minutes to build, so here only its input is compared.
func TestManifestsAreOfTheChart(t *testing.T) {
	t.Parallel()
	sum, err := exec.CommandContext(t.Context(), "../../scripts/chart-sum").Output()
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := os.ReadFile("../../deploy/kubernetes/grapnel.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(manifests), "# chart: sha256 "+strings.TrimSpace(string(sum))+"\n") {
		t.Error("deploy/kubernetes/grapnel.yaml is not of the chart as it is: run scripts/chart")
	}
	var set struct {
		Spec struct {
			Replicas int
			Template struct {
				Spec struct {
					SecurityContext struct {
						RunAsNonRoot bool `yaml:"runAsNonRoot"`
					} `yaml:"securityContext"`
					Containers []struct {
						SecurityContext struct {
							ReadOnly   bool `yaml:"readOnlyRootFilesystem"`
							Escalation bool `yaml:"allowPrivilegeEscalation"`
						} `yaml:"securityContext"`
						Env []struct{ Name string }
					}
				}
			}
		}
	}
	for doc := range strings.SplitSeq(string(manifests), "\n---\n") {
		if !strings.Contains(doc, "kind: StatefulSet") {
			continue
		}
		if err := yaml.Unmarshal([]byte(doc), &set); err != nil {
			t.Fatal(err)
		}
	}
	pod := set.Spec.Template.Spec
	if set.Spec.Replicas != 1 || !pod.SecurityContext.RunAsNonRoot || len(pod.Containers) != 1 {
		t.Fatalf("%+v", set)
	}
	if c := pod.Containers[0].SecurityContext; !c.ReadOnly || c.Escalation {
		t.Errorf("%+v", c)
	}
	known := map[string]bool{}
	for _, line := range strings.Split(settingsPage(t), "`") {
		known[line] = true
	}
	for _, e := range pod.Containers[0].Env {
		if !known[e.Name] {
			t.Errorf("the chart sets %s, which is no setting", e.Name)
		}
	}
}

func settingsPage(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The examples for several servers name settings that there are, and all that such a server
// needs.
func TestExamplesForSeveralServers(t *testing.T) {
	t.Parallel()
	page := settingsPage(t)
	for _, file := range []string{"../../deploy/kubernetes/postgresql.yaml", "../../deploy/docker/compose-postgresql.yaml"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for doc := range strings.SplitSeq(string(b), "\n---\n") {
			var out any
			if err := yaml.Unmarshal([]byte(doc), &out); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
		named := map[string]bool{}
		for _, m := range regexp.MustCompile(`(?m)(?:^ +|name: )(GRAPNEL_[A-Z_]+)[:,]`).FindAllStringSubmatch(string(b), -1) {
			if named[m[1]] = true; !strings.Contains(page, "`"+m[1]+"`") {
				t.Errorf("%s sets %s, which is no setting", file, m[1])
			}
		}
		for _, need := range []string{"GRAPNEL_STORE", "GRAPNEL_SECRET_KEY", "GRAPNEL_ADMIN_KEY", "GRAPNEL_PUBLIC_URL"} {
			if !named[need] {
				t.Errorf("%s does not set %s", file, need)
			}
		}
	}
}
