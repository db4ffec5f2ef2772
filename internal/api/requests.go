package api

import (
	"cmp"
	"context"
	"strings"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/live"
	"grapnel/internal/store"
)

// Extent tells how far the log reaches. A store is one.
type Extent interface {
	LastEvent(ctx context.Context) (hook.EventID, error)
	Stats(ctx context.Context) (store.Stats, error)
}

// Cursors that are words.
const (
	cursorNow   = "now"   // after the last event that there is
	cursorStart = "start" // before the first one
)

// listenID is the id of the endpoint that a tenant's requests are made for when
// no endpoint is named.
const listenID = "listen"

// How a stream of requests reads the log. The log is what counts: it is looked
// at again and again, and being told of a commit only makes that sooner.
const (
	requestsPoll = time.Second
	requestsPage = 20 // events in memory at once
)

// liveRequest is a request as the server would send it.
type liveRequest struct {
	Event    string      `json:"event" doc:"the event's id, which is also the message's" example:"0198c3f1-f2a4-7d3a-8b1c-0e5d4f6a7b8c"`
	Type     string      `json:"type" doc:"the event's type" example:"invoice.paid"`
	Delivery string      `json:"delivery,omitzero" doc:"the delivery that the request belongs to; absent without an endpoint"`
	Method   string      `json:"method" doc:"the request's method" example:"POST"`
	Headers  [][2]string `json:"headers" doc:"names and values, in order, names in the case of the contract" example:"[[\"content-type\",\"application/json\"]]"`
	SignedAt stamp       `json:"signed_at" doc:"when the request was made: one that waited for long is better asked for anew"`
	bytesText
}

// liveHello is the first message of a stream of requests.
type liveHello struct {
	Cursor   string `json:"cursor" doc:"where the stream begins: what follows it is sent"`
	Dialect  string `json:"dialect" doc:"the contract that the requests follow"`
	Endpoint string `json:"endpoint,omitzero" doc:"the endpoint that they are made for"`
	Secret   string `json:"secret,omitzero" doc:"what they are signed with, where that is not a secret of an endpoint or tenant"`
}

// liveGap says that events may be missing: they are not kept any more, or the
// cursor is of a log that went on further than this one.
type liveGap struct {
	After  string `json:"after" doc:"the event that the stream was to go on behind"`
	Oldest stamp  `json:"oldest,omitzero" doc:"when the oldest event that is kept was accepted; absent: none is"`
	Detail string `json:"detail" doc:"what may be missing, in words"`
}

// liveSkipped is an event of which no request can be made.
type liveSkipped struct {
	Event  string `json:"event" doc:"the event's id"`
	Type   string `json:"type" doc:"the event's type"`
	Reason string `json:"reason" doc:"why no request can be made of it"`
}

// requestEvents are the events of a stream of requests.
type requestEvents struct {
	Message liveRequest `json:"message"`
	Hello   liveHello   `json:"hello"`
	Gap     liveGap     `json:"gap"`
	Skipped liveSkipped `json:"skipped"`
}

func (a *API) liveRequestsRoutes() []routeRow {
	return []routeRow{{
		pattern: "GET " + pathTenant + "/requests/live", name: "listenToRequests", summary: "Get a tenant's requests as they would be sent",
		doc: "Server-sent events, oldest first and without end. The first is hello, with the cursor where the stream begins. Each of the others is a request with method, headers and body, " +
			"signed as its endpoint's are; without an endpoint, all of the tenant's events are rendered under its dialect and signed with the secret that hello tells. " +
			"Each has the event's id: with it as after, or as Last-Event-ID, the stream goes on where it was, and nothing is missed or sent twice. " +
			"The values of an endpoint's credential headers are replaced by [secret]. " +
			"The event gap says that what the cursor asks for is not there: it is not kept any more, or the cursor is beyond the last event; the event skipped that no request can be made of one.",
		scope: hook.ScopeManage, handle: a.listen, out: stream[requestEvents]{},
		params: []param{
			{"endpoint", "only events that go to this endpoint, as they are sent to it", formText},
			{"types", "only these event types; prefix.* stands for all that begin with prefix.", formNames},
			{"after", `the cursor to go on from: an event's id, "now" or "start" (default now)`, formText},
		},
		problems: []hook.Code{hook.CodeRateLimited},
	}}
}

// listening is one stream of requests.
type listening struct {
	api     *API
	c       *call
	f       *feed
	types   []string       // nil: all
	only    *hook.Endpoint // as it was named; nil: all events of the tenant
	dialect string         // that hello tells
	secret  hook.Secret    // that signs without an endpoint; "": the tenant's own, or none
	keys    []dialect.Key  // made of secret; nil: those that sign anyway
	asked   string         // the cursor, as it was given
	missing *liveGap       // to be told first; nil: nothing is missing

	after hook.EventID // everything up to here has been told
	told  hook.EventID // the last id that the client knows
}

func (a *API) listen(c *call) error {
	l := &listening{api: a, c: c}
	if err := l.ask(); err != nil {
		return err
	}
	if err := l.place(c.r.Context()); err != nil {
		return err
	}
	ctx, f, err := a.feed(c)
	if err != nil {
		return err
	}
	defer f.close()
	l.f = f
	alarm := a.Live.Await(c.tenant.Num)
	defer alarm.Close()
	if err := l.begin(ctx); err != nil {
		return err
	}
	return endOf(ctx, l.run(ctx, alarm))
}

// ask reads what is wanted.
func (l *listening) ask() error {
	values := l.c.r.URL.Query()
	l.asked = cmp.Or(l.c.r.Header.Get("Last-Event-ID"), values.Get("after"), cursorNow)
	for name := range strings.SplitSeq(strings.Join(values["types"], ","), ",") {
		if name == "" {
			continue
		}
		if err := hook.ValidType(strings.TrimSuffix(name, ".*")); err != nil {
			return hook.Invalid("", "types has %q, which is neither an event type nor prefix.*: %v", hook.Clip(name), err)
		}
		l.types = append(l.types, name)
	}
	if id := values.Get("endpoint"); id != "" {
		e, ok := l.api.Directory.EndpointByID(l.c.tenant.ID, id)
		if !ok {
			return hook.Errorf(hook.CodeNotFound, "there is no endpoint %q", hook.Clip(id))
		}
		l.only, l.dialect = e, e.Dialect
		return nil
	}
	return l.deriveSecret()
}

// deriveSecret makes the secret for those who listen to a whole tenant. Where
// the contract has one secret for all of a tenant's endpoints, that one signs.
func (l *listening) deriveSecret() error {
	l.dialect = l.api.Manager.DialectOf(l.c.tenant)
	d, ok := l.api.Composer.Dialects.Get(l.dialect)
	if !ok {
		return hook.Errorf(hook.CodeConflict, "there is no dialect %q any more: give the tenant another one", l.dialect)
	}
	if owner := d.SecretOwner(); owner == dialect.SecretNone || owner == dialect.SecretTenant {
		return nil
	}
	seed, err := l.api.Composer.Ring.Derive(listenID + "/" + l.c.tenant.ID)
	if err != nil {
		return err
	}
	if l.secret, err = d.SecretOf(seed); err != nil {
		return err
	}
	key, err := d.Key(l.secret)
	l.keys = []dialect.Key{key}
	return err
}

// place finds out where the stream begins.
func (l *listening) place(ctx context.Context) error {
	if l.asked == cursorStart {
		return nil
	}
	id, err := hook.ParseEventID(l.asked)
	if err != nil && l.asked != cursorNow {
		return hook.Invalid("", `after is the id of an event, %q or %q, not %q`, cursorNow, cursorStart, hook.Clip(l.asked))
	}
	last, err := l.api.Extent.LastEvent(ctx)
	if err != nil {
		return err
	}
	if l.after = last; l.asked == cursorNow {
		return nil
	}
	stats, err := l.api.Extent.Stats(ctx)
	if err != nil {
		return err
	}
	gap := &liveGap{After: id.String(), Oldest: stamp(stats.Oldest)}
	switch {
	case string(id[:]) > string(last[:]):
		gap.Detail = "the cursor is beyond the last event, as one from before a restore can be: the stream goes on behind the last one that there is"
		l.missing = gap
		return nil
	case !stats.Oldest.IsZero() && id.Time().Before(stats.Oldest):
		gap.Detail = "events older than the oldest one kept may be missing: the cursor is from before it"
		l.missing = gap
	}
	l.after = id
	return nil
}

// begin says where the stream begins, and what is missing there.
func (l *listening) begin(ctx context.Context) error {
	hello := liveHello{Cursor: cursorStart, Dialect: l.dialect, Secret: string(l.secret)}
	if l.told = l.after; !l.after.IsZero() {
		hello.Cursor = l.after.String()
	}
	if l.only != nil {
		hello.Endpoint = l.only.ID
	}
	err := l.f.message(ctx, "hello", "", hello)
	if err == nil && l.missing != nil {
		err = l.f.message(ctx, "gap", "", *l.missing)
	}
	return err
}

func (l *listening) run(ctx context.Context, alarm *live.Alarm) error {
	poll := time.NewTicker(requestsPoll)
	defer poll.Stop()
	for {
		if !l.f.allowed() {
			return nil
		}
		more, err := l.goOn(ctx)
		if err != nil {
			return err
		}
		if l.f.flush(ctx) != nil {
			return errGone
		}
		if err := l.wait(ctx, more, alarm.Rung(), poll.C); err != nil {
			return err
		}
	}
}

// wait waits until there may be something to tell; if there is more already,
// not at all.
func (l *listening) wait(ctx context.Context, more bool, rung <-chan struct{}, poll <-chan time.Time) error {
	if more {
		select {
		case <-l.f.beat.C:
			l.pulse()
		default:
		}
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-l.f.beat.C:
		l.pulse()
	case <-rung:
	case <-poll:
	}
	return nil
}

// pulse tells that the stream stands, and how far the log has been looked
// through: a client that comes back need not begin before that.
func (l *listening) pulse() {
	l.f.comment("still here")
	if l.told != l.after {
		l.f.position(l.after.String())
		l.told = l.after
	}
}

// goOn tells a page of what has come since the last time. more says that there
// is another one.
func (l *listening) goOn(ctx context.Context) (more bool, err error) {
	last, err := l.api.Extent.LastEvent(ctx)
	if err != nil || string(last[:]) <= string(l.after[:]) {
		return false, err
	}
	page, err := l.api.Reader.Events(ctx, store.EventQuery{Tenant: l.c.tenant.Num, After: l.after, Oldest: true, Limit: requestsPage})
	if err != nil {
		return false, err
	}
	for _, e := range page.Events {
		if err := l.tell(ctx, e); err != nil {
			return false, err
		}
	}
	l.after = page.Seen
	return !page.Next.IsZero(), nil
}

// tell sends an event's request, if it is wanted. When the tenant or endpoint
// is not what hello has told of, the stream ends: a client that comes back is
// told how things are now.
func (l *listening) tell(ctx context.Context, e *hook.Event) error {
	if !hook.MatchesType(l.types, e.Type) {
		return nil
	}
	tenant, ok := l.api.Directory.TenantByNum(e.Tenant)
	if !ok || l.only == nil && l.api.Manager.DialectOf(tenant) != l.dialect {
		return errGone
	}
	id := e.ID.String()
	r := liveRequest{Event: id, Type: e.Type}
	endpoint := &hook.Endpoint{
		ID: listenID, Tenant: tenant.ID, TenantNum: tenant.Num, Dialect: l.dialect, URL: l.api.PublicURL, State: hook.EndpointActive,
	}
	if l.only != nil {
		target, ok := e.Target(l.only.Num)
		if !ok || target.Disposition != hook.Deliver {
			return nil
		}
		if endpoint, ok = l.api.Directory.Endpoint(l.only.Num); !ok || endpoint.Deleted || endpoint.Dialect != l.dialect {
			return errGone
		}
		shown := *endpoint
		shown.Headers = redact(endpoint.Headers) // case 104: whoever listens need not have them
		endpoint = &shown
		r.Delivery = hook.DeliveryKey{Event: e.ID, Endpoint: l.only.Num}.String()
	}
	err := l.compose(&r, e, endpoint, tenant)
	if err != nil {
		err = l.f.message(ctx, "skipped", id, liveSkipped{id, e.Type, err.Error()})
	} else {
		err = l.f.message(ctx, "", id, r)
	}
	if err != nil {
		return errGone
	}
	l.told = e.ID
	return nil
}

// compose fills a request in. The error is for the tenant's people.
func (l *listening) compose(r *liveRequest, e *hook.Event, endpoint *hook.Endpoint, tenant *hook.Tenant) error {
	now := l.api.Now()
	m, err := l.api.Composer.Compose(e, endpoint, tenant, l.keys, now)
	if err != nil {
		return err
	}
	r.Method, r.SignedAt, r.bytesText = m.Method, stamp(now), textOf(m.Body)
	for _, h := range m.Header {
		r.Headers = append(r.Headers, [2]string{h.Name, h.Value})
	}
	return nil
}
