package dispatch

import (
	"context"
	"errors"
	"sync"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/telemetry"
)

const (
	maxBatch = 256 // outcomes in one transaction: who publishes may have to wait for it
	// batchEvery is how soon after each other batches begin at most. It saves
	// transactions under load, and nobody waits for a record.
	batchEvery  = 4 * time.Millisecond
	minBackoff  = 50 * time.Millisecond
	maxBackoff  = 2 * time.Second
	flushLimit  = 15 * time.Second // for the last outcomes, after all requests have ended
	recordChunk = 256              // deliveries in one hold of the mutex
)

// recorder commits outcomes in groups: while a batch is being stored the next
// one gathers, and a lone outcome waits for nobody.
type recorder struct {
	d      *Dispatcher
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	stored   []*delivery      // what the batch that is being stored has of lanes that are ours
	outcomes []*store.Outcome // of these

	mu     sync.Mutex
	more   sync.Cond
	queue  []*delivery
	closed bool
}

func newRecorder(d *Dispatcher) *recorder {
	r := &recorder{d: d, done: make(chan struct{})}
	r.more.L = &r.mu
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// add hands an outcome over. How many may wait is bounded where attempts
// begin.
func (r *recorder) add(dl *delivery) {
	r.mu.Lock()
	r.queue = append(r.queue, dl)
	r.mu.Unlock()
	r.more.Signal()
}

// close ends run when all that waits is stored.
func (r *recorder) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.more.Signal()
}

func (r *recorder) run() {
	defer close(r.done)
	var spare []*delivery
	var last time.Time
	for {
		r.mu.Lock()
		for len(r.queue) == 0 && !r.closed {
			r.more.Wait()
		}
		r.mu.Unlock()
		time.Sleep(time.Until(last.Add(batchEvery))) // after a quiet time, not at all
		last = time.Now()
		r.mu.Lock()
		batch := r.queue
		r.queue = spare[:0]
		r.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for rest := batch; len(rest) > 0; {
			n := min(len(rest), maxBatch)
			if !r.store(rest[:n]) {
				return
			}
			rest = rest[n:]
		}
		clear(batch)
		spare = batch
	}
}

// store records a batch, however long that takes. It reports false when it
// never will: the lease is lost, or the time to flush is over. If the store
// refuses the batch, the halves are tried, until what it refuses stands alone
// (cases 10, 11).
func (r *recorder) store(batch []*delivery) bool {
	ok, refused := r.insist(len(batch), func() error { return r.commit(batch) })
	switch half := len(batch) / 2; {
	case !ok:
		return false
	case refused == nil:
		r.d.tellRecorded(r.stored)
		return r.redeliver(r.d.recorded(batch))
	case half > 0:
		return r.store(batch[:half]) && r.store(batch[half:])
	case r.d.holdInstead(batch[0], refused):
		return r.store(batch)
	}
	r.d.putAside(batch[0], refused)
	return true
}

// tellRecorded tells whoever watches of outcomes that are stored.
func (d *Dispatcher) tellRecorded(batch []*delivery) {
	if d.Recorded == nil {
		return
	}
	for _, dl := range batch {
		d.Recorded(dl.event.Tenant, dl.outcome.Key, dl.event.Type, dl.outcome.Attempt)
	}
}

// commit has the batch recorded. What became of deliveries of lanes that are gone
// is for others to say.
func (r *recorder) commit(batch []*delivery) error {
	r.stored, r.outcomes = r.stored[:0], r.outcomes[:0]
	// The lease is asked for first: what goes in between is of a lane that is gone by now, or
	// of a tenure that the store refuses. A later lease may be of a new tenure, under which an
	// attempt of the one before would be taken (case 27).
	lease := r.d.Lease()
	for _, dl := range batch {
		if !dl.lane.gone.Load() {
			r.stored, r.outcomes = append(r.stored, dl), append(r.outcomes, &dl.outcome)
		}
	}
	if len(r.outcomes) == 0 {
		return nil
	}
	begin := time.Now()
	err := r.d.Queue.Record(r.ctx, lease, r.outcomes)
	r.d.Metrics.Commit(telemetry.Outcomes, time.Since(begin))
	return err
}

// redeliver asks again for redeliveries that the store may have taken for
// earlier than the outcomes just stored.
func (r *recorder) redeliver(asked []*delivery) bool {
	for _, dl := range asked {
		ok, refused := r.insist(1, func() error { return r.d.Queue.Redeliver(r.ctx, dl.event.Tenant, dl.key(), time.Now()) })
		switch {
		case !ok:
			return false
		case refused != nil:
			r.d.Logger.Error("a redelivery could not be stored", "delivery_id", dl.key().String(), "error", refused)
		}
		r.d.Wake(dl.key())
	}
	return true
}

// insist calls f, which stores something of n deliveries, until the store says
// yes, or why it never will. ok is false when the time for that is over.
func (r *recorder) insist(n int, f func() error) (ok bool, refused error) {
	backoff := minBackoff
	for {
		err := f()
		switch {
		case errors.Is(err, store.ErrLeaseLost) && !r.d.doubt():
			r.d.loseLease(err)
			return false, nil
		case err == nil || !passes(err):
			if backoff > minBackoff {
				r.d.bar(false)
			}
			return true, err
		}
		r.d.bar(true)
		if r.ctx.Err() != nil {
			r.d.Logger.Error("outcomes were not stored; their deliveries may be sent again", "outcomes", n, "error", err)
			return false, nil
		}
		r.d.Logger.Error("outcomes could not be stored; nothing is sent until they are", "outcomes", n, "error", err)
		select {
		case <-time.After(backoff):
		case <-r.ctx.Done():
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// passes reports whether an error tells of the store's condition, or of the lease,
// and not of what it was given.
func passes(err error) bool {
	for _, of := range []error{
		store.ErrUnavailable, store.ErrLeaseLost, store.ErrFull, store.ErrUnknown, store.ErrClosed, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, of) {
			return true
		}
	}
	return false
}

// bar stops picking while the store takes no outcomes, so that no more than
// what is in flight could be sent twice after a crash.
func (d *Dispatcher) bar(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.barred = on
	if !on {
		d.paging.Broadcast()
	}
}

// loseLease stops sending for good.
func (d *Dispatcher) loseLease(err error) {
	d.Logger.Error("the lease that was to last for as long as this process is lost: nothing is sent any more", "error", err)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.barred = true
	close(d.lost)
}

// recorded takes in that outcomes are stored. It returns those deliveries that
// ended although a redelivery had been asked for.
func (d *Dispatcher) recorded(batch []*delivery) (asked []*delivery) {
	for len(batch) > 0 {
		n := min(len(batch), recordChunk)
		d.mu.Lock()
		now := time.Now()
		for _, dl := range batch[:n] {
			d.unbacks(dl)
			if dl.lane.gone.Load() {
				continue
			}
			if dl.again && dl.outcome.State != hook.Pending && dl.outcome.State != hook.Delivered {
				asked = append(asked, dl)
			}
			d.carryOn(dl, now)
			d.settle(dl.lane, now)
		}
		batch = batch[n:]
		d.kick(now)
		d.mu.Unlock()
	}
	return asked
}

// carryOn does what a recorded outcome leaves to do: keep the next attempt in
// memory if it is near and there is room, or leave it to the store.
func (d *Dispatcher) carryOn(dl *delivery, now time.Time) {
	l, o := dl.lane, &dl.outcome
	if l.reading {
		if l.retired == nil {
			l.retired = map[int64]bool{}
		}
		l.retired[dl.seq] = true
	}
	d.forget(dl)
	d.ended(dl)
	if d.endNow(dl, now) {
		return
	}
	dl.wasRecorded()
	if dl.again {
		l.stores(dl.seq, now) // as the redelivery left it
	}
	if o.State != hook.Pending {
		return
	}
	if !d.keeps(l, dl, now) {
		l.stores(dl.seq, o.NextAt)
		return
	}
	if o.Attempt != nil {
		dl.attempts++
	}
	dl.base, dl.firstAt, dl.due = o.Base, o.FirstAt, o.NextAt
	dl.size = deliverySize + eventSize(dl.event) + len(dl.body)
	dl.kept = dl.kept || o.Body != nil
	dl.trigger = hook.Scheduled
	dl.again = false
	dl.outcome = store.Outcome{}
	d.took(dl)
	l.retrying.push(&dl.home)
	d.await(dl)
}

func (d *Dispatcher) keeps(l *lane, dl *delivery, now time.Time) bool {
	if d.phase != started || l.mode != sending || l.breaker.open || dl.again {
		return false
	}
	if l.order != nil {
		return l.order.keeps(l, dl, d.Memory-d.bytes)
	}
	return len(l.retries) < maxRetries && dl.outcome.NextAt.Sub(now) <= horizon && d.bytes+dl.size+len(dl.body) <= d.Memory
}

// backs counts an outcome that is to be recorded.
func (d *Dispatcher) backs(dl *delivery) {
	d.backed++
	d.backedBy += outcomeSize(dl)
	d.opens(dl.lane, 1)
}

// unbacks ends that.
func (d *Dispatcher) unbacks(dl *delivery) {
	d.backed--
	d.backedBy -= outcomeSize(dl)
	d.opens(dl.lane, -1)
}

// outcomeSize is what an outcome holds in memory beside its delivery.
func outcomeSize(dl *delivery) int {
	if a := dl.outcome.Attempt; a != nil {
		return len(a.ResponseBody) + len(a.ResponseHeader) + len(a.RequestHeader)
	}
	return 0
}
