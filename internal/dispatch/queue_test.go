package dispatch_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// memory is a store.Queue that keeps its promises as long as the test runs. It
// checks what it is told: progress ahead of what is recorded fails the test.
type memory struct {
	t testing.TB

	mu       sync.Mutex
	last     int64
	key      string        // the ordering key of the next events
	events   []*hook.Event // in the order of ids
	bySeq    map[int64]*hook.Event
	records  map[hook.DeliveryKey]*record
	settled  int // events in a row from the beginning with nothing fresh
	floors   [store.Partitions]int64
	marks    map[hook.EndpointNum]int64
	tokens   [store.Partitions]int64
	attempts []*hook.Attempt // in the order of recording

	// Faults and delays; each may be nil or zero.
	recordFault func(outcomes []*store.Outcome) error
	readFault   func() error
	readDelay   time.Duration
	recordDelay time.Duration // until the commit
	recordLag   time.Duration // from the commit until the answer

	checkpoints int
	reads       int
	maxPage     int
	batches     []int
}

type record struct {
	state    hook.DeliveryState
	reason   string
	attempts int
	base     int
	firstAt  time.Time
	nextAt   time.Time
	body     []byte
	trigger  hook.Trigger
}

func newMemory(t testing.TB) *memory {
	return &memory{t: t, bySeq: map[int64]*hook.Event{}, records: map[hook.DeliveryKey]*record{}, marks: map[hook.EndpointNum]int64{}}
}

// append stores an event for endpoints.
func (m *memory) append(tenant hook.TenantNum, data string, endpoints ...hook.EndpointNum) *hook.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	id := hook.NextEventID(m.last, now, 7)
	m.last = id.Seq()
	e := &hook.Event{ID: id, Tenant: tenant, Type: "test.made", Time: now, Data: []byte(data), OrderingKey: m.key}
	for _, num := range slices.Sorted(slices.Values(endpoints)) {
		e.Targets = append(e.Targets, hook.Target{Endpoint: num})
	}
	m.events = append(m.events, e)
	m.bySeq[id.Seq()] = e
	return e
}

// restart is a new owner: the old token is not valid any more.
func (m *memory) restart() store.Lease {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := store.Lease{Node: "test", Partitions: ^uint64(0)}
	for p := range m.tokens {
		m.tokens[p]++
		l.Tokens[p] = m.tokens[p]
	}
	return l
}

func (m *memory) fresh(e *hook.Event, num hook.EndpointNum) bool {
	t, ok := e.Target(num)
	return ok && t.Disposition == hook.Deliver && m.records[hook.DeliveryKey{Event: e.ID, Endpoint: num}] == nil
}

func (m *memory) Lanes(context.Context, store.Lease) ([]store.Lane, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	lanes := map[hook.EndpointNum]*store.Lane{}
	lane := func(num hook.EndpointNum) *store.Lane {
		if lanes[num] == nil {
			lanes[num] = &store.Lane{Endpoint: num}
		}
		return lanes[num]
	}
	for num, seq := range m.marks { // whether something is there is for Fresh to find
		lane(num).Fresh = hook.EventIDFrom(seq, 0)
	}
	for _, e := range m.events {
		for _, t := range e.Targets {
			from, behind := m.marks[t.Endpoint]
			if !behind {
				from = m.floors[store.PartitionOf(t.Endpoint)]
			}
			if e.ID.Seq() < from || !m.fresh(e, t.Endpoint) {
				continue
			}
			l := lane(t.Endpoint)
			l.Waiting++
			if l.Fresh.IsZero() {
				l.Fresh = e.ID
			}
		}
	}
	for k, r := range m.records {
		if r.state != hook.Pending {
			continue
		}
		l := lane(k.Endpoint)
		l.Waiting++
		if l.NextAt.IsZero() || r.nextAt.Before(l.NextAt) {
			l.NextAt = r.nextAt
		}
	}
	var out []store.Lane
	for _, l := range lanes {
		if !l.Fresh.IsZero() || !l.NextAt.IsZero() {
			out = append(out, *l)
		}
	}
	return out, nil
}

func (m *memory) read() error {
	m.mu.Lock()
	m.reads++
	fault := m.readFault
	m.mu.Unlock()
	if fault != nil {
		return fault()
	}
	return nil
}

func (m *memory) work(e *hook.Event, num hook.EndpointNum) *store.Work {
	w := &store.Work{Event: e, Endpoint: num}
	if r := m.records[w.Key()]; r != nil {
		w.Attempts, w.Base, w.FirstAt, w.NextAt, w.Body, w.Trigger = r.attempts, r.base, r.firstAt, r.nextAt, r.body, r.trigger
	}
	return w
}

func (m *memory) Fresh(ctx context.Context, q store.FreshQuery) (store.FreshPage, error) {
	if err := m.read(); err != nil {
		return store.FreshPage{}, err
	}
	p := m.freshNow(q)
	return p, pause(ctx, m.readDelay) // what is found gets old on the way
}

func (m *memory) freshNow(q store.FreshQuery) (p store.FreshPage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, _ := slices.BinarySearchFunc(m.events, q.From.Seq(), func(e *hook.Event, seq int64) int { return int(e.ID.Seq() - seq) })
	for _, e := range m.events[i:] {
		if !q.Before.IsZero() && e.ID.Seq() >= q.Before.Seq() {
			break
		}
		if !m.fresh(e, q.Endpoint) {
			continue
		}
		if len(p.Work) == q.Limit {
			p.Next = e.ID
			break
		}
		p.Work = append(p.Work, m.work(e, q.Endpoint))
	}
	m.maxPage = max(m.maxPage, len(p.Work))
	return p
}

func (m *memory) Retries(ctx context.Context, num hook.EndpointNum, until time.Time, limit int) ([]*store.Work, time.Time, error) {
	if err := m.read(); err != nil {
		return nil, time.Time{}, err
	}
	due, next := m.retriesNow(num, until, limit)
	return due, next, pause(ctx, m.readDelay)
}

func (m *memory) retriesNow(num hook.EndpointNum, until time.Time, limit int) (due []*store.Work, next time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []*store.Work
	for k, r := range m.records {
		if k.Endpoint == num && r.state == hook.Pending {
			all = append(all, m.work(m.bySeq[k.Event.Seq()], num))
		}
	}
	slices.SortFunc(all, func(a, b *store.Work) int { return a.NextAt.Compare(b.NextAt) })
	for _, w := range all {
		if len(due) == limit || w.NextAt.After(until) {
			next = w.NextAt
			break
		}
		due = append(due, w)
	}
	return due, next
}

func (m *memory) Pending(ctx context.Context, num hook.EndpointNum, from hook.EventID, limit int) (store.FreshPage, error) {
	if err := m.read(); err != nil {
		return store.FreshPage{}, err
	}
	p := m.pendingNow(num, from, limit)
	return p, pause(ctx, m.readDelay)
}

func (m *memory) pendingNow(num hook.EndpointNum, from hook.EventID, limit int) (p store.FreshPage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, _ := slices.BinarySearchFunc(m.events, from.Seq(), func(e *hook.Event, seq int64) int { return int(e.ID.Seq() - seq) })
	for _, e := range m.events[i:] {
		if r := m.records[hook.DeliveryKey{Event: e.ID, Endpoint: num}]; r == nil || r.state != hook.Pending {
			continue
		}
		if len(p.Work) == limit {
			p.Next = e.ID
			break
		}
		p.Work = append(p.Work, m.work(e, num))
	}
	return p
}

func pause(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *memory) Record(ctx context.Context, l store.Lease, outcomes []*store.Outcome) error {
	if err := pause(ctx, m.recordDelay); err != nil {
		return err
	}
	if err := m.recordAll(l, outcomes); err != nil {
		return err
	}
	time.Sleep(m.recordLag)
	return nil
}

func (m *memory) recordAll(l store.Lease, outcomes []*store.Outcome) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range outcomes {
		if p := store.PartitionOf(o.Key.Endpoint); !l.Holds(o.Key.Endpoint) || l.Tokens[p] != m.tokens[p] {
			return fmt.Errorf("record: %w", store.ErrLeaseLost)
		}
	}
	if m.recordFault != nil {
		if err := m.recordFault(outcomes); err != nil {
			return err
		}
	}
	m.batches = append(m.batches, len(outcomes))
	for _, o := range outcomes {
		m.recordOne(o)
	}
	return nil
}

func (m *memory) recordOne(o *store.Outcome) {
	r := m.records[o.Key]
	switch {
	case r != nil && (r.state.Terminal() || o.Attempt != nil && o.Attempt.N <= r.attempts):
		return
	case r == nil:
		if _, ok := m.bySeq[o.Key.Event.Seq()]; !ok {
			m.t.Errorf("an outcome of an event that is not there: %v", o.Key)
		}
		r = &record{}
		m.records[o.Key] = r
	}
	stale := o.Base < r.base && o.State != hook.Delivered // from before a redelivery
	if o.Attempt != nil {
		if o.Attempt.N != r.attempts+1 {
			m.t.Errorf("attempt %d of %v follows attempt %d", o.Attempt.N, o.Key, r.attempts)
		}
		r.attempts = o.Attempt.N
		m.attempts = append(m.attempts, o.Attempt)
		if stale {
			r.base = r.attempts
		}
	}
	if stale {
		return
	}
	r.state, r.reason, r.nextAt, r.firstAt, r.base, r.trigger = o.State, o.Reason, o.NextAt, o.FirstAt, o.Base, hook.Scheduled
	if o.Body != nil {
		r.body = o.Body
	}
	if r.state == hook.Pending && r.attempts > 0 && r.body == nil {
		m.t.Errorf("no body was kept for the retry of %v", o.Key)
	}
}

func (m *memory) Redeliver(_ context.Context, _ hook.TenantNum, key hook.DeliveryKey, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.records[key]; r != nil {
		r.state, r.nextAt, r.base, r.firstAt, r.trigger = hook.Pending, now, r.attempts, time.Time{}, hook.Manual
	}
	return nil
}

func (m *memory) Checkpoint(_ context.Context, l store.Lease, p store.Progress) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if current := (store.Lease{Partitions: ^uint64(0), Tokens: m.tokens}); l.Under(&current) != l.Partitions {
		return fmt.Errorf("checkpoint: %w", store.ErrLeaseLost)
	}
	m.checkpoints++
	moved := len(p.Behind)+len(p.CaughtUp) > 0
	for i := range m.floors {
		if l.Partitions>>i&1 == 1 && m.floors[i] != p.Floor.Seq() {
			m.floors[i], moved = p.Floor.Seq(), true
		}
	}
	for _, b := range p.Behind {
		m.marks[b.Endpoint] = b.From.Seq()
	}
	for _, num := range p.CaughtUp {
		delete(m.marks, num)
	}
	if moved { // else it is as far ahead as it was, or less
		m.checkProgress()
	}
	return nil
}

// checkProgress is the one rule of Checkpoint: never ahead.
func (m *memory) checkProgress() {
	for m.settled < len(m.events) && !slices.ContainsFunc(m.events[m.settled].Targets, func(t hook.Target) bool {
		return m.fresh(m.events[m.settled], t.Endpoint)
	}) {
		m.settled++
	}
	for _, e := range m.events[m.settled:] {
		for _, t := range e.Targets {
			from, behind := m.marks[t.Endpoint]
			if !behind {
				from = m.floors[store.PartitionOf(t.Endpoint)]
			}
			if e.ID.Seq() < from && m.fresh(e, t.Endpoint) {
				m.t.Errorf("progress is ahead: endpoint %d (behind: %v) is at %d, and event %d is not recorded", t.Endpoint, behind, from, e.ID.Seq())
				return
			}
		}
	}
}

// state is a delivery's state; 0: fresh.
func (m *memory) state(key hook.DeliveryKey) hook.DeliveryState {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.records[key]; r != nil {
		return r.state
	}
	return 0
}

// count counts the deliveries in each state.
func (m *memory) count() map[hook.DeliveryState]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := map[hook.DeliveryState]int{}
	for _, e := range m.events {
		for _, t := range e.Targets {
			r := m.records[hook.DeliveryKey{Event: e.ID, Endpoint: t.Endpoint}]
			switch {
			case r != nil:
				n[r.state]++
			case t.Disposition == hook.Deliver:
				n[0]++
			}
		}
	}
	return n
}

// tried are the attempts recorded so far.
func (m *memory) tried() []*hook.Attempt {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.attempts)
}

// reason is a delivery's reason.
func (m *memory) reason(key hook.DeliveryKey) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.records[key]; r != nil {
		return r.reason
	}
	return ""
}

// behind are the lanes that the last checkpoint left behind.
func (m *memory) behind() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.marks)
}
