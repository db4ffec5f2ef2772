package vendors

import (
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
func (a *account) Log(ctx context.Context, q dialect.LogQuery) (dialect.LogPage, error) {
	var out dialect.LogPage
	query := store.DeliveryQuery{Tenant: a.t.Num, States: q.States, Limit: logPage}
	if !q.Since.IsZero() {
		query.Since = q.Since.Add(-a.longest())
	}
	if len(q.Hooks) == 1 {
		e, ok := a.h.Directory.EndpointByVendorID(a.of.family, q.Hooks[0])
		if !ok {
			return dialect.LogPage{Counted: true}, nil
		}
		query.Endpoint = e.Num
	}
	q.Start, q.Size = max(q.Start, 0), max(q.Size, 0)
	for range logPages {
		page, err := a.h.Reader.Deliveries(ctx, query)
		if err != nil {
			return dialect.LogPage{}, a.told(err)
		}
		for _, d := range page.Deliveries {
			e := a.logged(d, &q)
			if e == nil {
				continue
			}
			if out.Total >= q.Start && len(out.Entries) < q.Size {
				out.Entries = append(out.Entries, dialect.LogEntry{Delivery: d, Endpoint: e})
			}
			out.Total++
		}
		if query.Before = page.Next; page.Next == (hook.DeliveryKey{}) {
			out.Counted = true
			break
		}
	}
	out.More = !out.Counted || out.Total > q.Start+len(out.Entries)
	return out, a.complete(ctx, &out, q.Bodies)
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

// logged is the hook of a delivery that a query selects; nil: it selects
// another one.
func (a *account) logged(d *hook.Delivery, q *dialect.LogQuery) *hook.Endpoint {
	e, ok := a.h.Directory.Endpoint(d.Key.Endpoint)
	if !ok || !a.ours(e) || e.TenantNum != a.t.Num || len(q.Hooks) > 0 && !slices.Contains(q.Hooks, idOf(e)) {
		return nil
	}
	at := d.LastAt
	switch {
	case at.IsZero() && d.State == hook.Cancelled: // it never was on its way
		return nil
	case at.IsZero():
		at = d.Key.Event.Time()
	}
	if at.Before(q.Since) {
		return nil
	}
	return e
}

// complete reads what a page's entries tell besides. An entry whose event has
// been removed meanwhile goes.
func (a *account) complete(ctx context.Context, page *dialect.LogPage, bodies bool) error {
	whole := page.Entries[:0]
	for _, entry := range page.Entries {
		event, err := a.h.Reader.Event(ctx, a.t.Num, entry.Delivery.Key.Event)
		if errors.Is(err, store.ErrNotFound) {
			page.Total--
			continue
		}
		if err != nil {
			return a.told(err)
		}
		attempts, err := a.h.Reader.Attempts(ctx, entry.Delivery.Key)
		if err != nil {
			return a.told(err)
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
			entry.Body = a.body(&entry)
		}
		whole = append(whole, entry)
	}
	page.Entries = whole
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
