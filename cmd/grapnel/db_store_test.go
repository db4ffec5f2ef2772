package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"grapnel/internal/store/postgres/pgtest"
)

// onDatabase runs a command of grapnel db on a database.
func onDatabase(t *testing.T, url string, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(append(append([]string{"db"}, args...), "--store", url), strings.NewReader(""), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// What can be done to a folder can be done to a database, but copying it, which is
// left to the database's own tools.
func TestDatabaseCommands(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	if code, _, errs := onDatabase(t, url, "stats"); code != exitNotFound || !strings.Contains(errs, "db migrate up") {
		t.Fatalf("stats of nothing: exit code %d, %s", code, errs)
	}
	if code, out, errs := onDatabase(t, url, "migrate", "status", "--show-sql"); code != 0 || !strings.Contains(out, "to migrate") || !strings.Contains(out, "CREATE TABLE grapnel.events") {
		t.Fatalf("exit code %d, %s%s", code, out, errs)
	}
	for range 2 {
		if code, out, errs := onDatabase(t, url, "migrate", "up"); code != 0 {
			t.Fatalf("exit code %d, %s%s", code, out, errs)
		}
	}
	code, out, errs := onDatabase(t, url, "stats", "--json")
	var stats struct {
		Engine   string
		Writable bool
	}
	if err := json.Unmarshal([]byte(out), &stats); code != 0 || err != nil || !stats.Writable || !strings.HasPrefix(stats.Engine, "postgresql ") {
		t.Fatalf("exit code %d, %s%s", code, out, errs)
	}
	if code, out, errs := onDatabase(t, url, "check"); code != 0 || !strings.Contains(out, "nothing wrong") {
		t.Fatalf("exit code %d, %s%s", code, out, errs)
	}
	if code, out, errs := onDatabase(t, url, "prune", "--older-than", "30d", "--yes"); code != 0 || !strings.Contains(out, "nothing to remove") {
		t.Fatalf("exit code %d, %s%s", code, out, errs)
	}
	file := t.TempDir() + "/backup.tar"
	if code, _, errs := onDatabase(t, url, "backup", "--to", file); code != exitUsage || !strings.Contains(errs, "pg_dump --format=custom --schema=grapnel") || exists(file) {
		t.Fatalf("exit code %d, %s", code, errs)
	}
}
