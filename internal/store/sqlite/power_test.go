package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/sqlite"
	"grapnel/internal/store/sqlite/faultvfs"
)

var (
	powerEvents = flag.Int("power.events", 10, "events of TestPowerLossAtEverySync; the figure is of 2000")
	powerSeed   = flag.Uint64("power.seed", 1, "seed of TestPowerLossAtEverySync")
)

// powerRun publishes and records, in batches of any size, and notes what was
// acknowledged. At each sync that the store does, it looks at what a loss of
// power there would leave.
type powerRun struct {
	*testing.T
	f      *folder
	random *rand.Rand
	lease  store.Lease
	seq    int64

	told     sync.Mutex // what follows is read at syncs of the store's own, too
	acked    []*hook.Event
	recorded []hook.DeliveryKey // delivered, and told so

	looking    sync.Mutex
	losses     *rand.Rand
	opts       sqlite.Options
	boundaries int
	reopened   int
}

var powerModes = []faultvfs.Loss{faultvfs.LoseAll, faultvfs.Tear, faultvfs.LoseSome}

// case 3: power is lost at every sync of a run of many segments: unsynced writes are
// gone, torn, or there in any order. What is left opens, holds all that was
// acknowledged, and has nothing wrong with it.
func TestPowerLossAtEverySync(t *testing.T) {
	t.Parallel()
	opts := sqlite.Options{SegmentEvents: max(4, *powerEvents/8)}
	r := &powerRun{
		T: t, f: newFolder(t, opts), opts: opts,
		random: rand.New(rand.NewPCG(*powerSeed, 1)), losses: rand.New(rand.NewPCG(*powerSeed, 2)),
	}
	r.f.prepare = func(fs *faultvfs.FS) {
		fs.Record()
		fs.AtSync(r.look)
	}
	r.f.open(t)
	var err error
	if r.lease, err = r.f.st.Acquire(t.Context(), "n"); err != nil {
		t.Fatal(err)
	}
	for len(r.acked) < *powerEvents && !t.Failed() {
		r.step()
	}
	if err := r.f.st.Close(); err != nil {
		t.Fatal(err)
	}
	if r.boundaries < len(r.acked)/4 || r.reopened != r.boundaries*len(powerModes) {
		t.Fatalf("%d syncs, %d losses looked at", r.boundaries, r.reopened)
	}
	t.Logf("seed %d: %d events, %d outcomes, %d syncs x %d modes = %d losses of power", *powerSeed, len(r.acked), len(r.recorded), r.boundaries, len(powerModes), r.reopened)
}

// step publishes a batch, and delivers some of it now and some of it late.
func (r *powerRun) step() {
	r.Helper()
	var events []*hook.Event
	for range 1 + r.random.IntN(8) {
		id := hook.NextEventID(r.seq, time.Unix(1_800_000_000, 0).Add(time.Duration(r.seq%1e6)), uint64(r.seq))
		r.seq = id.Seq()
		events = append(events, &hook.Event{
			ID: id, Tenant: 1, Key: fmt.Sprint("k", r.seq), Type: "a.b", Time: id.Time(), Data: fmt.Appendf(nil, `{"n":"%0*d"}`, 1+r.random.IntN(700), r.seq),
			Targets: []hook.Target{{Endpoint: 1}},
		})
	}
	if err := r.f.st.Append(r.Context(), &store.Batch{Revision: 99, Events: events}); err != nil {
		r.Fatal(err)
	}
	r.told.Lock()
	r.acked = append(r.acked, events...)
	r.told.Unlock()
	var outcomes []*store.Outcome
	var keys []hook.DeliveryKey
	for range 1 + r.random.IntN(4) {
		e := r.acked[r.random.IntN(len(r.acked))] // any: in segments that are sealed, too
		k := hook.DeliveryKey{Event: e.ID, Endpoint: 1}
		outcomes = append(outcomes, &store.Outcome{Key: k, At: e.Time, State: hook.Delivered, Attempt: &hook.Attempt{Key: k, N: 1, At: e.Time, State: hook.Delivered}})
		keys = append(keys, k)
	}
	if err := r.f.st.Record(r.Context(), r.lease, outcomes); err != nil {
		r.Fatal(err)
	}
	r.told.Lock()
	r.recorded = append(r.recorded, keys...)
	r.told.Unlock()
	if r.random.IntN(20) == 0 {
		if err := r.f.st.Checkpoint(r.Context(), r.lease, store.Progress{Floor: r.acked[0].ID}); err != nil {
			r.Fatal(err)
		}
	}
}

// look loses power here, in each way.
func (r *powerRun) look() {
	r.looking.Lock()
	defer r.looking.Unlock()
	if r.Failed() {
		return
	}
	r.told.Lock()
	acked, recorded := r.acked[:len(r.acked):len(r.acked)], r.recorded[:len(r.recorded):len(r.recorded)]
	r.told.Unlock()
	r.boundaries++
	for _, loss := range powerModes {
		if err := r.lose(loss, acked, recorded); err != nil {
			r.Errorf("seed %d, sync %d, loss %d: %v", *powerSeed, r.boundaries, loss, err)
			return
		}
		r.reopened++
	}
}

func (r *powerRun) lose(loss faultvfs.Loss, acked []*hook.Event, recorded []hook.DeliveryKey) (err error) {
	dir, err := os.MkdirTemp("", "grapnel-power-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := r.f.fs.LosePower(r.f.dir, dir, loss, r.losses); err != nil {
		return err
	}
	ctx := context.Background() // the store closes after the test's own is over
	fs := faultvfs.Register(fmt.Sprint("fault", names.Add(1)))
	defer fs.Unregister()
	fs.Lazy()
	opts := r.opts
	opts.Dir, opts.VFS = dir, fs.Name()
	st, err := sqlite.Open(ctx, opts)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	err = r.compare(ctx, st, acked, recorded)
	if err = errors.Join(err, st.Close()); err != nil {
		return err
	}
	report, err := sqlite.Check(ctx, dir, nil)
	if err != nil {
		return err
	}
	for _, f := range report.Findings {
		err = errors.Join(err, fmt.Errorf("%s: %s", f.File, f.Problem))
	}
	return err
}

// compare asserts that all that was acknowledged is there, as it was.
func (r *powerRun) compare(ctx context.Context, st *sqlite.Store, acked []*hook.Event, recorded []hook.DeliveryKey) error {
	at, q := 0, store.EventQuery{Tenant: hook.AllTenants, Limit: 1000, Oldest: true}
	for {
		page, err := st.Events(ctx, q)
		if err != nil {
			return err
		}
		for _, e := range page.Events {
			if at < len(acked) {
				if want := acked[at]; e.ID != want.ID || e.Key != want.Key || !bytes.Equal(e.Data, want.Data) {
					return fmt.Errorf("event %d of %d that were acknowledged is lost or another: there is %v", at, len(acked), e.ID)
				}
				at++
			}
		}
		if page.Next == (hook.EventID{}) {
			break
		}
		q.After = page.Next
	}
	if at < len(acked) {
		return fmt.Errorf("%d events are there, %d were acknowledged", at, len(acked))
	}
	for i := range recorded {
		if i < len(recorded)-20 && i%53 != 0 { // the last ones, and some of all
			continue
		}
		if d, err := st.Delivery(ctx, hook.AllTenants, recorded[i]); err != nil || d.State != hook.Delivered {
			return fmt.Errorf("outcome %d of %d that were taken: %+v, %w", i, len(recorded), d, err)
		}
	}
	return nil
}
