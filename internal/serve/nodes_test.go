package serve_test

import (
	"math/bits"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"grapnel/client"
	"grapnel/internal/config"
	"grapnel/internal/inbox"
	"grapnel/internal/keyring"
	"grapnel/internal/pgproxy"
	"grapnel/internal/serve"
	"grapnel/internal/store/postgres/pgtest"
	"grapnel/internal/testaid"
)

// nodesOf are the servers that a server knows, those whose lease is not over.
func nodesOf(t *testing.T, c *client.Client) (all []*client.Node, held uint64) {
	t.Helper()
	for n, err := range c.Nodes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range n.Partitions {
			if held>>p&1 == 1 {
				t.Fatalf("partition %d is held twice", p)
			}
			held |= 1 << p
		}
		all = append(all, n)
	}
	return all, held
}

// Servers that share a database know of each other, and tell it; what each does and how
// its way to the database is, it shows.
func TestNodes(t *testing.T) {
	t.Parallel()
	_, _, addr := receiver(t, inbox.Reply{})
	database := pgtest.Database(t)
	cfg := serve.Config{Settings: nodeSettings(t, database, keyring.NewKey()), Exempt: []netip.AddrPort{addr}}
	cfg.Settings.Lease, cfg.Settings.Renew = config.Duration(3*time.Second), config.Duration(100*time.Millisecond)
	cfg.Settings.Node = "one"
	first, a := start(t, cfg)
	if all, held := nodesOf(t, a); len(all) != 1 || held != ^uint64(0) || !all[0].Self || all[0].State != client.NodeActive ||
		!strings.HasPrefix(all[0].Name, "one-") || "http://"+all[0].Address != first.URL() || all[0].Version == "" || all[0].Schema == 0 {
		t.Fatalf("one server: %+v", all)
	}

	way, url, err := pgproxy.Before(database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { way.Close() })
	cfg.Settings.Store, cfg.Settings.Node, cfg.Settings.Data = url, "two", t.TempDir()
	second, b := start(t, cfg)
	await(t, "both to have their share", func() bool {
		all, held := nodesOf(t, b)
		return len(all) == 2 && bits.OnesCount64(held) == 64 && len(all[0].Partitions) == 32 && all[1].Self && !all[0].Self
	})
	ready := func(want string) func() bool {
		return func() bool {
			_, body := testaid.Get(t, second.URL()+"/readyz?verbose")
			return regexp.MustCompile(want).MatchString(body)
		}
	}
	await(t, "readiness", ready(`(?m)\Aready\n(.*\n)*store ok: postgresql (.*\n)*dispatch ok: deliveries of 32 of 64 partitions are sent, the lease was renewed \d+`))
	for _, want := range []string{
		`grapnel_partitions 32`, `grapnel_partition_changes_total{change="gained"} 32`, `grapnel_partition_changes_total{change="lost"} 0`,
		`grapnel_lease_renewal_age_seconds 0\.`, `grapnel_db_round_trips_total{purpose="lease"} [1-9]`, `grapnel_db_round_trips_total{purpose="arrivals"} [1-9]`,
		`grapnel_db_round_trips_total{purpose="inbox"} [1-9]`, `grapnel_db_connections_max 16`, `grapnel_inbox_waiting 0`, `grapnel_inbox_events_total{result="moved"} 0`,
	} {
		line := regexp.MustCompile(`(?m)^` + strings.NewReplacer("{", `\{`, "}", `\}`).Replace(want))
		await(t, want+" in the metrics", func() bool {
			_, metrics := testaid.Get(t, second.URL()+"/metrics")
			return line.MatchString(metrics)
		})
	}

	// One that loses its way to the database says since when, and comes back by itself:
	// others have taken over meanwhile (cases 26, 35).
	way.Hold(pgproxy.Both)
	await(t, "the reason why it is not ready", ready(`(?m)\Anot ready\n(.*\n)*store failed: cannot write: the database cannot be reached since \d{4}-\S+Z\n(.*\n)*dispatch failed: there is no lease since \d{4}-\S+Z`))
	await(t, "the other server to take over", func() bool {
		all, held := nodesOf(t, a)
		return held == ^uint64(0) && len(all) == 2 && all[1].State == client.NodeGone && len(all[1].Partitions) == 0
	})
	way.Release()
	way.Drop()
	await(t, "readiness again", ready(`(?m)\Aready\n(.*\n)*dispatch ok: deliveries of 32`))
	if _, metrics := testaid.Get(t, second.URL()+"/metrics"); !strings.Contains(metrics, `grapnel_partition_changes_total{change="lost"} 32`) {
		t.Error("what others took over is not counted")
	}
}
