package ingest

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"grapnel/internal/fair"
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
	Offer     func([]*hook.Event) // takes committed events on, in the order of their ids, before their callers are answered; must not block
	Window    time.Duration       // how long keys are remembered; as long as the store does, or longer
	Limits    Limits
	// Pending is about how many deliveries of a tenant wait or are under way, and of
	// all tenants; nil: not known, so that nothing is limited by it.
	Pending func(tenant hook.TenantNum) (ofTenant, all int64)
	// Room is an error of the kind of store.ErrFull while nothing must be stored,
	// so that what is stored already can still be worked off; nil: there is always
	// room.
	Room    func() error
	Metrics *telemetry.Metrics
	Tracer  *telemetry.Tracer // nil: no traces
	Logger  *slog.Logger
	Now     func() time.Time // nil: time.Now
}

// Ingester takes events in.
type Ingester struct {
	cfg     Config
	line    *line
	matcher *matcher
	quotas  *quotas
	full    shortage

	once    sync.Once
	closing chan struct{}
	done    chan struct{}
}

// Submission is one publish request.
type Submission struct {
	Scope       string   // who asks: an Idempotency-Key is unique in it
	Key         string   // Idempotency-Key, or ""
	Fingerprint [32]byte // of the request, to tell a repeated one from another under the same Key
	Items       []Item
	Errs        []error        // what is wrong with each item already; nil, or as long as Items
	Only        *hook.Endpoint // send to this endpoint alone, whatever it subscribes to; no quota counts it
	Own         bool           // the server's own, which no quota counts
	Batch       bool           // the items are elements of a list: places in errors begin with their index

	// Taken says where the items are in the store's inbox, one place each, or is nil.
	// They leave it together with what becomes of them: those that are refused for
	// good are kept as rejected. CodeConflict: somebody else has moved one of them, and
	// nothing was done.
	Taken []store.InboxPlace
}

// submission is a Submission on its way through the committer.
type submission struct {
	*Submission
	prepared
	charges  []charge // of its tenants; nil: no quota counts it
	chargeOf []int    // of each item; -1: none. nil: there is one item
	place    *fair.Item[*submission]
	results  []Result
	replayed bool
	err      error
	trace    *hook.Trace // for its events; nil: none
	answered chan struct{}
}

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
	g := &Ingester{
		cfg: cfg, line: newLine(), matcher: newMatcher(cfg.Directory, cfg.Policy), quotas: newQuotas(&cfg),
		full: shortage{logger: cfg.Logger}, closing: make(chan struct{}), done: make(chan struct{}),
	}
	c := &committer{cfg: cfg, last: last.Seq(), matcher: g.matcher, most: mostAnew, closing: g.closing}
	go func() {
		defer close(g.done)
		c.run(g.line)
	}()
	return g, nil
}

// Publish commits a submission and tells what became of each of its events:
// one result each, in order. When it returns without an error, every event
// whose result has none is on stable storage. replayed says that the results
// are those of an earlier request with the same Key.
//
// The error is of CodeMismatch when Key came with other content before, of
// CodeRateLimited when a quota is used up, and of CodeUnavailable when nothing can
// be stored just now, or not before ctx ends. If ctx ended while it was being
// stored, the events may be stored or not, and asking again with the same keys is
// safe (case 25). In a submission without a Key over
// several tenants, a used up quota is an error of that tenant's events alone.
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
	if err := g.enter(ctx, job); err != nil {
		g.full.refused(err, len(s.Items), g.cfg.Now())
		g.cfg.Metrics.Accepted("refused", len(s.Items))
		return nil, false, err
	}
	for tries := 1; ; tries++ {
		if err := g.await(ctx, job); err != nil {
			return nil, false, err
		}
		if !job.stale {
			break
		}
		if tries == maxTries {
			return nil, false, g.giveUp(job, &hook.Error{Code: hook.CodeUnavailable, RetryAfter: slowRetry,
				Message: "the endpoints changed again and again while the events were matched with them, and nothing of this was stored: send the request again later"})
		}
		if err := g.matcher.prepare(ctx, job); err != nil {
			return nil, false, g.giveUp(job, err)
		}
		job.answered = make(chan struct{})
		if err := g.line.join(ctx, job); err != nil {
			return nil, false, g.giveUp(job, err)
		}
	}
	g.quotas.refund(job)
	g.count(job)
	return job.results, job.replayed, job.err
}

// await waits for the committer's answer, or, where ctx ends before the committer has
// the submission, takes it out of the line.
func (g *Ingester) await(ctx context.Context, job *submission) error {
	select {
	case <-job.answered:
		return nil
	case <-ctx.Done():
		if !g.line.leave(job) {
			return &hook.Error{Code: hook.CodeUnavailable, RetryAfter: slowRetry,
				Message: "the events are still being stored, and may be or not: send the request again with the same id or Idempotency-Key"}
		}
		return g.giveUp(job, &hook.Error{Code: hook.CodeUnavailable, RetryAfter: slowRetry,
			Message: "the server could not store this in time, and nothing of it was stored: send the request again later"})
	}
}

// giveUp counts a submission that was in the line, and of which nothing was stored.
func (g *Ingester) giveUp(job *submission, why error) error {
	job.results, job.replayed, job.err = nil, false, why
	g.quotas.refund(job)
	g.refused("overload", len(job.Items))
	g.cfg.Metrics.Accepted("refused", len(job.Items))
	return why
}

// slowRetry is when to come back to a store that was too slow.
const slowRetry = 5 * time.Second

// enter takes a submission in if there is room for it, matches its events and
// puts it into the line.
func (g *Ingester) enter(ctx context.Context, job *submission) error {
	if g.cfg.Room != nil {
		if err := g.cfg.Room(); err != nil {
			g.refused("storage", len(job.Items))
			return unavailable(err)
		}
	}
	if err := g.quotas.admit(job); err != nil {
		return err
	}
	if err := g.awaitTurn(ctx, job); err != nil {
		g.quotas.refund(job)
		return err
	}
	if err := g.matcher.prepare(ctx, job); err != nil {
		g.quotas.refund(job)
		g.refused("overload", len(job.Items))
		return err
	}
	if err := g.line.join(ctx, job); err != nil {
		g.quotas.refund(job)
		g.refused("overload", len(job.Items))
		return err
	}
	return nil
}

// awaitTurn waits as long as a tenant's quota has a submission wait.
func (g *Ingester) awaitTurn(ctx context.Context, job *submission) error {
	turn := job.turn()
	if turn == 0 {
		return nil
	}
	timer := time.NewTimer(turn)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-g.closing:
		return errStopping()
	case <-ctx.Done():
		g.refused("rate", len(job.Items))
		return &hook.Error{Code: hook.CodeRateLimited, RetryAfter: time.Second,
			Message: "the tenant publishes at its quota, and nothing of this was stored: send the request again later"}
	}
}

func (g *Ingester) refused(reason string, n int) { g.cfg.Metrics.Refused(reason, n) }

func (g *Ingester) count(job *submission) {
	if job.err != nil {
		g.full.refused(job.err, len(job.Items), g.cfg.Now())
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
	if accepted > 0 {
		g.full.stored(g.cfg.Now())
	}
	m := g.cfg.Metrics
	m.Accepted("accepted", accepted)
	m.Accepted("duplicate", duplicate)
	m.Accepted("refused", refused)
}

// Close takes nothing more, commits what waits, and returns when that is
// done.
func (g *Ingester) Close() {
	g.once.Do(func() {
		close(g.closing)
		g.line.close()
	})
	<-g.done
}

// fullRetry is when to come back to a full disk, for somebody has to make room.
const fullRetry = 10 * time.Second

// unavailable makes the store's refusal one that callers are told.
func unavailable(err error) error {
	switch {
	case errors.Is(err, store.ErrFull):
		return &hook.Error{Code: hook.CodeUnavailable, RetryAfter: fullRetry, Message: "the server's storage is full, so nothing was stored: send the request again later", Err: err}
	case errors.Is(err, store.ErrUnknown):
		return &hook.Error{Code: hook.CodeUnavailable, Message: "whether the events were stored is not known: send the request again with the same id or Idempotency-Key", Err: err}
	case errors.Is(err, store.ErrTaken):
		return &hook.Error{Code: hook.CodeConflict, Message: "the events have been moved into the log already", Err: err}
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrStale), errors.Is(err, store.ErrKeyTaken):
		return &hook.Error{Code: hook.CodeUnavailable, Message: "nothing can be stored just now: send the request again in a moment", Err: err}
	}
	return &hook.Error{Code: hook.CodeInternal, Message: "the events could not be stored", Err: err}
}
