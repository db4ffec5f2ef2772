//go:build unix

package sqlite_test

import (
	"encoding/base64"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
	"grapnel/internal/store/sqlite"
)

var benchTenants = flag.Int("tenants", 10_000, "tenants of the directory's benchmarks, with ten endpoints each")

// BenchmarkDirectory opens a store with many endpoints, loads the directory and
// looks into it as dispatch and publishers do. With -tenants 100000 it is the
// million endpoints of docs/benchmarks.md.
func BenchmarkDirectory(b *testing.B) {
	dir := b.TempDir()
	tenants := *benchTenants
	endpoints := 10 * tenants
	began := cpuTime(b)
	configureMany(b, dir, tenants)
	written := cpuTime(b) - began

	st, err := sqlite.Open(b.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	debug.FreeOSMemory()
	heap, rss := inUse()
	wall, began := time.Now(), cpuTime(b)
	d, err := directory.Load(b.Context(), st)
	if err != nil {
		b.Fatal(err)
	}
	loaded, took := cpuTime(b)-began, time.Since(wall)
	peak := statusOf("VmHWM")
	debug.FreeOSMemory()
	heapAfter, rssAfter := inUse()
	b.Run("Load", func(b *testing.B) {
		for range b.N { // measured above, once
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(written.Microseconds())/float64(endpoints), "configure-µs/endpoint")
		b.ReportMetric(took.Seconds(), "load-s")
		b.ReportMetric(loaded.Seconds(), "load-cpu-s")
		b.ReportMetric(float64(heapAfter-heap)/float64(endpoints), "heap-B/endpoint")
		b.ReportMetric(float64(rssAfter-rss)/float64(endpoints), "rss-B/endpoint")
		b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
	})
	b.Run("Endpoint/cold", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			num := hook.EndpointNum(1 + (i*7919)%endpoints)
			if e, ok := d.Endpoint(num); !ok || e.Num != num {
				b.Fatal(num, ok)
			}
		}
	})
	b.Run("Endpoint/warm", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			if _, ok := d.Endpoint(hook.EndpointNum(1 + i%100)); !ok {
				b.Fatal(i)
			}
		}
	})
	b.Run("Tenant/cold", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			if _, ok := d.TenantByNum(hook.TenantNum(1 + (i*7919)%tenants)); !ok {
				b.Fatal(i)
			}
		}
	})
	b.Run("AddOne", func(b *testing.B) { // Configure and Refresh
		b.ReportAllocs()
		for i := range b.N {
			e := oneEndpoint(i%tenants, 10+i/tenants)
			e.ID = hook.NewID("ep_")
			if _, err := st.Configure(b.Context(), &store.Change{Endpoints: []*hook.Endpoint{e}}); err != nil {
				b.Fatal(err)
			}
			if err := d.Refresh(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("CountEndpoints", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if n := d.CountEndpoints()[hook.EndpointActive]; n < endpoints {
				b.Fatal(n)
			}
		}
	})
	runtime.KeepAlive(d)
}

// configureMany stores tenants with ten endpoints each, a thousand tenants in
// each change.
func configureMany(b *testing.B, dir string, tenants int) {
	b.Helper()
	st, err := sqlite.Open(b.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	for first := 0; first < tenants; first += 1000 {
		c := &store.Change{}
		for t := first; t < min(first+1000, tenants); t++ {
			at := time.Unix(1_800_000_000, int64(t)).UTC()
			c.Tenants = append(c.Tenants, &hook.Tenant{ID: fmt.Sprint("seed-", t), Name: fmt.Sprint("Tenant ", t), Dialect: "standard", CreatedAt: at, UpdatedAt: at})
			for e := range 10 {
				c.Endpoints = append(c.Endpoints, oneEndpoint(t, e))
			}
		}
		if _, err := st.Configure(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}

var random = rand.NewChaCha8([32]byte{1})

// oneEndpoint is an endpoint as the API makes it, with a secret of its own.
func oneEndpoint(tenant, n int) *hook.Endpoint {
	at := time.Unix(1_800_000_000, int64(tenant*10+n)).UTC()
	var sealed [66]byte // nonce, 38 bytes of text, tag
	random.Read(sealed[:])
	types := []string{fmt.Sprintf("order.%d.created", (tenant*10+n)%500)}
	if n%2 == 0 {
		types = append(types, "invoice.paid")
	}
	return &hook.Endpoint{
		ID: hook.NewID("ep_"), Tenant: fmt.Sprint("seed-", tenant), TenantNum: hook.TenantNum(tenant + 1),
		URL:        fmt.Sprintf("https://hooks.customer-%d.example.com/grapnel/%d", tenant, n),
		EventTypes: types, Dialect: "standard",
		Secrets:   []hook.EndpointSecret{{Sealed: hook.Sealed("k1.1a2b3c4d." + base64.RawURLEncoding.EncodeToString(sealed[:])), CreatedAt: at}},
		State:     hook.EndpointActive,
		StateAt:   at,
		CreatedAt: at,
		UpdatedAt: at,
	}
}

// inUse is the heap in use and the process's memory, in bytes.
func inUse() (heap, rss int64) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), statusOf("VmRSS")
}

// statusOf reads a size of /proc/self/status in bytes, 0 where there is none.
func statusOf(name string) int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}
