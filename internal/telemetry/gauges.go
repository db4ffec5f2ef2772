package telemetry

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// QueueGauges is the state of the dispatcher's queue.
type QueueGauges struct {
	Pending   int64         // about how many deliveries are not over, in memory or in the store
	Due       int           // deliveries that could be sent now and wait for their turn
	InFlight  int           // attempts running
	Lanes     int           // lanes in memory
	Behind    int           // lanes that have deliveries in the store alone
	Broken    int           // lanes whose endpoint does not answer, so that it gets a probe at a time
	Outcomes  int           // attempts that are over and not recorded yet
	Barred    bool          // nothing is sent: outcomes cannot be recorded, or the lease is lost
	Unreached bool          // no endpoint can be reached: taken for an outage of our own network
	OldestAge time.Duration // of the delivery that has been due longest; 0: none is
}

// StoreGauges is the state of the store.
type StoreGauges struct {
	Events   int64
	Units    int   // segments or partitions
	Bytes    int64 // on disk
	Free     int64 // bytes free on its file system; negative: not known
	Expired  int64 // deliveries that retention ended, since the beginning
	Writable bool
}

// NodeGauges is the state of a server among those that share a database, and of its way
// there.
type NodeGauges struct {
	Partitions   int           // held
	Gained, Lost int64         // partitions, since the start
	SinceRenewal time.Duration // since the lease was renewed last
	Trips        map[string]int64
	InUse, Idle  int // connections
	Max          int // connections
	Waits        int64
	Waited       time.Duration
	Warnings     int // what threatens the database

	Inbox         bool          // what follows is known
	Waiting       int64         // events in it
	OldestWaiting time.Duration // 0: none waits
	Moved         int64         // since the start
	Rejected      int64         // since the start
}

// gauges asks for the numbers when somebody scrapes, once each.
type gauges struct {
	queue     atomic.Pointer[func() QueueGauges]
	store     atomic.Pointer[func() StoreGauges]
	endpoints atomic.Pointer[func() map[string]int]
	node      atomic.Pointer[func() NodeGauges]

	pending, due, inflight, lanes, behind, broken, outcomes, barred, unreached, oldest *prometheus.Desc
	events, units, bytes, free, expired, writable                                      *prometheus.Desc
	endpointStates                                                                     *prometheus.Desc
	partitions, changed, renewal, trips, conns, maxConns, waits, waited, warnings      *prometheus.Desc
	inbox, inboxAge, inboxEvents                                                       *prometheus.Desc
}

func newGauges() *gauges {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	return &gauges{
		pending:        d("queue_pending", "Deliveries that are not over, about: waiting in memory or in the store for their turn or their next attempt, or under way."),
		due:            d("queue_due", "Deliveries in memory that are due and wait for their turn."),
		oldest:         d("queue_oldest_age_seconds", "How long the oldest due delivery has waited, in memory or in the store; those of endpoints that do not answer are left out."),
		inflight:       d("inflight", "Attempts running now."),
		lanes:          d("lanes", "Endpoints with work in memory."),
		behind:         d("lanes_behind", "Endpoints whose deliveries wait in the store, for there are more than memory has room for."),
		broken:         d("lanes_broken", "Endpoints that do not answer: they get one probe at a time."),
		outcomes:       d("queue_outcomes", "Attempts that are over and whose outcome is not recorded yet."),
		barred:         d("queue_barred", "1 while nothing is sent, because outcomes cannot be recorded or the lease is lost, else 0."),
		unreached:      d("egress_down", "1 while no endpoint can be reached, which is taken for an outage of this server's own network, else 0. Deliveries wait then."),
		endpointStates: d("endpoints", "Endpoints by state.", "state"),
		events:         d("db_events", "Events in the store."),
		units:          d("db_segments", "Segments that the log is cut into."),
		bytes:          d("db_size_bytes", "Size of the store on disk."),
		free:           d("db_free_bytes", "Bytes free on the file system of the store. Not on PostgreSQL."),
		expired:        d("db_expired_deliveries_total", "Deliveries that ended unsent because their event's retention was over."),
		writable:       d("db_writable", "1 while the store takes writes, else 0."),

		partitions:  d("partitions", "Of the 64 partitions of endpoints, those that this server sends for. PostgreSQL only."),
		changed:     d("partition_changes_total", "Partitions that this server got (gained), and that others took over because its lease was not renewed in time (lost). PostgreSQL only.", "change"),
		renewal:     d("lease_renewal_age_seconds", "How long ago the lease was renewed last; when it gets as old as the lease, nothing is sent. PostgreSQL only."),
		trips:       d("db_round_trips_total", "Round trips to the database by what they were for. PostgreSQL only.", "purpose"),
		conns:       d("db_connections", "Connections to the database by state. PostgreSQL only.", "state"),
		maxConns:    d("db_connections_max", "Connections to the database that there may be, besides two. PostgreSQL only."),
		waits:       d("db_connection_waits_total", "Calls that had to wait for a connection to the database. PostgreSQL only."),
		waited:      d("db_connection_wait_seconds_total", "How long calls waited for a connection to the database in all. PostgreSQL only."),
		warnings:    d("db_warnings", "Things that threaten the database though it works; /readyz?verbose names them. PostgreSQL only."),
		inbox:       d("inbox_waiting", "Events that applications have published in the database and that are not moved yet; 100000 if there are more. PostgreSQL only."),
		inboxAge:    d("inbox_oldest_age_seconds", "How long ago the oldest of the events that wait in the database was published. PostgreSQL only."),
		inboxEvents: d("inbox_events_total", "Events that applications have published in the database and that this server has moved on, or rejected. PostgreSQL only.", "result"),
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.pending, g.due, g.oldest, g.inflight, g.lanes, g.behind, g.broken, g.outcomes, g.barred, g.unreached,
		g.endpointStates, g.events, g.units, g.bytes, g.free, g.expired, g.writable,
		g.partitions, g.changed, g.renewal, g.trips, g.conns, g.maxConns, g.waits, g.waited, g.warnings, g.inbox, g.inboxAge, g.inboxEvents} {
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
		send(g.pending, float64(q.Pending))
		send(g.due, float64(q.Due))
		send(g.oldest, q.OldestAge.Seconds())
		send(g.inflight, float64(q.InFlight))
		send(g.lanes, float64(q.Lanes))
		send(g.behind, float64(q.Behind))
		send(g.broken, float64(q.Broken))
		send(g.outcomes, float64(q.Outcomes))
		send(g.barred, flag(q.Barred))
		send(g.unreached, flag(q.Unreached))
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
		if s.Free >= 0 {
			send(g.free, float64(s.Free))
		}
		send(g.writable, flag(s.Writable))
	}
	if f := g.node.Load(); f != nil {
		g.collectNode(ch, (*f)())
	}
}

func (g *gauges) collectNode(ch chan<- prometheus.Metric, n NodeGauges) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge(g.partitions, float64(n.Partitions))
	counter(g.changed, float64(n.Gained), "gained")
	counter(g.changed, float64(n.Lost), "lost")
	gauge(g.renewal, n.SinceRenewal.Seconds())
	for purpose, v := range n.Trips {
		counter(g.trips, float64(v), purpose)
	}
	gauge(g.conns, float64(n.InUse), "in_use")
	gauge(g.conns, float64(n.Idle), "idle")
	gauge(g.maxConns, float64(n.Max))
	counter(g.waits, float64(n.Waits))
	counter(g.waited, n.Waited.Seconds())
	gauge(g.warnings, float64(n.Warnings))
	if n.Inbox {
		gauge(g.inbox, float64(n.Waiting))
		gauge(g.inboxAge, n.OldestWaiting.Seconds())
	}
	counter(g.inboxEvents, float64(n.Moved), "moved")
	counter(g.inboxEvents, float64(n.Rejected), "rejected")
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
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

// SetNode says where the numbers of a server among others come from at each scrape. Where
// it is not called, the server is alone, and there are none.
func (m *Metrics) SetNode(f func() NodeGauges) {
	if m != nil {
		m.gauges.node.Store(&f)
	}
}

// SetEndpoints says where the number of endpoints by state comes from.
func (m *Metrics) SetEndpoints(f func() map[string]int) {
	if m != nil {
		m.gauges.endpoints.Store(&f)
	}
}
