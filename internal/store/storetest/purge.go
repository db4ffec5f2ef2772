package storetest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Marker is what Plant writes into everything that an event carries.
const Marker = "MARKER-of-a-person-0123456789"

// Planted is what Plant has stored.
type Planted struct{ Gone, Stays []hook.EventID }

// Plant stores events in several units, of which some carry the Marker in everything
// that there is of them, and others do not.
func Plant(t *testing.T, h Harness) *Planted {
	t.Helper()
	w := newWorld(t, t, h)
	out := &Planted{}
	for i := range 40 {
		e := w.keyed(1, fmt.Sprint("other-", i), 1, 2)
		if i%3 == 0 {
			e.Key, e.OrderingKey = fmt.Sprint(Marker, i), Marker
			e.Data = fmt.Appendf(nil, `{"name":%q,"more":%q}`, Marker, bytes.Repeat([]byte(Marker), 400))
			e.Previous, e.Metadata = []byte(`"`+Marker+`"`), []byte(`{"a":"`+Marker+`"}`)
			out.Gone = append(out.Gone, e.ID)
		} else {
			out.Stays = append(out.Stays, e.ID)
		}
		r := request(fmt.Sprint("k", i), w.now)
		r.Scope = "other"
		if i%3 == 0 {
			r.Scope, r.Key, r.Answer = "tenant/t", r.Key+Marker, []byte(Marker)
		}
		w.ok(w.st.Append(w.Context(), &store.Batch{Revision: 1 << 40, Events: []*hook.Event{e}, Requests: []*store.Request{r}}))
		tried, made := w.outcome(key(e, 1), 1, hook.Pending), w.outcome(key(e, 2), 1, hook.Delivered)
		if i%3 == 0 {
			tried.Body = []byte(Marker)
			for _, a := range []*hook.Attempt{tried.Attempt, made.Attempt} {
				a.URL, a.Detail, a.RequestHeader, a.ResponseHeader, a.ResponseBody = "https://example.com/"+Marker, Marker, []byte("a: "+Marker+"\r\n"), []byte("b: "+Marker+"\r\n"), []byte(Marker)
			}
		}
		w.record(tried, made)
		w.record(&store.Outcome{Key: key(e, 1), At: w.now, State: hook.Cancelled, Reason: "purged", Base: 0})
	}
	return out
}

// Purge purges what Plant has marked, and checks what is left.
func (p *Planted) Purge(t *testing.T, st store.Store) {
	t.Helper()
	w := &world{tb: t, st: st, now: epoch}
	q := store.PurgeQuery{Events: p.Gone, Scope: "tenant/t"}
	done, err := st.Purge(t.Context(), q)
	w.ok(err)
	want := store.Purged{Events: int64(len(p.Gone)), Attempts: 2 * int64(len(p.Gone)), Requests: int64(len(p.Gone)), Bodies: done.Bodies, Files: done.Files}
	w.same(want, done)
	if done.Files == 0 {
		t.Error("no file was written anew")
	}
	again, err := st.Purge(t.Context(), q)
	w.ok(err)
	w.same(store.Purged{Files: again.Files}, again)
	for _, id := range p.Gone {
		e, err := st.Event(t.Context(), 1, id)
		w.ok(err)
		if !e.Purged() || e.Type != "thing.made" || len(e.Targets) != 2 || e.Key != "" {
			t.Fatalf("a purged event is %+v", e)
		}
		a, err := st.Attempts(t.Context(), hook.AllTenants, hook.DeliveryKey{Event: id, Endpoint: 2})
		w.ok(err)
		if len(a) != 1 || a[0].Status != 200 || a[0].URL != "" || len(a[0].ResponseBody) != 0 || a[0].BodySHA256 != [32]byte{} {
			t.Fatalf("a purged attempt is %+v", a[0])
		}
	}
	for _, id := range p.Stays {
		e, err := st.Event(t.Context(), 1, id)
		w.ok(err)
		if e.Purged() || e.Key == "" {
			t.Fatalf("another event is %+v", e)
		}
		known, err := st.Known(t.Context(), store.KnownQuery{Events: []store.EventKey{{Tenant: 1, Key: e.Key}}})
		w.ok(err)
		if known.Events[0] == nil {
			t.Fatalf("the key of another event is forgotten")
		}
	}
	later := &hook.Event{ID: hook.NextEventID(p.Stays[len(p.Stays)-1].Seq(), epoch.Add(time.Hour), 7), Tenant: 1, Type: "later", Data: []byte("1"), Time: epoch}
	w.ok(st.Append(t.Context(), &store.Batch{Revision: 1 << 40, Events: []*hook.Event{later}}))
}
