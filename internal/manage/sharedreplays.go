package manage

import (
	"context"
	"hash/fnv"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// replayLook is how often a server looks whether a replay has become its own.
const replayLook = 500 * time.Millisecond

// SharedReplays is what servers that share a store divide its replays by. A replay
// belongs to whoever holds one of the partitions, which its id says: so it goes on
// elsewhere when its server stops or dies. What it does is stored under the lease of
// that partition, so that no server which has lost it can do more.
type SharedReplays struct {
	Store  store.ReplaySharer
	Tenure func(partition int) (lease store.Lease, held bool) // the lease over one partition
}

// partitionOfReplay is the partition that a replay goes with.
func partitionOfReplay(id string) int {
	h := fnv.New64a()
	h.Write([]byte(id))
	return int(h.Sum64() % store.Partitions)
}

// hold reports whether a replay is this server's to run. When it has become so, what
// the server before has come to is read first.
func (r *Replayer) hold(ctx context.Context, j *job, id string) (bool, error) {
	if r.Shared == nil {
		return true, nil
	}
	l, held := r.Shared.Tenure(partitionOfReplay(id))
	if !held {
		*j = job{resumed: true}
		return false, nil
	}
	if j.lease != nil && j.lease.Under(&l) == l.Partitions {
		return true, nil
	}
	*j = job{resumed: true}
	if err := r.readProgress(ctx); err != nil {
		return false, err
	}
	j.lease = &l
	return true, nil
}

// redeliverOne makes a delivery pending, while the replay is this server's.
func (r *Replayer) redeliverOne(ctx context.Context, j *job, tenant hook.TenantNum, key hook.DeliveryKey) error {
	if r.Shared == nil {
		return r.Manager.Deliveries.Redeliver(ctx, tenant, key, now())
	}
	return r.Shared.Store.RedeliverUnder(ctx, *j.lease, tenant, key, now())
}

// readProgress takes over what all servers have noted of replays. No change is made
// meanwhile, for it would be made of what is older.
func (r *Replayer) readProgress(ctx context.Context) error {
	r.Manager.change.Lock()
	defer r.Manager.change.Unlock()
	running, err := r.Shared.Store.RunningReplays(ctx)
	if err != nil {
		return storeError("read replays", err)
	}
	r.Manager.Directory.Note(&store.Change{Replays: running})
	return nil
}

// watchProgress is readProgress for those who look on: one look now and then does for
// all, and what cannot be read now is read the next time.
func (r *Replayer) watchProgress(ctx context.Context) {
	select {
	case r.looking <- struct{}{}:
		if time.Since(r.looked) >= replayLook {
			r.looked = time.Now()
			_ = r.readProgress(ctx)
		}
		<-r.looking
	default:
	}
}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
