package bench

import (
	"slices"
	"time"
)

// Series is how latency went over a window: one value for each stretch of time
// that events were due in, over all runs together.
type Series struct {
	Name        string    `json:"name"`
	SlotSeconds float64   `json:"slot_seconds"`
	Events      []int64   `json:"events"` // in each slot; where there are none, the rest is 0
	P50         []float64 `json:"p50_ms"`
	P99         []float64 `json:"p99_ms"`
}

// line collects a series over the runs of a scenario.
type line struct {
	name  string
	slot  time.Duration
	slots []*histogram
}

// slotOf is how long a slot is in windows of a length: about forty in one, but
// none below 100 ms, where there would be too few events for a p99, and none
// above a second.
func slotOf(window time.Duration) time.Duration {
	return min(max(window/40, 100*time.Millisecond), time.Second)
}

// overTime adds a window's ages in a group to a series.
func (f *figures) overTime(name string, w *window, group int) {
	if w.slot == 0 {
		return
	}
	i := slices.IndexFunc(f.lines, func(l *line) bool { return l.name == name })
	if i < 0 {
		i = len(f.lines)
		f.lines = append(f.lines, &line{name: name, slot: w.slot})
	}
	l := f.lines[i]
	first := w.load.First / int64(w.slot)
	for key, h := range w.stats.Groups[group].Slots {
		at := int(key - first)
		if at < 0 || at >= maxSlots {
			continue // a clock was set
		}
		for len(l.slots) <= at {
			l.slots = append(l.slots, &histogram{})
		}
		l.slots[at].merge(h)
	}
}

func (f *figures) series() []Series {
	var all []Series
	for _, l := range f.lines {
		s := Series{Name: l.name, SlotSeconds: l.slot.Seconds()}
		for _, h := range l.slots {
			s.Events = append(s.Events, h.count())
			s.P50 = append(s.P50, milliseconds(h.quantile(0.5)))
			s.P99 = append(s.P99, milliseconds(h.quantile(0.99)))
		}
		all = append(all, s)
	}
	return all
}
