package postgres_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
	"grapnel/internal/store/sqlite"
)

// BenchmarkImport moves 200,000 events of 1 KiB with a delivery each, of which one in
// ten waits for its next attempt, and one in ten events has a key.
func BenchmarkImport(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		const events = 200_000
		dir := b.TempDir()
		largeFolder(b, dir, events)
		url := pgtest.Database(b)
		from, err := sqlite.OpenSource(b.Context(), dir)
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		most, end := watchHeap()
		b.StartTimer()
		began := time.Now()
		copied := time.Duration(0)
		done, err := postgres.Import(b.Context(), postgres.Options{URL: url, Conns: 2}, from, postgres.ImportOptions{Verify: true, Progress: func(step postgres.ImportStep, _ int64) {
			if step == postgres.ImportCompares && copied == 0 {
				copied = time.Since(began)
			}
		}})
		if err != nil || done.Events != events {
			b.Fatalf("%+v, %v", done, err)
		}
		end()
		b.ReportMetric(events/copied.Seconds(), "copied/s")
		b.ReportMetric(events/(time.Since(began)-copied).Seconds(), "compared/s")
		b.ReportMetric(float64(most.Load())/(1<<20), "MiB")
		from.Close()
	}
}

// watchHeap looks how large the heap gets.
func watchHeap() (most *atomic.Uint64, end func()) {
	most = &atomic.Uint64{}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), m.HeapAlloc))
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return most, func() { close(stop); <-done }
}

// largeFolder fills a folder.
func largeFolder(b *testing.B, dir string, events int) {
	st, err := sqlite.Open(b.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	lease, err := st.Acquire(b.Context(), "bench")
	if err != nil {
		b.Fatal(err)
	}
	data, now, last := []byte(`{"text":"`+strings.Repeat("x", 1000)+`"}`), time.Now().Add(-time.Hour), int64(0)
	for at := 0; at < events; at += 1000 {
		batch, outcomes := &store.Batch{Revision: 1}, []*store.Outcome{}
		for i := at; i < at+1000; i++ {
			e := &hook.Event{ID: hook.NextEventID(last, now, uint64(i)), Tenant: 1, Type: "thing.made", Time: now, Data: data, Targets: []hook.Target{{Endpoint: hook.EndpointNum(1 + i%100)}}}
			last = e.ID.Seq()
			if i%10 == 0 {
				e.Key = fmt.Sprint("key", i)
			}
			batch.Events = append(batch.Events, e)
			outcomes = append(outcomes, sent(e, now, i%10 == 5))
		}
		if err := st.Append(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		if err := st.Record(context.WithoutCancel(b.Context()), lease, outcomes); err != nil {
			b.Fatal(err)
		}
	}
}

// sent is the outcome of a first attempt.
func sent(e *hook.Event, now time.Time, fails bool) *store.Outcome {
	k := hook.DeliveryKey{Event: e.ID, Endpoint: e.Targets[0].Endpoint}
	o := &store.Outcome{Key: k, At: now, FirstAt: now, State: hook.Delivered, Attempt: &hook.Attempt{
		Key: k, N: 1, At: now, Method: "POST", URL: "https://example.com/hook", RequestHeader: []byte("content-type: application/json\r\n"),
		Status: 204, Proto: "HTTP/1.1", RemoteAddr: "192.0.2.1:443", State: hook.Delivered,
	}}
	if fails {
		o.State, o.NextAt, o.Body = hook.Pending, now.Add(time.Minute), e.Data
		o.Attempt.State, o.Attempt.Status = hook.Pending, 503
	}
	return o
}
