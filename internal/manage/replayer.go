package manage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// How replays keep out of the way of what is published now: one batch, or one
// piece of a count, at a time over all of them, and as long a pause behind it as
// it took.
const (
	replayBatch  = 200 // deliveries that are redelivered and then noted together
	replayAtOnce = 16  // redeliveries at once: they share the store's transactions
	replayPage   = 500 // deliveries that are read at once
	replayPages  = 20  // pages that are read for one batch, or counted at once
	replayPause  = 10 * time.Millisecond
	replayRetry  = 5 * time.Second // after an error of the store that passes
)

// Log is the slice of a store that replays need.
type Log interface {
	Deliveries(ctx context.Context, q store.DeliveryQuery) (store.DeliveryPage, error)
	Delivery(ctx context.Context, tenant hook.TenantNum, key hook.DeliveryKey) (*hook.Delivery, error)
	LastEvent(ctx context.Context) (hook.EventID, error)
}

// ReplayConfig is what a Replayer works with.
type ReplayConfig struct {
	Manager *Manager
	Log     Log
	Wake    func(hook.DeliveryKey) // tells dispatch of a delivery that is pending again
	Shared  *SharedReplays         // nil: no other server runs replays of the same store
}

// Replayer runs replays. What it promises: a delivery is redelivered at most
// once by one replay, and no more of them than its limit. A batch is noted
// first, then its deliveries are made pending one by one, and then that is
// noted. After a kill between these, the same batch is gone through again, and
// what has left the states that the filter takes, or was attempted since the
// replay was created, has been redelivered already.
type Replayer struct {
	ReplayConfig

	turn     chan struct{} // held by whoever works on a batch
	counting chan struct{} // has one for each dry run that counts
	looking  chan struct{} // has one while what others have come to is looked at
	looked   time.Time     // when that was; whoever has put the one in may use it

	mu      sync.Mutex
	jobs    map[string]bool // replays that begin has begun
	ctx     context.Context // of all jobs; nil before Start
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// NewReplayer makes a Replayer that runs nothing until Start.
func NewReplayer(c ReplayConfig) (*Replayer, error) {
	if c.Manager == nil || c.Log == nil || c.Wake == nil {
		return nil, errors.New("make a replayer: a part is missing")
	}
	return &Replayer{ReplayConfig: c, turn: make(chan struct{}, 1), counting: make(chan struct{}, countAtOnce), looking: make(chan struct{}, 1), jobs: map[string]bool{}}, nil
}

// Start goes on with the replays that were running when the last process
// ended, and runs those that are created from now on, by whichever server.
func (r *Replayer) Start() {
	r.mu.Lock()
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.mu.Unlock()
	if r.Shared != nil {
		r.Manager.Directory.Watch(func(changed *store.Configuration) { r.beginAll(changed.Replays) })
	}
	r.beginAll(r.Manager.Directory.Replays(hook.AllTenants))
}

func (r *Replayer) beginAll(replays []*hook.Replay) {
	for _, p := range replays {
		if !p.Over() {
			r.begin(p.ID, p.TenantNum)
		}
	}
}

// Stop leaves the replays for the next start and waits until none is at work.
func (r *Replayer) Stop() {
	r.mu.Lock()
	if r.cancel != nil {
		r.cancel()
	}
	r.mu.Unlock()
	r.running.Wait()
}

func (r *Replayer) begin(id string, tenant hook.TenantNum) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil || r.ctx.Err() != nil || r.jobs[id] {
		return // the next start does, or it runs
	}
	ctx := r.ctx
	r.jobs[id] = true
	r.running.Go(func() {
		r.run(ctx, tenant, id)
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.jobs, id)
	})
}

// job is what this process knows of a replay that it runs, besides what is
// stored.
type job struct {
	tally   tally
	resumed bool         // the batch in hand is from before this process
	noted   *batch       // it is done, and still to be noted; nil: there is none
	lease   *store.Lease // what it is run under; nil: it is another server's, or only this one runs replays
}

// run works on a replay until it is over or ctx ends.
func (r *Replayer) run(ctx context.Context, tenant hook.TenantNum, id string) {
	j := &job{resumed: true}
	for ctx.Err() == nil {
		p, ok := r.Manager.Directory.Replay(tenant, id)
		if !ok || p.Over() {
			return
		}
		mine, err := r.hold(ctx, j, id)
		if !mine && err == nil {
			r.watchProgress(ctx)
			sleep(ctx, replayLook)
			continue
		}
		var pause time.Duration
		if err == nil {
			if p, ok = r.Manager.Directory.Replay(tenant, id); !ok || p.Over() {
				return
			}
			pause, err = r.step(ctx, p, j)
		}
		if errors.Is(err, store.ErrLeaseLost) {
			*j, err, pause = job{resumed: true}, nil, replayLook // who has it now goes on from what is stored
		}
		if err != nil && ctx.Err() == nil {
			if pause = replayRetry; !passes(err) {
				r.Manager.Logger.Error("a replay failed", "replay_id", id, "error", err)
				r.fail(ctx, p, j)
				return
			}
			r.Manager.Logger.Warn("a replay has to wait", "replay_id", id, "error", err)
		}
		sleep(ctx, pause)
	}
}

// passes reports whether an error is one of the store's condition.
func passes(err error) bool {
	for _, of := range []error{store.ErrUnavailable, store.ErrFull, store.ErrUnknown, store.ErrClosed, store.ErrStale, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, of) {
			return true
		}
	}
	return hook.CodeOf(err) == hook.CodeUnavailable
}

func (r *Replayer) fail(ctx context.Context, p *hook.Replay, j *job) {
	err := r.save(ctx, p, j, func(c *hook.Replay, now time.Time) {
		*c = *ended(c, hook.ReplayFailed, "the server met an error that does not pass: its log says more", now)
	})
	if err != nil {
		r.Manager.Logger.Error("a failed replay cannot be noted", "replay_id", p.ID, "error", err)
	}
}

// step counts a piece of a replay, or does its next batch, and says how long to
// wait.
func (r *Replayer) step(ctx context.Context, p *hook.Replay, j *job) (time.Duration, error) {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-r.turn }()
	begun := time.Now()
	work := r.batch
	switch {
	case !p.Counted:
		work = r.countPiece
	case len(p.InHand) == 0:
		work = r.take
	}
	err := work(ctx, p, j)
	pause := max(replayPause, time.Since(begun))
	if n := len(p.InHand); n > 0 && p.Rate > 0 {
		pause = max(pause, time.Duration(float64(n)/p.Rate*float64(time.Second))-time.Since(begun))
	}
	return pause, err
}

func (r *Replayer) countPiece(ctx context.Context, p *hook.Replay, j *job) error {
	if !j.tally.Exact {
		if err := r.count(ctx, p, &j.tally); err != nil || !j.tally.Exact {
			return err
		}
	}
	return r.save(ctx, p, j, func(c *hook.Replay, _ time.Time) { c.Counted, c.Total = true, j.tally.Count })
}

// take notes the next batch, before anything is done with it; without one the
// replay is done.
func (r *Replayer) take(ctx context.Context, p *hook.Replay, j *job) error {
	j.resumed = false
	most := replayBatch
	if p.Rate > 0 { // a second's worth
		most = int(max(1, min(p.Rate, replayBatch)))
	}
	if p.Filter.Limit > 0 {
		most = int(min(p.Filter.Limit-p.Redelivered-p.Skipped-p.Failed, int64(most)))
	}
	var work []hook.DeliveryKey
	reached, end, err := r.walk(ctx, p, p.Position, replayPages, func(d *hook.Delivery, selected bool) bool {
		if len(work) == most {
			return false
		}
		if selected {
			work = append(work, d.Key)
		}
		return true
	})
	if err != nil {
		return err
	}
	done := len(work) == 0 && (end || most == 0)
	err = r.save(ctx, p, j, func(c *hook.Replay, now time.Time) {
		if c.Position, c.InHand = reached, work; done {
			*c = *ended(c, hook.ReplayDone, "", now)
		}
	})
	if err == nil && done {
		r.Manager.Logger.Info("replay done", "replay_id", p.ID, "tenant_id", p.Tenant)
	}
	return err
}

// batch does the batch in hand. What was done counts, also when it could not be
// done to the end.
func (r *Replayer) batch(ctx context.Context, p *hook.Replay, j *job) error {
	var failure error
	if j.noted == nil {
		j.noted = &batch{}
		failure = r.redeliver(ctx, p, j)
	}
	b := j.noted
	// The server's end is no reason to forget what was done.
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), replayRetry)
	defer cancel()
	err := r.save(saving, p, j, func(c *hook.Replay, _ time.Time) {
		c.InHand = b.rest
		c.Redelivered += b.fates[redelivered]
		c.Skipped += b.fates[skipped]
		c.Failed += b.fates[refused]
	})
	if err != nil {
		return errors.Join(failure, err)
	}
	j.noted = nil
	return failure
}

// save stores what has become of a replay, unless it has ended meanwhile. Only an
// end is news to others: all else is noted without a revision, so that nothing
// that is published meanwhile has to be matched anew.
func (r *Replayer) save(ctx context.Context, p *hook.Replay, j *job, change func(c *hook.Replay, now time.Time)) error {
	m := r.Manager
	return m.commit(ctx, "note the progress of a replay", func(now time.Time) (*store.Change, error) {
		old, ok := m.Directory.Replay(p.TenantNum, p.ID)
		if !ok {
			return nil, nil
		}
		c := *old
		if change(&c, now); old.Over() {
			// What the last batch did counts, but it stays as it was ended.
			c.State, c.Reason, c.FinishedAt = old.State, old.Reason, old.FinishedAt
		}
		c.UpdatedAt = touched(old.UpdatedAt, now)
		return &store.Change{Note: c.State == old.State, Replays: []*hook.Replay{&c}, Lease: j.lease}, nil
	})
}

// batch is what was done of a batch in hand.
type batch struct {
	rest  []hook.DeliveryKey // not dealt with
	fates [fates]int64
}

// walk visits the deliveries of a replay behind a position, oldest first, and
// says of each whether the filter takes it, until visit says that it is enough,
// or as many pages of the store were read. It returns how far it came, and
// whether that is the end.
func (r *Replayer) walk(ctx context.Context, p *hook.Replay, from hook.DeliveryKey, pages int, visit func(d *hook.Delivery, selected bool) bool) (reached hook.DeliveryKey, end bool, err error) {
	q := store.DeliveryQuery{
		Tenant: p.TenantNum, Endpoint: p.Filter.Endpoint, States: slices.Clone(p.Filter.States), Since: p.Filter.Since, Until: p.Filter.Until,
		After: from, Oldest: true, Limit: replayPage,
	}
	if len(p.Filter.Types) == 1 && hook.ValidType(p.Filter.Types[0]) == nil {
		q.Type = p.Filter.Types[0]
	}
	if slices.Contains(q.States, hook.Held) && !slices.Contains(q.States, hook.Pending) {
		q.States = append(q.States, hook.Pending) // which may be shown as held
	}
	reached = from
	events := p.Filter.Events
	for range pages {
		if len(p.Filter.Events) > 0 {
			// Each event's deliveries, and nothing between them.
			for len(events) > 0 && events[0].Compare(q.After.Event) < 0 {
				events = events[1:]
			}
			if len(events) == 0 {
				return reached, true, nil
			}
			q.Event = events[0]
		}
		page, err := r.Log.Deliveries(ctx, q)
		if err != nil {
			return reached, false, fmt.Errorf("read deliveries to replay: %w", err)
		}
		for _, d := range page.Deliveries {
			if bytes.Compare(d.Key.Event[:], p.Through[:]) > 0 {
				return reached, true, nil
			}
			seen := *d
			seen.State, _ = r.Manager.Shown(d)
			if !visit(d, p.Filter.Selects(&seen)) {
				return reached, false, nil
			}
			reached = d.Key
		}
		if page.Next == (hook.DeliveryKey{}) && len(events) > 1 {
			page.Next, events = hook.DeliveryKey{Event: events[1]}, events[1:]
		}
		if page.Next == (hook.DeliveryKey{}) {
			return reached, true, nil
		}
		q.After, reached = page.Next, page.Next
	}
	return reached, false, nil
}

// tally is a count of what a replay takes, as far as it has come.
type tally struct {
	ReplayCount
	reached hook.DeliveryKey
}

// count counts on, so many pages that others are not kept waiting for long.
func (r *Replayer) count(ctx context.Context, p *hook.Replay, n *tally) error {
	reached, end, err := r.walk(ctx, p, n.reached, replayPages, func(d *hook.Delivery, selected bool) bool {
		if !selected {
			return true
		}
		at := d.Key.Event.Time()
		if n.Count++; n.Count == 1 {
			n.Oldest = at
		}
		n.Newest, n.Exact = at, n.Count == p.Filter.Limit
		return !n.Exact
	})
	n.reached, n.Exact = reached, n.Exact || end
	return err
}

// redeliver makes the deliveries in hand pending, as far as it comes.
func (r *Replayer) redeliver(ctx context.Context, p *hook.Replay, j *job) error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failure error
	places := make(chan struct{}, replayAtOnce)
	for _, key := range p.InHand {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			mu.Lock()
			failed := failure != nil
			mu.Unlock()
			var what fate
			var err error
			if !failed {
				what, err = r.one(ctx, p, key, j)
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				failure = errors.Join(failure, err)
				fallthrough
			case failed:
				j.noted.rest = append(j.noted.rest, key)
			default:
				j.noted.fates[what]++
			}
		})
	}
	wg.Wait()
	return failure
}

// fate is what a replay did to a delivery.
type fate uint8

const (
	redelivered fate = iota
	skipped
	refused
	fates // how many there are
)

// one makes a delivery pending, if it may be.
func (r *Replayer) one(ctx context.Context, p *hook.Replay, key hook.DeliveryKey, j *job) (fate, error) {
	m := r.Manager
	d, err := r.Log.Delivery(ctx, p.TenantNum, key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return skipped, nil
	case err != nil:
		return 0, fmt.Errorf("read delivery %s: %w", key, err)
	}
	seen := *d
	seen.State, _ = m.Shown(d)
	switch {
	case !d.LastAt.Before(p.CreatedAt) || !p.Filter.Selects(&seen):
		if j.resumed {
			return redelivered, nil // before the kill
		}
		return skipped, nil
	case m.canSend(key.Endpoint) != nil:
		return skipped, nil
	case d.State == hook.Pending && (d.Attempts == 0 || m.waitsForEndpoint(d)):
		return skipped, nil // it is on its way, or nothing can be sent
	case d.Attempts >= maxAttempts:
		return refused, nil
	}
	switch err := r.redeliverOne(ctx, j, p.TenantNum, key); {
	case errors.Is(err, store.ErrNotFound):
		return skipped, nil
	case err != nil:
		return 0, fmt.Errorf("replay delivery %s: %w", key, err)
	}
	r.Wake(key)
	return redelivered, nil
}

func (m *Manager) waitsForEndpoint(d *hook.Delivery) bool {
	s, _ := m.Shown(d)
	return s == hook.Held
}
