package main

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"

	"grapnel/internal/serve/offline"
	"grapnel/internal/store"
)

// slowTrip is what a question to the database may take: a publish waits for one, and a
// renewal of the lease.
const slowTrip = 20 * time.Millisecond

// checkDatabase looks at the database that servers share, as --store names it.
func (d *doctor) checkDatabase() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*d.timeout)
	defer cancel()
	f, err := offline.ExamineDatabase(ctx, d.settings.Store)
	if err != nil {
		d.add("database", checkFailed, databaseRemedy, "%s: %s", d.settings.ShownStore(), plain(err.Error()))
		return
	}
	if text := fmt.Sprintf("PostgreSQL %s, database %s, role %s; a question takes %s", f.Version, f.Name, f.Role, span(f.Trip)); f.Trip > slowTrip {
		d.add("database", checkWarning, "bring servers and database closer together: each group of publishes waits for at least one question", "%s", text)
	} else {
		d.add("database", checkOK, "", "%s", text)
	}
	d.checkFitness(f)
	d.checkDatabaseClock(f)
	d.checkSchema(f)
	d.checkConnections(f)
	d.checkHearing(f)
	d.checkServers(f)
	d.checkDatabaseKeys(ctx, f)
	for _, w := range f.Warnings {
		d.add("database", checkWarning, "", "%s", w)
	}
}

// checkFitness says whether a server starts on the database, and whether that lasts.
func (d *doctor) checkFitness(f *offline.Facts) {
	switch {
	case f.Unfit != nil:
		d.add("database settings", checkFailed, "a server refuses to start on it", "%s", f.Unfit)
	case f.Standby:
		d.add("database settings", checkFailed, "name all hosts in the URL, with target_session_attrs=read-write, and servers follow the primary", "it takes no writes: it is a standby, or read-only")
	default:
		d.add("database settings", checkOK, "", "%s", f.Durability)
	}
	if !f.Autovacuum {
		d.add("autovacuum", checkFailed, "set autovacuum to on: without it tables grow, and the database stops in the end", "it is off")
	} else {
		d.add("autovacuum", checkOK, "", "it is on")
	}
	if !f.Owner {
		d.add("rights", checkFailed, "let the role own the schema grapnel, or the database: servers make and drop partitions of their tables", "role %s may not change the schema", f.Role)
	} else {
		d.add("rights", checkOK, "", "role %s may make and change the schema", f.Role)
	}
}

// checkDatabaseClock compares this clock with the database's, by which leases are held
// and events that are published in it are dated.
func (d *doctor) checkDatabaseClock(f *offline.Facts) {
	const hint = "let both machines keep time with NTP: leases go by the database's clock alone, but events are dated by the servers' and by the database's"
	switch skew := f.Skew.Abs(); {
	case skew > skewFailure:
		d.add("database clock", checkFailed, hint, "it is %s from this machine's", span(skew))
	case skew > skewWarning:
		d.add("database clock", checkWarning, hint, "it is %s from this machine's", span(skew))
	default:
		d.add("database clock", checkOK, "", "the database and this machine agree to %s", span(max(skew, f.Trip/2, time.Millisecond)))
	}
}

func (d *doctor) checkSchema(f *offline.Facts) {
	switch {
	case f.Newer != nil:
		d.add("schema", checkFailed, "use the program that the other servers run", "%s", f.Newer)
	case f.Schema == 0:
		d.add("schema", checkOK, "", "there is none yet: the first start makes it")
	case f.Schema < f.Current:
		d.add("schema", checkWarning, "back the database up first; grapnel db migrate status shows what will be done", "it has version %d: a server of this program brings it to %d when it starts", f.Schema, f.Current)
	case f.Schema > f.Current:
		d.add("schema", checkOK, "", "it has version %d, of a later program; this one, which knows %d, works with it", f.Schema, f.Current)
	default:
		d.add("schema", checkOK, "", "it has version %d, as this program", f.Schema)
	}
}

// alive are the servers whose lease is not over.
func alive(f *offline.Facts) []store.Node {
	return slices.DeleteFunc(slices.Clone(f.Nodes), func(n store.Node) bool { return n.Over })
}

// checkConnections compares what all servers may use with what the database has.
func (d *doctor) checkConnections(f *offline.Facts) {
	servers := max(1, len(alive(f)))
	const hint = "raise max_connections, give each server fewer with pool_max_conns in the URL, or put a pooler between"
	text := fmt.Sprintf("servers: %d, each with up to %d connections; the database has %d for all", servers, f.OwnConns, f.MaxConns)
	switch {
	case f.OwnConns > f.MaxConns:
		d.add("connections", checkFailed, hint, "%s", text)
	case servers*f.OwnConns > f.MaxConns:
		d.add("connections", checkWarning, hint, "%s", text)
	default:
		d.add("connections", checkOK, "", "%s", text)
	}
}

func (d *doctor) checkHearing(f *offline.Facts) {
	if f.Heard {
		d.add("notifications", checkOK, "", "they arrive: servers hear at once what others change")
		return
	}
	d.add("notifications", checkWarning, "connect without the pooler if that is too late", "they do not arrive, as behind a pooler that shares out transactions: all works, and servers find what others change by looking, up to a second later")
}

// checkServers says who is there, and whether all partitions are somebody's.
func (d *doctor) checkServers(f *offline.Facts) {
	all := alive(f)
	var held uint64
	versions := map[string]bool{}
	for i := range all {
		held |= all[i].Partitions
		versions[all[i].Version] = true
	}
	switch n := bits.OnesCount64(held); {
	case len(all) == 0:
		d.add("servers", checkSkipped, "", "none runs on this database")
	case n < store.Partitions:
		d.add("servers", checkWarning, "grapnel nodes shows who holds what; within a lease all should be held", "%d run, and hold %d of %d partitions", len(all), n, store.Partitions)
	case len(versions) > 1:
		names := make([]string, 0, len(versions))
		for v := range versions {
			names = append(names, v)
		}
		slices.Sort(names)
		d.add("servers", checkWarning, "finish the upgrade: see docs/postgresql.md", "%d run, of different versions: %s", len(all), strings.Join(names, ", "))
	default:
		d.add("servers", checkOK, "", "%d run, and hold all partitions; the lease is %s here, renewed every %s", len(all), d.settings.Lease, d.settings.Renew)
	}
}
