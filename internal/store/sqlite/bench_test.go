//go:build unix

package sqlite_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
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
	gen := &generator{now: time.Unix(1_800_000_000, 0), random: rand.New(rand.NewPCG(1, 2)), data: bytes.Repeat([]byte("0123456789abcdef"), 64)}
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

// cpuTime is the process's own time so far, the generator's included: about 2 µs
// of an event.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// generator makes events of many tenants and endpoints, and their outcomes.
type generator struct {
	now    time.Time
	seq    int64
	random *rand.Rand
	data   []byte
}

func (g *generator) batch(n int) []*hook.Event {
	out := make([]*hook.Event, n)
	for i := range out {
		g.now = g.now.Add(50 * time.Microsecond)
		id := hook.NextEventID(g.seq, g.now, g.random.Uint64())
		g.seq = id.Seq()
		endpoint := hook.EndpointNum(1 + g.random.IntN(10_000))
		out[i] = &hook.Event{
			ID: id, Tenant: hook.TenantNum(endpoint / 10), Type: "invoice.paid", Time: g.now, Data: g.data, Key: fmt.Sprint("order-", g.seq),
			Targets: []hook.Target{{Endpoint: endpoint}}, Revision: 1,
		}
	}
	return out
}

func (g *generator) outcomes(events []*hook.Event) []*store.Outcome {
	out := make([]*store.Outcome, len(events))
	for i, e := range events {
		k := hook.DeliveryKey{Event: e.ID, Endpoint: e.Targets[0].Endpoint}
		out[i] = &store.Outcome{Key: k, At: g.now, State: hook.Delivered, FirstAt: g.now, Attempt: &hook.Attempt{
			Key: k, N: 1, At: g.now, Method: "POST", URL: "https://customer.example.com/webhooks/in", BodySize: 1100, Status: 200, Proto: "HTTP/1.1",
			RequestHeader:  []byte("content-type: application/json\r\nuser-agent: Grapnel/1\r\nwebhook-id: 01890a5d-ac96-774b-bcce-b302099a8057\r\nwebhook-timestamp: 1800000000\r\nwebhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=\r\n"),
			ResponseHeader: []byte("date: Sun, 22 Nov 2026 06:00:00 GMT\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n"), ResponseBody: []byte("ok"),
			RemoteAddr: "192.0.2.1:443", TLSVersion: "TLS 1.3", Reused: true, Timing: hook.Timing{Wait: 5 * time.Millisecond, Total: 6 * time.Millisecond}, State: hook.Delivered,
		}}
	}
	g.random.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}
