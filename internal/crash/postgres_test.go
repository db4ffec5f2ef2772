package crash_test

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"grapnel/internal/crash"
	"grapnel/internal/store/postgres/pgtest"
)

var (
	pgKills  = flag.Int("pgkills", 2, "rounds of TestKillOnPostgres")
	pgPoints = flag.Int("pgpoints", 1, "rounds of TestPointsOnPostgres for each point")
)

// onPostgres has servers keep what they have in databases of a server that syncs.
func onPostgres(t *testing.T, o crash.Options) crash.Options {
	t.Helper()
	server := pgtest.Start(t, pgtest.Options{Durable: true})
	made := 0
	o.Database = func(ctx context.Context) (string, error) {
		made++
		name := fmt.Sprintf("crash_%d", made)
		return server.URL(name), server.Exec(ctx, "postgres", `CREATE DATABASE `+name+` TEMPLATE template0`)
	}
	// What a dead server held is free after its lease.
	o.Rate, o.Settle = 400, 30*time.Second
	return o
}

// case 1, case 5 on PostgreSQL: SIGKILL of the only server at random moments under load.
func TestKillOnPostgres(t *testing.T) {
	t.Parallel()
	sound(t, run(t, onPostgres(t, crash.Options{Kind: crash.Kill, Rounds: *pgKills, Command: grapnel(program(t, false))})))
}

// case 2, case 6, case 7 on PostgreSQL: SIGKILL at every named point that a server can
// reach there; its database is there and empty, so that it is migrated.
func TestPointsOnPostgres(t *testing.T) {
	t.Parallel()
	r := run(t, onPostgres(t, crash.Options{Kind: crash.Points, Rounds: *pgPoints, Command: grapnel(program(t, true))}))
	sound(t, r)
	reached(t, r)
}
