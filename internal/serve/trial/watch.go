package trial

import (
	"context"
	"encoding/json"
	"sync"

	"grapnel/internal/hook"
	"grapnel/internal/inbox"
)

// watchBuffer is how many attempts wait to be told; when somebody sends more
// at once than can be printed, the rest is not told.
const watchBuffer = 1024

// watch joins what the sender says of an attempt to what the receiver says.
type watch struct {
	t        *trial
	attempts chan *hook.Attempt
	first    bool // the first delivery has been told

	mu     sync.Mutex
	byID   map[string]string // trial names by endpoint id
	toTell map[seenKey]*inbox.Request
	queue  map[string][]*inbox.Request // of each inbox, those that name no event
	typeOf map[string]string           // of what the trial published, by event id
}

// seenKey names a request by the event's id and the inbox.
type seenKey struct{ event, inbox string }

func newWatch(t *trial) *watch {
	return &watch{t: t, attempts: make(chan *hook.Attempt, watchBuffer), byID: map[string]string{}, toTell: map[seenKey]*inbox.Request{}, queue: map[string][]*inbox.Request{}, typeOf: map[string]string{}}
}

// types notes what an event is.
func (w *watch) types(event, eventType string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.typeOf) >= watchBuffer {
		clear(w.typeOf)
	}
	w.typeOf[event] = eventType
}

// names takes over what the endpoints are called.
func (w *watch) names(s *state) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, e := range s.Endpoints {
		w.byID[e.ID] = name
	}
}

// received notes what an inbox got. It is called before the sender has the
// answer.
func (w *watch) received(r *inbox.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.toTell) >= watchBuffer {
		clear(w.toTell) // of attempts that were never told
	}
	if r.ID == "" { // not every contract sends it: then they are told in the order in which they came
		q := append(w.queue[r.Inbox], r)
		w.queue[r.Inbox] = q[max(0, len(q)-watchBuffer):]
		return
	}
	w.toTell[seenKey{r.ID, r.Inbox}] = r
}

// attempted takes an attempt from the dispatcher. It does not block.
func (w *watch) attempted(a *hook.Attempt) {
	select {
	case w.attempts <- a:
	default:
	}
}

// follow tells of attempts until ctx ends.
func (w *watch) follow(ctx context.Context) {
	for {
		select {
		case a := <-w.attempts:
			w.tell(ctx, a)
		case <-ctx.Done():
			return
		}
	}
}

func (w *watch) tell(ctx context.Context, a *hook.Attempt) {
	name, seen := w.match(a)
	e := Event{
		Event: Attempted, EventID: a.Key.Event.String(), Delivery: a.Key.String(), Endpoint: name, Attempt: a.N,
		HTTPStatus: a.Status, Class: a.Class, State: a.State.String(), Reason: a.Reason, TookMS: milliseconds(a.Timing.Total),
	}
	if !a.NextAt.IsZero() {
		at := a.NextAt.UTC()
		e.NextAt = &at
	}
	if seen != nil {
		e.Verified = seen.Verified
		e.Type = eventType(seen.Raw)
	}
	if e.Type == "" {
		w.mu.Lock()
		e.Type = w.typeOf[e.EventID]
		w.mu.Unlock()
	}
	if e.Type == "" { // published by somebody else, and the body does not say
		if published, err := w.t.api.Event(ctx, Tenant, e.EventID); err == nil {
			e.Type = published.Type
			w.types(e.EventID, e.Type)
		}
	}
	w.t.emit(e)
	if w.first || a.State != hook.Delivered || !e.Verified {
		return
	}
	w.first = true
	e.Event, e.Status, e.State, e.NextAt, e.TookMS = FirstDelivery, a.State.String(), "", nil, w.t.took()
	w.t.emit(e)
}

// match finds an endpoint's name, and what its inbox got by an attempt.
func (w *watch) match(a *hook.Attempt) (name string, seen *inbox.Request) {
	id := ""
	if e, ok := w.t.server.Endpoint(a.Key.Endpoint); ok {
		id = e.ID
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	name, ok := w.byID[id]
	if !ok {
		return id, nil
	}
	key := seenKey{a.Key.Event.String(), name}
	seen = w.toTell[key]
	delete(w.toTell, key)
	if q := w.queue[name]; seen == nil && len(q) > 0 && a.Status != 0 {
		seen, w.queue[name] = q[0], q[1:]
	}
	return name, seen
}

// eventType reads the type out of a standard body, "" if there is none.
func eventType(body []byte) string {
	var v struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(body, &v) != nil {
		return ""
	}
	return v.Type
}
