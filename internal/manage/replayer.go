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
	LastEvent(ctx context.Context) (hook.EventID, error)
}

// ReplayConfig is what a Replayer works with.
type ReplayConfig struct {
	Manager *Manager
	Log     Log
	Wake    func(hook.DeliveryKey) // tells dispatch of a delivery that is pending again
}

// Replayer runs replays. What it promises: a delivery is redelivered at most
// once by one replay. The deliveries of a batch are made pending one by one,
// and then the batch is noted. After a kill between these, the batch is gone
// through again, and leaves alone what has been attempted since the replay was
// created, or is not in a state any more that the filter takes. So the counts
// may lack a batch then, and nothing is sent twice.
type Replayer struct {
	ReplayConfig

	turn     chan struct{} // held by whoever works on a batch
	counting chan struct{} // has one for each dry run that counts

	mu      sync.Mutex
	ctx     context.Context // of all jobs; nil before Start
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// NewReplayer makes a Replayer that runs nothing until Start.
func NewReplayer(c ReplayConfig) (*Replayer, error) {
	if c.Manager == nil || c.Log == nil || c.Wake == nil {
		return nil, errors.New("make a replayer: a part is missing")
	}
	return &Replayer{ReplayConfig: c, turn: make(chan struct{}, 1), counting: make(chan struct{}, countAtOnce)}, nil
}

// Start goes on with the replays that were running when the last process
// ended, and runs those that are created from now on.
func (r *Replayer) Start() {
	r.mu.Lock()
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.mu.Unlock()
	for _, p := range r.Manager.Directory.Replays(0) {
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
	if r.ctx == nil || r.ctx.Err() != nil {
		return // the next start does
	}
	ctx := r.ctx
	r.running.Go(func() { r.run(ctx, tenant, id) })
}

// job is what this process knows of a replay that it runs, besides what is
// stored.
type job struct {
	tally tally
	done  map[hook.DeliveryKey]bool // dealt with and counted, but behind the position
	noted *batch                    // it is done, and still to be noted; nil: there is none
}

// run works on a replay until it is over or ctx ends.
func (r *Replayer) run(ctx context.Context, tenant hook.TenantNum, id string) {
	j := &job{done: map[hook.DeliveryKey]bool{}}
	for ctx.Err() == nil {
		p, ok := r.Manager.Directory.Replay(tenant, id)
		if !ok || p.Over() {
			return
		}
		pause, err := r.step(ctx, p, j)
		if err != nil && ctx.Err() == nil {
			if pause = replayRetry; !passes(err) {
				r.Manager.Logger.Error("a replay failed", "replay_id", id, "error", err)
				r.fail(ctx, p)
				return
			}
			r.Manager.Logger.Warn("a replay has to wait", "replay_id", id, "error", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
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

func (r *Replayer) fail(ctx context.Context, p *hook.Replay) {
	err := r.save(ctx, p, func(c *hook.Replay, now time.Time) {
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
	if !p.Counted {
		work = r.countPiece
	}
	err := work(ctx, p, j)
	return max(replayPause, time.Since(begun)), err
}

func (r *Replayer) countPiece(ctx context.Context, p *hook.Replay, j *job) error {
	if !j.tally.Exact {
		if err := r.count(ctx, p, &j.tally); err != nil || !j.tally.Exact {
			return err
		}
	}
	return r.save(ctx, p, func(c *hook.Replay, _ time.Time) { c.Counted, c.Total = true, j.tally.Count })
}

// batch does the next batch of a replay. What was done counts, also when it
// could not be done to the end.
func (r *Replayer) batch(ctx context.Context, p *hook.Replay, j *job) error {
	var failure error
	if j.noted == nil {
		b := &batch{position: p.Position, left: p.Filter.Limit - p.Redelivered - p.Skipped - p.Failed}
		if err := r.collect(ctx, p, j, b); err != nil {
			return err
		}
		failure = r.redeliver(ctx, p, j, b)
		j.noted = b
	}
	b := j.noted
	// The server's end is no reason to forget what was done.
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), replayRetry)
	defer cancel()
	err := r.save(saving, p, func(c *hook.Replay, now time.Time) {
		c.Position = b.position
		c.Redelivered += b.fates[redelivered]
		c.Skipped += b.fates[skipped]
		c.Failed += b.fates[refused]
		if b.last {
			*c = *ended(c, hook.ReplayDone, "", now)
		}
	})
	if err != nil {
		return errors.Join(failure, err)
	}
	j.noted = nil
	if b.last {
		r.Manager.Logger.Info("replay done", "replay_id", p.ID, "tenant_id", p.Tenant)
	}
	return failure
}

// save stores what has become of a replay, unless it has ended meanwhile. Only an
// end is news to others: all else is noted without a revision, so that nothing
// that is published meanwhile has to be matched anew.
func (r *Replayer) save(ctx context.Context, p *hook.Replay, change func(c *hook.Replay, now time.Time)) error {
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
		return &store.Change{Note: c.State == old.State, Replays: []*hook.Replay{&c}}, nil
	})
}

// batch is a part of a replay.
type batch struct {
	position hook.DeliveryKey // the last delivery that was looked at
	left     int64            // of the filter's limit, if it has one
	last     bool             // there is nothing behind it
	work     []*hook.Delivery
	fates    [fates]int64
}

// collect reads what a batch works on.
func (r *Replayer) collect(ctx context.Context, p *hook.Replay, j *job, b *batch) error {
	most := replayBatch
	if p.Filter.Limit > 0 {
		most = int(min(b.left, replayBatch))
	}
	reached, last, err := r.walk(ctx, p, b.position, replayPages, func(d *hook.Delivery, selected bool) bool {
		if len(b.work) == most {
			return false
		}
		if selected && !j.done[d.Key] {
			b.work = append(b.work, d)
		}
		return true
	})
	b.position = reached
	b.last = last || p.Filter.Limit > 0 && int64(len(b.work)) == b.left
	return err
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
	for range pages {
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

// redeliver makes the deliveries of a batch pending. If that fails at one, the
// batch ends before it; those behind it that were dealt with count, and are
// left out when it is come to them again.
func (r *Replayer) redeliver(ctx context.Context, p *hook.Replay, j *job, b *batch) error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failure error
	end := len(b.work)
	places := make(chan struct{}, replayAtOnce)
	for i, d := range b.work {
		places <- struct{}{}
		mu.Lock()
		failed := failure != nil
		mu.Unlock()
		if failed {
			break
		}
		wg.Go(func() {
			defer func() { <-places }()
			what, err := r.one(ctx, p, d)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				b.fates[what]++
				j.done[d.Key] = true
			case i < end:
				failure, end = err, i
			}
		})
	}
	wg.Wait()
	switch {
	case failure == nil:
		clear(j.done)
		return nil
	case end == 0:
		b.position = p.Position
	default:
		b.position = b.work[end-1].Key
	}
	b.last = false
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
func (r *Replayer) one(ctx context.Context, p *hook.Replay, d *hook.Delivery) (fate, error) {
	m := r.Manager
	switch {
	case m.canSend(d.Key.Endpoint) != nil:
		return skipped, nil
	case !d.LastAt.Before(p.CreatedAt): // by this replay before a kill, or of itself
		return skipped, nil
	case d.State == hook.Pending && (d.Attempts == 0 || m.waitsForEndpoint(d)):
		return skipped, nil // it is on its way, or nothing can be sent
	case d.Attempts >= maxAttempts:
		return refused, nil
	}
	switch err := m.Deliveries.Redeliver(ctx, d.Key, now()); {
	case errors.Is(err, store.ErrNotFound):
		return skipped, nil
	case err != nil:
		return 0, fmt.Errorf("replay delivery %s: %w", d.Key, err)
	}
	r.Wake(d.Key)
	return redelivered, nil
}

func (m *Manager) waitsForEndpoint(d *hook.Delivery) bool {
	s, _ := m.Shown(d)
	return s == hook.Held
}
