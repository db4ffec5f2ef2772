package dispatch_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/dispatch"
	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

const leaseLength = time.Second

// cluster is a world with several nodes on one store.
type cluster struct {
	*world
	log  *common
	net  dispatch.Egress
	slow time.Duration // between storing an event and offering it
	far  time.Duration // the way of a node to the end of the log
	list time.Duration // before lanes are listed
}

// common is the store: a memory whose partitions are leased.
type common struct {
	*memory
	owner [store.Partitions]string
	until [store.Partitions]time.Time
	wants [store.Partitions]string // who is to have it; "": whoever has it
	went  []string                 // partitions that changed hands
}

// seat is a node's way to the store.
type seat struct {
	*common
	name     string
	cut      bool          // nothing comes through
	gone     bool          // it has taken leave
	askDelay time.Duration // before the end of the log is read
	listing  time.Duration // before lanes are listed
	lag      time.Duration // of giving back
}

// node is a dispatcher with its keeper.
type node struct {
	c      *cluster
	name   string
	seat   *seat
	d      *dispatch.Dispatcher
	keeper *dispatch.Keeper
	offers sync.Mutex // one committer

	mu     sync.Mutex
	frozen chan struct{} // attempts wait for it; nil: the process runs
	asked  int           // how often an attempt was frozen
	sent   []string      // what its requests were of
}

func inCluster(t *testing.T, endpoints int, f func(c *cluster)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(newCluster(newWorld(t, endpoints))) })
}

func newCluster(w *world) *cluster {
	c := &cluster{world: w, log: &common{memory: w.queue}}
	c.net = w
	return c
}

// node starts a node.
func (c *cluster) node(name string) *node {
	c.t.Helper()
	n := &node{c: c, name: name, seat: &seat{common: c.log, name: name, askDelay: c.far, listing: c.list}}
	ctx := context.Background()
	lease, err := n.seat.Acquire(ctx, name)
	if err != nil {
		c.t.Fatal(err)
	}
	config := dispatch.Config{
		Queue: n.seat, Lease: lease, Directory: n, Dialects: registry(c.t), Egress: n, Ring: c.ring, Manager: c.world,
		Logger: slog.New(slog.DiscardHandler), Wide: 8,
	}
	if c.tune != nil {
		c.tune(&config)
	}
	if n.d, err = dispatch.New(config); err != nil {
		c.t.Fatal(err)
	}
	n.keeper, err = dispatch.NewKeeper(dispatch.KeeperConfig{
		Leaser: n.seat, Dispatcher: n.d, Lease: lease, Logger: config.Logger, Length: leaseLength, Every: leaseLength / 4, HandOver: 20 * time.Second,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	n.keeper.Start()
	if err := n.d.Start(ctx); err != nil {
		c.t.Fatal(err)
	}
	return n
}

func (n *node) stop(ctx context.Context) {
	n.c.t.Helper()
	if err := n.keeper.Stop(ctx); err != nil {
		n.c.t.Errorf("stop %s: %v", n.name, err)
	}
}

// publish stores an event and offers it, as ingest does.
func (n *node) publish(endpoints ...hook.EndpointNum) *hook.Event {
	n.offers.Lock()
	defer n.offers.Unlock()
	e := n.c.store(endpoints...)
	if n.c.slow > 0 {
		time.Sleep(n.c.slow)
	}
	n.d.Offer([]*hook.Event{e})
	return e
}

// Do notes which node asks.
func (n *node) Do(ctx context.Context, r *egress.Request) *egress.Result {
	n.mu.Lock()
	n.sent = append(n.sent, r.URL)
	n.mu.Unlock()
	return n.c.net.Do(ctx, r)
}

func (n *node) requests() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.sent)
}

// Endpoint, TenantByNum and Watch are the directory, as the node sees it.
func (n *node) Endpoint(num hook.EndpointNum) (*hook.Endpoint, bool) { return n.c.book.Endpoint(num) }

func (n *node) TenantByNum(num hook.TenantNum) (*hook.Tenant, bool) {
	n.mu.Lock()
	frozen := n.frozen
	if frozen != nil {
		n.asked++
	}
	n.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
	return n.c.book.TenantByNum(num)
}

func (n *node) Watch(f func(*store.Configuration)) { n.c.book.Watch(f) }

// cut cuts the node's way to the store, or mends it.
func (n *node) cut(on bool) {
	n.c.log.mu.Lock()
	defer n.c.log.mu.Unlock()
	n.seat.cut = on
}

// reach waits for ever where the way is cut (case 26).
func (s *seat) reach(ctx context.Context) error {
	s.mu.Lock()
	cut := s.cut
	s.mu.Unlock()
	if !cut {
		return nil
	}
	select {
	case <-ctx.Done():
	case <-time.After(2 * leaseLength):
	}
	return fmt.Errorf("%w: the way is cut", store.ErrUnavailable)
}

func (s *seat) Acquire(ctx context.Context, name string) (store.Lease, error) {
	return s.Renew(ctx, store.Lease{Node: name})
}

func (s *seat) Renew(ctx context.Context, l store.Lease) (store.Lease, error) {
	asked := time.Now()
	if err := s.reach(ctx); err != nil {
		return store.Lease{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		if l.Partitions == 0 {
			s.t.Errorf("%s asks for its lease after it has taken leave", s.name)
		}
		return store.Lease{}, store.ErrLeaseLost // others have taken over what it believed to hold
	}
	now := time.Now()
	out := store.Lease{Node: l.Node, Expires: asked.Add(leaseLength)}
	for p := range s.owner {
		if free := s.owner[p] == "" || !now.Before(s.until[p]); free && !l.Leaves && (s.wants[p] == "" || s.wants[p] == s.name) && s.owner[p] != s.name {
			s.owner[p] = s.name
			s.tokens[p]++
			s.went = append(s.went, fmt.Sprint(p, " ", s.name))
		}
		if s.owner[p] != s.name {
			continue
		}
		s.until[p] = now.Add(leaseLength)
		out.Partitions |= 1 << p
		out.Tokens[p] = s.tokens[p]
		if s.wants[p] != "" && s.wants[p] != s.name {
			out.Yield |= 1 << p
		}
	}
	return out, nil
}

func (s *seat) Release(ctx context.Context, l store.Lease) error {
	if err := s.reach(ctx); err != nil {
		return err
	}
	time.Sleep(s.lag)
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.owner {
		if l.Partitions>>p&1 == 1 && s.owner[p] == s.name && s.tokens[p] == l.Tokens[p] {
			s.owner[p] = ""
			s.tokens[p]++ // so that nothing is recorded under it any more
		}
	}
	s.gone = l.Leaves && !slices.Contains(s.owner[:], s.name)
	return nil
}

func (s *seat) Lanes(ctx context.Context, l store.Lease) (out []store.Lane, err error) {
	if err := s.reach(ctx); err != nil {
		return nil, err
	}
	if err := pause(ctx, s.listing); err != nil {
		return nil, err
	}
	s.mu.Lock()
	for p := range s.owner {
		if l.Partitions>>p&1 == 1 && (s.owner[p] != s.name || s.tokens[p] != l.Tokens[p]) {
			err = fmt.Errorf("list lanes: %w", store.ErrLeaseLost)
		}
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	all, err := s.memory.Lanes(ctx, l)
	for _, sl := range all {
		if l.Holds(sl.Endpoint) {
			out = append(out, sl)
		}
	}
	return out, err
}

func (s *seat) Fresh(ctx context.Context, q store.FreshQuery) (store.FreshPage, error) {
	if err := s.reach(ctx); err != nil {
		return store.FreshPage{}, err
	}
	return s.memory.Fresh(ctx, q)
}

func (s *seat) Record(ctx context.Context, l store.Lease, outcomes []*store.Outcome) error {
	if err := s.reach(ctx); err != nil {
		return err
	}
	return s.memory.Record(ctx, l, outcomes)
}

func (s *seat) Checkpoint(ctx context.Context, l store.Lease, p store.Progress) error {
	if err := s.reach(ctx); err != nil {
		return err
	}
	for _, m := range p.Behind {
		if !l.Holds(m.Endpoint) {
			s.t.Errorf("%s tells a mark of endpoint %d, of which it does not hold the partition", s.name, m.Endpoint)
		}
	}
	return s.memory.Checkpoint(ctx, l, p)
}

func (s *seat) LastEvent(ctx context.Context) (hook.EventID, error) {
	if err := s.reach(ctx); err != nil {
		return hook.EventID{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.events) == 0 {
		return hook.EventID{}, nil
	}
	return lastOf(s.events).ID, nil
}

func (s *seat) Arrived(ctx context.Context, l store.Lease, after hook.EventID, limit int) (store.Arrivals, error) {
	if err := s.reach(ctx); err != nil {
		return store.Arrivals{}, err
	}
	if err := pause(ctx, s.askDelay); err != nil {
		return store.Arrivals{}, err
	}
	a := s.arrivedNow(&l, after, limit)
	return a, pause(ctx, s.readDelay)
}

func (s *seat) arrivedNow(l *store.Lease, after hook.EventID, limit int) store.Arrivals {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := store.Arrivals{Seen: after}
	for i := len(s.events); i > 0 && s.events[i-1].ID.Seq() > after.Seq(); i-- {
		a.Events = append(a.Events, s.events[i-1])
	}
	all := a.Events
	a.Events = nil
	for i := len(all) - 1; i >= 0 && len(a.Events) < limit; i-- {
		a.Seen = all[i].ID
		for _, t := range all[i].Targets {
			if t.Disposition == hook.Deliver && l.Holds(t.Endpoint) {
				a.Events = append(a.Events, all[i])
				break
			}
		}
	}
	return a
}

// want says where partitions are to be.
func (c *cluster) want(who func(p int) string) {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	for p := range c.log.wants {
		c.log.wants[p] = who(p)
	}
}

// all is one node for all partitions.
func all(name string) func(int) string { return func(int) string { return name } }

// halves gives the even partitions to one node and the odd ones to another.
func halves(p int) string { return string(rune('a' + p%2)) }

// ownerOf is who has an endpoint's partition.
func (c *cluster) ownerOf(num hook.EndpointNum) string {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.log.owner[store.PartitionOf(num)]
}

// delivered fails the test unless everything is.
func (c *cluster) delivered() {
	c.t.Helper()
	if n := c.queue.count(); n[hook.Delivered] == 0 || len(n) != 1 {
		c.t.Errorf("in the end the deliveries are %v", n)
	}
}
