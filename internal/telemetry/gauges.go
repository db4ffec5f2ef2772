package telemetry

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// QueueGauges is the state of the dispatcher's queue.
type QueueGauges struct {
	Due       int // deliveries that could be sent now and wait for their turn
	InFlight  int // attempts running
	Lanes     int // lanes in memory
	OldestAge time.Duration
}

// StoreGauges is the state of the store.
type StoreGauges struct {
	Events   int64
	Units    int   // segments or partitions
	Bytes    int64 // on disk
	Expired  int64 // deliveries that retention ended, since the beginning
	Writable bool
}

// gauges asks for the numbers when somebody scrapes, once each.
type gauges struct {
	queue     atomic.Pointer[func() QueueGauges]
	store     atomic.Pointer[func() StoreGauges]
	endpoints atomic.Pointer[func() map[string]int]

	due, inflight, lanes, oldest            *prometheus.Desc
	events, units, bytes, expired, writable *prometheus.Desc
	endpointStates                          *prometheus.Desc
}

func newGauges() *gauges {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	return &gauges{
		due:            d("queue_due", "Deliveries that are due and wait for their turn."),
		oldest:         d("queue_oldest_age_seconds", "How long the oldest due delivery has waited."),
		inflight:       d("inflight", "Attempts running now."),
		lanes:          d("lanes", "Endpoints with work in memory."),
		endpointStates: d("endpoints", "Endpoints by state.", "state"),
		events:         d("db_events", "Events in the store."),
		units:          d("db_segments", "Segments that the log is cut into."),
		bytes:          d("db_size_bytes", "Size of the store on disk."),
		expired:        d("db_expired_deliveries_total", "Deliveries that ended unsent because their event's retention was over."),
		writable:       d("db_writable", "1 while the store takes writes, else 0."),
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.due, g.oldest, g.inflight, g.lanes, g.endpointStates, g.events, g.units, g.bytes, g.expired, g.writable} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if f := g.queue.Load(); f != nil {
		q := (*f)()
		send(g.due, float64(q.Due))
		send(g.oldest, q.OldestAge.Seconds())
		send(g.inflight, float64(q.InFlight))
		send(g.lanes, float64(q.Lanes))
	}
	if f := g.endpoints.Load(); f != nil {
		for state, n := range (*f)() {
			send(g.endpointStates, float64(n), state)
		}
	}
	if f := g.store.Load(); f != nil {
		s := (*f)()
		send(g.events, float64(s.Events))
		send(g.units, float64(s.Units))
		send(g.bytes, float64(s.Bytes))
		ch <- prometheus.MustNewConstMetric(g.expired, prometheus.CounterValue, float64(s.Expired))
		writable := 0.0
		if s.Writable {
			writable = 1
		}
		send(g.writable, writable)
	}
}

// SetQueue says where the queue's numbers come from at each scrape.
func (m *Metrics) SetQueue(f func() QueueGauges) {
	if m != nil {
		m.gauges.queue.Store(&f)
	}
}

// SetStore says where the store's numbers come from at each scrape.
func (m *Metrics) SetStore(f func() StoreGauges) {
	if m != nil {
		m.gauges.store.Store(&f)
	}
}

// SetEndpoints says where the number of endpoints by state comes from.
func (m *Metrics) SetEndpoints(f func() map[string]int) {
	if m != nil {
		m.gauges.endpoints.Store(&f)
	}
}
