package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/egress"
	"grapnel/internal/egress/oauth2"
	"grapnel/internal/hook"
	"grapnel/internal/keyring"
	"grapnel/internal/store"
	"grapnel/internal/telemetry"
)

// Directory is the configuration as dispatch reads it.
type Directory interface {
	Endpoint(num hook.EndpointNum) (*hook.Endpoint, bool)
	TenantByNum(num hook.TenantNum) (*hook.Tenant, bool)
	Watch(f func(changed *store.Configuration))
}

// Egress sends one request. It never fails: a failure is data.
type Egress interface {
	Do(ctx context.Context, r *egress.Request) *egress.Result
}

// Manager changes an endpoint because of what it answered.
type Manager interface {
	DisableEndpoint(ctx context.Context, num hook.EndpointNum, reason string) error
	Unsubscribe(ctx context.Context, num hook.EndpointNum, reason string) error
	// EndpointFailing tells that all attempts have failed since a time; warning
	// counts from 1.
	EndpointFailing(ctx context.Context, num hook.EndpointNum, since time.Time, warning int, reason string) error
	// EndpointRecovered tells that one that was told of as failing has taken a
	// delivery.
	EndpointRecovered(ctx context.Context, num hook.EndpointNum) error
}

// Defaults of Config.
const (
	DefaultMaxInFlight = 4096
	DefaultMemory      = 32 << 20
	DefaultWide        = 128
)

// Config is what a Dispatcher works with. Fields are needed unless they say
// otherwise.
type Config struct {
	Queue     store.Queue // with several nodes, a store.Follower
	Lease     store.Lease // to begin with; see SetLease
	Directory Directory
	Dialects  *dialect.Registry
	Egress    Egress
	Ring      *keyring.Ring
	Manager   Manager
	Metrics   *telemetry.Metrics // nil: none
	Tracer    *telemetry.Tracer  // nil: no traces
	Logger    *slog.Logger
	PublicURL string
	Pins      *Pins // nil: bodies are made with what there is now
	// CatchUp has the Directory be of a revision at least, where other nodes may have
	// configured it, before a delivery of an event of that revision is made. nil: there
	// are none.
	CatchUp func(ctx context.Context, revision int64)

	MaxInFlight int // requests at once over all endpoints; 0: DefaultMaxInFlight
	Busy        int // of them, how many may take the processor; 0: all
	Wide        int // targets from which on an event is handed to its lanes apart from others; 0: DefaultWide
	Memory      int // bytes of deliveries that wait in memory; 0: DefaultMemory. Requests may hold flyingFactor times that

	// Observe is told of every attempt as soon as it is over, before it is
	// recorded. It must not block, nor change what it is given. It may be nil.
	Observe func(*hook.Attempt)

	// Recorded is told of every delivery that something was recorded of, after
	// that is committed: an attempt, or without one (nil) another change of its
	// state. eventType may be "" where it is not at hand. It must not block, nor
	// keep or change what it is given. It may be nil.
	Recorded func(tenant hook.TenantNum, key hook.DeliveryKey, eventType string, a *hook.Attempt)
}

func (c *Config) complete() error {
	if c.MaxInFlight == 0 {
		c.MaxInFlight = DefaultMaxInFlight
	}
	if c.Memory == 0 {
		c.Memory = DefaultMemory
	}
	if c.Wide == 0 {
		c.Wide = DefaultWide
	}
	if c.Queue == nil || c.Directory == nil || c.Dialects == nil || c.Egress == nil || c.Ring == nil || c.Manager == nil || c.Logger == nil {
		return errors.New("dispatch: the configuration is not complete")
	}
	if c.MaxInFlight < 1 || c.Memory < 1 {
		return fmt.Errorf("dispatch: MaxInFlight (%d) and Memory (%d) cannot be negative", c.MaxInFlight, c.Memory)
	}
	return nil
}

// Dispatcher delivers. Its methods may be called from many goroutines at once.
type Dispatcher struct {
	Config
	send func(ctx context.Context, dl *delivery) effect // makes an attempt

	quit    chan struct{}      // closed when nothing more may begin
	lost    chan struct{}      // closed when the lease is lost
	run     context.Context    // of all requests; ends when Stop cannot wait longer
	cancel  context.CancelFunc // ends run
	upkeep  sync.WaitGroup     // timers, pagers, janitor, actions
	working sync.WaitGroup     // workers
	record  *recorder
	telling exclusive // one call of Checkpoint at a time
	tokens  *oauth2.Tokens

	mu        sync.Mutex
	phase     phase
	barred    bool // a lost lease, or a store that does not take outcomes
	lanes     map[hook.EndpointNum]*lane
	tenants   map[hook.TenantNum]*tenant
	spent     allowances                   // of lanes that have gone
	ailments  map[hook.EndpointNum]ailment // of endpoints whose lanes went for want of work
	rings     rings
	timers    timers
	wides     []*wide     // events that are being handed out, in their order
	spreading sync.Cond   // wides or phase changed
	pages     list[*lane] // that want a page
	paging    sync.Cond   // pages or phase changed
	idle      []*worker   // parked; the last one parked is the first to wake
	processor processor   // attempts that take it
	inFlight  [classes]int
	active    int           // tenants with requests running
	drained   chan struct{} // closed when stopping and nothing is in flight
	flying    [classes]int  // weight of what is in flight
	bytes     int           // of deliveries in memory
	waiting   int           // deliveries in windows and backlogs
	backed    int           // outcomes that are not recorded yet
	backedBy  int           // bytes that they hold
	progress  progress
	tenure    tenure
	tail      tail
	outage    outage
	pending   atomic.Int64              // deliveries that are not over
	listed    int64                     // deliveries of events up to here are counted by what the store tells at the start
	counted   sync.Map                  // the tenants by number, for Pending
	early     map[hook.DeliveryKey]bool // cancelled before they were offered
	awake     bool                      // the janitor has something to do
	stirred   chan struct{}             // wakes it
}

// phase is where a dispatcher is in its life. It only goes on.
type phase uint8

const (
	idle phase = iota
	started
	stopping
)

// New makes a dispatcher that does nothing until Start. From now on it has to
// be told of every event by Offer.
func New(c Config) (*Dispatcher, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	d := &Dispatcher{
		Config:  c,
		tokens:  oauth2.New(c.Egress),
		quit:    make(chan struct{}),
		lost:    make(chan struct{}),
		drained: make(chan struct{}),
		stirred: make(chan struct{}, 1),
		lanes:   map[hook.EndpointNum]*lane{},
		tenants: map[hook.TenantNum]*tenant{},
		spent:   allowances{},
		timers:  newTimers(),
		outage:  newOutage(),
		tail:    newTail(c.Queue),
		telling: make(exclusive, 1),
	}
	d.send = d.attempt
	d.paging.L, d.spreading.L = &d.mu, &d.mu
	d.tenure.begin(c.Lease, &d.mu)
	d.record = newRecorder(d)
	d.run, d.cancel = context.WithCancel(context.Background())
	return d, nil
}

// Lost is closed when a lease is lost that never ends, and that nobody renews.
// Nothing is sent from then on; Stop has still to be called.
func (d *Dispatcher) Lost() <-chan struct{} { return d.lost }

// Start finds the lanes that have work and begins to deliver.
func (d *Dispatcher) Start(ctx context.Context) error {
	d.Directory.Watch(d.changed)
	d.countAnew()
	a, err := d.list(ctx)
	switch {
	case errors.Is(err, store.ErrLeaseLost) && d.doubt():
		a = listing{} // part of it has moved on meanwhile: runJoiner lists what is held by then
		signal(d.tenure.gained)
	case err != nil:
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.phase != idle {
		return errors.New("dispatch: Start after Start or Stop")
	}
	d.phase = started
	now := time.Now()
	offered := d.lanesOf(d.enter(&a))
	for _, sl := range a.lanes {
		if a.still(&d.tenure, sl.Endpoint) {
			d.restore(sl, a.upTo, now)
		}
	}
	d.reconfigure(offered)
	d.upkeep.Go(d.runJoiner)
	if d.tail.of != nil {
		d.upkeep.Go(d.runTail)
	}
	d.upkeep.Go(d.runTimers)
	d.upkeep.Go(d.runSpreader)
	d.upkeep.Go(d.runJanitor)
	for range pagers {
		d.upkeep.Go(d.runPager)
	}
	d.upkeep.Go(d.record.run)
	d.kick(now)
	return nil
}

// restore makes a lane of what the store tells at the start, or when its partition
// was gained. It covers all events up to upTo, if that is not 0.
func (d *Dispatcher) restore(sl store.Lane, upTo int64, now time.Time) {
	l := d.lane(sl.Endpoint)
	d.count(l, sl.Waiting)
	if !sl.Fresh.IsZero() {
		seq := sl.Fresh.Seq()
		d.progress.base = max(d.progress.base, seq)
		if l.from == 0 {
			l.from = seq
		}
		l.from = min(l.from, seq)
		if upTo != 0 {
			l.to = max(l.to, upTo+1, l.from+1)
		}
		l.told = unsure
		d.fellBehind(l)
	}
	if !sl.NextAt.IsZero() {
		l.stores(1, sl.NextAt)
	}
	d.settle(l, now)
}

// offerChunk is how many targets are taken in about one hold of the mutex.
const offerChunk = 256

// Offer tells of events that were just stored here: every one, once, in the order
// of their ids. It never waits for the network or the store.
func (d *Dispatcher) Offer(events []*hook.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	n := 0
	for _, e := range events {
		d.thinOut(now)
		seq := e.ID.Seq()
		if d.tail.of == nil {
			d.handOut(e, seq, now)
		} else if d.tenure.lease.Partitions != 0 && !d.tail.took(seq) {
			d.handOut(e, seq, now)
			d.tail.ahead = append(d.tail.ahead, seq)
		}
		if n += len(e.Targets); n >= offerChunk {
			n = 0
			d.kick(now)
			d.mu.Unlock()
			d.mu.Lock()
		}
	}
	if len(d.early) > 0 {
		d.forgetEarly()
	}
	d.kick(now)
	d.stir()
}

// handOut hands an event to its lanes, or to who does that for a wide one. It
// keeps the mutex: none of them has it, or all.
func (d *Dispatcher) handOut(e *hook.Event, seq int64, now time.Time) {
	if d.progress.first == 0 {
		d.progress.first = seq
	}
	d.progress.last = max(d.progress.last, seq)
	if len(e.Targets) >= d.Wide {
		d.spread(e, now)
		return
	}
	for _, t := range e.Targets {
		if t.Disposition == hook.Deliver && d.tenure.lease.Holds(t.Endpoint) {
			if len(d.wides) > 0 {
				d.catchUp(t.Endpoint, now)
			}
			d.offer(e, seq, t.Endpoint, nil, now)
		}
	}
}

// offer hands a delivery to its lane. Its place in front is behind all others',
// or behind after, if that is not nil.
func (d *Dispatcher) offer(e *hook.Event, seq int64, num hook.EndpointNum, after *delivery, now time.Time) {
	l := d.lane(num)
	if len(d.early) > 0 && d.cancelledEarly(l, e.ID, after, now) {
		return
	}
	if seq > d.listed {
		d.count(l, 1)
	}
	if seq <= l.seen && d.tail.of == nil {
		return
	}
	size := offeredSize(e)
	if d.phase != started || seq < d.tenure.parts[l.part].first || !l.room(size, d.Memory-d.bytes) {
		d.leave(l, seq)
		d.settle(l, now)
		return
	}
	dl := newDelivery(l, e)
	dl.size, dl.offered = size, now
	d.took(dl)
	dl.join(&l.live)
	d.await(dl)
	d.standInFront(dl, after)
	d.waiting++
	d.settle(l, now)
}

// leave leaves a delivery that is offered in the store.
func (d *Dispatcher) leave(l *lane, seq int64) {
	if l.from != 0 && seq < l.from {
		l.generation++ // a page that is being read begins after it
	}
	l.skip(seq, d.first(l))
	d.fellBehind(l)
	if l.order != nil && l.hasAfter(seq) {
		d.evict(l) // what comes after it is read after it
	}
}

// standInFront lets a delivery that is offered keep the floor back.
func (d *Dispatcher) standInFront(dl, after *delivery) {
	if after != nil {
		d.progress.front.insertAfter(&dl.front, &after.front)
		return
	}
	at := d.progress.front.last
	for at != nil && at.of.seq > dl.seq { // it was offered ahead
		at = at.prev
	}
	d.progress.front.insertAfter(&dl.front, at)
}

// took counts a delivery that is in memory from now on.
func (d *Dispatcher) took(dl *delivery) {
	d.bytes += dl.size
	dl.lane.bytes += dl.size
	dl.lane.tenant.bytes += dl.size
	dl.lane.idleSince = time.Time{}
}

// forget takes a delivery out of memory.
func (d *Dispatcher) forget(dl *delivery) {
	l := dl.lane
	d.bytes -= dl.size
	l.bytes -= dl.size
	l.tenant.bytes -= dl.size
	dl.home.leave()
	if dl.queue.leave() {
		d.waiting--
	}
	if dl.heapPos >= 0 {
		l.retries.take(dl)
	}
	if dl.aside {
		dl.aside = false
		l.aside--
	}
	if dl.turn != nil {
		d.leaveLine(dl)
	}
	if dl.bars {
		dl.unbars()
	}
	d.unfresh(dl)
}

// unfresh ends what a delivery has to do with progress: it is recorded, or the
// lane's mark stands for it.
func (d *Dispatcher) unfresh(dl *delivery) {
	if !dl.fresh {
		return
	}
	dl.fresh = false
	if !dl.front.leave() {
		dl.lane.apart--
	}
	if dl.lane.behind {
		d.toTell(dl.lane)
	}
}

// Wake tells that a recorded delivery was made pending by Redeliver.
func (d *Dispatcher) Wake(key hook.DeliveryKey) {
	if d.Recorded != nil {
		if e, ok := d.Directory.Endpoint(key.Endpoint); ok {
			d.Recorded(e.TenantNum, key, "", nil)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.tenure.lease.Holds(key.Endpoint) {
		return
	}
	l := d.lane(key.Endpoint)
	now := time.Now()
	switch dl := l.find(key.Event); {
	case dl == nil:
		d.count(l, 1)
	case dl.aside:
		d.giveBack(dl)
	case !dl.waits():
		dl.again, dl.ending = true, ""
	case !dl.fresh:
		d.forget(dl) // what is in memory is out of date
	}
	l.stores(key.Event.Seq(), now)
	d.settle(l, now)
	d.kick(now)
}

// WakeLane tells that the store may have deliveries of a lane that are due, for
// another node has changed something there.
func (d *Dispatcher) WakeLane(endpoint hook.EndpointNum) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.phase != started || !d.tenure.lease.Holds(endpoint) {
		return
	}
	now := time.Now()
	l := d.lane(endpoint)
	l.stores(1, now)
	d.settle(l, now)
	d.kick(now)
}

// changed takes over a new configuration.
func (d *Dispatcher) changed(c *store.Configuration) {
	for _, e := range c.Endpoints {
		d.EndpointChanged(e.Num)
	}
	if len(c.Tenants) == 0 {
		return
	}
	nums := map[hook.TenantNum]bool{}
	for _, t := range c.Tenants {
		nums[t.Num] = true
	}
	var touched []hook.EndpointNum
	d.mu.Lock()
	for num, l := range d.lanes {
		if nums[l.tenant.num] {
			touched = append(touched, num)
		}
	}
	d.mu.Unlock()
	for _, num := range touched {
		d.EndpointChanged(num)
	}
}

// EndpointChanged takes over what has changed of an endpoint or its tenant.
func (d *Dispatcher) EndpointChanged(num hook.EndpointNum) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lanes[num]
	if l == nil {
		return
	}
	now := time.Now()
	d.configure(l)
	d.takeUp(l)
	d.settle(l, now)
	d.kick(now)
}

// configure takes over what a lane's endpoint says now. A new URL, or being
// active again, is a new beginning.
func (d *Dispatcher) configure(l *lane) {
	e, _ := d.Directory.Endpoint(l.num)
	old, was := l.url, l.mode
	l.url, l.ordering, l.stays = 0, hook.Unordered, false
	l.mode, l.most, l.rate = holding, defaultMaxInFlight, 0
	if e == nil {
		d.reorder(l)
		return
	}
	t, _ := d.Directory.TenantByNum(e.TenantNum)
	if d.tenure.sends(l.part) {
		l.mode, _ = d.judge(e, t)
	}
	l.rate = e.RateLimit
	if e.MaxInFlight > 0 {
		l.most = e.MaxInFlight
	}
	l.url, l.ordering, l.stays = urlHash(e.URL), e.Ordering, neverSkips(e)
	if old != l.url {
		l.host = hostHash(e.URL)
	}
	if old != 0 && (old != l.url || was != sending && l.mode == sending) {
		l.startAnew()
	}
	l.disableAfter = e.DisableAfter
	if l.ailment.since.IsZero() {
		l.ailment.since = e.FailingSince
	}
	d.reorder(l)
}

// judge says what may be done with an endpoint's deliveries, and if they are
// not to be sent, why.
func (d *Dispatcher) judge(e *hook.Endpoint, t *hook.Tenant) (mode, string) {
	switch {
	case e.Deleted:
		return cancelling, "endpoint deleted"
	case t == nil:
		return holding, ""
	case t.Deleted:
		return cancelling, "tenant deleted"
	case e.Active():
		return sending, ""
	}
	if c, ok := d.Dialects.Get(e.Dialect); ok && c.OnInactive() == dialect.Cancel {
		return cancelling, "endpoint " + string(e.State)
	}
	return holding, ""
}

// lane finds or makes the lane of an endpoint. That of an endpoint which the
// directory does not know yet holds.
func (d *Dispatcher) lane(num hook.EndpointNum) *lane {
	if l := d.lanes[num]; l != nil {
		return l
	}
	var owner hook.TenantNum
	if e, found := d.Directory.Endpoint(num); found {
		owner = e.TenantNum
	}
	t := d.tenants[owner]
	if t == nil {
		t = &tenant{num: owner}
		for c := range t.ring {
			t.ring[c].of = t
		}
		d.tenants[owner] = t
		d.counted.Store(owner, t)
	}
	t.lanes++
	l := newLane(num, t)
	l.allowance = d.spent.take(num)
	l.ailment = d.takesAilment(num)
	d.configure(l)
	d.lanes[num] = l
	return l
}
