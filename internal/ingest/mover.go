package ingest

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// How the inbox is looked at. An idle system has an event on its way within moverEvery and
// the time of a commit.
const (
	moverEvery = 20 * time.Millisecond
	// moverTurn is how long other nodes leave the inbox to the one that moves, once that
	// says nothing more.
	moverTurn = 300 * time.Millisecond
	// moverLongest is the longest that a tenant over its quota, or a store that cannot write,
	// is left alone: both may be over sooner than was said.
	moverLongest = 10 * time.Second
	moverAgain   = 500 * time.Millisecond // after a failure
	tellEvery    = time.Minute            // rejected events that could not be told of

	movedAtOnce = 2048     // events in memory
	movedEach   = 512      // of a tenant
	movedBytes  = 16 << 20 // about, in memory
	toldAtOnce  = 100
)

// MoverConfig says what a Mover works with.
type MoverConfig struct {
	Inbox    store.Inbox
	Ingester *Ingester
	Node     string // unlike that of any other node
	MaxData  int    // bytes that data, previous and metadata may have each
	// Tell tells the tenant of an event that was rejected. It is asked again for one that
	// it has failed for, or that it was asked of just before a crash.
	Tell   func(context.Context, *store.Rejected) error
	Logger *slog.Logger
}

// Mover moves events that applications have put into the store's inbox on to where all
// others go, by the same way: Publish. Every node has one; of those that are about to move
// the same event one succeeds.
//
// A tenant's events are moved in the order in which they came, at its quota's pace, and
// beside those of other tenants: one that cannot be moved holds up nobody else.
type Mover struct {
	cfg    MoverConfig
	cancel context.CancelFunc
	done   chan struct{}
	kick   chan struct{} // holds one when there may be more to move
	tell   chan struct{} // holds one when there is something to tell
	work   sync.WaitGroup

	mu     sync.Mutex
	busy   map[hook.TenantNum]bool      // whose events are being moved
	paced  map[hook.TenantNum]time.Time // until when not to move theirs
	events int                          // in memory
	bytes  int64
	pause  time.Time // until when to move nothing
	moved  Moved
}

// Moved is what a Mover has taken out of the inbox since it began.
type Moved struct {
	Events   int64 // that are on their way, or were known already
	Rejected int64
}

// Moved tells what was taken out of the inbox.
func (m *Mover) Moved() Moved {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.moved
}

// StartMover tells the inbox its rules and begins to move.
func StartMover(ctx context.Context, cfg MoverConfig) (*Mover, error) {
	if err := cfg.Inbox.Rule(ctx, store.InboxRules{MaxBytes: int64(cfg.MaxData), Window: cfg.Ingester.cfg.Window}); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	m := &Mover{
		cfg: cfg, cancel: cancel, done: make(chan struct{}), kick: make(chan struct{}, 1), tell: make(chan struct{}, 1),
		busy: map[hook.TenantNum]bool{}, paced: map[hook.TenantNum]time.Time{},
	}
	m.work.Go(func() { m.tellAll(ctx) })
	go func() {
		defer close(m.done)
		m.run(ctx)
		m.work.Wait()
	}()
	return m, nil
}

// Stop ends the mover. What is not committed by then stays in the inbox.
func (m *Mover) Stop() {
	m.cancel()
	<-m.done
}

// run looks at the inbox until ctx ends.
func (m *Mover) run(ctx context.Context) {
	tick := time.NewTicker(moverEvery)
	defer tick.Stop()
	var after hook.TenantNum
	failing := false
	for {
		waiting, err := m.look(ctx, after)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if !failing {
				m.cfg.Logger.Error("events that applications have published cannot be read", "error", err)
			}
			m.rest(moverAgain)
		case len(waiting) > 0:
			m.moveAll(ctx, waiting)
			after = waiting[len(waiting)-1].Tenant
			failing = false
			continue
		}
		failing = err != nil
		if after != 0 { // from the first tenant again
			after = 0
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-m.kick:
		case <-tick.C:
		}
	}
}

// look reads what waits, as much of it as there is room for.
func (m *Mover) look(ctx context.Context, after hook.TenantNum) ([]*store.Waiting, error) {
	q := store.InboxQuery{Node: m.cfg.Node, For: moverTurn, After: after, Each: movedEach}
	now := m.cfg.Ingester.cfg.Now()
	m.mu.Lock()
	q.Limit, q.Bytes = movedAtOnce-m.events, movedBytes-m.bytes
	for t := range m.busy {
		q.Skip = append(q.Skip, t)
	}
	for t, until := range m.paced {
		if now.Before(until) {
			q.Skip = append(q.Skip, t)
		} else {
			delete(m.paced, t)
		}
	}
	pausing := now.Before(m.pause)
	m.mu.Unlock()
	if pausing || q.Limit <= 0 || q.Bytes <= 0 {
		return nil, nil
	}
	return m.cfg.Inbox.Waiting(ctx, q)
}

// moveAll begins to move what each tenant has there.
func (m *Mover) moveAll(ctx context.Context, waiting []*store.Waiting) {
	for len(waiting) > 0 {
		n := 1
		for n < len(waiting) && waiting[n].Tenant == waiting[0].Tenant {
			n++
		}
		of := waiting[:n:n]
		waiting = waiting[n:]
		bytes := int64(0)
		for _, w := range of {
			bytes += int64(len(w.Data) + len(w.Previous) + len(w.Metadata))
		}
		m.mu.Lock()
		m.busy[of[0].Tenant] = true
		m.events, m.bytes = m.events+n, m.bytes+bytes
		m.mu.Unlock()
		m.work.Go(func() {
			m.settle(of[0].Tenant, m.move(ctx, of))
			m.mu.Lock()
			delete(m.busy, of[0].Tenant)
			m.events, m.bytes = m.events-n, m.bytes-bytes
			m.mu.Unlock()
			stir(m.kick)
		})
	}
}

// move publishes events of one tenant. Where they cannot be stored by their own fault it
// does so one by one, and gives up the one that is at fault.
func (m *Mover) move(ctx context.Context, waiting []*store.Waiting) error {
	err := m.publish(ctx, waiting, nil)
	if !errors.Is(err, store.ErrUnfit) {
		if hook.CodeOf(err) == hook.CodeInternal { // of the store, not of an event: it may pass
			m.cfg.Logger.Error("events that applications have published cannot be stored; trying again", "tenant_id", waiting[0].TenantID, "error", err)
		}
		return err
	}
	if len(waiting) == 1 {
		m.cfg.Logger.Error("an event that an application has published cannot be stored", "tenant_id", waiting[0].TenantID, "event_key", waiting[0].Key, "error", err)
		return m.publish(ctx, waiting, err)
	}
	for i := range waiting {
		if err := m.move(ctx, waiting[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// publish publishes events of one tenant, or has them rejected for a reason.
func (m *Mover) publish(ctx context.Context, waiting []*store.Waiting, reason error) error {
	s := &Submission{
		Scope: "inbox", Items: make([]Item, len(waiting)), Errs: make([]error, len(waiting)), Taken: make([]store.InboxPlace, len(waiting)),
	}
	for i, w := range waiting {
		s.Taken[i] = w.InboxPlace
		s.Items[i], s.Errs[i] = itemOf(w, m.cfg.MaxData)
		if reason != nil {
			s.Errs[i] = reason
		}
	}
	results, _, err := m.cfg.Ingester.Publish(ctx, s)
	var done Moved
	for i := range results {
		if results[i].Err != nil {
			done.Rejected++
			stir(m.tell)
		} else {
			done.Events++
		}
	}
	if err == nil {
		m.mu.Lock()
		m.moved.Events += done.Events
		m.moved.Rejected += done.Rejected
		m.mu.Unlock()
	}
	return err
}

// settle takes in why a tenant's events were not moved.
func (m *Mover) settle(tenant hook.TenantNum, err error) {
	var e *hook.Error
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return
	case !errors.As(err, &e):
		m.rest(moverAgain)
		return
	}
	wait := min(max(e.RetryAfter, moverEvery), moverLongest)
	switch e.Code {
	case hook.CodeConflict: // another node was faster
	case hook.CodeRateLimited:
		until := m.cfg.Ingester.cfg.Now().Add(wait)
		m.mu.Lock()
		m.paced[tenant] = until
		m.mu.Unlock()
	default: // nothing can be stored here; another node may try meanwhile
		m.rest(max(wait, moverAgain))
	}
}

// rest has nothing moved for a while.
func (m *Mover) rest(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pause = m.cfg.Ingester.cfg.Now().Add(d)
}

// tellAll tells tenants of their rejected events, until ctx ends.
func (m *Mover) tellAll(ctx context.Context) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		if err := m.tellUntold(ctx); err != nil && ctx.Err() == nil {
			m.cfg.Logger.Error("tenants cannot be told of events that were rejected", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-m.tell:
		case <-tick.C:
		}
	}
}

func (m *Mover) tellUntold(ctx context.Context) error {
	for {
		all, err := m.cfg.Inbox.Untold(ctx, toldAtOnce)
		if err != nil || len(all) == 0 {
			return err
		}
		var told []store.InboxPlace
		for _, r := range all {
			if err = m.cfg.Tell(ctx, r); err != nil {
				break
			}
			told = append(told, r.InboxPlace)
		}
		if err := errors.Join(err, m.cfg.Inbox.Told(ctx, told)); err != nil {
			return err
		}
	}
}

func stir(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
