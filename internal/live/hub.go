package live

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"grapnel/internal/hook"
)

// Limits of a hub; 0 is the default.
const (
	DefaultStreams          = 256 // at once
	DefaultStreamsPerTenant = 64  // at once, of one tenant
	DefaultStreamsPerKey    = 32  // at once, of one API key
	DefaultBacklog          = 1024
)

// Config bounds a Hub.
type Config struct {
	Streams          int // at once; 0: DefaultStreams
	StreamsPerTenant int // at once, of one tenant; 0: DefaultStreamsPerTenant
	StreamsPerKey    int // at once, of one API key; 0: DefaultStreamsPerKey
	Backlog          int // changes that wait for one watcher; 0: DefaultBacklog
}

// Hub passes on what happens to all who watch. Its methods may be called from
// many goroutines at once, and those that tell it something never block.
type Hub struct {
	Config
	watched  atomic.Int32 // watchers of deliveries
	awaited  atomic.Int32 // alarms
	open     context.Context
	closeAll context.CancelFunc

	mu       sync.Mutex
	streams  int
	held     map[holder]int                           // streams
	watchers map[hook.TenantNum]map[*Watcher]struct{} // 0: those of all tenants
	alarms   map[hook.TenantNum]map[*Alarm]struct{}
}

// New makes a hub.
func New(c Config) *Hub {
	if c.Streams == 0 {
		c.Streams = DefaultStreams
	}
	if c.StreamsPerTenant == 0 {
		c.StreamsPerTenant = DefaultStreamsPerTenant
	}
	if c.StreamsPerKey == 0 {
		c.StreamsPerKey = DefaultStreamsPerKey
	}
	if c.Backlog == 0 {
		c.Backlog = DefaultBacklog
	}
	h := &Hub{
		Config: c, held: map[holder]int{}, watchers: map[hook.TenantNum]map[*Watcher]struct{}{}, alarms: map[hook.TenantNum]map[*Alarm]struct{}{},
	}
	h.open, h.closeAll = context.WithCancel(context.Background())
	return h
}

// Close asks all streams to end, and lets no new one begin.
func (h *Hub) Close() { h.closeAll() }

// Open ends when the hub is closed.
func (h *Hub) Open() context.Context { return h.open }

// holder is a key, a tenant or a kind of callers that streams are counted for.
type holder struct{ key, tenant, kind string }

// customers are all who come by a portal link.
var customers = holder{kind: "customer"}

// Enter counts a stream of an API key about a tenant ("": about all) until
// leave is called. Customers, who come by portal links, leave a quarter of all streams to
// others. The error is of CodeRateLimited when the key or the tenant has as many as it may,
// and of CodeUnavailable when the server has, or is stopping.
func (h *Hub) Enter(key, tenant string, customer bool) (leave func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.open.Err() != nil:
		return nil, hook.Errorf(hook.CodeUnavailable, "the server is stopping: open the stream again in a moment")
	case h.held[holder{key: key}] >= h.StreamsPerKey:
		return nil, hook.Errorf(hook.CodeRateLimited, "this key has %d live streams open, which is as many as one may have: end one, or use another key", h.StreamsPerKey)
	case tenant != "" && h.held[holder{tenant: tenant}] >= h.StreamsPerTenant:
		return nil, hook.Errorf(hook.CodeRateLimited, "this tenant has %d live streams open, which is as many as one may have: end one", h.StreamsPerTenant)
	case h.streams >= h.Streams, customer && h.held[customers] >= h.Streams-h.Streams/4:
		return nil, hook.Errorf(hook.CodeUnavailable, "the server has as many live streams open as it takes: try again later")
	}
	h.streams++
	of := []holder{{key: key}, {tenant: tenant}}
	if customer {
		of = append(of, customers)
	}
	for _, one := range of {
		h.held[one]++
	}
	return sync.OnceFunc(func() { h.leave(of) }), nil
}

func (h *Hub) leave(all []holder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streams--
	for _, one := range all {
		if h.held[one]--; h.held[one] == 0 {
			delete(h.held, one)
		}
	}
}

// Count tells how many streams are open.
func (h *Hub) Count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.streams
}

// Change says that something of a delivery was recorded.
type Change struct {
	Tenant  hook.TenantNum
	Key     hook.DeliveryKey
	Type    string // the event's; "": not known here
	Attempt Attempt
}

// Attempt is what a change tells of the attempt that was recorded with it.
type Attempt struct {
	N       int // 0: the change is none by an attempt
	At      time.Time
	Trigger hook.Trigger
	State   hook.DeliveryState // what the delivery became by it
	Status  int                // 0 without an answer
	Class   string
	Took    time.Duration
}

// Filter selects changes. Its zero value selects all.
type Filter struct {
	Tenant    hook.TenantNum                // 0: all
	Sees      func(hook.TenantNum) bool     // asked besides, when changes are taken or there is no room. nil: all
	Endpoints map[hook.EndpointNum]struct{} // nil: all
	Type      string                        // "": all
}

// wants reports whether a change of a tenant that is watched is to be kept. It
// is asked by whoever recorded the change, and must cost next to nothing: Sees is
// asked later.
func (f *Filter) wants(c *Change) bool {
	if f.Type != "" && c.Type != "" && f.Type != c.Type {
		return false
	}
	if f.Endpoints == nil {
		return true
	}
	_, ok := f.Endpoints[c.Key.Endpoint]
	return ok
}

// Watcher gathers changes for one who watches. Whoever makes one must close it.
type Watcher struct {
	hub    *Hub
	filter Filter
	ready  chan struct{} // holds one

	mu      sync.Mutex
	changes []Change
	missed  int // changes that came after those, and found no room
}

// Watch begins to gather changes.
func (h *Hub) Watch(f Filter) *Watcher {
	w := &Watcher{hub: h, filter: f, ready: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watchers[f.Tenant] == nil {
		h.watchers[f.Tenant] = map[*Watcher]struct{}{}
	}
	h.watchers[f.Tenant][w] = struct{}{}
	h.watched.Add(1)
	return w
}

// Close ends the gathering.
func (w *Watcher) Close() {
	h, tenant := w.hub, w.filter.Tenant
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.watchers[tenant][w]; !ok {
		return
	}
	h.watched.Add(-1)
	if delete(h.watchers[tenant], w); len(h.watchers[tenant]) == 0 {
		delete(h.watchers, tenant)
	}
}

// Ready has a value when there is something to take.
func (w *Watcher) Ready() <-chan struct{} { return w.ready }

// Take returns the changes since the last call that the filter's Sees allows,
// oldest first, and how many more of these came after them that are lost, for
// there was no room.
func (w *Watcher) Take() (changes []Change, missed int) {
	w.mu.Lock()
	changes, missed = w.changes, w.missed
	w.changes, w.missed = nil, 0
	w.mu.Unlock()
	return w.seen(changes), missed
}

// seen takes out what the filter's Sees does not allow.
func (w *Watcher) seen(changes []Change) []Change {
	if w.filter.Sees == nil {
		return changes
	}
	return slices.DeleteFunc(changes, func(c Change) bool { return !w.filter.Sees(c.Tenant) })
}

// add keeps a change. Once one is lost, all are until the watcher has taken
// what there is, so that it can tell where the hole is. What the watcher may not
// see neither takes the room of others nor counts as lost.
func (w *Watcher) add(c *Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.missed > 0 || len(w.changes) >= w.hub.Backlog {
		if w.filter.Sees != nil && !w.filter.Sees(c.Tenant) {
			return
		}
		if w.missed == 0 {
			w.changes = w.seen(w.changes)
		}
	}
	if w.missed > 0 || len(w.changes) >= w.hub.Backlog {
		w.missed++
	} else {
		w.changes = append(w.changes, *c)
	}
	ring(w.ready)
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// Recorded tells that something of a delivery was recorded: an attempt, or
// without one (nil) another change of its state. eventType may be "" where it
// is not known. Nothing that it is given is kept.
func (h *Hub) Recorded(tenant hook.TenantNum, key hook.DeliveryKey, eventType string, a *hook.Attempt) {
	if h.watched.Load() == 0 {
		return
	}
	c := Change{Tenant: tenant, Key: key, Type: eventType}
	if a != nil {
		c.Attempt = Attempt{N: a.N, At: a.At, Trigger: a.Trigger, State: a.State, Status: a.Status, Class: a.Class, Took: a.Timing.Total}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, watched := range [...]hook.TenantNum{0, tenant} {
		for w := range h.watchers[watched] {
			if w.filter.wants(&c) {
				w.add(&c)
			}
		}
	}
}

// Alarm rings when a tenant has new events. Whoever makes one must close it.
type Alarm struct {
	hub    *Hub
	tenant hook.TenantNum
	rung   chan struct{} // holds one
}

// Await makes an alarm.
func (h *Hub) Await(tenant hook.TenantNum) *Alarm {
	a := &Alarm{hub: h, tenant: tenant, rung: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.alarms[tenant] == nil {
		h.alarms[tenant] = map[*Alarm]struct{}{}
	}
	h.alarms[tenant][a] = struct{}{}
	h.awaited.Add(1)
	return a
}

// Rung has a value when events were stored since the last one was taken.
func (a *Alarm) Rung() <-chan struct{} { return a.rung }

// Close ends the alarm.
func (a *Alarm) Close() {
	h := a.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.alarms[a.tenant][a]; !ok {
		return
	}
	h.awaited.Add(-1)
	if delete(h.alarms[a.tenant], a); len(h.alarms[a.tenant]) == 0 {
		delete(h.alarms, a.tenant)
	}
}

// Committed tells of events that were just stored.
func (h *Hub) Committed(events []*hook.Event) {
	if h.awaited.Load() > 0 {
		h.alarm(events)
	}
	if h.watched.Load() == 0 {
		return
	}
	for _, e := range events {
		for _, t := range e.Targets {
			if t.Disposition != hook.Deliver { // it is over before it began
				h.Recorded(e.Tenant, hook.DeliveryKey{Event: e.ID, Endpoint: t.Endpoint}, e.Type, nil)
			}
		}
	}
}

func (h *Hub) alarm(events []*hook.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range events {
		for a := range h.alarms[e.Tenant] {
			ring(a.rung)
		}
	}
}
