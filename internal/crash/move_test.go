package crash_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"grapnel/internal/child"
	"grapnel/internal/crashpoint"
	"grapnel/internal/serve/offline"
	"grapnel/internal/store/postgres/pgtest"
)

var moves = flag.Int("moves", 3, "kills at random moments of TestMoveIsKilled")

// movedEvents is how many events TestMoveIsKilled moves: three transactions.
const movedEvents = 25_000

// move is `grapnel db move` from a folder into a database.
type move struct{ binary, dir, url string }

// run runs the program until it ends, or kills it after a while if that is not 0.
func (m *move) run(t *testing.T, after time.Duration, point string, args ...string) (p *child.Process, out, problems string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p, err := child.Start(child.Config{
		Command: append([]string{m.binary, "db"}, args...), Env: []string{crashpoint.Environment + "=" + point}, Stdout: &stdout, Stderr: &stderr,
	})
	if err != nil {
		t.Fatal(err)
	}
	if after > 0 {
		select {
		case <-p.Done():
		case <-time.After(after):
			p.Kill()
		}
	}
	select {
	case <-p.Done():
	case <-t.Context().Done():
		p.Kill()
	}
	return p, stdout.String(), stderr.String()
}

// again moves, or goes on with it. It reports whether it was killed; if not, moved is
// what it says.
func (m *move) again(t *testing.T, after time.Duration, point string) (moved offline.Moved, killed bool) {
	t.Helper()
	p, out, problems := m.run(t, after, point, "move", "--data", m.dir, "--store", m.url, "--json")
	if p.Killed() {
		return moved, true
	}
	if p.Err() != nil {
		t.Fatalf("%v\n%s", p.Err(), problems)
	}
	if err := json.Unmarshal([]byte(out), &moved); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	moved.Resumed, moved.Seconds = 0, 0 // they differ
	return moved, false
}

// closed asserts that a database that is half filled cannot be opened. Before anything
// is in it, it has no schema.
func (m *move) closed(t *testing.T) {
	t.Helper()
	p, out, problems := m.run(t, 0, "", "stats", "--store", m.url)
	if p.Err() == nil && regexp.MustCompile(`(?m)^events +0$`).MatchString(out) && regexp.MustCompile(`(?m)^files +0$`).MatchString(out) {
		return // killed between the schema and the first row: there is nothing that could be sent
	}
	if p.Err() == nil || !strings.Contains(problems, "grapnel db m") {
		t.Fatalf("the database can be opened: %v\n%s%s", p.Err(), out, problems)
	}
}

// complete asserts that everything is there once: the move has compared each row itself.
func (m *move) complete(t *testing.T, moved offline.Moved) {
	t.Helper()
	if !moved.Verified || moved.Events != movedEvents || moved.Deliveries < movedEvents {
		t.Errorf("moved %+v", moved)
	}
	if p, out, problems := m.run(t, 0, "", "check", "--store", m.url); p.Err() != nil {
		t.Errorf("%v\n%s%s", p.Err(), out, problems)
	}
	p, out, problems := m.run(t, 0, "", "stats", "--store", m.url, "--json")
	if p.Err() != nil || !strings.Contains(out, fmt.Sprintf(`"events":%d,`, movedEvents)) {
		t.Errorf("%v\n%s%s", p.Err(), out, problems)
	}
}

// A move that is killed, at each of its steps and at any moment, goes on with the same
// command, and everything is there once. Until then nothing opens the database.
func TestMoveIsKilled(t *testing.T) {
	t.Parallel()
	pgtest.Shared(t)
	dir := filepath.Join(t.TempDir(), "data")
	text := func(tenant, endpoint int) string { return fmt.Sprintf("http://127.0.0.1:9/%d/%d", tenant, endpoint) }
	kind := func(int, int) string { return "thing.made" }
	err := offline.Seed(t.Context(), offline.SeedPlan{Dir: dir, Tenants: 2, Endpoints: 5, URL: text, Type: kind, Events: movedEvents, Size: 100, Behind: true})
	if err != nil {
		t.Fatal(err)
	}

	// Each run gets one step further: it is killed at the second one that it meets.
	m := &move{program(t, true), dir, pgtest.Empty(t)}
	kills := 0
	first, killed := m.again(t, 0, "mid-move:2")
	for ; killed; first, killed = m.again(t, 0, "mid-move:2") {
		if kills++; kills > 20 {
			t.Fatal("it gets no further")
		}
		m.closed(t)
	}
	if kills < 3 {
		t.Errorf("it was killed %d times", kills)
	}
	m.complete(t, first)

	// The folder is marked as moved into the first database only; it can be copied again.
	m.url = pgtest.Empty(t)
	const longest = 1500 * time.Millisecond // about what it takes on a machine that does nothing else
	random := rand.New(rand.NewPCG(*seed, 14))
	for n := range *moves {
		after := 1 + time.Duration(random.Int64N(int64(longest)))
		if n == 0 {
			after = longest / 4
		}
		second, killed := m.again(t, after, "")
		t.Logf("seed %d: killed after %s: %t", *seed, after, killed)
		if !killed {
			m.complete(t, second)
			m.url = pgtest.Empty(t)
			continue
		}
		m.closed(t)
	}
	second, _ := m.again(t, 0, "")
	if m.complete(t, second); second != first {
		t.Errorf("moved %+v, and %+v before", second, first)
	}
}
