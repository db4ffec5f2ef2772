package bench

import (
	"context"
	"fmt"
	"time"

	"grapnel/internal/child"
)

// window is one stretch of load on a server, from the first publish until
// everything that was accepted has arrived.
type window struct {
	load     *loadResult
	stats    *receiverStats
	expected int64
	seconds  float64 // from the first publish to the last arrival
	unique   int64
	again    int64 // arrivals beyond the first of a delivery
	cpu      time.Duration
	written  int64
	peakRSS  int64
	known    bool // cpu, written and peakRSS are known on this system
}

// stalled is how long nothing may arrive before the rest counts as lost.
const stalled = 20 * time.Second

// measure runs load and waits for the deliveries of all accepted events whose
// type answers says is answered (nil: all).
func (r *rig) measure(ctx context.Context, s *server, t *target, streams []Stream, d time.Duration, events int64, answers func(eventType string) bool) (*window, error) {
	before, err := t.stats(ctx, false)
	if err != nil {
		return nil, err
	}
	usage, usageErr := child.ReadUsage(s.PID())
	w := &window{known: usageErr == nil}
	orders := loadConfig{Addr: s.addr, Key: r.key, Streams: streams, Duration: d, Events: events}
	if w.load, err = runWorker[loadResult](ctx, r, roleLoad, orders); err != nil {
		return nil, err
	}
	for eventType, n := range w.load.Accepted {
		if answers == nil || answers(eventType) {
			w.expected += n
		}
	}
	if w.expected == 0 {
		return nil, fmt.Errorf("bench: nothing was accepted: %v: %s", w.load.Answers, s.logTail())
	}
	if err := w.await(ctx, t, before.Unique); err != nil {
		return nil, err
	}
	// Late duplicates and the recording of the last outcomes belong to the window.
	pause(ctx, 300*time.Millisecond)
	if w.stats, err = t.stats(ctx, true); err != nil {
		return nil, err
	}
	w.unique = w.stats.Unique - before.Unique
	w.again = w.stats.Requests - before.Requests - w.unique
	w.seconds = time.Duration(w.stats.Last - w.load.First).Seconds()
	after, usageErr := child.ReadUsage(s.PID())
	w.known = w.known && usageErr == nil
	w.cpu, w.written, w.peakRSS = after.CPU-usage.CPU, after.Written-usage.Written, after.PeakRSS
	return w, nil
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

func (w *window) perSecond() float64 { return float64(w.unique) / w.seconds }

// lost is negative where events arrived whose publish was not answered.
func (w *window) lost() int64 { return w.expected - w.unique }

// age merges the arrivals' ages of the endpoints that keep says.
func (w *window) age(keep func(endpoint int) bool) *histogram {
	all := &histogram{}
	for i := range w.stats.Endpoints {
		if keep == nil || keep(i) {
			all.merge(w.stats.Endpoints[i].Age)
		}
	}
	return all
}

// costs are the figures of what a window cost the server.
func (w *window) costs(f *figures) {
	if !w.known {
		return
	}
	f.add("server CPU", "µs/event", float64(w.cpu.Microseconds())/float64(w.unique))
	f.add("server memory, peak", "MiB", float64(w.peakRSS)/(1<<20))
	f.add("written to disk", "B/event", float64(w.written)/float64(w.unique))
}

// faults are the figures that should be zero.
func (w *window) faults(f *figures) {
	f.add("lost", "events", float64(w.lost()))
	f.add("duplicates", "requests", float64(w.again))
	f.add("publishes refused or not answered", "", float64(w.load.Refused+w.load.Unknown))
}
