package dispatch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"grapnel/internal/crashpoint"
	"grapnel/internal/dialect"
	"grapnel/internal/egress"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// mendWait is how long a delivery waits that we cannot send by an error of
// ours, until it is looked at again.
const mendWait = 5 * time.Minute

// complainEvery is how often the operator is told so of one lane.
const complainEvery = time.Minute

// classPanic is the failure class of an attempt that broke in our own code.
const classPanic = "panic"

// When a panic is tried again if not even the schedule can be asked.
const (
	panicWait     = time.Minute
	panicAttempts = 10
)

// attempt makes one attempt of a delivery and sets its outcome. The endpoint
// and its tenant are those of this moment, and so are URL, headers, secrets
// and policy; only the body stays what it was at first.
func (d *Dispatcher) attempt(ctx context.Context, dl *delivery) (e effect) {
	var c *dialect.Dialect
	var endpoint *hook.Endpoint
	defer func() {
		if v := recover(); v != nil {
			e = d.panicked(dl, c, endpoint, v)
		}
	}()
	if d.CatchUp != nil {
		d.CatchUp(ctx, dl.event.Revision)
	}
	endpoint, tenant, m, why := d.lookUp(dl)
	switch m {
	case holding:
		return effect{givenBack: true}
	case cancelling:
		return end(dl, hook.Cancelled, why)
	}
	c, ok := d.Dialects.Get(endpoint.Dialect)
	if !ok {
		return d.postpone(dl, noDialect(endpoint.Dialect).Error())
	}
	now := time.Now()
	why = tooOften(endpoint, dl.event, dl.attempts-dl.base)
	if why == "" && !holds(endpoint, dl.event) {
		why = c.Schedule(endpoint.Schedule).Over(dl.attempts-dl.base, dl.firstAt, now)
	}
	if why != "" {
		return end(dl, hook.Failed, why)
	}
	if dl.event.Purged() { // and somebody asked for it again
		return end(dl, hook.Cancelled, hook.ByPurge)
	}
	if ended, e := d.render(ctx, dl, c, endpoint, tenant); ended {
		return e
	}
	timeout := endpoint.Timeout
	if timeout == 0 {
		timeout = c.Timeout()
	}
	s, err := d.opened(dl.lane, c, endpoint, tenant, now)
	if err != nil {
		return d.postpone(dl, err.Error())
	}
	extra, token, failed := d.authorize(ctx, dl, s, timeout)
	switch {
	case failed != nil && failed.Class == egress.ClassCanceled:
		return effect{givenBack: true} // the server stops
	case failed != nil:
		return d.conclude(dl, c, endpoint, failed)
	}
	lag := now.Sub(dl.dueAt())
	if s.client != nil { // the token may have taken a while, and the signature is to be fresh
		timeout -= time.Since(now)
		now = time.Now()
	}
	keys, err := s.signing(c.SecretOwner(), now)
	if err != nil {
		return d.postpone(dl, err.Error())
	}
	url, header, err := headerOf(c, dialect.Request{
		Event: dl.event, Endpoint: endpoint, Tenant: tenant, Extra: overlaid(extra, dl.header), Body: dl.body, At: now, N: dl.attempts + 1, Keys: keys,
	})
	if err != nil {
		return d.postpone(dl, err.Error())
	}
	if !d.maySend(dl.lane) {
		return effect{givenBack: true} // the process may have been stopped for a while
	}
	d.Metrics.ScheduleLag(lag)
	r := d.Egress.Do(ctx, &egress.Request{
		Method: c.Method(), URL: url, Header: header,
		Body: dl.body, Timeout: timeout, HTTP1: c.HTTP1(), Identity: s.identity, Waits: func(long bool) { d.waits(dl, long) },
	})
	crashpoint.Hit("after-response")
	if r.Status == http.StatusUnauthorized && s.client != nil {
		d.tokens.Forget(dl.lane.num, token)
	}
	return d.conclude(dl, c, endpoint, r)
}

// render makes the body of a delivery, unless it has one from an earlier attempt, and the
// headers that programs make. ended reports that there is nothing to send: e is why.
func (d *Dispatcher) render(ctx context.Context, dl *delivery, c *dialect.Dialect, endpoint *hook.Endpoint, tenant *hook.Tenant) (ended bool, e effect) {
	programs := d.Pins.transforms(dl.event, endpoint)
	if dl.body != nil && (dl.rendered || !programs) {
		return false, e
	}
	if programs || tenant.APIVersion != "" || len(tenant.PastAPIVersions) > 0 {
		d.waits(dl, true) // for the programs, which run in processes of their own
	}
	made, err := d.Pins.render(ctx, c, d.PublicURL, dl.event, endpoint, tenant)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return true, effect{givenBack: true} // the server stops
	case errors.As(err, new(errLater)) || holds(endpoint, dl.event):
		return true, d.postpone(dl, err.Error())
	default:
		return true, end(dl, hook.Held, err.Error())
	}
	if dl.rendered, dl.header = true, made.header; dl.body == nil {
		dl.body = made.body
	}
	return false, e
}

// lookUp finds whom a delivery goes to, and whether it may.
func (d *Dispatcher) lookUp(dl *delivery) (*hook.Endpoint, *hook.Tenant, mode, string) {
	endpoint, ok := d.Directory.Endpoint(dl.lane.num)
	if !ok {
		return nil, nil, holding, ""
	}
	tenant, _ := d.Directory.TenantByNum(endpoint.TenantNum)
	m, why := d.judge(endpoint, tenant)
	return endpoint, tenant, m, why
}

// end sets an outcome without a request.
func end(dl *delivery, state hook.DeliveryState, reason string) effect {
	dl.outcome = store.Outcome{Key: dl.key(), At: time.Now(), State: state, Reason: reason, FirstAt: dl.firstAt, Base: dl.base}
	return effect{}
}

// postpone leaves a delivery pending that cannot be sent until somebody mends
// what is wrong here. It is no attempt, and goes on by itself.
func (d *Dispatcher) postpone(dl *delivery, reason string) effect {
	e := end(dl, hook.Pending, reason)
	now := dl.outcome.At
	dl.outcome.NextAt = now.Add(mendWait)
	if last := dl.lane.complained.Load(); now.Unix()-last >= int64(complainEvery/time.Second) && dl.lane.complained.CompareAndSwap(last, now.Unix()) {
		d.Logger.Error("deliveries wait for something to be mended", "endpoint_num", int64(dl.lane.num), "delivery_id", dl.key().String(), "reason", reason)
	}
	return e
}

// conclude makes an attempt and an outcome of what came back.
func (d *Dispatcher) conclude(dl *delivery, c *dialect.Dialect, endpoint *hook.Endpoint, r *egress.Result) effect {
	now := time.Now()
	a := newAttempt(dl, c, endpoint, r)
	if r.Class == egress.ClassCanceled {
		return d.interrupted(dl, a, now)
	}
	v := c.Judge(dialect.Answer{Status: r.Status, Class: r.Class, Header: r.Header, Body: r.Body, At: now})
	a.State, a.Reason = hook.Failed, v.Reason
	switch v.Result {
	case dialect.Delivered:
		a.State = hook.Delivered
	case dialect.Retry:
		d.reschedule(dl, a, c, endpoint, now, v.RetryAfter)
	}
	keepOrder(dl, a, endpoint, c.Schedule(endpoint.Schedule), now)
	settle(dl, a, now)
	return effect{health: healthOf(r, v), wait: v.RetryAfter, act: v.Endpoint, reason: v.Reason, reach: reachOf(r)}
}

// healthOf says what an answer tells of the endpoint. Only what keeps a place
// occupied or asks for less slows a lane down; a plain refusal to take the
// event does not.
func healthOf(r *egress.Result, v dialect.Verdict) health {
	switch {
	case v.Throttle:
		return strained
	case v.Result == dialect.Delivered:
		return good
	case r.Class == "":
		return answered
	case r.Class == egress.ClassBlocked || r.Class == egress.ClassRequest:
		return unknown // no request left
	}
	return strained
}

// reschedule sets when a failed attempt is followed by the next one, if the
// schedule has one.
func (d *Dispatcher) reschedule(dl *delivery, a *hook.Attempt, c *dialect.Dialect, endpoint *hook.Endpoint, now time.Time, retryAfter time.Duration) {
	s := c.Schedule(endpoint.Schedule)
	next, ok := s.Next(dl.attempts-dl.base+1, dl.firstOr(a.At), now, retryAfter, rand.Float64())
	if !ok {
		a.Reason += "; " + hook.NoAttemptLeft
		return
	}
	a.State, a.NextAt = hook.Pending, next
}

// settle makes the outcome of an attempt.
func settle(dl *delivery, a *hook.Attempt, now time.Time) {
	dl.outcome = store.Outcome{
		Key: a.Key, Attempt: a, At: now, State: a.State, Reason: a.Reason, NextAt: a.NextAt,
		FirstAt: dl.firstOr(a.At), Base: dl.base,
	}
	if a.State == hook.Pending && !dl.kept {
		dl.outcome.Body = dl.body
	}
}

// interrupted makes the outcome of a request that Stop broke off. It does not
// count against the schedule and is due at once.
func (d *Dispatcher) interrupted(dl *delivery, a *hook.Attempt, now time.Time) effect {
	a.State, a.NextAt, a.Reason = hook.Pending, now, "interrupted by a shutdown; the endpoint may have got it"
	first := dl.firstAt
	settle(dl, a, now)
	dl.outcome.Base, dl.outcome.FirstAt = dl.base+1, first
	return effect{}
}

// panicked makes the outcome of an attempt that broke (case 10). It is retried
// as any failure is, so a delivery that always breaks is given up in the end.
func (d *Dispatcher) panicked(dl *delivery, c *dialect.Dialect, endpoint *hook.Endpoint, v any) effect {
	d.Logger.Error("a delivery attempt panicked", "delivery_id", dl.key().String(), "attempt", dl.attempts+1,
		"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	now := time.Now()
	a := &hook.Attempt{
		Key: dl.key(), N: dl.attempts + 1, At: dl.begun, Trigger: dl.trigger, Class: classPanic,
		Detail: "an error of ours, not of the endpoint; the operator's log has it",
		State:  hook.Failed, Reason: "internal error",
	}
	if !d.trySchedule(dl, a, c, endpoint, now) && dl.attempts-dl.base+1 < panicAttempts {
		a.State, a.NextAt = hook.Pending, now.Add(panicWait)
	}
	if endpoint != nil {
		keepOrder(dl, a, endpoint, dialect.Schedule{}, now)
	}
	settle(dl, a, now)
	return effect{}
}

// trySchedule asks the schedule after a panic, which may be what had panicked.
func (d *Dispatcher) trySchedule(dl *delivery, a *hook.Attempt, c *dialect.Dialect, endpoint *hook.Endpoint, now time.Time) (ok bool) {
	if c == nil || endpoint == nil {
		return false
	}
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	d.reschedule(dl, a, c, endpoint, now, 0)
	return true
}

// tellOf gives an attempt to metrics, traces, log and whoever watches. What goes
// wrong there is no matter of the delivery.
func (d *Dispatcher) tellOf(dl *delivery) {
	a := dl.outcome.Attempt
	if a == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			d.Logger.Error("watching an attempt panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	d.Metrics.Attempt(a.State.String(), codeClass(a.Status), a.Class, a.Timing)
	if a.State == hook.Delivered {
		d.Metrics.Delivered(a.At.Add(a.Timing.Total).Sub(acceptedAt(dl.seq)))
	}
	if d.Tracer != nil {
		d.Tracer.Attempt(dl.event, d.endpointID(a.Key), a)
	}
	if d.Logger.Enabled(d.run, slog.LevelDebug) {
		d.logAttempt(a)
	}
	if d.Observe != nil {
		d.Observe(a)
	}
}

// logAttempt writes the one line of an attempt. What the endpoint answered, and
// its URL, are in the store for those who may see them.
func (d *Dispatcher) logAttempt(a *hook.Attempt) {
	next := slog.Attr{}
	if !a.NextAt.IsZero() {
		next = slog.Time("next", a.NextAt.UTC())
	}
	d.Logger.LogAttrs(d.run, slog.LevelDebug, "attempt", slog.String("delivery_id", a.Key.String()), slog.String("endpoint_id", d.endpointID(a.Key)),
		slog.Int("attempt", a.N), slog.String("state", a.State.String()), slog.String("class", a.Class), slog.Int("status", a.Status),
		slog.Float64("duration_ms", float64(a.Timing.Total.Microseconds())/1000), next)
}

// endpointID is the name of a delivery's endpoint, "" if nobody knows it.
func (d *Dispatcher) endpointID(key hook.DeliveryKey) string {
	if e, ok := d.Directory.Endpoint(key.Endpoint); ok {
		return e.ID
	}
	return ""
}

func newAttempt(dl *delivery, c *dialect.Dialect, endpoint *hook.Endpoint, r *egress.Result) *hook.Attempt {
	return &hook.Attempt{
		Key: dl.key(), N: dl.attempts + 1, At: r.At, Trigger: dl.trigger,
		Method: c.Method(), URL: c.URL(dialect.Request{Event: dl.event, URL: endpoint.URL, Body: dl.body}), RequestHeader: withoutCredentials(r.RequestHeader),
		BodySHA256: sha256.Sum256(dl.body), BodySize: len(dl.body),
		Class: r.Class, Detail: r.Detail, Status: r.Status, Proto: r.Proto,
		ResponseHeader: headerLines(r.Header), ResponseBody: r.Body, Truncated: r.Truncated,
		RemoteAddr: r.RemoteAddr, TLSVersion: r.TLSVersion, Reused: r.Reused, Timing: r.Timing,
	}
}

// withoutCredentials is a request's header as it is kept: nobody is shown the
// values of credentials, so they are not stored either (case 104).
func withoutCredentials(lines []byte) []byte {
	var out []byte // nil: there are none so far
	done := 0
	for at := 0; at < len(lines); {
		end := len(lines)
		if n := bytes.Index(lines[at:], []byte("\r\n")); n >= 0 {
			end = at + n
		}
		if colon := bytes.IndexByte(lines[at:end], ':'); colon >= 0 && hook.Confidential(lines[at:at+colon]) {
			out = append(append(append(out, lines[done:at+colon]...), ": "...), hook.Hidden...)
			done = end
		}
		at = end + len("\r\n")
	}
	if out == nil {
		return lines
	}
	return append(out, lines[done:]...)
}

// headerLines writes an answer's header as lines, sorted by name.
func headerLines(h http.Header) []byte {
	if len(h) == 0 {
		return nil
	}
	size := 0
	for name, values := range h {
		for _, v := range values {
			size += len(name) + len(v) + 4
		}
	}
	b := make([]byte, 0, size)
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			b = append(append(append(append(b, name...), ": "...), strings.ReplaceAll(v, "\r\n", " ")...), "\r\n"...)
		}
	}
	return b
}

var codeClasses = [...]string{"", "1xx", "2xx", "3xx", "4xx", "5xx"}

func codeClass(status int) string {
	if c := status / 100; c >= 1 && c <= 5 {
		return codeClasses[c]
	}
	return ""
}

// firstOr is when the first attempt of the delivery's schedule began, at if
// that is this one.
func (dl *delivery) firstOr(at time.Time) time.Time {
	if dl.firstAt.IsZero() {
		return at
	}
	return dl.firstAt
}

// dueAt is when the attempt was due: a fresh delivery at its acceptance.
func (dl *delivery) dueAt() time.Time {
	if dl.due.IsZero() {
		return acceptedAt(dl.seq)
	}
	return dl.due
}

// acceptedAt is when an event was accepted, as finely as its id says.
func acceptedAt(seq int64) time.Time {
	const parts = 1 << 12 // of a millisecond; see hook.EventID
	return time.Unix(0, seq/parts*int64(time.Millisecond)+seq%parts*int64(time.Millisecond)/parts)
}

// act disables or removes an endpoint because of what it answered. Until that
// is done the lane rests.
func (d *Dispatcher) act(l *lane, e effect) {
	defer d.upkeep.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.run), flushLimit)
	defer cancel()
	change := d.Manager.DisableEndpoint
	if e.act == dialect.Unsubscribe {
		change = d.Manager.Unsubscribe
	}
	if err := change(ctx, l.num, e.reason); err != nil {
		d.Logger.Error("an endpoint's wish could not be carried out", "endpoint_num", int64(l.num), "reason", e.reason, "error", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	l.acting = false
	if l.gone.Load() {
		return
	}
	d.configure(l)
	now := time.Now()
	d.settle(l, now)
	d.kick(now)
}
