package vendors

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// How far the log is looked through for one request. What lies behind is not
// counted.
const (
	logPage  = 500
	logPages = 100
)

// logSlack is how much earlier than LogQuery.Since, the dialects' schedules
// aside, events are looked at whose last attempt may be after it.
const logSlack = 7 * 24 * time.Hour

// Log lists deliveries to the hooks.
func (a *account) Log(ctx context.Context, q dialect.LogQuery) (out dialect.LogPage, err error) {
	q.Start, q.Size = max(q.Start, 0), max(q.Size, 0)
	var shown []logged
	out.Counted, err = a.walk(ctx, &q, func(l logged) {
		if out.Total >= q.Start && len(shown) < q.Size {
			shown = append(shown, l)
		}
		out.Total++
	})
	if err != nil {
		return dialect.LogPage{}, err
	}
	out.More = !out.Counted || out.Total > q.Start+len(shown)
	return out, complete(ctx, shown, &out, q.Bodies, func(e *dialect.LogEntry) { out.Entries = append(out.Entries, *e) })
}

// Log lists deliveries to the hooks of all accounts.
func (c *caller) Log(ctx context.Context, q dialect.LogQuery, each func(*dialect.LogEntry)) (dialect.LogPage, error) {
	const reach = logPage * logPages
	start, size := min(max(q.Start, 0), reach), min(max(q.Size, 0), reach)
	out, found := dialect.LogPage{Counted: true}, latest{most: min(start+size, reach)}
	for _, a := range c.accounts() {
		counted, err := a.walk(ctx, &q, func(l logged) {
			found.add(l)
			out.Total++
		})
		if err != nil {
			return dialect.LogPage{}, err
		}
		out.Counted = out.Counted && counted
	}
	shown := found.end()
	shown = shown[min(start, len(shown)):]
	out.More = !out.Counted || out.Total > start+len(shown)
	return out, complete(ctx, shown, &out, q.Bodies, each)
}

// logged is a delivery that a query selects.
type logged struct {
	d  *hook.Delivery
	e  *hook.Endpoint
	of *account
}

// at is when the last attempt began or, before any, when the event was accepted.
func (l logged) at() time.Time {
	if l.d.LastAt.IsZero() {
		return l.d.Key.Event.Time()
	}
	return l.d.LastAt
}

// latest keeps the latest of any number of deliveries.
type latest struct {
	most int
	kept []logged
}

func (l *latest) add(x logged) {
	if l.kept = append(l.kept, x); len(l.kept) >= 2*l.most+logPage {
		l.end()
	}
}

func (l *latest) end() []logged {
	slices.SortFunc(l.kept, func(a, b logged) int {
		return cmp.Or(b.at().Compare(a.at()), bytes.Compare(b.d.Key.Event[:], a.d.Key.Event[:]), cmp.Compare(b.e.Num, a.e.Num))
	})
	l.kept = slices.Delete(l.kept, min(l.most, len(l.kept)), len(l.kept))
	return l.kept
}

// walk visits what a query selects, newest first, as far as one request may
// look through the log; counted: to the end.
func (a *account) walk(ctx context.Context, q *dialect.LogQuery, visit func(logged)) (counted bool, err error) {
	query := store.DeliveryQuery{Tenant: a.t.Num, States: q.States, Limit: logPage}
	if !q.Since.IsZero() {
		query.Since = q.Since.Add(-a.longest())
	}
	if len(q.Hooks) == 1 {
		e, ok := a.h.Directory.EndpointByVendorID(a.of.family, q.Hooks[0])
		if !ok {
			return true, nil
		}
		query.Endpoint = e.Num
	}
	for range logPages {
		page, err := a.h.Reader.Deliveries(ctx, query)
		if err != nil {
			return false, a.told(err)
		}
		for _, d := range page.Deliveries {
			if l, ok := a.logged(d, q); ok {
				visit(l)
			}
		}
		if query.Before = page.Next; page.Next == (hook.DeliveryKey{}) {
			return true, nil
		}
	}
	return false, nil
}

// longest is how much later than its event an attempt can be.
func (a *account) longest() (span time.Duration) {
	for _, d := range a.of.Dialects {
		span = max(span, d.Schedule(nil).Span())
	}
	for _, e := range a.h.Directory.Endpoints(a.t.ID) {
		if d, ok := a.h.Manager.Dialects.Get(e.Dialect); ok && a.ours(e) && e.Schedule != nil {
			span = max(span, d.Schedule(e.Schedule).Span())
		}
	}
	return span + logSlack
}

// logged is a delivery, if a query selects it.
func (a *account) logged(d *hook.Delivery, q *dialect.LogQuery) (logged, bool) {
	e, ok := a.h.Directory.Endpoint(d.Key.Endpoint)
	switch {
	case !ok || !a.ours(e) || e.TenantNum != a.t.Num || len(q.Hooks) > 0 && !slices.Contains(q.Hooks, idOf(e)):
		return logged{}, false
	case d.LastAt.IsZero() && d.State == hook.Cancelled: // it never was on its way
		return logged{}, false
	case hook.Operational(d.Type): // no event of the vendor's
		return logged{}, false
	}
	l := logged{d, e, a}
	return l, !l.at().Before(q.Since)
}

// complete reads what entries tell besides, one after the other. One whose event
// has been removed meanwhile goes.
func complete(ctx context.Context, shown []logged, page *dialect.LogPage, bodies bool, each func(*dialect.LogEntry)) error {
	for _, l := range shown {
		entry := dialect.LogEntry{Delivery: l.d, Endpoint: l.e}
		event, err := l.of.h.Reader.Event(ctx, l.of.t.Num, l.d.Key.Event)
		if errors.Is(err, store.ErrNotFound) {
			page.Total--
			continue
		}
		if err != nil {
			return l.of.told(err)
		}
		attempts, err := l.of.h.Reader.Attempts(ctx, l.d.Tenant, l.d.Key)
		if err != nil {
			return l.of.told(err)
		}
		entry.Event = event
		for _, at := range attempts {
			if entry.Last = at; at.State == hook.Delivered {
				entry.Succeeded = at
			} else {
				entry.Failed = at
			}
		}
		if bodies {
			entry.Body = l.of.body(&entry)
		}
		each(&entry)
	}
	return nil
}

// body is what an entry's last attempt sent. It is made again, from what may
// have changed since, and what does not come out the same is none. What cannot
// be made was not sent either: the delivery says so.
func (a *account) body(entry *dialect.LogEntry) []byte {
	body, err := a.h.Renderer.Render(entry.Event, entry.Endpoint, a.t)
	if err != nil || entry.Last != nil && sha256.Sum256(body) != entry.Last.BodySHA256 {
		return nil
	}
	return body
}

// How many deliveries are looked through for the latest attempt to a hook: at
// first, then at once, of one hook, and in one request beyond the first of each
// hook. So a list of 250 hooks mostly reads 5,000, and 15,000 at most.
const (
	lastFirst  = 20
	lastPage   = 100
	lastDepth  = 2_000
	lastDepths = 10_000
)

// LastAttempt is when the latest attempt to a hook began.
func (a *account) LastAttempt(ctx context.Context, e *hook.Endpoint) (last time.Time, err error) {
	query := store.DeliveryQuery{Tenant: a.t.Num, Endpoint: e.Num, Limit: lastFirst}
	for read := 0; read < lastDepth; read += query.Limit {
		if read > 0 {
			if query.Limit = min(lastPage, lastDepth-read, lastDepths-a.deep); query.Limit == 0 {
				break
			}
			a.deep += query.Limit
		}
		page, err := a.h.Reader.Deliveries(ctx, query)
		if err != nil {
			return time.Time{}, a.told(err)
		}
		for _, d := range page.Deliveries {
			if d.LastAt.After(last) {
				last = d.LastAt
			}
		}
		if query.Before = page.Next; !last.IsZero() || page.Next == (hook.DeliveryKey{}) {
			break
		}
	}
	return last, nil
}
