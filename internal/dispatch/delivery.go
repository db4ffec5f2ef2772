package dispatch

import (
	"container/heap"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// deliverySize is what a delivery in memory is taken to cost beside the bytes
// of its event and body.
const deliverySize = 1024

// delivery is a delivery in memory. From when it is taken in until its outcome
// is recorded it is in exactly one of its lane's home lists; until its attempt
// begins it is also in the queue that it waits in.
type delivery struct {
	lane     *lane
	event    *hook.Event
	seq      int64 // of the event's id
	attempts int   // recorded so far
	base     int
	firstAt  time.Time
	due      time.Time
	body     []byte
	header   []hook.Header // that programs have made,
	rendered bool          // if they have run
	trigger  hook.Trigger

	fresh   bool      // nothing of it is recorded yet
	size    int       // counted against the memory budget
	load    int       // its weight while the attempt runs
	class   class     // the lane's, when the attempt began
	probe   bool      // its attempt is to find out whether an outage of ours is over
	busy    bool      // its attempt takes the processor, see processor.go
	sent    time.Time // when its request was out, while it is busy
	kept    bool      // the store has the body
	again   bool      // a redelivery was asked for since the attempt began
	aside   bool      // the store refuses it; it waits for a change
	heapPos int       // in the lane's retries, -1 when it is not there
	begun   time.Time
	offered time.Time

	outcome store.Outcome

	ending   string        // it was cancelled during its attempt, with this reason
	recorded chan struct{} // of one that is being cancelled: closed when that is recorded

	turn    *turn // in its line; nil: it waits for no other
	keyless bool  // it stands in for one whose event is not at hand, nor its ordering key
	bars    bool  // the end of it is among its lane's unkeyed

	home  node[*delivery] // one of the lane's live, paged and retrying
	queue node[*delivery] // one of the lane's window, backlog and blocked
	front node[*delivery] // the dispatcher's list that the floor is read from
	out   node[*delivery] // the dispatcher's list of those whose request is out, while it is busy
}

func newDelivery(l *lane, e *hook.Event) *delivery {
	dl := &delivery{lane: l, event: e, seq: e.ID.Seq(), fresh: true, heapPos: -1}
	dl.size = deliverySize + eventSize(e)
	dl.home.of, dl.queue.of, dl.front.of, dl.out.of = dl, dl, dl, dl
	return dl
}

// newWork makes a delivery of what the store has told.
func newWork(l *lane, w *store.Work) *delivery {
	dl := newDelivery(l, w.Event)
	dl.attempts, dl.base, dl.firstAt, dl.due = w.Attempts, w.Base, w.FirstAt, w.NextAt
	dl.body, dl.kept, dl.trigger = w.Body, w.Body != nil, w.Trigger
	dl.size += len(w.Body)
	return dl
}

// eventSize is how many bytes an event holds.
func eventSize(e *hook.Event) int { return len(e.Data) + len(e.Previous) + len(e.Metadata) }

// offeredSize is what a delivery costs whose event is shared by all its
// targets.
func offeredSize(e *hook.Event) int { return deliverySize + eventSize(e)/len(e.Targets) }

// weight is what an attempt holds in memory: the event, and the body made of it.
func (dl *delivery) weight() int { return eventSize(dl.event) + max(len(dl.body), len(dl.event.Data)) }

// waits reports whether it waits for an attempt. Else one is running, or over
// and not recorded, or it is put aside.
func (dl *delivery) waits() bool { return dl.queue.in != nil || dl.heapPos >= 0 }

func (dl *delivery) key() hook.DeliveryKey {
	return hook.DeliveryKey{Event: dl.event.ID, Endpoint: dl.lane.num}
}

// join puts a delivery into a list that is kept in the order of events. It is
// nearly always the newest.
func (dl *delivery) join(l *list[*delivery]) {
	at := l.last
	for at != nil && at.of.seq > dl.seq {
		at = at.prev
	}
	l.insertAfter(&dl.home, at)
}

// retryHeap holds deliveries in the order in which they are due.
type retryHeap []*delivery

func (h retryHeap) Len() int           { return len(h) }
func (h retryHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h retryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapPos, h[j].heapPos = i, j
}

// Push implements heap.Interface.
func (h *retryHeap) Push(x any) {
	dl := x.(*delivery)
	dl.heapPos = len(*h)
	*h = append(*h, dl)
}

// Pop implements heap.Interface.
func (h *retryHeap) Pop() any {
	last := len(*h) - 1
	dl := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	dl.heapPos = -1
	return dl
}

// due is the earliest delivery if it is due.
func (h retryHeap) due(now time.Time) *delivery {
	if len(h) > 0 && !h[0].due.After(now) {
		return h[0]
	}
	return nil
}

func (h *retryHeap) take(dl *delivery) { heap.Remove(h, dl.heapPos) }

func (h *retryHeap) add(dl *delivery) { heap.Push(h, dl) }
