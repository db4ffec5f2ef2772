package crash_test

import (
	"bytes"
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"grapnel/internal/crash"
	"grapnel/internal/store/postgres/pgserver"
	"grapnel/internal/store/postgres/pgtest"
)

var (
	rounds    = flag.Int("rounds", 6, "rounds of TestNodes")
	faults    = flag.String("faults", "kill,stop,partition,cut,fast,immediate", "faults of TestNodes, which take turns")
	takeOvers = flag.Int("takeovers", 1, "rounds of TestTakeOver")
	rollings  = flag.Int("rollings", 1, "rounds of TestRolling, of three restarts each")
	failovers = flag.Int("failovers", 1, "rounds of TestFailover")
)

// onNodes runs several nodes on a database of their own server, which syncs.
func onNodes(t *testing.T, o crash.NodesOptions) *crash.NodesReport {
	t.Helper()
	report := runNodes(t, o)
	sound(t, &report.Report)
	for _, s := range report.Stale {
		t.Errorf("a stale outcome was accepted: %s", s)
	}
	if report.Writes == 0 {
		t.Error("nothing was put to the test")
	}
	return report
}

func runNodes(t *testing.T, o crash.NodesOptions) *crash.NodesReport {
	t.Helper()
	if o.Store == "" {
		server := pgtest.Start(t, pgtest.Options{Durable: true})
		o.Store, o.Server = server.Database(t), server
	}
	o.Command, o.Seed, o.Log, o.Dir = grapnel(program(t, false)), *seed, t.Output(), t.ArtifactDir()
	report, err := crash.RunNodes(t.Context(), o)
	if err != nil {
		said, _ := os.ReadFile(filepath.Join(o.Dir, "server.log"))
		lines := bytes.Split(said, []byte("\n"))
		t.Logf("the last that the servers said:\n%s", bytes.Join(lines[max(0, len(lines)-100):], []byte("\n")))
		t.Fatalf("seed %d: %v", o.Seed, err)
	}
	t.Log(report.Summary())
	return report
}

// case 22, case 25, case 26, case 27: three nodes under load, and at a random moment one
// of them is killed, stopped or cut off, or the database restarted: nothing is lost or
// stays lying, nothing stale is accepted, and nothing is repeated but what was in flight.
func TestNodes(t *testing.T) {
	o := crash.NodesOptions{Options: crash.Options{Rounds: *rounds}}
	for name := range strings.SplitSeq(*faults, ",") {
		o.Faults = append(o.Faults, crash.NodeFault(name))
	}
	onNodes(t, o)
}

// What a node had is with others two leases after its death, and its lanes go on.
func TestTakeOver(t *testing.T) {
	r := onNodes(t, crash.NodesOptions{Options: crash.Options{Rounds: *takeOvers}, Faults: []crash.NodeFault{crash.TakeOver}})
	if len(r.TakeOver) == 0 {
		t.Error("nothing was taken over")
	}
	const generous = 10 // the figure is for a machine that does nothing else
	for _, d := range r.TakeOver {
		if d > generous*2*r.Lease {
			t.Errorf("a partition was taken over after %s", d)
		}
	}
}

// case 12: a rolling restart of three nodes under load loses and repeats nothing.
func TestRolling(t *testing.T) {
	unrepeated(t, onNodes(t, crash.NodesOptions{Options: crash.Options{Rounds: *rollings, Settle: time.Minute}, Faults: []crash.NodeFault{crash.Rolling}}))
}

// unrepeated asserts that nothing was sent twice.
func unrepeated(t *testing.T, r *crash.NodesReport) {
	t.Helper()
	for _, x := range r.Rounds {
		if x.Summary.Duplicates > 0 {
			t.Errorf("%s: %d duplicates", x.Name, x.Summary.Duplicates)
		}
	}
}

// twins are a server and its synchronous standby, which change places.
type twins struct{ primary, standby *pgserver.Cluster }

func (p *twins) Stop(mode string) error { return p.primary.Stop(mode) }
func (p *twins) Resume() error          { return p.primary.Resume() }
func (p *twins) promote() error         { return p.standby.Promote() }

// rebuild makes what was stopped the standby of what was promoted.
func (p *twins) rebuild() error {
	p.primary, p.standby = p.standby, p.primary
	return p.standby.Follow(p.primary)
}

// case 23: the database goes as by a crash, and its standby takes over: what was
// acknowledged is there, and all nodes go on without having been started again.
func TestFailover(t *testing.T) {
	const healed = 10 * time.Second
	first := pgtest.Start(t, pgtest.Options{Durable: true})
	second, err := first.StartStandby()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.End)
	u, err := url.Parse(first.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	p := &twins{first.Cluster, second}
	r := onNodes(t, crash.NodesOptions{
		Options: crash.Options{Rounds: *failovers, Settle: time.Minute},
		Faults:  []crash.NodeFault{crash.Failover},
		Store:   pgserver.Either(first.Cluster, second, strings.TrimPrefix(u.Path, "/")),
		Server:  p, Promote: p.promote, Rebuild: p.rebuild,
	})
	if len(r.Healed) != *failovers {
		t.Errorf("%d of %d healed", len(r.Healed), *failovers)
	}
	for _, d := range r.Healed {
		if d > healed {
			t.Errorf("publishes were taken again after %s", d)
		}
	}
}

// The audit finds what a database accepts that does not look at tokens (I10).
func TestHarnessFindsStaleOutcomes(t *testing.T) {
	r := runNodes(t, crash.NodesOptions{Options: crash.Options{Rounds: 2}, Faults: []crash.NodeFault{crash.NodePartition}, Unfenced: true})
	if len(r.Stale) == 0 {
		t.Error("none was found")
	}
}
