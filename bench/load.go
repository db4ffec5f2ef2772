package bench

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Stream is one flow of publishes.
type Stream struct {
	Tenant      string   `json:"tenant"`
	Types       []string `json:"types"` // in turn
	Size        int      `json:"size"`  // bytes of data
	Connections int      `json:"connections"`
	Batch       int      `json:"batch"`              // events in one post; 0 or 1: single posts
	Members     string   `json:"members,omitempty"`  // of the data besides, as JSON without braces
	Metadata    string   `json:"metadata,omitempty"` // JSON
	Rate        float64  `json:"rate"`               // events a second on a fixed timetable; 0: each connection sends when it was answered
}

// loadConfig is what a load worker is asked to do.
type loadConfig struct {
	Addr     string        `json:"addr"`
	Key      string        `json:"key"`
	Streams  []Stream      `json:"streams"`
	Duration time.Duration `json:"duration"`
	Events   int64         `json:"events"` // stop after so many, if not 0
}

// loadResult is what came of it.
type loadResult struct {
	Accepted map[string]int64 `json:"accepted"` // events answered with 202, by type
	Unknown  int64            `json:"unknown"`  // events sent and not answered
	Refused  int64            `json:"refused"`  // posts answered otherwise
	Answers  map[string]int64 `json:"answers"`  // refusals and failures by kind
	First    int64            `json:"first"`    // Unix ns: the first send
	Last     int64            `json:"last"`     // the last answer
	Publish  *histogram       `json:"publish"`  // from the due time of a post to its answer
	Late     *histogram       `json:"late"`     // from the due time to the send: the generator's own fault, or all connections are busy
}

const publishTimeout = 30 * time.Second

type loader struct {
	config loadConfig
	number atomic.Int64 // of events begun
	result loadResult
	first  atomic.Int64
	last   atomic.Int64
	mu     sync.Mutex // guards result.Answers and result.Accepted
	until  time.Time
}

// load publishes as asked until the time is over, all events are sent, or ctx
// ends.
func load(ctx context.Context, c loadConfig) *loadResult {
	l := &loader{config: c, until: time.Now().Add(c.Duration)}
	l.result = loadResult{Accepted: map[string]int64{}, Answers: map[string]int64{}, Publish: &histogram{}, Late: &histogram{}}
	var all sync.WaitGroup
	for i := range c.Streams {
		s := &c.Streams[i]
		var due chan time.Time
		if s.Rate > 0 {
			due = make(chan time.Time, 1<<16)
			all.Go(func() { l.timetable(ctx, s, due) })
		}
		for conn := range s.Connections {
			all.Go(func() { l.connection(ctx, s, conn, due) })
		}
	}
	all.Wait()
	l.result.First, l.result.Last = l.first.Load(), l.last.Load()
	return &l.result
}

// timetable sends the due times of a stream's posts at those times. A
// connection that comes late finds its time in the queue; the event still
// carries it, so a stall of the server counts in full.
func (l *loader) timetable(ctx context.Context, s *Stream, due chan<- time.Time) {
	runtime.LockOSThread() // sleepUntil blocks a thread
	defer runtime.UnlockOSThread()
	defer close(due)
	gap := time.Duration(float64(time.Second) * float64(max(s.Batch, 1)) / s.Rate)
	for at := time.Now().Add(gap); at.Before(l.until) && ctx.Err() == nil; at = at.Add(gap) {
		sleepUntil(at)
		select {
		case due <- at:
		default:
			l.tell("timetable overrun", 1)
		}
	}
}

func (l *loader) connection(ctx context.Context, s *Stream, conn int, due <-chan time.Time) {
	w := &wire{addr: l.config.Addr}
	defer w.drop()
	requests := make([]template, len(s.Types))
	accepted := make([]int64, len(s.Types))
	defer l.count(s, accepted)
	for i, eventType := range s.Types {
		requests[i] = publishRequest(s, l.config.Addr, l.config.Key, eventType)
	}
	batch := int64(max(s.Batch, 1))
	for turn := conn; ctx.Err() == nil; turn++ {
		at := time.Now()
		if due != nil {
			var more bool
			if at, more = <-due; !more {
				return
			}
		} else if at.After(l.until) {
			return
		}
		last := l.number.Add(batch)
		if l.config.Events > 0 && last-batch >= l.config.Events {
			return
		}
		// In a timetable the type follows the number, so that each type gets its
		// share of the rate whichever connections are free.
		if due != nil {
			turn = int(last / batch)
		}
		turn %= len(requests)
		accepted[turn] += l.post(ctx, w, &requests[turn], at, last-batch)
	}
}

// count adds what one connection got accepted.
func (l *loader) count(s *Stream, accepted []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, n := range accepted {
		l.result.Accepted[s.Types[i]] += n
	}
}

// post publishes one request's events and repeats it while the server asks to
// come again later. It returns how many were accepted.
func (l *loader) post(ctx context.Context, w *wire, t *template, at time.Time, number int64) int64 {
	events := int64(len(t.at))
	for i := range t.at {
		t.patch(i, at, number+int64(i))
	}
	sent := time.Now()
	l.first.CompareAndSwap(0, sent.UnixNano())
	l.result.Late.add(sent.Sub(at))
	for ctx.Err() == nil {
		a, err := w.exchange(t.bytes, publishTimeout)
		if err != nil {
			l.tell(fmt.Sprintf("not answered: %.80v", err), 1)
			atomic.AddInt64(&l.result.Unknown, events)
			pause(ctx, 10*time.Millisecond)
			return 0
		}
		now := time.Now()
		if a.status == http.StatusAccepted {
			accepted := events
			if events > 1 {
				accepted = int64(bytes.Count(a.body, []byte(`"id":`)))
			}
			if accepted < events {
				l.tell("refused in a batch", events-accepted)
			}
			l.last.Store(now.UnixNano())
			l.result.Publish.add(now.Sub(at))
			return accepted
		}
		l.tell(fmt.Sprintf("%d", a.status), 1)
		if a.status != http.StatusServiceUnavailable && a.status != http.StatusTooManyRequests {
			atomic.AddInt64(&l.result.Refused, 1)
			return 0
		}
		pause(ctx, max(a.retryAfter, 10*time.Millisecond))
	}
	return 0
}

func (l *loader) tell(what string, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.result.Answers[what] += n
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
