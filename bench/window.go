package bench

import (
	"context"
	"fmt"
	"time"

	"grapnel/internal/child"
)

// loadPlan is a stretch of load.
type loadPlan struct {
	streams  []Stream
	duration time.Duration
	events   int64 // the load ends after so many, if not 0
	from     int64 // the first event's number
	// copies says how many arrivals an accepted event of a type leads to, at
	// endpoints that answer; nil: one.
	copies func(eventType string) int64
	// unfinished ends the window when the load does, whatever has not arrived.
	unfinished bool
}

// window is one stretch of load on a server, from the first publish until
// everything that was accepted has arrived.
type window struct {
	load     *loadResult
	stats    *receiverStats
	groups   []int64 // unique arrivals of each group
	expected int64
	seconds  float64 // from the first publish to the last arrival
	unique   int64
	again    int64 // arrivals beyond the first of a delivery
	cpu      time.Duration
	written  int64
	rss      int64 // when it was over
	peakRSS  int64 // since the server's start
	known    bool  // cpu, written, rss and peakRSS are known on this system
	slot     time.Duration
	database [2]databaseUsage // at the beginning and at the end, if there is one
}

// stalled is how long nothing may arrive before the rest counts as lost.
const stalled = 20 * time.Second

// underway is a window whose load runs.
type underway struct {
	*rig
	plan     loadPlan
	site     *site
	before   *receiverStats
	usage    child.Usage
	usageErr error
	pid      int
	ended    chan error
	window   *window
}

// measure runs load and waits for the deliveries that it leads to.
func (r *rig) measure(ctx context.Context, x *site, p loadPlan) (*window, error) {
	u, err := r.begin(ctx, x, p)
	if err != nil {
		return nil, err
	}
	return u.end(ctx)
}

// begin starts load. What it starts ends with ctx, or at the plan's end.
func (r *rig) begin(ctx context.Context, x *site, p loadPlan) (*underway, error) {
	before, err := x.reset(ctx)
	if err != nil {
		return nil, err
	}
	u := &underway{rig: r, plan: p, site: x, before: before, pid: x.server.PID(), ended: make(chan error, 1), window: &window{slot: x.slot}}
	u.usage, u.usageErr = child.ReadUsage(u.pid)
	if err := u.askDatabase(ctx, 0); err != nil {
		return nil, err
	}
	orders := loadConfig{Addr: x.server.addr, Key: r.key, Streams: p.streams, Duration: p.duration, Events: p.events, From: p.from}
	go func() {
		var err error
		u.window.load, err = runWorker[loadResult](ctx, r, roleLoad, orders)
		u.ended <- err
	}()
	return u, nil
}

// end waits for the end of the load and of what it leads to.
func (u *underway) end(ctx context.Context) (*window, error) {
	w := u.window
	if err := <-u.ended; err != nil {
		return nil, err
	}
	all := w.load.all()
	for eventType, n := range all.Accepted {
		if u.plan.copies != nil {
			n *= u.plan.copies(eventType)
		}
		w.expected += n
	}
	if all.accepted() == 0 {
		return nil, fmt.Errorf("bench: nothing was accepted: %s%s", all.refusals(), u.site.logTail())
	}
	if !u.plan.unfinished {
		if err := w.await(ctx, u.site.target, u.before.Unique); err != nil {
			return nil, err
		}
		// Late duplicates and the recording of the last outcomes belong to the window.
		pause(ctx, 300*time.Millisecond)
	}
	if err := u.read(ctx); err != nil {
		return nil, err
	}
	return w, u.askDatabase(ctx, 1)
}

// read takes the window's numbers.
func (u *underway) read(ctx context.Context) (err error) {
	w := u.window
	if w.stats, err = u.site.stats(ctx, true); err != nil {
		return err
	}
	w.unique = w.stats.Unique - u.before.Unique
	w.again = w.stats.Requests - u.before.Requests - w.unique
	w.groups = w.groups[:0]
	for i, g := range w.stats.Groups {
		w.groups = append(w.groups, g.Unique-u.before.Groups[i].Unique)
	}
	w.seconds = time.Duration(w.stats.Last - w.load.First).Seconds()
	after, err := child.ReadUsage(u.site.server.PID())
	w.known = u.usageErr == nil && err == nil && u.site.server.PID() == u.pid
	w.cpu, w.written, w.rss, w.peakRSS = after.CPU-u.usage.CPU, after.Written-u.usage.Written, after.RSS, after.PeakRSS
	return nil
}

// askDatabase takes the database's numbers, if there is one.
func (u *underway) askDatabase(ctx context.Context, when int) (err error) {
	if name := u.site.server.name; name != "" {
		u.window.database[when], err = u.stores.usage(ctx, name)
	}
	return err
}

// await waits until all that is expected has arrived, or nothing comes any
// more.
func (w *window) await(ctx context.Context, t *target, base int64) error {
	last, since := int64(-1), time.Now()
	for {
		s, err := t.stats(ctx, false)
		if err != nil {
			return err
		}
		if s.Unique-base >= w.expected {
			return nil
		}
		if s.Unique != last {
			last, since = s.Unique, time.Now()
		}
		if time.Since(since) > stalled {
			return nil // the window tells what is missing
		}
		pause(ctx, 20*time.Millisecond)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// awaitGroup waits until one group has all that the window's load leads to, while
// others go on, and reads the numbers again.
func (u *underway) awaitGroup(ctx context.Context, group int) error {
	for since := time.Now(); u.window.groups[group] < u.window.expected && time.Since(since) < stalled && ctx.Err() == nil; {
		pause(ctx, 20*time.Millisecond)
		if err := u.read(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (w *window) perSecond() float64 { return float64(w.unique) / w.seconds }

// groupPerSecond is the deliveries a second of one group, until its last.
func (w *window) groupPerSecond(group int) float64 {
	return float64(w.groups[group]) / time.Duration(w.stats.Groups[group].Last-w.load.First).Seconds()
}

// lost is negative where events arrived whose publish was not answered.
func (w *window) lost() int64 { return w.expected - w.unique }

// age merges the arrivals' ages of the groups, or of all.
func (w *window) age(groups ...int) *histogram {
	all := &histogram{}
	if len(groups) == 0 {
		for _, g := range w.stats.Groups {
			all.merge(g.Age)
		}
	}
	for _, i := range groups {
		all.merge(w.stats.Groups[i].Age)
	}
	return all
}

// cost is the server's CPU time in µs for a delivery, 0 where it is not known.
func (w *window) cost() float64 {
	if !w.known {
		return 0
	}
	return float64(w.cpu.Microseconds()) / float64(w.unique)
}

// costs are the figures of what a window cost the server.
func (w *window) costs(f *figures) {
	if !w.known {
		return
	}
	f.add("server CPU", "µs/event", w.cost())
	f.add("server memory, peak", "MiB", mebibytes(w.peakRSS))
	f.add("written to disk", "B/event", float64(w.written)/float64(w.unique))
	w.databaseCosts(f)
}

func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// faults are the figures that should be zero.
func (w *window) faults(f *figures) {
	all := w.load.all()
	f.add("lost", "events", float64(w.lost()))
	f.add("duplicates", "requests", float64(w.again))
	f.add("publishes refused or not answered", "", float64(all.Refused+all.Unknown))
}
