package storetest

import (
	"fmt"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

var knownTests = []test{
	{"EventsInEveryUnit", func(w *world) {
		var events []*hook.Event
		q := store.KnownQuery{}
		var want []*store.KnownEvent
		for i := range 14 {
			e := w.keyed(hook.TenantNum(1+i%2), fmt.Sprint("key", i/2), 1)
			w.append(e)
			events = append(events, e)
			q.Events = append(q.Events, store.EventKey{Tenant: e.Tenant, Key: e.Key}, store.EventKey{Tenant: 3, Key: e.Key})
			want = append(want, &store.KnownEvent{ID: e.ID, Fingerprint: e.Fingerprint, Targets: e.Targets}, nil)
		}
		for range 3 {
			got, err := w.st.Known(w.Context(), q)
			w.ok(err)
			w.same(store.Known{Events: want}, got)
			e, err := w.st.EventByKey(w.Context(), q.Events[4], time.Time{})
			w.ok(err)
			w.same(events[2], e)
			_, err = w.st.EventByKey(w.Context(), q.Events[5], time.Time{})
			w.missing(err)
			w.settle()
			w.crash()
		}
	}},
	{"Since", func(w *world) {
		a := w.keyed(1, "k", 1)
		w.append(a)
		k := store.EventKey{Tenant: 1, Key: "k"}
		for _, tt := range []struct {
			since time.Time
			found bool
		}{{time.Time{}, true}, {a.ID.Time(), true}, {a.ID.Time().Add(time.Millisecond), false}} {
			got, err := w.st.Known(w.Context(), store.KnownQuery{Since: tt.since, Events: []store.EventKey{k}})
			w.ok(err)
			if (got.Events[0] != nil) != tt.found {
				w.Fatalf("since %v: found %v", tt.since, got.Events[0])
			}
		}
	}},
	{"KeyAgainAfterTheWindow", func(w *world) {
		a := w.keyed(1, "k", 1)
		w.append(a)
		w.now = w.now.Add(48 * time.Hour)
		b := w.keyed(1, "k", 1)
		w.append(b)
		for range 2 {
			got, err := w.st.Known(w.Context(), store.KnownQuery{Events: []store.EventKey{{Tenant: 1, Key: "k"}}})
			w.ok(err)
			w.same(b.ID, got.Events[0].ID)
			w.settle()
			w.crash()
		}
	}},
	{"Requests", func(w *world) {
		var keys []store.RequestKey
		var want []*store.Request
		for i := range 14 {
			r := &store.Request{RequestKey: store.RequestKey{Scope: fmt.Sprint("s", i%3), Key: fmt.Sprint("k", i)}, At: w.now.Add(time.Second), Fingerprint: [32]byte{byte(i), 1}, Answer: []byte("ok")}
			b := &store.Batch{Revision: 1 << 40, Requests: []*store.Request{r}}
			if i > 0 {
				b.Events = []*hook.Event{w.event(1, 1)}
			}
			w.ok(w.st.Append(w.Context(), b))
			keys = append(keys, r.RequestKey, store.RequestKey{Scope: "s9", Key: r.Key})
			want = append(want, r, nil)
		}
		for range 3 {
			got, err := w.st.Known(w.Context(), store.KnownQuery{Requests: keys})
			w.ok(err)
			w.same(store.Known{Requests: want}, got)
			w.settle()
			w.crash()
		}
		got, err := w.st.Known(w.Context(), store.KnownQuery{Since: want[26].At.Add(time.Nanosecond), Requests: keys[:2]})
		w.ok(err)
		w.same(store.Known{Requests: []*store.Request{nil, nil}}, got)
	}},
}
