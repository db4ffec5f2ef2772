package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"sync"
	"time"

	"grapnel/internal/store"
)

const (
	// renewals is how many times a lease is renewed at least while it lasts: the
	// second may fail and the third still come in time.
	renewals = 3
	// safety is the part of a lease before whose end nothing begins any more: for
	// what passes between the last look and the request, and for clocks that do not
	// run alike.
	safety = 10
	// releaseLimit is how long the store gets to take partitions back.
	releaseLimit = 5 * time.Second
)

// KeeperConfig is what a Keeper works with.
type KeeperConfig struct {
	Leaser     store.Leaser
	Dispatcher *Dispatcher // which has been made with Lease
	Lease      store.Lease // as it was acquired. One that never ends is not renewed
	Logger     *slog.Logger

	Length   time.Duration // how long the store grants a lease for
	Every    time.Duration // how often it is renewed: a third of Length at most
	HandOver time.Duration // how long attempts of a partition that another node is to have may take to end
}

// Keeper holds a node's lease: it renews it, tells the Dispatcher what changes, and
// hands over what other nodes are to have.
type Keeper struct {
	KeeperConfig
	run     context.Context // ends when nothing is to be renewed any more
	cancel  context.CancelFunc
	running sync.WaitGroup

	// asking is held while the store is asked and the Dispatcher told of the answer,
	// so that what is released is not taken for held because an older answer comes
	// later. It guards the rest.
	asking  exclusive
	lease   store.Lease
	leaving uint64 // partitions that are being handed over
	stops   bool
	trouble trouble
	tally   tally
}

// NewKeeper makes a keeper that does nothing until Start.
func NewKeeper(c KeeperConfig) (*Keeper, error) {
	if !c.Lease.Expires.IsZero() {
		if err := CheckLease(c.Length, c.Every); err != nil {
			return nil, err
		}
	}
	k := &Keeper{KeeperConfig: c, lease: c.Lease, asking: make(exclusive, 1)}
	k.tally.renewed(&c.Lease, time.Now())
	k.tally.changed(bits.OnesCount64(c.Lease.Partitions), 0)
	k.run, k.cancel = context.WithCancel(context.Background())
	return k, nil
}

// CheckLease refuses settings that cannot be safe (case 29).
func CheckLease(length, every time.Duration) error {
	if every <= 0 || length < renewals*every {
		return fmt.Errorf("dispatch: a lease of %s renewed every %s: at least %d renewals have to fit into it", length, every, renewals)
	}
	return nil
}

// Start begins to renew. It is called before the Dispatcher's Start, which may
// take a while.
func (k *Keeper) Start() {
	if k.ends() {
		k.asking.lock()
		k.tell()
		k.asking.unlock()
		k.running.Go(k.keep)
	}
}

// Hint says that there may be partitions to have. Without it they are had with the
// next renewal.
func (k *Keeper) Hint() { signal(k.Dispatcher.tenure.doubts) }

// ends reports whether the lease has to be renewed.
func (k *Keeper) ends() bool { return !k.Lease.Expires.IsZero() }

// keep renews the lease on its interval, at once where it is in doubt, and soon
// again where that fails.
func (k *Keeper) keep() {
	backoff := minBackoff
	wait := k.Every
	for {
		select {
		case <-k.run.Done():
			return
		case <-time.After(wait):
		case <-k.Dispatcher.Doubts():
		}
		if wait = k.Every; k.renew() {
			backoff = minBackoff
			continue
		}
		wait = min(backoff, k.Every)
		backoff *= 2
	}
}

// renew asks the store what is held and reports whether it said so.
func (k *Keeper) renew() bool {
	k.asking.lock()
	defer k.asking.unlock()
	if k.stops && k.lease.Partitions == 0 {
		return true // the store forgot this server when it gave the last one back
	}
	ctx, cancel := context.WithTimeout(k.run, k.Every)
	defer cancel()
	asked := k.lease
	asked.Leaves = k.stops
	l, err := k.Leaser.Renew(ctx, asked)
	if errors.Is(err, store.ErrLeaseLost) {
		k.tally.changed(0, bits.OnesCount64(k.lease.Partitions))
		k.lease = store.Lease{Node: k.lease.Node}
		k.tell()
		if k.stops {
			return true
		}
		k.Logger.Warn("the store does not know this server any more, as after a long standstill: it joins anew", "error", err)
		l, err = k.Leaser.Acquire(ctx, k.lease.Node)
	}
	if err != nil {
		k.failed(err)
		return false
	}
	k.succeeded()
	k.note(&l)
	k.lease = l
	k.tally.renewed(&l, time.Now())
	k.leaving &= l.Partitions
	k.tell()
	if yield := l.Yield &^ k.leaving; yield != 0 && !k.stops {
		k.leaving |= yield
		k.running.Go(func() { k.handOver(yield) })
	}
	return true
}

// note writes down what has changed hands.
func (k *Keeper) note(l *store.Lease) {
	kept := l.Under(&k.lease)
	gained, lost := l.Partitions&^kept, k.lease.Partitions&^kept
	k.tally.changed(bits.OnesCount64(gained), bits.OnesCount64(lost))
	held := bits.OnesCount64(l.Partitions)
	switch {
	case lost != 0:
		k.Logger.Warn("the lease was not renewed in time, and other servers have taken partitions of it over: what was under way there may be sent twice",
			"lost", bits.OnesCount64(lost), "gained", bits.OnesCount64(gained), "held", held)
	case gained != 0:
		k.Logger.Info("partitions are this server's now", "gained", bits.OnesCount64(gained), "held", held)
	}
}

// tell tells the Dispatcher what is held, and until when it may count on that.
func (k *Keeper) tell() {
	l := k.lease
	k.tally.holds(&l)
	if !l.Expires.IsZero() {
		l.Expires = l.Expires.Add(-k.Length / safety)
	}
	k.Dispatcher.SetLease(l)
}

// handOver gives partitions to other nodes, each as soon as what it had begun is
// recorded. What takes too long is released all the same: it may be sent twice.
func (k *Keeper) handOver(partitions uint64) {
	ctx, cancel := context.WithTimeout(k.run, k.HandOver)
	defer cancel()
	for partitions != 0 {
		empty := k.Dispatcher.Vacate(ctx, partitions)
		switch {
		case k.run.Err() != nil:
			return // Stop sees to the rest
		case empty == 0 && ctx.Err() == nil:
			return // none is held any more
		case empty == 0:
			empty = partitions
			k.Logger.Warn("attempts took too long for their partitions to be handed over; they may be repeated", "partitions", bits.OnesCount64(empty))
		}
		k.releaseNow(empty)
		partitions &^= empty
	}
}

// releaseNow releases partitions, also while the keeper is stopped: they are none of the
// node's any more, so that Stop would not release them.
func (k *Keeper) releaseNow(partitions uint64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(k.run), k.Every)
	defer cancel()
	if err := k.release(ctx, partitions); err != nil {
		k.Logger.Warn("partitions were not released; other nodes get them when the lease ends", "error", err)
	}
}

// release lets go of partitions and has the store give them to others.
func (k *Keeper) release(ctx context.Context, partitions uint64) error {
	k.asking.lock()
	defer k.asking.unlock()
	back := k.lease.Only(partitions)
	back.Leaves = k.stops
	k.lease = k.lease.Only(^partitions)
	k.leaving &^= partitions
	k.tell()
	if back.Partitions != 0 {
		k.Logger.Info("partitions are given to other servers", "given", bits.OnesCount64(back.Partitions), "held", bits.OnesCount64(k.lease.Partitions))
	}
	ctx, cancel := context.WithTimeout(ctx, releaseLimit)
	defer cancel()
	return k.Leaser.Release(ctx, back)
}

// Stop stops the Dispatcher and gives everything back: what is done with at once,
// so that other nodes go on with it meanwhile, and the rest when ctx ends and its
// requests are broken off. Only the first call does so.
func (k *Keeper) Stop(ctx context.Context) error {
	k.asking.lock()
	was := k.stops
	k.stops = true
	k.asking.unlock()
	if was {
		return nil
	}
	var given, released error
	if k.ends() {
		given = k.giveBack(ctx)
	}
	stopped := k.Dispatcher.Stop(ctx)
	k.cancel()
	k.running.Wait()
	if k.ends() || k.lease.Partitions != 0 { // without any, it takes leave all the same
		released = k.release(context.WithoutCancel(ctx), ^uint64(0))
	}
	return errors.Join(given, stopped, released)
}

// giveBack releases what nothing is under way of, until that is all, or ctx ends.
func (k *Keeper) giveBack(ctx context.Context) error {
	for {
		empty := k.Dispatcher.Vacate(ctx, ^uint64(0))
		if empty == 0 {
			return nil
		}
		if err := k.release(context.WithoutCancel(ctx), empty); err != nil {
			return fmt.Errorf("release partitions: %w", err)
		}
	}
}
