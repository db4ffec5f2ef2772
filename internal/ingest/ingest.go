package ingest

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
	"grapnel/internal/telemetry"
)

// Config says what an Ingester works with.
type Config struct {
	Log       store.Log
	Directory *directory.Directory
	Policy    func(dialect string) Policy
	Offer     func([]*hook.Event) // takes committed events on, in the order of their ids; must not block
	Window    time.Duration       // how long keys are remembered; as long as the store does, or longer
	Metrics   *telemetry.Metrics
	Tracer    *telemetry.Tracer // nil: no traces
	Logger    *slog.Logger
	Now       func() time.Time // nil: time.Now
}

// Ingester takes events in.
type Ingester struct {
	cfg   Config
	queue chan *submission

	mu      sync.RWMutex // held for writing while closing; for reading while sending to queue
	closed  bool
	closing chan struct{} // closed with it
	done    chan struct{}
}

// Submission is one publish request.
type Submission struct {
	Scope       string   // who asks: an Idempotency-Key is unique in it
	Key         string   // Idempotency-Key, or ""
	Fingerprint [32]byte // of the request, to tell a repeated one from another under the same Key
	Items       []Item
	Errs        []error        // what is wrong with each item already; nil, or as long as Items
	Only        *hook.Endpoint // send to this endpoint alone, whatever it subscribes to
}

// submission is a Submission on its way through the committer.
type submission struct {
	*Submission
	results  []Result
	replayed bool
	err      error
	trace    *hook.Trace // for its events; nil: none
	answered chan struct{}
}

// How much waits for the committer, and how much it takes at once. A group of
// some hundred events costs the least for each; more only makes everybody
// wait.
const (
	queueLength = 4096
	groupEvents = 512
	groupBytes  = 4 << 20
)

// New makes an Ingester and starts its committer.
func New(ctx context.Context, cfg Config) (*Ingester, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Window <= 0 {
		return nil, errors.New("make an ingester: the window for keys is missing")
	}
	last, err := cfg.Log.LastEvent(ctx)
	if err != nil {
		return nil, err
	}
	g := &Ingester{cfg: cfg, queue: make(chan *submission, queueLength), closing: make(chan struct{}), done: make(chan struct{})}
	c := &committer{cfg: cfg, last: last.Seq(), matcher: newMatcher(cfg.Directory, cfg.Policy), closing: g.closing}
	go func() {
		defer close(g.done)
		c.run(g.queue)
	}()
	return g, nil
}

// Publish commits a submission and tells what became of each of its events:
// one result each, in order. When it returns without an error, every event
// whose result has none is on stable storage. replayed says that the results
// are those of an earlier request with the same Key.
//
// The error is of CodeMismatch when Key came with other content before, of
// CodeUnavailable when nothing can be stored just now, and of CodeConflict
// when ctx ended first: then the events may be stored or not, and asking
// again with the same keys is safe.
func (g *Ingester) Publish(ctx context.Context, s *Submission) (results []Result, replayed bool, err error) {
	if g.cfg.Tracer == nil {
		return g.publish(ctx, s, nil)
	}
	span := g.cfg.Tracer.Publish(ctx, len(s.Items))
	results, replayed, err = g.publish(ctx, s, span.Trace())
	id := ""
	if len(results) == 1 && results[0].Err == nil {
		id = results[0].ID.String()
	}
	span.End(id, err)
	return results, replayed, err
}

func (g *Ingester) publish(ctx context.Context, s *Submission, trace *hook.Trace) (results []Result, replayed bool, err error) {
	job := &submission{Submission: s, trace: trace, answered: make(chan struct{})}
	if err := g.enqueue(ctx, job); err != nil {
		g.cfg.Metrics.Accepted("refused", len(s.Items))
		return nil, false, err
	}
	select {
	case <-job.answered:
		g.count(job)
		return job.results, job.replayed, job.err
	case <-ctx.Done():
		return nil, false, hook.Errorf(hook.CodeConflict, "the events are still being stored: ask again with the same id or Idempotency-Key")
	}
}

func (g *Ingester) enqueue(ctx context.Context, job *submission) error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return hook.Errorf(hook.CodeUnavailable, "the server is stopping: send the request again in a moment")
	}
	select {
	case g.queue <- job:
		return nil
	case <-ctx.Done():
		return hook.Errorf(hook.CodeUnavailable, "the server has more to store than it can: send the request again in a moment")
	}
}

func (g *Ingester) count(job *submission) {
	if job.err != nil {
		g.cfg.Metrics.Accepted("failed", len(job.Items))
		return
	}
	var accepted, duplicate, refused int
	for i := range job.results {
		switch r := &job.results[i]; {
		case r.Err != nil:
			refused++
		case r.Duplicate || job.replayed:
			duplicate++
		default:
			accepted++
		}
	}
	m := g.cfg.Metrics
	m.Accepted("accepted", accepted)
	m.Accepted("duplicate", duplicate)
	m.Accepted("refused", refused)
}

// Close takes nothing more, commits what waits, and returns when that is
// done.
func (g *Ingester) Close() {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		close(g.closing)
		close(g.queue)
	}
	g.mu.Unlock()
	<-g.done
}

// unavailable makes the store's refusal one that callers are told.
func unavailable(err error) error {
	switch {
	case errors.Is(err, store.ErrFull):
		return &hook.Error{Code: hook.CodeUnavailable, Message: "the server's storage is full, so nothing was stored: send the request again later", Err: err}
	case errors.Is(err, store.ErrUnknown):
		return &hook.Error{Code: hook.CodeUnavailable, Message: "whether the events were stored is not known: send the request again with the same id or Idempotency-Key", Err: err}
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrStale), errors.Is(err, store.ErrKeyTaken):
		return &hook.Error{Code: hook.CodeUnavailable, Message: "nothing can be stored just now: send the request again in a moment", Err: err}
	}
	return &hook.Error{Code: hook.CodeInternal, Message: "the events could not be stored", Err: err}
}
