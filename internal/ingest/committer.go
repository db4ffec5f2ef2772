package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/telemetry"
)

// committer turns waiting submissions into transactions, one group after the
// other. It alone gives events their ids, so that these ascend in the order
// of the commits.
type committer struct {
	cfg     Config
	last    int64 // Seq of the last id given
	matcher *matcher
	closing <-chan struct{}
	failed  bool          // the group under way was not simply stored
	most    time.Duration // that a group's events may take to be matched anew
	left    time.Duration // of it, for the group under way
}

// mostAnew is how long a group may be matched anew, because the configuration has changed
// since its callers did so themselves. Who needs more than is left of it does it again:
// whatever somebody's filters cost, others do not wait for them.
const mostAnew = 2 * time.Millisecond

func (c *committer) run(l *line) {
	var group []*submission
	for {
		cost, closed := gatherMore(l)
		if cost == 0 {
			if closed {
				return
			}
			<-l.wake
			continue
		}
		group = l.next(group[:0])
		c.failed, c.left = false, c.most
		c.commit(group)
		l.done(c.failed) // first: who publishes again at once is not told of a group that has ended
		for _, s := range group {
			close(s.answered)
		}
		clear(group)
	}
}

// gatherMore lets those who are about to publish do so first, as long as more
// come: a group costs about the same whatever its size. On an idle machine
// nobody is about to, and nothing is waited for.
func gatherMore(l *line) (cost int, closed bool) {
	cost, closed = l.length()
	for before := 0; before != cost && cost < groupCost; {
		before = cost
		runtime.Gosched()
		cost, closed = l.length()
	}
	return cost, closed
}

// commit stores a group and says what became of it. A group that cannot be stored for a
// reason of its own is halved until the submission at fault stands alone; that
// one fails as a whole, for its events are one request.
func (c *committer) commit(group []*submission) {
	err := c.try(group)
	c.failed = c.failed || err != nil
	if err != nil && len(group) > 1 && ownFault(err) {
		c.commit(group[:len(group)/2])
		c.commit(group[len(group)/2:])
		return
	}
	if err == nil {
		return
	}
	for _, s := range group {
		s.results, s.replayed, s.err = nil, false, unavailable(err)
	}
	if !errors.Is(err, store.ErrFull) && !errors.Is(err, store.ErrTaken) { // of a full disk shortage tells
		c.cfg.Logger.Error("events could not be stored", "submissions", len(group), "error", err)
	}
}

// ownFault reports whether an error comes of what is to be stored, so that it
// need not be that of the whole group.
func ownFault(err error) bool {
	return errors.Is(err, store.ErrKeyTaken) || errors.Is(err, store.ErrTaken) || hook.CodeOf(unavailable(err)) == hook.CodeInternal
}

// maxTries bounds how often a group is matched anew because the configuration
// or a key changed under it.
const maxTries = 5

func (c *committer) try(group []*submission) error {
	ctx := context.Background() // callers who went away still get their events stored
	for tries := 1; ; tries++ {
		g, err := c.plan(ctx, group)
		if err != nil {
			return err
		}
		if c.cfg.Directory.Revision() != g.batch.Revision && tries < maxTries {
			continue // the configuration moved while we matched
		}
		if len(g.batch.Events)+len(g.batch.Requests)+len(g.batch.Taken) == 0 {
			return nil
		}
		begin := time.Now()
		err = c.cfg.Log.Append(ctx, &g.batch)
		c.cfg.Metrics.Commit(telemetry.Events, time.Since(begin))
		switch {
		case err == nil:
			c.stored(g)
			return nil
		case errors.Is(err, store.ErrUnknown):
			c.failed = true
			return c.resolve(ctx, g, err)
		case tries == maxTries:
			return err
		case errors.Is(err, store.ErrStale):
			if err := c.cfg.Directory.Refresh(ctx); err != nil {
				return err
			}
		case !errors.Is(err, store.ErrKeyTaken):
			return err
		}
	}
}

// stored answers with the ids that a group's events have got, and offers them.
func (c *committer) stored(g *group) {
	events := g.batch.Events
	if len(events) == 0 {
		return
	}
	if last := events[len(events)-1].ID; last != g.proposed[len(events)-1] { // raised above other nodes' events
		c.last = max(c.last, last.Seq())
		g.raise()
	}
	c.cfg.Offer(events)
}

// raise corrects the results of a group, which have the ids that were proposed.
func (g *group) raise() {
	given := make(map[hook.EventID]hook.EventID, len(g.proposed))
	for i, id := range g.proposed {
		given[id] = g.batch.Events[i].ID
	}
	for _, s := range g.submissions {
		for i, r := range s.results {
			if id, ok := given[r.ID]; ok {
				s.results[i].ID = id
			}
		}
	}
}

// resolve finds out what became of a commit that ended in doubt. Its events
// must not be left in the store with nobody sending them, so it does not
// give up before the program ends.
func (c *committer) resolve(ctx context.Context, g *group, doubt error) error {
	if len(g.batch.Events) == 0 {
		return doubt
	}
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		stored, err := c.cfg.Log.Resolve(ctx, &g.batch)
		switch {
		case err == nil && stored:
			c.stored(g)
			return nil
		case err == nil: // it was not, and never will be
			return fmt.Errorf("%w: the commit was lost: %v", store.ErrUnavailable, doubt)
		case errors.Is(err, store.ErrClosed):
			return doubt
		}
		select {
		case <-time.After(wait):
		case <-c.closing: // the next start finds what was stored
			return doubt
		}
	}
}

// group is what a try is about to store, and what it has seen in it: the same
// key may come twice in one group.
type group struct {
	now time.Time
	// submissions are those that it answers, proposed the ids of its events as they
	// were before Append.
	submissions []*submission
	proposed    []hook.EventID
	batch       store.Batch
	known       known
	events      map[store.EventKey]*hook.Event
	requests    map[store.RequestKey]*submission
}

// known is what the store has of the keys of a group.
type known struct {
	events   map[store.EventKey]*store.KnownEvent
	requests map[store.RequestKey]*store.Request
}

// plan decides what to store for a group, and fills in everybody's results as
// they will be when it is stored.
func (c *committer) plan(ctx context.Context, submissions []*submission) (*group, error) {
	g := &group{now: c.cfg.Now(), batch: store.Batch{Revision: c.cfg.Directory.Revision()}}
	g.batch.Events, g.proposed = make([]*hook.Event, 0, len(submissions)), make([]hook.EventID, 0, len(submissions))
	submissions = c.upToDate(submissions, g.batch.Revision)
	g.submissions = submissions
	if err := c.look(ctx, g, submissions); err != nil {
		return nil, err
	}
	for _, s := range submissions {
		s.results, s.replayed, s.err = nil, false, nil
		if s.Key == "" {
			c.take(g, s)
			g.batch.Taken = s.leave(g.batch.Taken)
			continue
		}
		key := store.RequestKey{Scope: s.Scope, Key: s.Key}
		if s.replay(g, key) {
			continue
		}
		c.take(g, s)
		g.requests[key] = s
		if s.faulty() {
			continue // our own failure is not to be replayed
		}
		g.batch.Requests = append(g.batch.Requests, &store.Request{
			RequestKey: key, At: g.now, Fingerprint: s.Fingerprint, Answer: encodeAnswer(s.results, g.proposed),
		})
	}
	return g, nil
}

// upToDate are the submissions that are matched with a configuration. The others are
// stale: they go back to their callers.
func (c *committer) upToDate(submissions []*submission, revision int64) []*submission {
	stale := false
	for _, s := range submissions {
		if !s.stale && s.revision != revision {
			begin := time.Now()
			s.stale = !c.matcher.prepareFor(s, revision, c.left)
			c.left -= time.Since(begin)
		}
		stale = stale || s.stale
	}
	if !stale {
		return submissions
	}
	return slices.DeleteFunc(slices.Clone(submissions), func(s *submission) bool { return s.stale })
}

// faulty reports whether an event failed by our own fault.
func (s *submission) faulty() bool {
	return slices.ContainsFunc(s.results, func(r Result) bool { return r.Err != nil && r.Err.Code == hook.CodeInternal })
}

// look asks the store for all keys of a group at once, if there are any.
func (c *committer) look(ctx context.Context, g *group, submissions []*submission) error {
	// Whole milliseconds, as an event's id has them: a key that the store holds
	// for taken must be one that we find.
	q := store.KnownQuery{Since: g.now.Truncate(time.Millisecond).Add(-c.cfg.Window)}
	for _, s := range submissions {
		if s.Key != "" {
			q.Requests = append(q.Requests, store.RequestKey{Scope: s.Scope, Key: s.Key})
		}
		for _, e := range s.events {
			if key, ok := eventKey(e); ok {
				q.Events = append(q.Events, key)
			}
		}
	}
	g.events = map[store.EventKey]*hook.Event{}
	g.requests = map[store.RequestKey]*submission{}
	if len(q.Events)+len(q.Requests) == 0 {
		return nil
	}
	found, err := c.cfg.Log.Known(ctx, q)
	if err != nil {
		return err
	}
	g.known = known{events: map[store.EventKey]*store.KnownEvent{}, requests: map[store.RequestKey]*store.Request{}}
	for i, key := range q.Events {
		if found.Events[i] != nil {
			g.known.events[key] = found.Events[i]
		}
	}
	for i, key := range q.Requests {
		if found.Requests[i] != nil {
			g.known.requests[key] = found.Requests[i]
		}
	}
	return nil
}

// eventKey is what an event is known by. One of no tenant, or not to be taken,
// is known by nothing.
func eventKey(e *hook.Event) (store.EventKey, bool) {
	if e == nil || e.Key == "" || e.Tenant == 0 {
		return store.EventKey{}, false
	}
	return store.EventKey{Tenant: e.Tenant, Key: e.Key}, true
}

// replay answers a submission whose key is known, from the store or from
// earlier in the same group.
func (s *submission) replay(g *group, key store.RequestKey) bool {
	mismatch := hook.Errorf(hook.CodeMismatch, "Idempotency-Key %q was used before for another request: use a new key for a new request", s.Key)
	if r := g.known.requests[key]; r != nil {
		switch {
		case r.Fingerprint != s.Fingerprint:
			s.err = mismatch
		default:
			s.replayed = true
			s.results, s.err = decodeAnswer(r.Answer, r.Raised)
		}
		return true
	}
	if first := g.requests[key]; first != nil {
		switch {
		case first.Fingerprint != s.Fingerprint:
			s.err = mismatch
		default:
			s.replayed, s.results = true, first.results
		}
		return true
	}
	return false
}

// take decides what to do with each event of a submission.
func (c *committer) take(g *group, s *submission) {
	s.results = make([]Result, len(s.Items))
	for i, e := range s.events {
		s.results[i] = c.takeEvent(g, s, i, e)
	}
}

func (c *committer) takeEvent(g *group, s *submission, i int, e *hook.Event) Result {
	if e == nil {
		return Result{Err: s.refusal(i)}
	}
	key, keyed := eventKey(e)
	if keyed {
		if r, ok := g.repeated(key, e.Fingerprint); ok {
			return r
		}
	}
	if err := s.refusal(i); err != nil {
		return Result{Err: err}
	}
	e.ID = hook.NextEventID(c.last, g.now, rand.Uint64())
	c.last = e.ID.Seq()
	e.Time = s.Items[i].Time
	if e.Time.IsZero() {
		e.Time = e.ID.Time()
	}
	if keyed {
		g.events[key] = e
	}
	g.batch.Events, g.proposed = append(g.batch.Events, e), append(g.proposed, e.ID)
	return Result{ID: e.ID, Matched: deliveries(e.Targets)}
}

func deliveries(targets []hook.Target) (n int) {
	for _, t := range targets {
		if t.Disposition == hook.Deliver {
			n++
		}
	}
	return n
}

// repeated answers an event whose key is known, from the store or from
// earlier in the same group.
func (g *group) repeated(key store.EventKey, print [16]byte) (Result, bool) {
	first := g.known.events[key]
	if e := g.events[key]; first == nil && e != nil {
		first = &store.KnownEvent{ID: e.ID, Fingerprint: e.Fingerprint, Targets: e.Targets}
	}
	if first == nil {
		return Result{}, false
	}
	if first.Fingerprint != print {
		return Result{Err: &hook.Error{Code: hook.CodeMismatch, Field: "/id",
			Message: "the event id \"" + hook.Clip(key.Key) + "\" was used before for another event: nothing was stored, use a new id"}}, true
	}
	return Result{ID: first.ID, Duplicate: true, Matched: deliveries(first.Targets)}, true
}

func asError(err error) *hook.Error {
	if err == nil {
		return nil
	}
	var e *hook.Error
	if errors.As(err, &e) {
		return e
	}
	return &hook.Error{Code: hook.CodeInternal, Message: "the event could not be stored", Err: err}
}
