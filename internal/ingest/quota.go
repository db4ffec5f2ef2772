package ingest

import (
	"fmt"
	"math"
	"sync"
	"time"

	"grapnel/internal/hook"
)

// Limits bound what is accepted. A field that is not above zero is no limit.
type Limits struct {
	Events     float64 // of a tenant without a quota of its own, a second
	Pending    int64   // deliveries of such a tenant that wait
	AllPending int64   // deliveries of all tenants that wait
}

const (
	// burst is how much of its rate a tenant may ask for at once after a pause. A
	// single request may be larger, and is owed.
	burst = time.Second
	// atOnce is how many events of it, or which part of it if that is more, pass
	// without waiting. What comes in one blow makes others wait for as long as it
	// takes to be stored and sent, so the rest comes in at the tenant's rate.
	atOnce       = 100
	atOncePartOf = 20
	// pendingRetry is when to come back where too many deliveries wait. How fast
	// these are worked off is up to their receivers.
	pendingRetry = 10 * time.Second
	// crowd is by how much longer anybody has to wait because of others who were
	// told to come back.
	crowd = 3 * time.Second
	// longestWait is the latest that anybody is told to come back, however small
	// the rate.
	longestWait = 24 * time.Hour

	maxBuckets = 1 << 17 // tenants whose rate is remembered
	glance     = 64      // buckets that are looked at for one to forget
)

// quotas hold tenants to how much they may publish.
type quotas struct {
	cfg *Config

	mu      sync.Mutex
	buckets map[hook.TenantNum]bucket // of a tenant that is not there, it is full
}

// bucket is a token bucket. What is taken at once may be more than it holds:
// then it owes tokens.
type bucket struct {
	tokens float64
	at     time.Time
	rate   float64
	told   time.Time // up to when those who were told to come back have what comes in
}

// charge is what a submission takes of a tenant's quota.
type charge struct {
	id     string
	events int
	tenant hook.TenantNum
	taken  bool          // of its bucket; else it has none
	wait   time.Duration // until its turn comes
}

func newQuotas(cfg *Config) *quotas {
	return &quotas{cfg: cfg, buckets: map[hook.TenantNum]bucket{}}
}

// admit takes what a submission needs of its tenants' quotas, before anything
// of it is stored. A tenant's events are taken together or not at all; those of
// a submission with a Key all together, for its answer is remembered.
func (q *quotas) admit(s *submission) error {
	if s.Own || s.Only != nil {
		return nil
	}
	s.charges = s.byTenant()
	var longest *hook.Error
	var errs []*hook.Error
	over := 0
	for i := range s.charges {
		c := &s.charges[i]
		err := q.charge(c)
		if err == nil {
			continue
		}
		if errs == nil {
			errs = make([]*hook.Error, len(s.charges))
		}
		errs[i] = err
		if over++; longest == nil || longest.RetryAfter < err.RetryAfter {
			longest = err
		}
	}
	switch {
	case over == 0:
		return nil
	case over < len(s.charges) && s.Key == "":
		s.refuse(errs)
		return nil
	}
	q.giveBack(s.charges)
	s.charges = nil
	return longest
}

// byTenant counts a submission's sound events by tenant.
func (s *submission) byTenant() []charge {
	if len(s.Items) == 1 {
		if s.Errs != nil && s.Errs[0] != nil {
			return nil
		}
		return []charge{{id: s.Items[0].Tenant, events: 1}}
	}
	var out []charge
	at := map[string]int{}
	s.chargeOf = make([]int, len(s.Items))
	for i := range s.Items {
		s.chargeOf[i] = -1
		if s.Errs != nil && s.Errs[i] != nil {
			continue
		}
		id := s.Items[i].Tenant
		n, ok := at[id]
		if !ok {
			n = len(out)
			at[id] = n
			out = append(out, charge{id: id})
		}
		out[n].events++
		s.chargeOf[i] = n
	}
	return out
}

// refuse notes of the events that are over a quota that they are.
func (s *submission) refuse(errs []*hook.Error) {
	s.over = make([]*hook.Error, len(s.Items))
	for i, n := range s.chargeOf {
		if n >= 0 {
			s.over[i] = errs[n]
		}
	}
}

// charge takes events of a tenant's quota, or says why it cannot.
func (q *quotas) charge(c *charge) *hook.Error {
	t, ok := q.cfg.Directory.Tenant(c.id)
	if !ok {
		return nil // matching finds that out
	}
	if err := q.waits(t, c.events); err != nil {
		return err
	}
	rate := limit(t.Quota.Events, q.cfg.Limits.Events)
	if rate <= 0 {
		return nil
	}
	turn, later := q.take(t.Num, rate, c.events)
	if later > 0 {
		q.cfg.Metrics.Refused("rate", c.events)
		return &hook.Error{Code: hook.CodeRateLimited, RetryAfter: later, Message: fmt.Sprintf(
			"the tenant has published more than its quota of %g events a second, and nothing of this was stored: send it again in %d s", rate, hook.Seconds(later))}
	}
	c.tenant, c.taken, c.wait = t.Num, true, turn
	return nil
}

// waits refuses events while too many deliveries wait.
func (q *quotas) waits(t *hook.Tenant, events int) *hook.Error {
	most := limit(t.Quota.Pending, q.cfg.Limits.Pending)
	if q.cfg.Pending == nil || most <= 0 && q.cfg.Limits.AllPending <= 0 {
		return nil
	}
	ofTenant, all := q.cfg.Pending(t.Num)
	switch {
	case most > 0 && ofTenant >= most:
		q.cfg.Metrics.Refused("pending", events)
		return &hook.Error{Code: hook.CodeRateLimited, RetryAfter: pendingRetry, Message: fmt.Sprintf(
			"%d deliveries of the tenant wait, and its quota is %d, so nothing of this was stored: send it again later", ofTenant, most)}
	case q.cfg.Limits.AllPending > 0 && all >= q.cfg.Limits.AllPending:
		q.cfg.Metrics.Refused("all_pending", events)
		return &hook.Error{Code: hook.CodeUnavailable, RetryAfter: pendingRetry,
			Message: "as many deliveries wait as the server may hold, so nothing of this was stored: send it again later"}
	}
	return nil
}

// limit is a tenant's own quota, or that of the server.
func limit[N int64 | float64](own, server N) N {
	if own == 0 {
		return server
	}
	return own
}

// turn is how long a submission that was admitted has to wait for its turn. One
// over several tenants does not wait: it would do so for one tenant's sake.
func (s *submission) turn() time.Duration {
	if len(s.charges) != 1 {
		return 0
	}
	return s.charges[0].wait
}

// take takes tokens of a bucket and says how long to wait before they are used,
// or else in how long there will be enough. What is more than a bucket can hold
// needs a full one, and is owed.
func (q *quotas) take(tenant hook.TenantNum, rate float64, events int) (turn, later time.Duration) {
	now := q.cfg.Now()
	full := max(1, rate*burst.Seconds())
	q.mu.Lock()
	defer q.mu.Unlock()
	b, known := q.buckets[tenant]
	tokens := full
	if known {
		tokens = b.filled(rate, full, now)
	}
	if want := min(float64(events), full); tokens < want-1e-6 {
		later = b.tell(now, inSeconds((want-tokens)/rate), inSeconds(want/rate))
		q.buckets[tenant] = b
		return 0, later
	}
	if !known && len(q.buckets) >= maxBuckets {
		q.forget(now)
	}
	q.buckets[tenant] = bucket{tokens - float64(events), now, rate, b.told}
	return inSeconds((full - max(atOnce, full/atOncePartOf) - tokens) / rate), 0
}

// tell says in how long to come back: not before there is enough, and not
// together with others who were told before, for their sum would be refused
// again.
func (b *bucket) tell(now time.Time, enough, takes time.Duration) time.Duration {
	after := min(max(enough, b.told.Sub(now)+takes), enough+crowd)
	b.told = now.Add(after)
	return min(after, longestWait)
}

func inSeconds(s float64) time.Duration {
	return time.Duration(math.Ceil(min(max(0, s), longestWait.Seconds()) * float64(time.Second)))
}

func (b bucket) filled(rate, full float64, now time.Time) float64 {
	return min(full, b.tokens+max(0, now.Sub(b.at).Seconds())*rate)
}

// forget makes room: of some buckets, those that are full again go, and one in
// any case.
func (q *quotas) forget(now time.Time) {
	looked := 0
	for tenant, b := range q.buckets {
		full := max(1, b.rate*burst.Seconds())
		if looked == 0 || b.filled(b.rate, full, now) >= full {
			delete(q.buckets, tenant)
		}
		if looked++; looked == glance {
			return
		}
	}
}

// refund gives back what was taken for events that were not accepted, or had
// been before.
func (q *quotas) refund(s *submission) {
	if s.charges == nil {
		return
	}
	if s.err == nil && !s.replayed {
		for i := range s.results {
			if r := &s.results[i]; r.Err != nil || r.Duplicate {
				continue
			}
			n := 0
			if s.chargeOf != nil {
				n = s.chargeOf[i]
			}
			s.charges[n].events--
		}
	}
	q.giveBack(s.charges)
}

func (q *quotas) giveBack(charges []charge) {
	for _, c := range charges {
		if c.taken && c.events > 0 {
			q.put(c)
		}
	}
}

func (q *quotas) put(c charge) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if b, ok := q.buckets[c.tenant]; ok {
		b.tokens += float64(c.events) // above full it counts as full
		q.buckets[c.tenant] = b
	}
}
