package postgres_test

import (
	"flag"
	"fmt"
	"math"
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
)

var startRows = flag.Int64("start.rows", 200_000, "pending deliveries that BenchmarkLanes begins with")

// BenchmarkLanes lists the lanes of a store with many pending deliveries of ten thousand
// endpoints, as a server does when it starts. Five million:
//
//	go test ./internal/store/postgres -run '^$' -bench Lanes -benchtime 1x -start.rows 5000000
func BenchmarkLanes(b *testing.B) {
	const lanes = 10_000
	c := pgtest.Start(b, pgtest.Options{Settings: []string{"shared_buffers=256MB", "max_wal_size=4GB"}})
	url := c.Database(b)
	st := openAt(b, postgres.Options{URL: url})
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	from := hook.FirstEventID(day).Seq()
	for _, sql := range []string{
		fmt.Sprintf(`SELECT grapnel.cut1(ARRAY[%d]::bigint[], %d)`, from, hook.FirstEventID(time.Unix(86400, 0)).Seq()),
		fmt.Sprintf(`INSERT INTO grapnel.deliveries (event, endpoint, tenant, first_at, next_at, attempts, base, state, manual, reason)
			SELECT %d + i / %d, 1 + i %% %d, 1, 1, 1 + i %% 977, 1, 0, 1, false, '' FROM generate_series(0::bigint, %d - 1) AS i`, from, lanes, lanes, *startRows),
		fmt.Sprintf(`INSERT INTO grapnel.floors (partition, seq, tail) SELECT p, %d, 0 FROM generate_series(0, 63) AS p`, hook.FirstEventID(day.AddDate(0, 0, 1)).Seq()),
		`ANALYZE grapnel.deliveries`,
	} {
		run(b, url, sql)
	}
	lease, err := st.Acquire(b.Context(), "bench")
	if err != nil {
		b.Fatal(err)
	}
	for _, how := range []struct {
		name    string
		exactly int64
	}{{"AllCounted", math.MaxInt64}, {"Estimated", 0}} {
		b.Run(how.name, func(b *testing.B) {
			st.SetPendingExactly(how.exactly)
			waiting := int64(0)
			for b.Loop() {
				got, err := st.Lanes(b.Context(), lease)
				if err != nil || len(got) != lanes {
					b.Fatalf("%d lanes, %v", len(got), err)
				}
				waiting = 0
				for _, l := range got {
					waiting += l.Waiting
				}
			}
			b.ReportMetric(float64(waiting), "waiting")
		})
	}
}
