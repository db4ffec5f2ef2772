//go:build unix

package sqlite_test

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"grapnel/internal/store"
	"grapnel/internal/store/sqlite"
)

// BenchmarkBackup fills a store with 200,000 events of 1 KiB in segments of
// 50,000 and tells how long appends of 16 events take, 99th percentile, before a
// backup and while one is made.
func BenchmarkBackup(b *testing.B) {
	st, err := sqlite.Open(b.Context(), sqlite.Options{Dir: b.TempDir(), SegmentEvents: 50_000})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	gen := newGenerator()
	for range 200_000 / 500 {
		if err := st.Append(b.Context(), &store.Batch{Events: gen.batch(500)}); err != nil {
			b.Fatal(err)
		}
	}
	if err := st.Maintain(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		before := appendUntil(b, st, gen, time.After(3*time.Second))
		done := make(chan time.Time, 1)
		began := time.Now()
		go func() {
			if _, err := st.Backup(context.WithoutCancel(b.Context()), io.Discard, store.BackupQuery{}); err != nil {
				b.Error(err)
			}
			done <- time.Now()
		}()
		during := appendUntil(b, st, gen, done)
		b.ReportMetric(time.Since(began).Seconds(), "s/backup")
		b.ReportMetric(float64(p99(before).Microseconds())/1e3, "p99-ms-before")
		b.ReportMetric(float64(p99(during).Microseconds())/1e3, "p99-ms-during")
	}
}

func appendUntil(b *testing.B, st *sqlite.Store, gen *generator, end <-chan time.Time) (took []time.Duration) {
	for {
		select {
		case <-end:
			return took
		default:
		}
		began := time.Now()
		if err := st.Append(b.Context(), &store.Batch{Events: gen.batch(16)}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
}

func p99(took []time.Duration) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}
