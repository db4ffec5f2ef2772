package bench

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Stream is one flow of publishes.
type Stream struct {
	Tenant      string   `json:"tenant"`
	Tenants     int      `json:"tenants,omitempty"` // if not 0: that many, with Tenant and a number from 0 as their ids, each as often as another, in a scattered order
	Types       []string `json:"types"`             // in turn
	Size        int      `json:"size"`              // bytes of data
	Connections int      `json:"connections"`
	Batch       int      `json:"batch"`              // events in one post; 0 or 1: single posts
	Members     string   `json:"members,omitempty"`  // of the data besides, as JSON without braces
	Metadata    string   `json:"metadata,omitempty"` // JSON
	Rate        float64  `json:"rate"`               // events a second on a fixed timetable; 0: each connection sends when it was answered
	Keyed       bool     `json:"keyed,omitempty"`    // events have ids of their own, and a post that got no answer is repeated until it has one
}

// address is whose event the n-th post is, and of which type. The factor is a
// prime: all tenants come once, scattered, before one comes again.
func (s *Stream) address(n int64) (tenant, eventType string) {
	const factor = 2654435761
	if s.Tenants == 0 {
		return s.Tenant, s.Types[n%int64(len(s.Types))]
	}
	tenants := int64(s.Tenants)
	return s.Tenant + strconv.FormatInt(n%tenants*factor%tenants, 10), s.Types[(n+n/tenants)%int64(len(s.Types))]
}

// loadConfig is what a load worker is asked to do.
type loadConfig struct {
	Addr     string        `json:"addr"`
	Key      string        `json:"key"`
	Streams  []Stream      `json:"streams"`
	Duration time.Duration `json:"duration"`
	Events   int64         `json:"events"` // stop after so many, if not 0
	From     int64         `json:"from"`   // the first event's number, which makes ids of the stream's own
}

// loadResult is what came of it.
type loadResult struct {
	First   int64           `json:"first"` // Unix ns: the first send
	Last    int64           `json:"last"`  // the last answer
	Streams []*streamResult `json:"streams"`
}

// streamResult is what came of one stream.
type streamResult struct {
	Accepted  map[string]int64 `json:"accepted"`  // events answered with 202, by type
	Unknown   int64            `json:"unknown"`   // events sent and not answered
	Refused   int64            `json:"refused"`   // posts answered otherwise
	Throttled int64            `json:"throttled"` // answers 429 and 503, of posts or of events in a batch
	GivenUp   int64            `json:"given_up"`  // events that were told to come later until the time was over
	Answers   map[string]int64 `json:"answers"`   // refusals and failures by kind
	Publish   *histogram       `json:"publish"`   // from the due time of a post to its answer
	Late      *histogram       `json:"late"`      // from the due time to the send: the generator's own fault, or all connections are busy
}

func newStreamResult() *streamResult {
	return &streamResult{Accepted: map[string]int64{}, Answers: map[string]int64{}, Publish: &histogram{}, Late: &histogram{}}
}

// accepted counts the events of a stream that were accepted.
func (s *streamResult) accepted() (n int64) {
	for _, of := range s.Accepted {
		n += of
	}
	return n
}

// all is the streams taken together.
func (r *loadResult) all() *streamResult {
	sum := newStreamResult()
	for _, s := range r.Streams {
		for name, n := range s.Accepted {
			sum.Accepted[name] += n
		}
		for name, n := range s.Answers {
			sum.Answers[name] += n
		}
		sum.Unknown += s.Unknown
		sum.Refused += s.Refused
		sum.Throttled += s.Throttled
		sum.GivenUp += s.GivenUp
		sum.Publish.merge(s.Publish)
		sum.Late.merge(s.Late)
	}
	return sum
}

const publishTimeout = 30 * time.Second

type loader struct {
	config loadConfig
	number atomic.Int64 // of events begun
	first  atomic.Int64
	last   atomic.Int64
	until  time.Time
}

// flow is a stream under way.
type flow struct {
	*loader
	*Stream
	posts  atomic.Int64 // begun
	mu     sync.Mutex   // guards result, but for its histograms
	result *streamResult
}

// load publishes as asked until the time is over, all events are sent, or ctx
// ends.
func load(ctx context.Context, c loadConfig) *loadResult {
	l := &loader{config: c}
	l.number.Store(c.From)
	result := &loadResult{}
	var ready []func()
	for i := range c.Streams {
		f := &flow{loader: l, Stream: &c.Streams[i], result: newStreamResult()}
		result.Streams = append(result.Streams, f.result)
		ready = append(ready, f.prepare(ctx)...)
	}
	l.until = time.Now().Add(c.Duration)
	var all sync.WaitGroup
	for _, run := range ready {
		all.Go(run)
	}
	all.Wait()
	result.First, result.Last = l.first.Load(), l.last.Load()
	return result
}

// prepare returns what has to run for a stream. Requests are built before, for
// the work of it would take the processor from the server.
func (f *flow) prepare(ctx context.Context) (ready []func()) {
	var due chan time.Time
	if f.Rate > 0 {
		due = make(chan time.Time, 1<<16)
		ready = append(ready, func() { f.timetable(ctx, due) })
	}
	for range f.Connections {
		r := &requests{stream: f.Stream, host: f.config.Addr, key: f.config.Key}
		r.of(f.address(0))
		ready = append(ready, func() { f.connection(ctx, r, due) })
	}
	return ready
}

// timetable sends the due times of a stream's posts at those times. A
// connection that comes late finds its time in the queue; the event still
// carries it, so a stall of the server counts in full.
func (f *flow) timetable(ctx context.Context, due chan<- time.Time) {
	runtime.LockOSThread() // sleepUntil blocks a thread
	defer runtime.UnlockOSThread()
	defer close(due)
	gap := time.Duration(float64(time.Second) * float64(max(f.Batch, 1)) / f.Rate)
	for at := time.Now().Add(gap); at.Before(f.until) && ctx.Err() == nil; at = at.Add(gap) {
		sleepUntil(at)
		select {
		case due <- at:
		default:
			f.tell("timetable overrun", 1)
		}
	}
}

// connection posts one after the other. Tenant and type follow the number of the
// post, so that each gets its share whichever connections are free.
func (f *flow) connection(ctx context.Context, requests *requests, due <-chan time.Time) {
	w := &wire{addr: f.config.Addr}
	defer w.drop()
	accepted := map[string]int64{}
	defer f.count(accepted)
	batch := int64(max(f.Batch, 1))
	for ctx.Err() == nil {
		at := time.Now()
		if due != nil {
			var more bool
			if at, more = <-due; !more {
				return
			}
		} else if at.After(f.until) {
			return
		}
		last := f.number.Add(batch)
		if f.config.Events > 0 && last-batch-f.config.From >= f.config.Events {
			return
		}
		tenant, eventType := f.address(f.posts.Add(1) - 1)
		accepted[eventType] += f.post(ctx, w, requests.of(tenant, eventType), at, last-batch)
	}
}

// count adds what one connection got accepted.
func (f *flow) count(accepted map[string]int64) {
	f.change(func(r *streamResult) {
		for eventType, n := range accepted {
			r.Accepted[eventType] += n
		}
	})
}

// post publishes one request's events and repeats it while the server asks to
// come again later and there is time. It returns how many were accepted.
func (f *flow) post(ctx context.Context, w *wire, t *template, at time.Time, number int64) int64 {
	events := int64(len(t.at))
	for i := range t.at {
		t.patch(i, at, number+int64(i))
	}
	sent := time.Now()
	f.first.CompareAndSwap(0, sent.UnixNano())
	f.result.Late.add(sent.Sub(at))
	for ctx.Err() == nil {
		a, err := w.exchange(t.bytes, publishTimeout)
		switch {
		case err != nil:
			f.tell(fmt.Sprintf("not answered: %.80v", err), 1)
			pause(ctx, 10*time.Millisecond)
			if f.Keyed && time.Now().Before(f.until.Add(publishTimeout)) {
				continue
			}
			f.change(func(r *streamResult) { r.Unknown += events })
			return 0
		case a.status == http.StatusAccepted:
			return f.accepted(a.body, at, events)
		case a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests:
			f.tell(strconv.Itoa(a.status), 1)
			f.change(func(r *streamResult) { r.Throttled++ })
			wait := max(a.retryAfter, 10*time.Millisecond)
			if time.Now().Add(wait).After(f.until) {
				f.change(func(r *streamResult) { r.GivenUp += events })
				pause(ctx, time.Until(f.until))
				return 0
			}
			pause(ctx, wait)
		default:
			f.tell(strconv.Itoa(a.status), 1)
			f.change(func(r *streamResult) { r.Refused++ })
			return 0
		}
	}
	return 0
}

// accepted reads the answer 202 to a post that was due at a time, and returns how
// many of its events were accepted.
func (f *flow) accepted(body []byte, at time.Time, events int64) int64 {
	now := time.Now()
	accepted := events
	if events > 1 {
		accepted = int64(bytes.Count(body, []byte(`"id":`)))
	}
	if accepted < events {
		later := int64(bytes.Count(body, []byte(`"status":429`)) + bytes.Count(body, []byte(`"status":503`)))
		f.change(func(r *streamResult) { r.Throttled += later })
		f.tell("refused in a batch", events-accepted)
	}
	f.last.Store(now.UnixNano())
	f.result.Publish.add(now.Sub(at))
	return accepted
}

func (f *flow) tell(what string, n int64) {
	f.change(func(r *streamResult) { r.Answers[what] += n })
}

func (f *flow) change(do func(*streamResult)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do(f.result)
}

// refusals lists a stream's answers other than 202, for an error message.
func (s *streamResult) refusals() string {
	text := ""
	for _, what := range slices.Sorted(maps.Keys(s.Answers)) {
		text += fmt.Sprintf("%d × %s; ", s.Answers[what], what)
	}
	return text
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
