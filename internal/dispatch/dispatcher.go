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
	Queue     store.Queue
	Lease     store.Lease
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

	mu        sync.Mutex
	phase     phase
	barred    bool // a lost lease, or a store that does not take outcomes
	lanes     map[hook.EndpointNum]*lane
	tenants   map[hook.TenantNum]*tenant
	spent     allowances // of lanes that have gone
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
		quit:    make(chan struct{}),
		lost:    make(chan struct{}),
		drained: make(chan struct{}),
		stirred: make(chan struct{}, 1),
		lanes:   map[hook.EndpointNum]*lane{},
		tenants: map[hook.TenantNum]*tenant{},
		spent:   allowances{},
		timers:  newTimers(),
		outage:  newOutage(),
	}
	d.send = d.attempt
	d.paging.L, d.spreading.L = &d.mu, &d.mu
	d.record = newRecorder(d)
	d.run, d.cancel = context.WithCancel(context.Background())
	return d, nil
}

// Lost is closed when the lease is lost. Nothing is sent from then on; Stop
// has still to be called.
func (d *Dispatcher) Lost() <-chan struct{} { return d.lost }

// Start finds the lanes that have work and begins to deliver.
func (d *Dispatcher) Start(ctx context.Context) error {
	d.Directory.Watch(d.changed)
	d.countAnew()
	lanes, err := d.Queue.Lanes(ctx, d.Lease)
	if err != nil {
		return fmt.Errorf("list the lanes with work: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.phase != idle {
		return errors.New("dispatch: Start after Start or Stop")
	}
	d.phase = started
	now := time.Now()
	for _, sl := range lanes {
		d.restore(sl, now)
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

// restore makes a lane of what the store tells at the start.
func (d *Dispatcher) restore(sl store.Lane, now time.Time) {
	l := d.lane(sl.Endpoint)
	d.count(l, sl.Waiting)
	if !sl.Fresh.IsZero() {
		seq := sl.Fresh.Seq()
		d.progress.base = max(d.progress.base, seq)
		if l.from == 0 {
			l.from = seq
		}
		l.from = min(l.from, seq)
		l.told = unsure
		d.fellBehind(l)
	}
	if !sl.NextAt.IsZero() {
		l.stores(1, sl.NextAt)
	}
	d.settle(l, now)
}

// offerChunk is how many targets are taken in one hold of the mutex.
const offerChunk = 256

// Offer tells of events that were just stored: every one, once, in the order
// of their ids. It never waits for the network or the store.
func (d *Dispatcher) Offer(events []*hook.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	n := 0
	for _, e := range events {
		seq := e.ID.Seq()
		if d.progress.first == 0 {
			d.progress.first = seq
		}
		if len(e.Targets) >= d.Wide {
			d.spread(e, now)
			d.progress.last = seq
			continue
		}
		for _, t := range e.Targets {
			if t.Disposition == hook.Deliver && d.Lease.Holds(t.Endpoint) {
				if len(d.wides) > 0 {
					d.catchUp(t.Endpoint, now)
				}
				d.offer(e, seq, t.Endpoint, nil, now)
			}
			if n++; n%offerChunk == 0 {
				d.kick(now)
				d.mu.Unlock()
				d.mu.Lock()
			}
		}
		d.progress.last = seq
	}
	if len(d.early) > 0 {
		d.forgetEarly()
	}
	d.kick(now)
	d.stir()
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
	if seq <= l.seen {
		return
	}
	size := offeredSize(e)
	if d.phase != started || !l.room(size, d.Memory-d.bytes) {
		l.skip(seq, d.progress.first)
		d.fellBehind(l)
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

// standInFront lets a delivery that is offered keep the floor back.
func (d *Dispatcher) standInFront(dl, after *delivery) {
	if after != nil {
		d.progress.front.insertAfter(&dl.front, &after.front)
	} else {
		d.progress.front.push(&dl.front)
	}
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
	if !d.Lease.Holds(key.Endpoint) {
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
	l.mode, _ = d.judge(e, t)
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
	d.configure(l)
	d.lanes[num] = l
	return l
}
