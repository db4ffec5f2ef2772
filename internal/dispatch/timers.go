package dispatch

import (
	"container/heap"
	"time"
)

// timers wakes lanes: one heap, one goroutine. A lane has at most one entry.
// Moving it to a later time is left to the moment it fires, so that a lane
// which is busy all the time does not touch the heap.
type timers struct {
	lanes timerHeap
	alarm chan struct{} // the earliest entry has changed
}

func newTimers() timers { return timers{alarm: make(chan struct{}, 1)} }

// arm makes sure that the lane wakes at t or before.
func (t *timers) arm(l *lane, at time.Time) {
	switch {
	case l.timer < 0:
		l.wakeAt = at
		heap.Push(&t.lanes, l)
	case at.Before(l.wakeAt):
		l.wakeAt = at
		heap.Fix(&t.lanes, l.timer)
	default:
		return
	}
	if l.timer == 0 {
		select {
		case t.alarm <- struct{}{}:
		default:
		}
	}
}

// due takes a lane that is due out of the heap; else it says when the first
// one will be (zero: there is none).
func (t *timers) due(now time.Time) (*lane, time.Time) {
	if len(t.lanes) == 0 {
		return nil, time.Time{}
	}
	if first := t.lanes[0]; first.wakeAt.After(now) {
		return nil, first.wakeAt
	}
	return heap.Pop(&t.lanes).(*lane), time.Time{}
}

func (t *timers) drop(l *lane) {
	if l.timer >= 0 {
		heap.Remove(&t.lanes, l.timer)
	}
}

type timerHeap []*lane

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].wakeAt.Before(h[j].wakeAt) }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].timer, h[j].timer = i, j
}
func (h *timerHeap) Push(x any) {
	l := x.(*lane)
	l.timer = len(*h)
	*h = append(*h, l)
}
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	l.timer = -1
	return l
}

// alarmChunk is how many lanes wake in one hold of the mutex.
const alarmChunk = 256

// runTimers wakes lanes when they are due, until quit.
func (d *Dispatcher) runTimers() {
	clock := time.NewTimer(time.Hour)
	defer clock.Stop()
	for {
		if next := d.wakeDue(); next.IsZero() {
			clock.Stop()
		} else {
			clock.Reset(time.Until(next))
		}
		select {
		case <-d.quit:
			return
		case <-d.timers.alarm:
		case <-clock.C:
		}
	}
}

// wakeDue settles the lanes that are due and says when the next one will be.
func (d *Dispatcher) wakeDue() time.Time {
	for {
		d.mu.Lock()
		now := time.Now()
		for range alarmChunk {
			l, next := d.timers.due(now)
			if l == nil {
				d.kick(now)
				d.mu.Unlock()
				return next
			}
			d.settle(l, now)
		}
		d.kick(now)
		d.mu.Unlock()
	}
}
