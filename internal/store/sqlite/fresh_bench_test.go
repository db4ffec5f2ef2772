//go:build unix

package sqlite_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/sqlite"
)

// BenchmarkFresh reads pages of 1 KiB events that wait, lanes in turns as pagers
// do: an operation is a delivery.
func BenchmarkFresh(b *testing.B) {
	for _, lanes := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("lanes=%d", lanes), func(b *testing.B) { benchFresh(b, lanes, 1) })
	}
	b.Run("fan-out=10", func(b *testing.B) { benchFresh(b, 10, 10) })
}

func benchFresh(b *testing.B, lanes, targets int) {
	const events, size = 100_000, 1024
	st := benchStore(b, sqlite.Options{SegmentEvents: 25_000})
	benchFill(b, st, events, lanes, targets, size)
	queue := make([]store.FreshQuery, lanes)
	for i := range queue {
		queue[i] = store.FreshQuery{Endpoint: hook.EndpointNum(i + 1), From: hook.FirstEventID(time.Unix(1_800_000_000, 0)), Limit: 256}
	}
	again := append([]store.FreshQuery{}, queue...)
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime(b)
	n := 0
	for n < b.N {
		if len(queue) == 0 {
			queue = append(queue, again...)
		}
		q := queue[0]
		queue = queue[1:]
		p, err := st.Fresh(b.Context(), q)
		if err != nil {
			b.Fatal(err)
		}
		n += len(p.Work)
		if q.From = p.Next; !p.Next.IsZero() {
			queue = append(queue, q)
		}
	}
	b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/1000/float64(n), "cpu-µs/delivery")
}

// BenchmarkLanes lists the lanes of a folder all of which are behind, as at start.
func BenchmarkLanes(b *testing.B) {
	for _, lanes := range []int{100, 10_000} {
		b.Run(fmt.Sprint(lanes), func(b *testing.B) {
			st := benchStore(b, sqlite.Options{SegmentEvents: 25_000})
			benchFill(b, st, 200_000, lanes, 1, 100)
			lease, err := st.Acquire(b.Context(), "b")
			if err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			cpu := cpuTime(b)
			for range b.N {
				got, err := st.Lanes(b.Context(), lease)
				if err != nil || len(got) != lanes {
					b.Fatal(len(got), err)
				}
			}
			b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
}

func benchStore(b *testing.B, opts sqlite.Options) *sqlite.Store {
	opts.Dir = b.TempDir()
	st, err := sqlite.Open(b.Context(), opts)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { st.Close() })
	return st
}

// benchFill stores events for lanes in turns, each for a number of them, and
// leaves marks of all lanes.
func benchFill(b *testing.B, st *sqlite.Store, events, lanes, targets, size int) {
	now := time.Unix(1_800_000_000, 0)
	data := bytes.Repeat([]byte("x"), size)
	p := store.Progress{}
	last := int64(0)
	for n := 0; n < events; {
		var batch []*hook.Event
		for ; len(batch) < 1000; n++ {
			now = now.Add(50 * time.Microsecond)
			id := hook.NextEventID(last, now, uint64(n))
			last = id.Seq()
			e := &hook.Event{ID: id, Tenant: 1, Type: "invoice.paid", Time: now, Data: data, Revision: 1}
			for t := range targets {
				e.Targets = append(e.Targets, hook.Target{Endpoint: hook.EndpointNum(1 + n%(lanes/targets)*targets + t)})
			}
			batch = append(batch, e)
			if n < lanes {
				p.Behind = append(p.Behind, store.LaneMark{Endpoint: hook.EndpointNum(n + 1), From: id})
			}
		}
		if err := st.Append(b.Context(), &store.Batch{Events: batch}); err != nil {
			b.Fatal(err)
		}
	}
	lease, err := st.Acquire(b.Context(), "b")
	if err != nil {
		b.Fatal(err)
	}
	p.Floor = hook.EventIDFrom(last+1, 0)
	if err := st.Checkpoint(b.Context(), lease, p); err != nil {
		b.Fatal(err)
	}
	if err := st.Maintain(b.Context()); err != nil {
		b.Fatal(err)
	}
}
