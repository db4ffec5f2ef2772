package main

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/config"
	"grapnel/internal/serve/offline"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
)

// doctorOf is what doctor finds about a database, by check.
func doctorOf(t *testing.T, url string) map[string]finding {
	t.Helper()
	d := &doctor{settings: config.Serve(), timeout: time.Minute}
	d.settings.Store = url
	d.checkDatabase()
	out := map[string]finding{}
	for _, f := range d.report.Checks {
		if old, ok := out[f.Check]; !ok || old.Result == checkOK {
			out[f.Check] = f
		}
	}
	return out
}

func wantChecks(t *testing.T, got map[string]finding, want map[string]string) {
	t.Helper()
	for check, text := range want {
		result, detail, _ := strings.Cut(text, ": ")
		if f := got[check]; f.Result != result || !strings.Contains(f.Detail, detail) {
			t.Errorf("%s: %+v, want %s", check, f, text)
		}
	}
}

// Doctor says of a database what a server would stumble over, and changes nothing.
func TestDoctorLooksAtTheDatabase(t *testing.T) {
	t.Parallel()
	empty := pgtest.Empty(t)
	wantChecks(t, doctorOf(t, empty), map[string]string{"database": "ok: PostgreSQL ", "schema": "ok: there is none yet", "servers": "skipped: none runs", "rights": "ok: "})
	if s, err := postgres.ReadSchema(t.Context(), empty); err != nil || s.Version != 0 {
		t.Fatalf("doctor has made a schema: %+v, %v", s, err)
	}

	database := pgtest.Database(t)
	st, err := postgres.Open(t.Context(), postgres.Options{URL: database, Conns: 2, Lease: time.Hour, Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := st.Acquire(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	wantChecks(t, doctorOf(t, database), map[string]string{
		"schema": "ok: as this program", "servers": "ok: 1 run, and hold all", "autovacuum": "ok: ", "database clock": "ok: agree to", "notifications": "ok: ", "connections": "ok: servers: 1, each with up to 18",
		"database settings": "ok: write-ahead log",
	})
	wantChecks(t, doctorOf(t, database+"&pool_max_conns=100000"), map[string]string{"connections": "failed: each with up to 100002"})

	// What a server refuses, and what one cannot do with the role that it has.
	admin, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	name := pgx.Identifier{admin.Config().Database}.Sanitize()
	role := strings.Trim(name, `"`) + "_reader"
	for _, sql := range []string{
		`CREATE ROLE ` + role + ` LOGIN`, `GRANT USAGE ON SCHEMA grapnel TO ` + role, `GRANT SELECT ON ALL TABLES IN SCHEMA grapnel TO ` + role,
		`ALTER DATABASE ` + name + ` SET default_transaction_isolation = 'serializable'`,
	} {
		if _, err := admin.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), database)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(context.Background(), `DROP OWNED BY `+role+`; DROP ROLE `+role); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(role)
	wantChecks(t, doctorOf(t, u.String()), map[string]string{"rights": "failed: role " + role, "database settings": "failed: default_transaction_isolation"})

	u.Host = "127.0.0.1:1"
	wantChecks(t, doctorOf(t, u.String()), map[string]string{"database": "failed: "})
}

// case 31: a clock that differs from the database's is told of.
func TestDoctorComparesClocksWithTheDatabase(t *testing.T) {
	t.Parallel()
	for skew, want := range map[time.Duration]string{
		time.Millisecond: "ok: agree", -15 * time.Second: "warning: 15.0 s from", 3 * time.Hour: "failed: 3.0 h from",
	} {
		d := &doctor{}
		d.checkDatabaseClock(&offline.Facts{Skew: skew})
		wantChecks(t, map[string]finding{"it": d.report.Checks[0]}, map[string]string{"it": want})
	}
}
