//go:build unix

package sqlite_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/sqlite"
)

// BenchmarkAppendRecord stores 1 KiB events and one outcome of each, in batches
// as the committer makes them: while a batch is appended, the outcomes of the one
// before are recorded.
func BenchmarkAppendRecord(b *testing.B) {
	for _, batch := range []int{64, 256} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) { appendRecord(b, batch, sqlite.Options{}) })
	}
	b.Run("256/compressed", func(b *testing.B) { appendRecord(b, 256, sqlite.Options{Compress: true}) })
	b.Run("256/segments of 20000", func(b *testing.B) { appendRecord(b, 256, sqlite.Options{SegmentEvents: 20_000}) })
}

func appendRecord(b *testing.B, batch int, opts sqlite.Options) {
	opts.Dir = b.TempDir()
	st, err := sqlite.Open(b.Context(), opts)
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	lease, err := st.Acquire(b.Context(), "b")
	if err != nil {
		b.Fatal(err)
	}
	gen := newGenerator()
	gen.data = order(1)
	var waits []time.Duration
	var before []*hook.Event
	b.ResetTimer()
	cpu := cpuTime(b)
	for n := 0; n < b.N; n += batch {
		events := gen.batch(batch)
		outcomes := gen.outcomes(before)
		done := make(chan error, 1)
		began := time.Now()
		go func() { done <- st.Record(b.Context(), lease, outcomes) }()
		err := st.Append(b.Context(), &store.Batch{Events: events})
		waits = append(waits, time.Since(began))
		if err == nil {
			err = <-done
		}
		if err != nil {
			b.Fatal(err)
		}
		before = events
	}
	b.StopTimer()
	cpu = cpuTime(b) - cpu
	slices.Sort(waits)
	stats, err := st.Stats(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N), "µs/event")
	b.ReportMetric(float64(cpu.Microseconds())/float64(b.N), "cpu-µs/event")
	b.ReportMetric(float64(stats.Bytes)/float64(stats.Events), "B/event")
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(waits[len(waits)-1].Microseconds())/1000, "max-ms")
}

// BenchmarkDisk stores 200,000 delivered events of a kilobyte in batches of 250 and
// tells what each takes on the disk in the end, and how much was written for it.
func BenchmarkDisk(b *testing.B) {
	const n = 200_000
	for _, compress := range []bool{false, true} {
		b.Run(fmt.Sprintf("compressed=%t", compress), func(b *testing.B) {
			for b.Loop() {
				dir := b.TempDir()
				st, err := sqlite.Open(b.Context(), sqlite.Options{Dir: dir, SegmentEvents: n / 4, Compress: compress})
				if err != nil {
					b.Fatal(err)
				}
				before, cpu := written(b), cpuTime(b)
				deliverMany(b, st, n)
				if err := st.Close(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(folderSize(b, dir))/n, "disk-B/event")
				b.ReportMetric(float64(written(b)-before)/n, "written-B/event")
				b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/n, "cpu-µs/event")
			}
		})
	}
}

// written is how much the process has written to disks so far, as Linux counts it.
func written(b *testing.B) (n int64) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		b.Skip(err)
	}
	_, rest, _ := strings.Cut(string(text), "\nwrite_bytes: ")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		b.Fatal(err)
	}
	return n
}

// cpuTime is the process's own time so far, the generator's included: about 2 µs
// of an event.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
