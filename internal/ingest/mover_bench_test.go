package ingest_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// BenchmarkMover measures how long a committed event takes into the log of a system that
// has nothing else to do.
func BenchmarkMover(b *testing.B) {
	url, conn := database(b)
	n := startNode(b, url)
	var took []time.Duration
	for b.Loop() {
		exec(b, conn, `SELECT grapnel.publish('acme', 'a.b', '1', id => $1)`, fmt.Sprint(len(took)))
		committed := time.Now()
		for len(n.keys()) <= len(took) {
			time.Sleep(time.Millisecond)
		}
		took = append(took, time.Since(committed))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
}
