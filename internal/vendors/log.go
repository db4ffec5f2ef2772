package vendors

import (
	"context"
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
	if q.Uncounted {
		query.Limit = min(q.Start+q.Size+1, logPage)
	}
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
		if q.Uncounted && out.Total > q.Start+q.Size {
			break
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
		if len(attempts) > 0 {
			entry.Last = attempts[len(attempts)-1]
		}
		if bodies {
			// What cannot be rendered was not sent either: the delivery says so.
			entry.Body, _ = a.h.Renderer.Render(event, entry.Endpoint, a.t)
		}
		whole = append(whole, entry)
	}
	page.Entries = whole
	return nil
}
