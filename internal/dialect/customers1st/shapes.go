package customers1st

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// restHook is a subscription (C1-M7).
type restHook struct {
	ID           int64   `json:"id"`
	Event        string  `json:"event"`
	URL          string  `json:"url"`
	Receiver     *string `json:"receiver"`
	Active       int     `json:"active"`
	Created      stamp   `json:"created"`
	LastActivity *stamp  `json:"lastactivity"`
	LastUpdated  stamp   `json:"last_updated"`
}

// hookInput is the part of a restHook that callers write (C1-M1, C1-M7).
type hookInput struct {
	Event    string         `json:"event"`
	URL      string         `json:"url"`
	Receiver *string        `json:"receiver"`
	Active   jsontext.Value `json:"active"`
}

type (
	created struct {
		ID int64 `json:"id"`
	}
	updated struct {
		Updated int `json:"updated"`
	}
	deleted struct {
		Deleted int `json:"deleted"`
	}
	hookList struct {
		Content []restHook `json:"content"`
		Count   int        `json:"count"`
	}
	eventList struct {
		Items []string `json:"items"`
	}
	logList struct {
		Content []logEntry `json:"content"`
		Count   int        `json:"count"`
		HasMore bool       `json:"hasMore"`
	}
	configList struct {
		Content []config `json:"content"`
	}
	config struct {
		Key   string  `json:"key"`
		Value *string `json:"value"`
	}
)

// logEntry is what became of an event for a hook (C1-M9).
type logEntry struct {
	ID               int64   `json:"id"`
	StoreID          int64   `json:"storeid"`
	RestHookID       int64   `json:"resthookid"`
	JobUUID          string  `json:"job_uuid"`
	Event            string  `json:"event"`
	URL              string  `json:"url"`
	Payload          string  `json:"payload"`
	Status           string  `json:"status"`
	Attempts         int     `json:"attempts"`
	LastFailedDate   *stamp  `json:"last_failed_date"`
	SucceededDate    *stamp  `json:"succeeded_date"`
	LastHTTPStatus   *string `json:"last_http_status"`
	LastFailedReason *string `json:"last_failed_reason"`
	InitiatedDate    stamp   `json:"initiated_date"`
}

// stamp is a time as the API writes it, in UTC.
type stamp time.Time

// MarshalText writes the time.
func (s stamp) MarshalText() ([]byte, error) {
	return time.Time(s).UTC().AppendFormat(nil, time.DateTime), nil
}

// readHook reads a whole subscription. What is left out is as it is in a new
// one: active, and without a receiver.
func readHook(r *http.Request) (in dialect.HookInput, err error) {
	h, err := read[hookInput](r)
	if err != nil {
		return in, err
	}
	receiver, types := "", []string{h.Event}
	active, ok := isActive(h.Active)
	switch {
	case h.Event == "":
		return in, hook.Invalid("/event", "the event to subscribe to is missing")
	case h.URL == "":
		return in, hook.Invalid("/url", "the url to call is missing")
	case !ok:
		return in, hook.Invalid("/active", "active is 0 or 1, not %s", hook.Clip(string(h.Active)))
	}
	if h.Receiver != nil {
		receiver = *h.Receiver
	}
	return dialect.HookInput{URL: &h.URL, EventTypes: &types, Description: &receiver, Active: &active}, nil
}

// isActive reads active, which is an integer (C1-M7); whoever writes it as a
// boolean or as a text is understood too. A hook of which nothing is said is
// active.
func isActive(v jsontext.Value) (active, ok bool) {
	switch strings.Trim(string(v), `"`) {
	case "":
		return true, len(v) == 0
	case "null":
		return true, true
	case "1", "1.0", "true":
		return true, true
	case "0", "0.0", "false":
		return false, true
	}
	return false, false
}

func shape(store dialect.Account, r *http.Request, e *hook.Endpoint) (restHook, error) {
	out := restHook{ID: number(e.VendorID), URL: e.URL, Created: stamp(e.CreatedAt), LastUpdated: stamp(e.UpdatedAt)}
	if len(e.EventTypes) > 0 {
		out.Event = e.EventTypes[0]
	}
	if e.Description != "" {
		out.Receiver = &e.Description
	}
	if e.Active() {
		out.Active = 1
	}
	last, err := store.LastAttempt(r.Context(), e)
	if !last.IsZero() {
		out.LastActivity = (*stamp)(&last)
	}
	return out, err
}

// entry shows what was posted, and where to, as far as it is known: the last
// attempt goes before what the hook has become since.
func entry(store dialect.Account, l *dialect.LogEntry) logEntry {
	d := l.Delivery
	out := logEntry{
		ID: d.Number, StoreID: storeID(store.Tenant()), RestHookID: number(l.Endpoint.VendorID), JobUUID: l.Event.ID.String(),
		Event: d.Type, URL: l.Endpoint.URL, Payload: string(l.Body), Status: status(d), Attempts: d.Attempts, InitiatedDate: stamp(l.Event.Time),
	}
	if l.Last != nil && l.Last.URL != "" {
		out.URL = l.Last.URL
	}
	if l.Last != nil && l.Last.Status != 0 {
		text := strconv.Itoa(l.Last.Status)
		out.LastHTTPStatus = &text
	}
	if l.Succeeded != nil {
		end := stamp(l.Succeeded.End())
		out.SucceededDate = &end
	}
	switch {
	case l.Failed != nil:
		end := stamp(l.Failed.End())
		out.LastFailedDate, out.LastFailedReason = &end, &l.Failed.Reason
	case d.Reason != "" && out.Status == failed: // it could not be sent at all
		out.LastFailedReason = &d.Reason
	}
	return out
}

// failed is what the log calls a delivery that is over without success.
const failed = "failed"

// status is a delivery's state in the log's words: one that was tried and will
// be again is in progress.
func status(d *hook.Delivery) string {
	switch {
	case d.State == hook.Delivered:
		return "successful"
	case d.State.Terminal():
		return failed
	case d.Attempts > 0:
		return "in_progress"
	}
	return "pending"
}

// storeID is the number that bodies show of a store: the vendor's own, where
// the tenant keeps it in its settings.
func storeID(t *hook.Tenant) int64 {
	if n := number(t.Settings["vendor_id"]); n != 0 {
		return n
	}
	return int64(t.Num)
}

// number reads an id of the vendor's; 0 if it is none.
func number(id string) int64 {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
