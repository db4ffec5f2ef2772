package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// RunModel runs random calls against a store and against a map, and compares
// what they say. Run does it, too.
func RunModel(t *testing.T, open func(t *testing.T) Harness) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{world: newWorld(rt, t, open(t)), rt: rt, stands: map[hook.DeliveryKey]*modelStand{}}
		defer func() { _ = m.st.Close() }()
		for range rapid.IntRange(5, 40).Draw(rt, "steps") {
			m.step()
		}
		m.compare()
	})
}

// model is what a store should say, kept in the simplest way.
type model struct {
	*world
	rt     *rapid.T
	events []*hook.Event
	keys   []hook.DeliveryKey
	stands map[hook.DeliveryKey]*modelStand
	behind []hook.EndpointNum
}

// modelStand is where a delivery stands; none: it is fresh.
type modelStand struct {
	state    hook.DeliveryState
	attempts int
	base     int
	nextAt   time.Time
	manual   bool
	body     string
}

func (m *model) step() {
	switch rapid.SampledFrom([]string{"append", "append", "append", "record", "record", "record", "redeliver", "checkpoint", "crash", "reopen", "settle"}).Draw(m.rt, "step") {
	case "append":
		m.doAppend()
	case "record":
		m.doRecord()
	case "redeliver":
		m.doRedeliver()
	case "checkpoint":
		m.doCheckpoint()
	case "crash":
		m.crash()
	case "reopen":
		m.reopen()
	case "settle":
		m.settle()
	}
}

func (m *model) doAppend() {
	var batch []*hook.Event
	for range rapid.IntRange(1, 4).Draw(m.rt, "events") {
		e := m.event(hook.TenantNum(rapid.IntRange(1, 3).Draw(m.rt, "tenant")))
		for n := hook.EndpointNum(1); n <= 4; n++ {
			if rapid.Bool().Draw(m.rt, "target") {
				e.Targets = append(e.Targets, hook.Target{Endpoint: n, Disposition: hook.Disposition(rapid.SampledFrom([]int{0, 0, 0, 0, 1, 2}).Draw(m.rt, "disposition"))})
			}
		}
		if rapid.Bool().Draw(m.rt, "keyed") {
			e.Key = fmt.Sprint("key", e.ID)
			e.Fingerprint = [16]byte{9}
		}
		batch = append(batch, e)
	}
	m.append(batch...)
	m.events = append(m.events, batch...)
	for _, e := range batch {
		for _, t := range e.Targets {
			m.keys = append(m.keys, key(e, t.Endpoint))
		}
	}
}

func (m *model) pick() (k hook.DeliveryKey, ok bool) {
	if len(m.keys) == 0 {
		return k, false
	}
	return rapid.SampledFrom(m.keys).Draw(m.rt, "delivery"), true
}

func (m *model) doRecord() {
	var outs []*store.Outcome
	for range rapid.IntRange(1, 5).Draw(m.rt, "outcomes") {
		k, ok := m.pick()
		if !ok {
			return
		}
		state := hook.DeliveryState(rapid.IntRange(1, 5).Draw(m.rt, "state"))
		made := 0
		if st := m.stands[k]; st != nil {
			made = st.attempts
		}
		var o *store.Outcome
		if rapid.IntRange(0, 3).Draw(m.rt, "kind") > 0 {
			n := max(1, made+rapid.SampledFrom([]int{1, 1, 1, 0}).Draw(m.rt, "n"))
			o = m.outcome(k, n, state)
		} else {
			o = m.change(k, state, "r")
			o.NextAt = m.now.Add(time.Minute)
		}
		o.Base = made / 2
		outs = append(outs, o)
		m.apply(o)
	}
	m.record(outs...)
}

// apply is what the contract says of an outcome.
func (m *model) apply(o *store.Outcome) {
	st := m.stands[o.Key]
	if st == nil {
		st = &modelStand{}
		m.stands[o.Key] = st
	}
	if st.state.Terminal() || o.Attempt != nil && o.Attempt.N <= st.attempts {
		return
	}
	if o.Base < st.base && o.State != hook.Delivered { // from before a redelivery
		if o.Attempt != nil {
			st.attempts, st.base = o.Attempt.N, o.Attempt.N
		}
		return
	}
	st.state, st.base, st.nextAt = o.State, o.Base, time.Time{}
	if o.State == hook.Pending {
		st.nextAt = o.NextAt
	}
	if o.Attempt != nil {
		st.attempts, st.manual = o.Attempt.N, false
	}
	if o.Body != nil {
		st.body = string(o.Body)
	}
}

func (m *model) doRedeliver() {
	k, ok := m.pick()
	if !ok {
		return
	}
	m.ok(m.st.Redeliver(m.Context(), hook.AllTenants, k, m.now))
	st := m.stands[k]
	if st == nil {
		if m.disposition(k) == hook.Deliver {
			return
		}
		st = &modelStand{}
		m.stands[k] = st
	}
	st.state, st.base, st.nextAt, st.manual = hook.Pending, st.attempts, m.now, true
}

func (m *model) disposition(k hook.DeliveryKey) hook.Disposition {
	i := slices.IndexFunc(m.events, func(e *hook.Event) bool { return e.ID == k.Event })
	t, _ := m.events[i].Target(k.Endpoint)
	return t.Disposition
}

func (m *model) isFresh(k hook.DeliveryKey) bool {
	return m.stands[k] == nil && m.disposition(k) == hook.Deliver
}

// doCheckpoint says how far everything is.
func (m *model) doCheckpoint() {
	if len(m.events) == 0 {
		return
	}
	at := rapid.IntRange(0, len(m.events)-1).Draw(m.rt, "floor")
	p := store.Progress{Floor: m.events[at].ID, CaughtUp: m.behind}
	m.behind = nil
	for n := hook.EndpointNum(1); n <= 4; n++ {
		for _, e := range m.events[:at] {
			if _, ok := e.Target(n); ok && m.isFresh(key(e, n)) {
				p.Behind = append(p.Behind, store.LaneMark{Endpoint: n, From: e.ID})
				p.CaughtUp = slices.DeleteFunc(p.CaughtUp, func(o hook.EndpointNum) bool { return o == n })
				m.behind = append(m.behind, n)
				break
			}
		}
	}
	m.ok(m.st.Checkpoint(m.Context(), m.lease, p))
}

// compare asks the store for everything.
func (m *model) compare() {
	var all []*hook.Delivery
	for _, e := range m.events {
		got, err := m.st.Event(m.Context(), e.Tenant, e.ID)
		m.ok(err)
		m.same(e, got)
		if e.Key != "" {
			known, err := m.st.Known(m.Context(), store.KnownQuery{Events: []store.EventKey{{Tenant: e.Tenant, Key: e.Key}}})
			m.ok(err)
			m.same([]*store.KnownEvent{{ID: e.ID, Fingerprint: e.Fingerprint, Targets: e.Targets}}, known.Events)
		}
		for i, t := range e.Targets {
			d := m.delivery(key(e, t.Endpoint))
			m.same(e.Number+int64(i), d.Number)
			all = append(all, d)
			m.compareDelivery(d, t)
		}
	}
	slices.Reverse(all)
	for _, d := range all {
		if d.State == hook.Cancelled {
			d.Reason = ""
		}
	}
	for _, q := range []store.DeliveryQuery{{Tenant: hook.AllTenants}, {Tenant: 2}, {Tenant: hook.AllTenants, Endpoint: 3}, {Tenant: hook.AllTenants, Endpoint: 1, States: []hook.DeliveryState{hook.Failed}}, {Tenant: 1, States: []hook.DeliveryState{hook.Held}}} {
		m.deliveries(q, all)
	}
	for _, q := range []store.EventQuery{{Tenant: hook.AllTenants}, {Tenant: 2}} {
		m.world.events(q, m.events)
	}
	m.same(int64(len(m.events)), m.stored())
	lanes := m.waiting()
	for n := hook.EndpointNum(1); n <= 4; n++ {
		m.compareLane(n, lanes[n])
	}
}

func (m *model) compareDelivery(d *hook.Delivery, t hook.Target) {
	m.Helper()
	st := m.stands[d.Key]
	if st == nil {
		want := hook.Pending
		if t.Disposition != hook.Deliver {
			want = hook.Cancelled
		}
		m.state(d.Key, want, 0)
		return
	}
	if d.State != st.state || d.Attempts != st.attempts || !d.NextAt.Equal(st.nextAt) {
		m.Fatalf("delivery %v is %+v, want %+v", d.Key, d, st)
	}
}

func (m *model) compareLane(n hook.EndpointNum, lane store.Lane) {
	m.Helper()
	var fresh []hook.EventID
	pending := map[hook.DeliveryKey]*modelStand{}
	var first time.Time
	all := 0
	for _, k := range m.keys {
		if k.Endpoint != n {
			continue
		}
		all++
		if m.isFresh(k) {
			fresh = append(fresh, k.Event)
		}
		if st := m.stands[k]; st != nil && st.state == hook.Pending {
			pending[k] = st
			if first.IsZero() || st.nextAt.Before(first) {
				first = st.nextAt
			}
		}
	}
	m.same(fresh, m.fresh(n, hook.EventID{}, 3))
	if len(fresh) > 0 && (lane.Fresh.IsZero() || string(lane.Fresh[:]) > string(fresh[0][:])) {
		m.Fatalf("lane %d begins at %v, want at most %v", n, lane.Fresh, fresh[0])
	}
	if waits := int64(len(fresh) + len(pending)); lane.Waiting < waits || lane.Waiting > int64(all) {
		m.Fatalf("in lane %d about %d wait, want %d, and at most %d", n, lane.Waiting, waits, all)
	}
	m.same(first, lane.NextAt)
	due, next, err := m.st.Retries(m.Context(), n, m.now.Add(24*time.Hour), 1000)
	m.ok(err)
	m.same(time.Time{}, next)
	if len(due) != len(pending) {
		m.Fatalf("lane %d has %d due, want %d", n, len(due), len(pending))
	}
	for _, w := range due {
		st := pending[w.Key()]
		if st == nil || w.Attempts != st.attempts || w.Base != st.base || !w.NextAt.Equal(st.nextAt) || string(w.Body) != st.body || (w.Trigger == hook.Manual) != st.manual {
			m.Fatalf("work is %+v, want %+v", w, st)
		}
	}
}
