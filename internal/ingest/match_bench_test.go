package ingest_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/ingest"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
)

var benchTenants = flag.Int("tenants", 10_000, "tenants of the matcher's benchmarks, with ten endpoints each")

// many is a configuration of many tenants, made piece by piece.
type many struct {
	store.Configurator
	tenants int
}

func (m *many) LoadConfiguration(_ context.Context, each func(*store.Configuration) error) error {
	for n := range m.tenants {
		num := hook.TenantNum(n + 1)
		c := &store.Configuration{Revision: 1, Tenants: []*hook.Tenant{{ID: fmt.Sprint("t", n), Num: num}}}
		for i := range 10 {
			e := ep(hook.EndpointNum(10*n+i+1), num, fmt.Sprint("type.", i), "other.*")
			e.URL = fmt.Sprintf("https://hooks.customer-%d.example.com/grapnel/%d", n, i)
			c.Endpoints = append(c.Endpoints, e)
		}
		if err := each(c); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkManyTenants matches, and publishes, in turn for each of many tenants,
// so that nothing of one is at hand, and for one alone. With -tenants 100000 it is
// the million endpoints of docs/benchmarks.md.
func BenchmarkManyTenants(b *testing.B) {
	for _, c := range []struct {
		name          string
		tenants, used int
	}{{"one tenant", 1, 1}, {"one of many", *benchTenants, 1}, {"many in turn", *benchTenants, *benchTenants}} {
		d, err := directory.Load(b.Context(), &many{tenants: c.tenants})
		if err != nil {
			b.Fatal(err)
		}
		ids := d.TenantIDs()
		b.Run("match/"+c.name, func(b *testing.B) {
			m := ingest.NewMatcher(d, policyOf)
			e := &hook.Event{Type: "type.3"}
			b.ReportAllocs()
			for i := range b.N {
				if targets, err := m.Match(ids[i*7919%c.used], e, false); err != nil || len(targets) != 1 {
					b.Fatal(targets, err)
				}
			}
		})
		b.Run("publish/"+c.name, func(b *testing.B) {
			j := newJournal()
			g, err := ingest.New(b.Context(), ingest.Config{
				Log: j, Directory: d, Window: time.Hour, Logger: slog.New(slog.DiscardHandler), Policy: policyOf, Offer: func([]*hook.Event) {},
			})
			if err != nil {
				b.Fatal(err)
			}
			defer g.Close()
			items := make([]ingest.Item, 100)
			b.ReportAllocs()
			for n := 0; n < b.N; n += len(items) {
				for i := range items {
					items[i] = item(ids[(n+i)*7919%c.used], "", "type.3", `{"n":1}`)
				}
				if _, _, err := g.Publish(b.Context(), submission("", items...)); err != nil {
					b.Fatal(err)
				}
				j.events = j.events[:0]
			}
		})
	}
}

// BenchmarkFilters publishes for a tenant with 1,000 endpoints: without filters, with 50
// filters that 20 endpoints share each, and with one for each endpoint. Every event goes
// to 20 of them, or to all without filters, so that what storing the targets costs is
// told apart: "without, 20" has only so many endpoints that subscribe.
func BenchmarkFilters(b *testing.B) {
	for _, c := range []struct {
		name     string
		distinct int // filters; 0: none
		takers   int // endpoints that the event goes to
	}{{"without", 0, 1000}, {"without, 20", 0, 20}, {"50 of 1000", 50, 20}, {"1000 of 1000", 1000, 1}} {
		b.Run(c.name, func(b *testing.B) {
			conf := &store.Configuration{Revision: 1, Tenants: []*hook.Tenant{{ID: "acme", Num: 1}}}
			for i := range 1000 {
				e := ep(hook.EndpointNum(i+1), 1)
				switch {
				case c.distinct > 0:
					e.Filter = fmt.Appendf(nil, `{"and":[{"field":"data.customer.region","operator":"eq","value":"r%d"},{"field":"data.amount","operator":"gt","value":100}]}`, i%c.distinct)
				case i >= c.takers:
					e.EventTypes = []string{"other"}
				}
				conf.Endpoints = append(conf.Endpoints, e)
			}
			d, err := directory.Load(b.Context(), &config{*conf})
			if err != nil {
				b.Fatal(err)
			}
			j := newJournal()
			g, err := ingest.New(b.Context(), ingest.Config{
				Log: j, Directory: d, Window: time.Hour, Logger: slog.New(slog.DiscardHandler), Policy: policyOf, Offer: func([]*hook.Event) {},
			})
			if err != nil {
				b.Fatal(err)
			}
			defer g.Close()
			b.ReportAllocs()
			for b.Loop() {
				results, _, err := g.Publish(b.Context(), submission("", item("acme", "", "invoice.paid", `{"id":"in_1","amount":1250,"customer":{"id":"cus_1","region":"r7"}}`)))
				if err != nil || results[0].Matched != c.takers {
					b.Fatal(results, err)
				}
				j.events = j.events[:0]
			}
		})
	}
}

// BenchmarkHostileFilters is what a publish of one tenant takes, alone and beside another
// tenant, whose 1,000 endpoints have filters of 16 KiB, full of costly patterns, and
// for which eight callers publish as fast as they can (case 115).
func BenchmarkHostileFilters(b *testing.B) {
	conf := &store.Configuration{Revision: 1, Tenants: []*hook.Tenant{{ID: "acme", Num: 1}, {ID: "bad", Num: 2}}}
	for i := range 10 {
		conf.Endpoints = append(conf.Endpoints, ep(hook.EndpointNum(i+1), 1))
	}
	pattern := strings.Repeat("%a", 126) + "%b"
	for i := range 1000 {
		e := ep(hook.EndpointNum(i+100), 2)
		var conditions []string
		for range 38 {
			conditions = append(conditions, fmt.Sprintf(`{"field":"data.text","operator":"like","value":"%s%d"}`, pattern, i))
		}
		e.Filter = []byte(`{"or":[` + strings.Join(conditions, ",") + `]}`)
		conf.Endpoints = append(conf.Endpoints, e)
	}
	text := `{"text":"` + strings.Repeat("a", 16<<10-1) + `"}`
	for _, hostile := range []bool{false, true, false, true} {
		name := "alone"
		if hostile {
			name = "beside"
		}
		b.Run(name, func(b *testing.B) {
			d, err := directory.Load(b.Context(), &config{*conf})
			if err != nil {
				b.Fatal(err)
			}
			j := newJournal()
			g, err := ingest.New(b.Context(), ingest.Config{
				Log: j, Directory: d, Window: time.Hour, Logger: slog.New(slog.DiscardHandler), Policy: policyOf, Offer: func([]*hook.Event) {},
			})
			if err != nil {
				b.Fatal(err)
			}
			defer g.Close()
			ctx, stop := context.WithCancel(b.Context())
			var callers sync.WaitGroup
			if hostile {
				for range 8 {
					callers.Go(func() {
						for ctx.Err() == nil {
							_, _, _ = g.Publish(ctx, submission("", item("bad", "", "a", text)))
						}
					})
				}
				time.Sleep(time.Second) // it is known to be costly by then
			}
			var took []time.Duration
			for b.Loop() {
				begun := time.Now()
				results, _, err := g.Publish(b.Context(), submission("", item("acme", "", "invoice.paid", `{"id":"in_1"}`)))
				if err != nil || results[0].Matched != 10 {
					b.Fatal(results, err)
				}
				took = append(took, time.Since(begun))
				time.Sleep(200 * time.Microsecond) // as publishes come: not one behind the other
			}
			stop()
			callers.Wait()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}
