//go:build unix

package sqlite_test

import (
	"sync/atomic"
	"testing"
	"time"

	"grapnel/internal/store"
	"grapnel/internal/store/sqlite"
)

// BenchmarkPrune appends and records batches of 64 events to a log of 200,000 in
// segments of 25,000 and tells how long appends take, at most and in the 99th
// percentile: first with nothing removed, then while each segment beyond the size
// of the log is removed as soon as it is sealed.
func BenchmarkPrune(b *testing.B) {
	dir := b.TempDir()
	st, err := sqlite.Open(b.Context(), sqlite.Options{Dir: dir, SegmentEvents: 25_000})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	lease, err := st.Acquire(b.Context(), "b")
	if err != nil {
		b.Fatal(err)
	}
	gen := newGenerator()
	step := func(n int) time.Duration {
		events := gen.batch(n)
		began := time.Now()
		if err := st.Append(b.Context(), &store.Batch{Events: events}); err != nil {
			b.Fatal(err)
		}
		took := time.Since(began)
		if err := st.Record(b.Context(), lease, gen.outcomes(events)); err != nil {
			b.Fatal(err)
		}
		if err := st.Checkpoint(b.Context(), lease, store.Progress{Floor: events[0].ID}); err != nil {
			b.Fatal(err)
		}
		return took
	}
	for range 200_000 / 500 {
		step(500)
	}
	if err := st.Maintain(b.Context()); err != nil {
		b.Fatal(err)
	}
	limit := folderSize(b, dir)
	run := func(what string) {
		var took []time.Duration
		for range 100_000 / 64 {
			took = append(took, step(64))
		}
		b.ReportMetric(float64(p99(took).Microseconds())/1e3, "p99-ms-"+what)
		b.ReportMetric(float64(took[len(took)-1].Microseconds())/1e3, "max-ms-"+what)
	}
	for b.Loop() {
		run("without")
		var over atomic.Bool
		done := make(chan int)
		go func() {
			units := 0
			for !over.Load() {
				p, err := st.Prune(b.Context(), store.PruneQuery{Bytes: limit})
				if err != nil {
					b.Error(err)
				}
				units += p.Units
				time.Sleep(100 * time.Millisecond)
			}
			done <- units
		}()
		run("pruning")
		over.Store(true)
		b.ReportMetric(float64(<-done), "removed")
	}
}
