package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"grapnel/internal/child"
	"grapnel/internal/ledger"
	"grapnel/internal/pgproxy"
)

// NodeFault is what a round of several nodes on one database does to them.
type NodeFault string

// The faults of nodes and of what they stand on.
const (
	NodeKill        NodeFault = "kill"      // SIGKILL of a node, which is started again
	NodeStop        NodeFault = "stop"      // SIGSTOP of a node for three leases, then SIGCONT (case 27)
	NodePartition   NodeFault = "partition" // a node and the database do not hear each other, or one of them the other, for three leases (case 26)
	NodeCut         NodeFault = "cut"       // connections of a node are cut at moments of statements that write (case 25)
	ServerFast      NodeFault = "fast"      // the database is restarted, and rolls back what runs (case 22)
	ServerImmediate NodeFault = "immediate" // the database is stopped as by a crash, and started again (case 22)
	Rolling         NodeFault = "rolling"   // every node, one after the other, is ended in good order and started again (case 12)
	Upgrade         NodeFault = "upgrade"   // as Rolling, but each node is started as the other version, and as the first the next time (case 14)
	TakeOver        NodeFault = "take-over" // a node is killed, and started again when others have all that it had
	Failover        NodeFault = "failover"  // the database is stopped as by a crash, and its standby promoted (case 23)
)

// Server is the PostgreSQL server under the nodes.
type Server interface {
	Stop(mode string) error // "fast" or "immediate"
	Resume() error
}

// NodesOptions says what to do with several nodes.
type NodesOptions struct {
	Options
	Faults []NodeFault
	Nodes  int           // default 3
	Lease  time.Duration // default 1 s
	Store  string        // URL of the database, with a query
	Server Server        // for ServerFast, ServerImmediate and Failover
	// Unfenced takes the check of tokens out of the database: a flaw that has to be found.
	Unfenced bool
	// Other is the program of another version, with its arguments, for Upgrade.
	Other []string
	// Promote has the standby take over, after the server was stopped, and returns
	// when it does; Rebuild makes a new standby of what was stopped. For Failover.
	Promote, Rebuild func() error
}

func (o NodesOptions) complete() (NodesOptions, error) {
	o.Kind = Kill // of no meaning here
	set(&o.Nodes, 3)
	set(&o.Lease, time.Second)
	set(&o.Rate, 150)
	set(&o.MinLoad, 300*time.Millisecond)
	set(&o.MaxLoad, 900*time.Millisecond)
	set(&o.Settle, 30*time.Second)
	set(&o.Window, 3*time.Second)
	o.Faults = slices.Clone(o.Faults)
	if o.Store == "" || len(o.Faults) == 0 {
		return o, errors.New("crash: Store and Faults are needed")
	}
	var err error
	o.Options, err = o.Options.complete()
	return o, err
}

// nodes is several nodes on one database, with their receiver.
type nodes struct {
	*world // its server and data are not used
	opts   NodesOptions
	all    []*node
	audit  *audit
	turn   atomic.Int64
	random *rand.Rand
	report *NodesReport
	stalls *stalls
}

// furtherSites make more lanes, so that each node has some.
func furtherSites() (all []site) {
	for i := range 3 {
		all = append(all, site{name: fmt.Sprintf("more-%d", i), types: []string{typeFast}})
	}
	return all
}

// RunNodes starts nodes on one database and does rounds of faults: all of o.Faults in
// one order, then in another one. An error means that the harness could not go on, or that something did
// not come back; violations are in the report.
func RunNodes(ctx context.Context, o NodesOptions) (*NodesReport, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	report := &NodesReport{Lease: o.Lease, Faults: map[NodeFault]int{}}
	report.Options = o.Options
	w, err := newNodes(ctx, o, report)
	if err != nil {
		return report, err
	}
	defer w.end()
	for n := range o.Rounds {
		if n%len(o.Faults) == 0 {
			w.random.Shuffle(len(o.Faults), func(i, j int) { o.Faults[i], o.Faults[j] = o.Faults[j], o.Faults[i] })
		}
		fault := o.Faults[n%len(o.Faults)]
		report.Faults[fault]++
		p := plan{name: fmt.Sprintf("%s %d", fault, n+1), random: w.random}
		p.disturb = func(ctx context.Context, r *Round) error { return w.disturb(ctx, fault, r) }
		if err := w.round(ctx, &report.Report, p); err != nil {
			return report, err
		}
	}
	return report, w.audit.total(ctx, report)
}

func newNodes(ctx context.Context, o NodesOptions, report *NodesReport) (*nodes, error) {
	base, err := newWorldUnstarted(ctx, o.Options, "")
	if err != nil {
		return nil, err
	}
	base.further = furtherSites()
	// A node that is stopped answers nothing: its callers go elsewhere.
	base.client.Timeout = max(2*time.Second, o.Lease)
	w := &nodes{world: base, opts: o, report: report, random: rand.New(rand.NewPCG(o.Seed, 26))}
	base.witness = w.tenures
	base.receiver.Sender((&senders{nodes: w.running}).of)
	if err := w.begin(ctx); err != nil {
		w.end()
		return nil, err
	}
	return w, nil
}

// begin starts all nodes, and makes tenants and endpoints.
func (w *nodes) begin(ctx context.Context) error {
	for i := range w.opts.Nodes {
		if err := w.add(i + 1); err != nil {
			return err
		}
	}
	for _, n := range w.all {
		if err := n.start(ctx); err != nil {
			return err
		}
	}
	w.addr = w.all[0].addr
	if err := w.setUp(ctx); err != nil {
		return err
	}
	for _, n := range w.all {
		if err := w.informed(ctx, n); err != nil {
			return err
		}
	}
	w.pick = func() string { return w.all[int(w.turn.Add(1))%len(w.all)].addr }
	var err error
	if w.audit, err = newAudit(ctx, w.opts.Store); err != nil {
		return err
	}
	w.stalls = watchStalls(ctx, w.opts.Lease/4, w.audit)
	if w.opts.Unfenced {
		if err := w.audit.unfence(ctx); err != nil {
			return err
		}
	}
	return w.balanced(ctx)
}

// informed waits until a node knows what was configured through another one.
func (w *nodes) informed(ctx context.Context, n *node) error {
	w.addr = n.addr
	want := len(sites()) + len(w.further)
	for limit := time.Now().Add(readyLimit); ; {
		var list struct{ Data []struct{ ID string } }
		err := w.call(ctx, http.MethodGet, "/v1/tenants/"+tenants[len(tenants)-1]+"/endpoints", nil, &list)
		if err == nil && len(list.Data) == want {
			return nil
		}
		if time.Now().After(limit) || !sleep(ctx, nil, settlePoll) {
			return fmt.Errorf("crash: %s does not know all endpoints: %w", n.name(), errors.Join(err, ctx.Err()))
		}
	}
}

// add makes a node, behind a proxy where faults need one.
func (w *nodes) add(number int) error {
	n := &node{world: w, number: number, store: w.opts.Store}
	var err error
	if n.addr, err = child.FreeAddr(); err != nil {
		return err
	}
	if slices.Contains(w.opts.Faults, NodePartition) || slices.Contains(w.opts.Faults, NodeCut) {
		if n.proxy, n.store, err = pgproxy.Before(w.opts.Store); err != nil {
			return err
		}
	}
	w.all = append(w.all, n)
	return nil
}

func (w *nodes) end() {
	if w.stalls != nil {
		w.stalls.end()
	}
	for _, n := range w.all {
		if n.process != nil {
			n.process.Kill()
		}
		if n.proxy != nil {
			_ = n.proxy.Close() // nobody uses it any more
		}
	}
	w.close()
}

// balanced waits until every node holds partitions, and all are held.
func (w *nodes) balanced(ctx context.Context) error {
	limit := time.Now().Add(readyLimit)
	for {
		held, err := w.audit.holders(ctx)
		if err == nil {
			missing := held[""]
			for _, n := range w.all {
				if held[n.name()] == 0 {
					missing++
				}
			}
			if missing == 0 {
				return nil
			}
		}
		if time.Now().After(limit) || !sleep(ctx, nil, settlePoll) {
			return fmt.Errorf("crash: the partitions are not with all nodes: %v, %w", held, errors.Join(err, ctx.Err()))
		}
	}
}

// NodesReport is what all rounds of several nodes showed.
type NodesReport struct {
	Report
	Lease    time.Duration
	Faults   map[NodeFault]int // rounds of each
	Writes   int               // outcomes that were recorded
	Stale    []string          // those of them that a node recorded of a partition that it did not hold
	Moved    int               // times that a partition changed hands
	Lapses   int               // leases that ended without being given back
	Strays   int               // requests that came after their node had lost the lane
	TakeOver []time.Duration   // from a node's death to each of its partitions' being held by another
	Resumed  []time.Duration   // from a node's death to the first request for an event published after it, for each of its endpoints
	Healed   []time.Duration   // from the end of the database to the first publish acknowledged after it
	Ended    []time.Duration   // from SIGTERM to the end of a process
}

// Summary is the report in one line.
func (r *NodesReport) Summary() string {
	text, _, _ := strings.Cut(r.Report.Summary(), "; first delivery")
	text = strings.Replace(text, " of "+string(Kill)+",", " of "+r.kinds()+",", 1)
	text += fmt.Sprintf("; %d outcomes recorded, %d of them stale, partitions moved %d times, %d leases lapsed, %d requests came after that", r.Writes, len(r.Stale), r.Moved, r.Lapses, r.Strays)
	for _, x := range []struct {
		what   string
		values []time.Duration
	}{
		{"partitions taken over", r.TakeOver}, {"deliveries resumed", r.Resumed}, {"publishes taken again", r.Healed}, {"ended after SIGTERM", r.Ended},
	} {
		if len(x.values) > 0 {
			text += fmt.Sprintf("; %s after p50 %s p99 %s max %s (%d)", x.what, round(quantile(x.values, 0.5)), round(quantile(x.values, 0.99)), round(quantile(x.values, 1)), len(x.values))
		}
	}
	return text
}

func (r *NodesReport) kinds() string {
	var all []string
	for fault, n := range r.Faults {
		all = append(all, fmt.Sprintf("%d %s", n, fault))
	}
	slices.Sort(all)
	return strings.Join(all, ", ") + fmt.Sprintf(" with leases of %s", r.Lease)
}

// acknowledgedAfter is when the first publish was acknowledged that began after a
// moment; false: none was.
func acknowledgedAfter(publishes []ledger.Publish, t time.Time) bool {
	return slices.ContainsFunc(publishes, func(p ledger.Publish) bool { return p.State == ledger.Acknowledged && p.At.After(t) })
}
