package postgres_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
)

// BenchmarkAppend stores groups of events of 1 KiB with one target on a server that
// syncs, and BenchmarkDeliver records each as delivered besides.
func BenchmarkAppend(b *testing.B) {
	for _, mode := range []string{"cache_describe", "exec", "cache_statement"} { // as behind a pooler, and as without one
		for _, group := range []int{1, 64, 500} {
			b.Run(fmt.Sprintf("%s/GroupsOf%d", mode, group), func(b *testing.B) { appendGroups(b, mode, group, false) })
		}
	}
}

func BenchmarkDeliver(b *testing.B) {
	for _, group := range []int{64, 500} {
		b.Run(fmt.Sprintf("GroupsOf%d", group), func(b *testing.B) { appendGroups(b, "cache_describe", group, true) })
	}
}

func appendGroups(b *testing.B, mode string, group int, deliver bool) {
	c := pgtest.Start(b, pgtest.Options{Durable: true, Settings: []string{"shared_buffers=256MB", "max_wal_size=4GB"}})
	st, err := postgres.Open(b.Context(), postgres.Options{URL: c.Database(b) + "&default_query_exec_mode=" + mode})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	lease, err := st.Acquire(b.Context(), "bench")
	if err != nil {
		b.Fatal(err)
	}
	data := append(bytes.Repeat([]byte(`{"a":12},`), 1024/9), "{}"...)
	last, n := int64(0), 0
	for b.Loop() {
		batch := &store.Batch{Revision: 1}
		var outs []*store.Outcome
		for range group {
			id := hook.NextEventID(last, time.Now(), uint64(n)*0x9e3779b97f4a7c15)
			e := &hook.Event{ID: id, Tenant: 1, Type: "order.paid", Time: id.Time(), Data: data, Targets: []hook.Target{{Endpoint: hook.EndpointNum(1 + n%100)}}}
			batch.Events = append(batch.Events, e)
			last, n = id.Seq(), n+1
		}
		if err := st.Append(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		if !deliver {
			continue
		}
		for _, e := range batch.Events {
			k := hook.DeliveryKey{Event: e.ID, Endpoint: e.Targets[0].Endpoint}
			a := &hook.Attempt{Key: k, N: 1, At: time.Now(), Method: "POST", URL: "https://example.com/hook", Status: 200, Proto: "HTTP/1.1", State: hook.Delivered}
			outs = append(outs, &store.Outcome{Key: k, Attempt: a, At: a.At, State: hook.Delivered})
		}
		if err := st.Record(b.Context(), lease, outs); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkArrived stores groups of events as BenchmarkAppend does, and reads what arrived,
// as a node that holds all partitions does: arrived-share is what of the time that is.
func BenchmarkArrived(b *testing.B) {
	for _, group := range []int{1, 64, 500} {
		b.Run(fmt.Sprintf("GroupsOf%d", group), func(b *testing.B) {
			c := pgtest.Start(b, pgtest.Options{Durable: true, Settings: []string{"shared_buffers=256MB", "max_wal_size=4GB"}})
			st := openAt(b, postgres.Options{URL: c.Database(b)})
			data := append(bytes.Repeat([]byte(`{"a":12},`), 1024/9), "{}"...)
			var seen hook.EventID
			var reading time.Duration
			last, n := int64(0), 0
			for b.Loop() {
				batch := &store.Batch{Revision: 1}
				for range group {
					id := hook.NextEventID(last, time.Now(), uint64(n))
					batch.Events = append(batch.Events, &hook.Event{ID: id, Tenant: 1, Type: "order.paid", Time: id.Time(), Data: data, Targets: []hook.Target{{Endpoint: hook.EndpointNum(1 + n%100)}}})
					last, n = id.Seq(), n+1
				}
				if err := st.Append(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
				begun := time.Now()
				a, err := st.Arrived(b.Context(), store.Lease{Partitions: ^uint64(0)}, seen, 1000)
				if err != nil || len(a.Events) != group {
					b.Fatalf("%d events arrived, %v", len(a.Events), err)
				}
				reading += time.Since(begun)
				seen = a.Seen
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(reading.Seconds()/b.Elapsed().Seconds(), "arrived-share")
		})
	}
}
