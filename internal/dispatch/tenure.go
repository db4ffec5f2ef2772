package dispatch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// A node sends for the lanes of the partitions that it holds. It gets and loses
// them while it runs:
//
//   - The lanes of a partition that it has gained are listed from the store before
//     it sends for any of them: the partition has joined then.
//   - Those of one that it has lost are forgotten at once. What is under way is let
//     run, for a request cannot be taken back, but what comes of it is dropped: it
//     is another node's now to say what became of the delivery.
//   - One that it gives up begins nothing more, and leaves when all that had begun
//     is recorded. So the next holder repeats nothing.
//
// Nothing begins when the lease may be over. That is looked at when an attempt is
// picked, and by the attempt itself right before its request, for a process may
// have been stopped in between.

// tenure is what may be sent for now. The dispatcher's mutex guards all but until and wall.
type tenure struct {
	lease   store.Lease // as it was told last
	joined  uint64      // partitions of it whose lanes have been listed
	leaving uint64      // partitions of it that are given up
	parts   [store.Partitions]partition
	gained  chan struct{} // wakes who lists lanes
	doubts  chan struct{} // see Doubts
	vacated sync.Cond     // a partition that is given up may have become empty, or lost

	ends  bool         // it is a lease that has to be renewed
	epoch time.Time    // what until counts from
	until atomic.Int64 // when the lease is over
	wall  atomic.Int64 // the same by the wall clock, in Unix nanoseconds
}

// partition is what is known of a partition that is held.
type partition struct {
	// Events from first on were stored after it was gained: nobody else can have
	// recorded anything of them. Earlier ones are read from the store. 0: all that
	// were not offered here are.
	first int64
	open  int // deliveries in flight, or over and not recorded
}

// begin takes over the first lease.
func (t *tenure) begin(l store.Lease, mu *sync.Mutex) {
	t.gained, t.doubts = make(chan struct{}, 1), make(chan struct{}, 1)
	t.vacated.L = mu
	t.epoch = time.Now()
	t.lease = l
	t.extend(l.Expires)
}

// extend takes over until when the lease is proven.
func (t *tenure) extend(expires time.Time) {
	switch {
	case !expires.IsZero():
		t.ends = true
		t.until.Store(int64(expires.Sub(t.epoch)))
		t.wall.Store(expires.UnixNano())
	case t.ends:
		t.until.Store(0) // nothing is held
	default:
		t.until.Store(math.MaxInt64)
	}
}

// over reports whether the lease may be over, by either clock: the one that never jumps
// stands still while the machine is suspended (case 27).
func (t *tenure) over(now time.Time) bool {
	until := t.until.Load()
	return until != math.MaxInt64 && (int64(now.Sub(t.epoch)) >= until || now.UnixNano() >= t.wall.Load())
}

// sends reports whether deliveries of a partition may be sent, as long as the
// lease is not over.
func (t *tenure) sends(part uint8) bool { return (t.joined&^t.leaving)>>part&1 == 1 }

// maySend is the last question before a request goes out. It takes no mutex.
func (d *Dispatcher) maySend(l *lane) bool {
	if l.gone.Load() {
		return false
	}
	return d.tenure.until.Load() == math.MaxInt64 || !d.tenure.over(time.Now())
}

// signal wakes whoever waits at a channel with room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// exclusive lets one at a time ask the store, which may take long.
type exclusive chan struct{}

func (e exclusive) lock()   { e <- struct{}{} }
func (e exclusive) unlock() { <-e }

// Doubts gets a value when the store has refused something for the sake of the
// lease: it is to be renewed at once, and SetLease told.
func (d *Dispatcher) Doubts() <-chan struct{} { return d.tenure.doubts }

// doubt takes in that the store says the lease is lost. It reports whether
// somebody renews it; else it is lost for good.
func (d *Dispatcher) doubt() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tenure.ends {
		signal(d.tenure.doubts)
	}
	return d.tenure.ends
}

// Tenure is the lease over one partition; ok is false when it is not this node's, is
// given up, or may be over.
func (d *Dispatcher) Tenure(partition int) (l store.Lease, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := &d.tenure
	if (t.lease.Partitions&^t.leaving)>>partition&1 == 0 || t.over(time.Now()) {
		return store.Lease{}, false
	}
	return t.lease.Only(1 << partition), true
}

// Lease is what the node holds now.
func (d *Dispatcher) Lease() store.Lease {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tenure.lease
}

// SetLease takes over what the node holds from now on, and until when that is
// certain: Expires, less what the caller wants for safety. It does not wait for
// the store. What is not under the same token as before is lost and gained anew.
func (d *Dispatcher) SetLease(l store.Lease) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := &d.tenure
	kept := l.Under(&t.lease)
	lost := t.lease.Partitions &^ kept
	t.joined &= kept
	t.leaving &= kept
	t.lease = l
	t.extend(l.Expires)
	gone := d.detach(lost)
	if l.Partitions == 0 {
		d.tail.ahead = nil // what is gained is listed with what was stored before
	}
	if l.Partitions&^t.joined != 0 {
		signal(t.gained)
	}
	t.vacated.Broadcast()
	d.kick(time.Now())
	d.drop(gone)
}

// detach takes the lanes of partitions out, which are not ours any more. What
// they have in memory is for drop to forget.
func (d *Dispatcher) detach(partitions uint64) (gone []*lane) {
	if partitions == 0 {
		return nil
	}
	clear(d.ailments) // another server may learn other things of these
	gone = d.lanesOf(partitions)
	now := time.Now()
	for _, l := range gone {
		l.gone.Store(true)
		l.generation++
		l.page.leave()
		d.rings.remove(l)
		d.remove(l, now)
		delete(d.tail.barred, l)
	}
	for p := range d.tenure.parts {
		if partitions>>p&1 == 1 {
			d.tenure.parts[p] = partition{}
		}
	}
	return gone
}

// laneChunk is how many lanes are gone through in one hold of the mutex when
// partitions come or go.
const laneChunk = 256

// drop forgets what lanes that are gone have in memory. It lets go of the mutex
// in between.
func (d *Dispatcher) drop(gone []*lane) {
	for i, l := range gone {
		if i%laneChunk == laneChunk-1 {
			d.mu.Unlock()
			d.mu.Lock()
		}
		l.order = nil
		for _, home := range []*list[*delivery]{&l.live, &l.paged, &l.retrying} {
			for home.first != nil {
				dl := home.first.of
				dl.turn, dl.bars = nil, false
				d.forget(dl)
				dl.wasRecorded() // which its lane denies
			}
		}
		d.count(l, -l.pending)
	}
}

// lanesOf lists the lanes of partitions that are in memory.
func (d *Dispatcher) lanesOf(partitions uint64) (lanes []*lane) {
	for _, l := range d.lanes {
		if partitions>>l.part&1 == 1 {
			lanes = append(lanes, l)
		}
	}
	return lanes
}

// reconfigure lets lanes find out what they may do now. It lets go of the mutex
// in between.
func (d *Dispatcher) reconfigure(lanes []*lane) {
	for i, l := range lanes {
		now := time.Now()
		if i%laneChunk == laneChunk-1 {
			d.kick(now)
			d.mu.Unlock()
			d.mu.Lock()
		}
		if !l.gone.Load() && d.lanes[l.num] == l {
			d.configure(l)
			d.settle(l, now)
		}
	}
	d.kick(time.Now())
}

// opens counts what a lane has begun that is not recorded.
func (d *Dispatcher) opens(l *lane, change int) {
	if l.gone.Load() {
		return
	}
	t := &d.tenure
	p := &t.parts[l.part]
	p.open += change
	if p.open == 0 && t.leaving>>l.part&1 == 1 {
		t.vacated.Broadcast()
	}
}

// Vacate gives up partitions: nothing of them begins any more. It waits until of
// some of them all that had begun is recorded, stores their progress, and returns
// these, for the caller to say so by SetLease and to release them. It returns none
// when ctx ends before, or none is held any more.
func (d *Dispatcher) Vacate(ctx context.Context, partitions uint64) (empty uint64) {
	t := &d.tenure
	defer context.AfterFunc(ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		t.vacated.Broadcast()
	})()
	d.mu.Lock()
	t.leaving |= partitions & t.lease.Partitions
	d.reconfigure(d.lanesOf(partitions))
	for {
		held := partitions & t.lease.Partitions
		empty = t.empty(held)
		if empty != 0 || held == 0 || ctx.Err() != nil {
			break
		}
		t.vacated.Wait()
	}
	d.mu.Unlock()
	if empty != 0 {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseLimit)
		defer cancel()
		if err := d.checkpoint(ctx); err != nil {
			d.Logger.Warn("the progress of what is handed over was not stored; who gets it looks further back", "error", err)
		}
	}
	return empty
}

// empty are those of partitions in which nothing is under way.
func (t *tenure) empty(partitions uint64) (empty uint64) {
	for p := range t.parts {
		if partitions>>p&1 == 1 && t.parts[p].open == 0 {
			empty |= 1 << p
		}
	}
	return empty
}

// listing is what the store tells of partitions that were gained.
type listing struct {
	lease store.Lease // over them
	lanes []store.Lane
	// upTo is the last event that a former holder can have recorded something of:
	// it was asked for after they were gained. 0: nobody else stores events.
	upTo int64
}

// list asks the store for the lanes of the partitions that have not joined.
func (d *Dispatcher) list(ctx context.Context) (a listing, err error) {
	d.mu.Lock()
	a.lease = d.tenure.lease.Only(^d.tenure.joined)
	last := d.progress.last
	d.mu.Unlock()
	if a.upTo, err = d.tail.last(ctx, last); err != nil {
		return a, fmt.Errorf("find the last event: %w", err)
	}
	if a.lanes, err = d.Queue.Lanes(ctx, a.lease); err != nil {
		return a, fmt.Errorf("list the lanes with work: %w", err)
	}
	return a, nil
}

// runJoiner lists the lanes of partitions that are gained, until quit.
func (d *Dispatcher) runJoiner() {
	for {
		select {
		case <-d.quit:
			return
		case <-d.tenure.gained:
		}
		for wait := minBackoff; !d.join(); wait = min(2*wait, maxBackoff) {
			select {
			case <-d.quit:
				return
			case <-time.After(wait):
			}
		}
	}
}

// join takes in the lanes of the partitions that have not joined. It reports
// whether all have.
func (d *Dispatcher) join() bool {
	a, err := d.list(d.run)
	if err != nil {
		if d.run.Err() == nil {
			d.Logger.Warn("deliveries that came with the lease could not be listed; trying again", "partitions", bits.OnesCount64(a.lease.Partitions), "error", err)
		}
		if errors.Is(err, store.ErrLeaseLost) {
			d.doubt()
		}
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for i := range a.lanes {
		if i%laneChunk == laneChunk-1 {
			d.mu.Unlock()
			d.mu.Lock()
		}
		if sl := a.lanes[i]; a.still(&d.tenure, sl.Endpoint) {
			d.restore(sl, a.upTo, now)
		}
	}
	d.reconfigure(d.lanesOf(d.enter(&a)))
	return d.tenure.lease.Partitions&^d.tenure.joined == 0
}

// still reports whether a lane's partition is held as it was when it was listed.
func (a *listing) still(t *tenure, num hook.EndpointNum) bool {
	p := store.PartitionOf(num)
	return t.lease.Holds(num) && t.lease.Tokens[p] == a.lease.Tokens[p]
}

// enter lets those partitions join that are held as they were when their lanes
// were listed. The lanes are there, and those that are behind are to be told.
func (d *Dispatcher) enter(a *listing) (joined uint64) {
	t := &d.tenure
	joined = a.lease.Under(&t.lease) &^ t.joined
	if t.joined == 0 {
		d.tail.moveTo(a.upTo) // nobody waits for what came before
	}
	for p := range t.parts {
		if joined>>p&1 == 1 && a.upTo != 0 {
			t.parts[p].first = a.upTo + 1
		}
	}
	t.joined |= joined
	d.progress.told = unsure
	return joined
}

// first is the first event that a lane gets from memory: all before are read from
// the store. 0: none was offered yet.
func (d *Dispatcher) first(l *lane) int64 {
	if first := d.tenure.parts[l.part].first; first != 0 {
		return first
	}
	return d.progress.first
}
