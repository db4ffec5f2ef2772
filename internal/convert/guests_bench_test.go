package convert

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkHostileGuests runs a tenant's short program alone, and beside tenants who run
// endless ones as often as they can: how long the short one takes, in the middle and at
// the 99th of a hundred.
func BenchmarkHostileGuests(b *testing.B) {
	for _, hostile := range []int{0, 1, 20} {
		b.Run(fmt.Sprintf("hostile-%d", hostile), func(b *testing.B) {
			g, end := NewGuests(PoolConfig{})
			defer end()
			ctx, stop := context.WithCancel(b.Context())
			defer stop()
			var all sync.WaitGroup
			for i := range hostile {
				for range 4 {
					all.Go(func() {
						for ctx.Err() == nil {
							_, _ = g.Run(ctx, fmt.Sprint("hostile", i), "def f: f; f", []byte("1")) // it never works
						}
					})
				}
			}
			if hostile > 0 {
				time.Sleep(5 * time.Second) // until it is known who they are
			}
			data := []byte(`{"body":{"data":{"total":5}},"event":{"type":"invoice.paid"}}`)
			var took []time.Duration
			for b.Loop() {
				begun := time.Now()
				if _, err := g.Run(ctx, "good", ".body = {text: .event.type}", data); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(begun))
				time.Sleep(500 * time.Microsecond) // as events come, not as fast as they can
			}
			stop()
			all.Wait()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}
