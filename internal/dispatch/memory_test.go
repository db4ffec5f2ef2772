package dispatch_test

import (
	"context"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/hook"
)

// parked is a network in which requests wait until they are let go.
type parked struct {
	came chan struct{}
	end  chan struct{}
}

func (p *parked) Do(context.Context, *egress.Request) *egress.Result {
	p.came <- struct{}{}
	<-p.end
	return &egress.Result{At: time.Now(), Status: 204, Proto: "HTTP/1.1"}
}

// BenchmarkInFlight is what an attempt that is running holds in memory, with its
// delivery, its worker and its part of a lane, beside the network's part.
func BenchmarkInFlight(b *testing.B) {
	const endpoints, attempts = 2000, 10_000
	w := newWorld(b, endpoints)
	for b.Loop() {
		net := &parked{came: make(chan struct{}), end: make(chan struct{})}
		v := &void{done: make(chan struct{}), goal: attempts}
		d, err := dispatch.New(dispatch.Config{
			Queue: v, Lease: w.queue.restart(), Directory: w.book, Dialects: registry(b), Egress: net, Ring: w.ring,
			Manager: w, Logger: slog.New(slog.DiscardHandler), Memory: 1 << 40, MaxInFlight: 2 * attempts,
		})
		if err != nil {
			b.Fatal(err)
		}
		if err := d.Start(b.Context()); err != nil {
			b.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for n := range attempts {
			d.Offer([]*hook.Event{{
				ID: hook.EventIDFrom(1<<40+int64(n), 1), Tenant: 1, Type: "a.b", Data: make([]byte, 1000),
				Targets: []hook.Target{{Endpoint: hook.EndpointNum(n%endpoints + 1)}},
			}})
		}
		for range attempts {
			<-net.came
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapInuse-before.HeapInuse)/attempts, "heap-B/attempt")
		b.ReportMetric(float64(after.StackInuse-before.StackInuse)/attempts, "stack-B/attempt")
		close(net.end)
		<-v.done
		if err := d.Stop(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
