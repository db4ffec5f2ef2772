package crash_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/child"
	"grapnel/internal/crash"
	"grapnel/internal/store/postgres/pgtest"
	"grapnel/internal/testaid"
)

// newer builds the program as it will be with more migrations.
func newer(t *testing.T, migrations ...string) string {
	t.Helper()
	const folder = "../store/postgres/migrations"
	have, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	overlay, out := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "grapnel")
	replace := map[string]string{}
	for i, sql := range migrations {
		name := fmt.Sprintf("%d.sql", len(have)+1+i)
		at, err := filepath.Abs(filepath.Join(folder, name))
		if err == nil {
			replace[at] = filepath.Join(dir, name)
			err = os.WriteFile(replace[at], []byte(sql), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err == nil {
		err = os.WriteFile(overlay, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", "crashpoint", "-overlay", overlay, "-o", out, "grapnel/cmd/grapnel")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	t.Logf("the newer program was built in %s", time.Since(began).Round(time.Millisecond))
	return out
}

// case 14: three servers are upgraded one after the other under load, and then taken back
// one after the other. A program that knows one schema version more migrates, and the one
// before works on with it, also after a restart: nothing is lost, and nothing comes twice.
// A program that does not fit the schema any more refuses to start. That a version which
// leaves no room for the one before waits for it is tested in the engine.
func TestRollingUpgrade(t *testing.T) {
	const adds = "-- Works with 1.\nALTER TABLE grapnel.events ADD COLUMN colour text;\nCREATE INDEX appenders_by_time ON grapnel.appenders (at);\n"
	server := pgtest.Start(t, pgtest.Options{Durable: true})
	database := server.Database(t)
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	unrepeated(t, onNodes(t, crash.NodesOptions{
		Options: crash.Options{Rounds: 2, Settle: time.Minute}, Faults: []crash.NodeFault{crash.Upgrade},
		Store: database, Server: server, Other: grapnel(newer(t, adds)),
	}))
	var migrated bool
	err = conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_indexes WHERE schemaname = 'grapnel' AND indexname = 'appenders_by_time')`).Scan(&migrated)
	if err != nil || !migrated {
		t.Errorf("the newer program has not migrated: %v", err)
	}
	// What a migration says after which the program before does not work any more.
	if _, err := conn.Exec(t.Context(), `UPDATE grapnel.meta SET works_with = schema_version`); err != nil {
		t.Fatal(err)
	}
	refused(t, database)
}

// refused asserts that a program which does not fit the schema does not start, and tells why.
func refused(t *testing.T, database string) {
	t.Helper()
	var said testaid.Buffer
	p, err := child.Start(child.Config{
		Command: append(grapnel(program(t, false)), "--listen", "127.0.0.1:0"), Stdout: &said, Stderr: &said,
		Env: []string{"GRAPNEL_ADMIN_KEY=" + adminKey, "GRAPNEL_SECRET_KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "GRAPNEL_STORE=" + database},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	select {
	case <-p.Done():
	case <-time.After(time.Minute):
		t.Fatalf("it does not end: %s", &said)
	}
	if p.Err() == nil || !strings.Contains(said.String(), "Use the program that wrote it") {
		t.Errorf("a program that does not fit: %v\n%s", p.Err(), &said)
	}
}
