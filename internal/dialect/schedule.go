package dialect

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"

	"grapnel/internal/hook"
)

const (
	// maxWait is the longest wait between two attempts.
	maxWait = 31 * 24 * time.Hour
	// maxWaits is how many retries a schedule may have.
	maxWaits = 100
	// maxSpan is the longest schedule, all waits together.
	maxSpan = 366 * 24 * time.Hour

	// The waits of an endpoint's own.
	maxOwnWaits = 64
	minOwnWait  = time.Millisecond
	maxOwnWait  = 30 * 24 * time.Hour
)

// Schedule says when a delivery is tried again. The zero Schedule never does.
type Schedule struct {
	waits         []time.Duration
	jitter        float64
	deadline      time.Duration // 0: none
	retryAfterMax time.Duration // 0: Retry-After is not obeyed
}

// Schedule is the dialect's schedule, or one with the waits of an endpoint's
// own if override is not nil. An override replaces the dialect's waits and its
// deadline; jitter and what Retry-After may do stay. An override that is not
// nil but empty means no retry.
func (d *Dialect) Schedule(override []time.Duration) Schedule {
	s := d.schedule
	if override != nil {
		s.waits, s.deadline = override, 0
	}
	return s
}

// CheckWaits checks the waits that somebody wants for an endpoint of his own,
// which has less room than a dialect. The error is a *hook.Error about the
// field /schedule, or the wait in it that is wrong.
func CheckWaits(waits []time.Duration) error {
	if len(waits) > maxOwnWaits {
		return hook.Invalid("/schedule", "holds %d waits, at most %d are allowed", len(waits), maxOwnWaits)
	}
	var sum time.Duration
	for i, w := range waits {
		if w < minOwnWait || w > maxOwnWait {
			return hook.Invalid(fmt.Sprintf("/schedule/%d", i), "is %s; a wait may be from %s to %s", w, minOwnWait, maxOwnWait)
		}
		sum += w
	}
	if sum > maxSpan {
		return hook.Invalid("/schedule", "the schedule lasts %s; at most %s are allowed", sum, maxSpan)
	}
	return nil
}

// Next says when the next attempt is due.
//
// made is the number of attempts in this round so far, the first of which
// began at first, and the last of which ended at now. retryAfter is what the
// endpoint asked for (Verdict.RetryAfter), 0 if nothing. random, in [0,1),
// spreads the retries. Without a next attempt, ok is false.
//
// The result is never earlier than the schedule's wait. Retry-After can only
// prolong it, and only up to the dialect's limit (case 50). A clock that went
// back makes no wait longer.
func (s Schedule) Next(made int, first, now time.Time, retryAfter time.Duration, random float64) (at time.Time, ok bool) {
	if made < 1 {
		return now, true
	}
	if made > len(s.waits) {
		return time.Time{}, false
	}
	wait := min(max(s.waits[made-1], 0), maxWait)
	latest := first.Add(s.deadline)
	if s.deadline > 0 && now.Add(wait).After(latest) {
		return time.Time{}, false
	}
	if random > 0 && random < 1 { // not NaN
		wait += time.Duration(float64(wait) * s.jitter * random)
	}
	at = now.Add(max(wait, min(retryAfter, s.retryAfterMax)))
	if s.deadline > 0 && at.After(latest) { // one last chance rather than none, early enough to begin in time
		at = latest.Add(-min(time.Minute, s.deadline/100))
		if least := now.Add(min(max(s.waits[made-1], 0), maxWait)); at.Before(least) {
			at = least
		}
	}
	return at, true
}

// Over says, in words, that an attempt may not begin any more: made attempts
// are behind the delivery in this round, the first of which began at first, and
// the deadline has passed since. "" if it may. It came due in time, but nobody
// was there to make it (SM-R1).
func (s Schedule) Over(made int, first, now time.Time) (reason string) {
	if made < 1 || s.deadline == 0 || first.IsZero() || !now.After(first.Add(s.deadline)) {
		return ""
	}
	return fmt.Sprintf("not tried again: no retry may begin later than %s after the first attempt, which was at %s", s.deadline, first.UTC().Format(time.RFC3339))
}

// Waits are the schedule's waits without jitter, one for each retry.
func (s Schedule) Waits() []time.Duration { return slices.Clone(s.waits) }

// Attempts is how many attempts the schedule allows, the first included.
func (s Schedule) Attempts() int { return len(s.waits) + 1 }

// Span is the longest time from the end of the first attempt to the begin of
// the last, with all jitter and with every answer asking for the longest
// Retry-After. The duration of the attempts between them is not in it.
func (s Schedule) Span() time.Duration {
	var sum time.Duration
	for _, w := range s.waits {
		w = min(max(w, 0), maxWait)
		w += time.Duration(float64(w) * s.jitter)
		sum += max(w, s.retryAfterMax)
	}
	if s.deadline > 0 {
		sum = min(sum, s.deadline)
	}
	return sum
}

// retryRule is which failures are tried again.
type retryRule struct {
	statuses statusSet
	noAnswer bool
	any      bool // also for what is no HTTP status
}

// retry reads the section retry.
func (r *reader) retry(n ast.Node) (retryRule, Schedule) {
	o := r.object(n, "retry", "on!", "waits", "exponential", "jitter", "deadline", "retry_after_max")
	var s Schedule
	rule := r.retryOn(o.node("on"))
	if r.err != nil {
		return rule, s
	}
	if !rule.noAnswer && rule.statuses.empty() {
		if len(o.fields) > 1 {
			r.fail(n, "nothing is retried, so the other keys of retry do nothing")
		}
		return rule, s
	}
	if o.has("deadline") {
		s.deadline = r.duration(o.node("deadline"), "deadline", maxSpan)
	}
	switch {
	case o.has("waits") == o.has("exponential"):
		r.fail(n, "retry needs either waits or exponential")
	case o.has("waits"):
		s.waits = r.waits(o.node("waits"), s.deadline)
	default:
		s.waits = r.exponential(o.node("exponential"), s.deadline)
	}
	if o.has("jitter") {
		s.jitter = r.number(o.node("jitter"), "jitter", 0, 1)
	}
	if o.has("retry_after_max") {
		s.retryAfterMax = r.duration(o.node("retry_after_max"), "retry_after_max", maxWait)
		switch {
		case r.err != nil:
		case rule.statuses.empty():
			r.fail(o.node("retry_after_max"), "only what was not answered is retried, so there is no Retry-After to obey")
		case s.retryAfterMax <= slices.Min(s.waits):
			r.fail(o.node("retry_after_max"), "no wait is shorter than %s, so a Retry-After up to %s changes nothing", slices.Min(s.waits), s.retryAfterMax)
		}
	}
	return rule, s
}

func (r *reader) retryOn(n ast.Node) retryRule {
	if s, ok := n.(*ast.StringNode); ok {
		switch s.Value {
		case "any":
			return retryRule{statuses: allStatuses(), noAnswer: true, any: true}
		case "none":
			return retryRule{}
		}
		r.fail(n, "on is any, none, or a list of statuses and no_answer")
		return retryRule{}
	}
	var rule retryRule
	var statuses []ast.Node
	for _, e := range r.list(n, "on") {
		if s, ok := e.(*ast.StringNode); ok && s.Value == "no_answer" {
			rule.noAnswer = true
			continue
		}
		statuses = append(statuses, e)
	}
	rule.statuses = r.statuses(statuses, "on", 100, 599)
	if r.err == nil && rule.statuses.empty() && !rule.noAnswer {
		r.fail(n, "on names nothing; for no retry write on: none")
	}
	return rule
}

func (r *reader) waits(n ast.Node, deadline time.Duration) []time.Duration {
	var out []time.Duration
	var sum time.Duration
	for _, e := range r.list(n, "waits") {
		w := r.duration(e, "a wait", maxWait)
		out, sum = append(out, w), sum+w
		if r.err == nil && deadline > 0 && sum > deadline {
			r.fail(e, "retry %d would begin %s after the first attempt, past the deadline of %s", len(out), sum, deadline)
		}
		if r.err == nil && (len(out) > maxWaits || sum > maxSpan) {
			r.fail(e, "the schedule is too long: at most %d retries within %s are possible", maxWaits, maxSpan)
		}
	}
	if r.err == nil && len(out) == 0 {
		r.fail(n, "waits must hold one wait or more; for no retry write on: none")
	}
	return out
}

// exponential writes first × factor^n out, up to the count or the deadline.
func (r *reader) exponential(n ast.Node, deadline time.Duration) []time.Duration {
	o := r.object(n, "exponential", "first!", "factor!", "cap", "retries")
	first := r.duration(o.node("first"), "first", maxWait)
	factor := r.number(o.node("factor"), "factor", 1, 100)
	limit, retries := maxWait, maxWaits
	if o.has("cap") {
		limit = r.duration(o.node("cap"), "cap", maxWait)
	}
	if o.has("retries") {
		retries = r.count(o.node("retries"), "retries", 1, maxWaits)
	}
	switch {
	case r.err != nil:
		return nil
	case limit < first:
		r.fail(o.node("cap"), "the cap of %s is less than the first wait of %s", limit, first)
		return nil
	case !o.has("retries") && deadline == 0:
		r.fail(n, "the schedule has no end: it needs retries or a deadline")
		return nil
	}
	var out []time.Duration
	var sum time.Duration
	for len(out) < retries {
		w := time.Duration(math.Min(float64(first)*math.Pow(factor, float64(len(out))), float64(limit)))
		if sum += w; deadline > 0 && sum > deadline {
			break
		}
		if sum > maxSpan {
			r.fail(n, "the schedule lasts longer than %s", maxSpan)
			return nil
		}
		out = append(out, w)
	}
	capped := len(out) > 0 && float64(first)*math.Pow(factor, float64(len(out)-1)) > float64(limit)
	switch {
	case len(out) > 0 && o.has("cap") && !capped:
		r.fail(o.node("cap"), "no wait reaches the cap of %s: the longest is %s", limit, out[len(out)-1])
	case len(out) == 0:
		r.fail(n, "the first wait of %s is past the deadline of %s", first, deadline)
	case o.has("retries") && len(out) < retries:
		r.fail(o.node("retries"), "only %d retries begin before the deadline of %s", len(out), deadline)
	case !o.has("retries") && len(out) == maxWaits:
		r.fail(n, "more than %d retries would fit before the deadline of %s: use longer waits", maxWaits, deadline)
	}
	return out
}
