package postgres_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
)

var retentionRows = flag.Int64("retention.rows", 200_000, "events in the unit that BenchmarkRetention removes")

// BenchmarkRetention removes a unit of many delivered events from a server that syncs,
// while a hundred events a second are published, and tells how long these took at worst
// and at the 99th percentile, before and meanwhile. Five million:
//
//	go test ./internal/store/postgres -run '^$' -bench Retention -benchtime 1x -retention.rows 5000000
func BenchmarkRetention(b *testing.B) {
	for b.Loop() {
		retention(b)
	}
}

func retention(b *testing.B) {
	c := pgtest.Start(b, pgtest.Options{Durable: true, Settings: []string{"shared_buffers=256MB", "max_wal_size=4GB"}})
	url := c.Database(b)
	st := openAt(b, postgres.Options{URL: url})
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	seedUnit(b, st, url, day)

	last := int64(0)
	publish := func(ctx context.Context) (took []time.Duration) {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ; ctx.Err() == nil; <-tick.C {
			e := event(hook.NextEventID(last, time.Now(), 1).Seq())
			last = e.ID.Seq()
			begun := time.Now()
			if err := st.Append(b.Context(), &store.Batch{Revision: 1, Events: []*hook.Event{e}}); err != nil {
				b.Error(err)
				return took
			}
			took = append(took, time.Since(begun))
		}
		return took
	}
	quiet, end := context.WithTimeout(b.Context(), 10*time.Second)
	before := publish(quiet)
	end()

	var pruned time.Duration
	busy, end := context.WithCancel(b.Context())
	go func() {
		defer end()
		begun := time.Now()
		p, err := st.Prune(b.Context(), store.PruneQuery{Before: day.AddDate(0, 0, 1)})
		pruned = time.Since(begun)
		if err != nil || p.Events != *retentionRows {
			b.Errorf("pruned %+v, %v", p, err)
		}
		// What the server does afterwards counts too.
		select {
		case <-time.After(10 * time.Second):
		case <-b.Context().Done():
		}
	}()
	meanwhile := publish(busy)
	<-busy.Done()
	b.ReportMetric(pruned.Seconds()*1e3, "prune-ms")
	report(b, "before", before)
	report(b, "meanwhile", meanwhile)
}

func report(b *testing.B, when string, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1e3, "p99-ms-"+when)
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1e3, "max-ms-"+when)
}

// seedUnit fills the unit of a day with delivered events.
func seedUnit(b *testing.B, st *postgres.Store, url string, day time.Time) {
	b.Helper()
	from := hook.FirstEventID(day).Seq()
	step := (hook.FirstEventID(day.AddDate(0, 0, 1)).Seq() - from) / *retentionRows
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context())
	for _, sql := range []string{
		fmt.Sprintf(`SELECT grapnel.cut1(ARRAY[%d]::bigint[], %d)`, from, hook.FirstEventID(time.Unix(86400, 0)).Seq()),
		fmt.Sprintf(`INSERT INTO grapnel.events (seq, tail, tenant, number, parts, time, revision, type, targets, data)
			SELECT %d + i * %d, i, 1 + i %% 100, i, 1, i, 1, 'order.paid', '\x0102', convert_to(repeat('x', 200), 'UTF8') FROM generate_series(0::bigint, %d - 1) AS i`, from, step, *retentionRows),
		fmt.Sprintf(`INSERT INTO grapnel.attempts (event, endpoint, n, at, state, status, class, detail)
			SELECT %d + i * %d, 1 + i %% 100, 1, i, 3, 200, '', convert_to(repeat('y', 100), 'UTF8') FROM generate_series(0::bigint, %d - 1) AS i`, from, step, *retentionRows),
		fmt.Sprintf(`UPDATE grapnel.head SET last = %d, events = %d`, hook.FirstEventID(day.AddDate(0, 0, 1)).Seq(), *retentionRows),
		fmt.Sprintf(`INSERT INTO grapnel.floors (partition, seq, tail) SELECT p, %d, 0 FROM generate_series(0, 63) AS p`, hook.FirstEventID(day.AddDate(0, 0, 1)).Seq()),
		`VACUUM ANALYZE`,
	} {
		if _, err := conn.Exec(b.Context(), sql); err != nil {
			b.Fatalf("%s: %v", sql, err)
		}
	}
	if err := st.Keep(b.Context(), time.Now()); err != nil {
		b.Fatal(err)
	}
}
