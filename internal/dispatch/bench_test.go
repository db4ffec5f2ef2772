package dispatch_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// void is a queue that takes everything at once.
type void struct {
	store.Queue
	recorded atomic.Int64
	batches  atomic.Int64
	done     chan struct{} // gets a value when recorded reaches goal
	goal     int64
}

func (*void) Lanes(context.Context, store.Lease) ([]store.Lane, error)         { return nil, nil }
func (*void) Checkpoint(context.Context, store.Lease, store.Progress) error    { return nil }
func (*void) Fresh(context.Context, store.FreshQuery) (store.FreshPage, error) { panic("no room") }
func (v *void) Record(_ context.Context, _ store.Lease, o []*store.Outcome) error {
	v.batches.Add(1)
	if v.recorded.Add(int64(len(o))) == v.goal {
		close(v.done)
	}
	return nil
}

// direct is a network without wires.
type direct struct{}

func (direct) Do(context.Context, *egress.Request) *egress.Result {
	return &egress.Result{At: time.Now(), Status: 204, Proto: "HTTP/1.1", Timing: hook.Timing{Total: time.Millisecond}}
}

// BenchmarkDelivery is what a delivery costs from Offer to its record, beside
// the network and the store.
func BenchmarkDelivery(b *testing.B) {
	for _, endpoints := range []int{1, 100} {
		b.Run(fmt.Sprintf("endpoints=%d", endpoints), func(b *testing.B) {
			w := newWorld(b, endpoints)
			v := &void{done: make(chan struct{}), goal: int64(b.N)}
			d, err := dispatch.New(dispatch.Config{
				Queue: v, Lease: w.queue.restart(), Directory: w.book, Dialects: registry(b), Egress: direct{}, Ring: w.ring,
				Manager: w, Logger: slog.New(slog.DiscardHandler), Memory: 1 << 40,
			})
			if err != nil {
				b.Fatal(err)
			}
			if err := d.Start(b.Context()); err != nil {
				b.Fatal(err)
			}
			data := []byte(`{"text":"` + strings.Repeat("x", 1000) + `"}`)
			targets := make([][]hook.Target, endpoints)
			for i := range targets {
				targets[i] = []hook.Target{{Endpoint: hook.EndpointNum(i + 1)}}
			}
			seq := int64(1 << 40)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; {
				batch := make([]*hook.Event, 0, 64)
				for range min(64, b.N-n) {
					seq++
					batch = append(batch, &hook.Event{ID: hook.EventIDFrom(seq, 1), Tenant: 1, Type: "a.b", Data: data, Targets: targets[n%endpoints]})
					n++
				}
				d.Offer(batch)
				for int64(n)-v.recorded.Load() > 2000 {
					time.Sleep(100 * time.Microsecond)
				}
			}
			<-v.done
			b.StopTimer()
			b.ReportMetric(float64(v.recorded.Load())/float64(v.batches.Load()), "outcomes/batch")
			if err := d.Stop(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
