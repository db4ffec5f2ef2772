package storetest

import (
	"bytes"
	"errors"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

var appendTests = []test{
	{"EmptyStoreHasNoLastEvent", func(w *world) {
		last, err := w.st.LastEvent(w.Context())
		w.ok(err)
		w.same(hook.EventID{}, last)
	}},
	{"KeepsEveryField", func(w *world) {
		e := w.keyed(3, "order 17 ~", 2, 5, 900)
		e.Data, e.Previous, e.Metadata = []byte("{\"a\" : 1e999}\x00\xff"), []byte(`{}`), []byte(`{"m":1}`)
		e.OrderingKey = "order 1\u2028"
		e.Targets[1].Disposition, e.Targets[2].Disposition = hook.Inactive, hook.Suppressed
		e.Revision = 12
		bare := w.event(1)
		bare.Data = []byte{}
		big := w.event(1, 2)
		big.Data = bytes.Repeat([]byte("x"), 1<<20)
		w.append(e, bare, big)
		for range 2 {
			for _, want := range []*hook.Event{e, bare, big} {
				got, err := w.st.Event(w.Context(), hook.AllTenants, want.ID)
				w.ok(err)
				w.same(want, got)
			}
			w.crash()
		}
	}},
	{"NumbersFollowOneAnother", func(w *world) {
		a, b, c := w.event(1, 1, 2, 3), w.event(1), w.event(1, 4)
		w.append(a, b)
		w.crash()
		w.append(c)
		if a.Number < 1 || b.Number != a.Number+3 || c.Number != b.Number {
			w.Fatalf("numbers are %d, %d, %d", a.Number, b.Number, c.Number)
		}
		w.same(c.Number, w.delivery(key(c, 4)).Number)
		w.same(a.Number+2, w.delivery(key(a, 3)).Number)
	}},
	{"LastEventSurvives", func(w *world) {
		events := w.fill(7, 1, 1)
		for range 2 {
			last, err := w.st.LastEvent(w.Context())
			w.ok(err)
			w.same(events[6].ID, last)
			w.crash()
		}
	}},
	{"IdsAscend", func(w *world) {
		a, b := w.event(1, 1), w.event(1, 1)
		w.append(b)
		refused := [][]*hook.Event{{w.event(1, 1), a}}
		if !w.h.Raises {
			refused = append(refused, []*hook.Event{a}, []*hook.Event{b})
		}
		for _, batch := range refused {
			if err := w.st.Append(w.Context(), &store.Batch{Revision: 1 << 40, Events: batch}); err == nil {
				w.Fatal("ids that do not ascend were taken")
			}
		}
		last, err := w.st.LastEvent(w.Context())
		w.ok(err)
		w.same(b.ID, last)
		w.append(w.event(1, 1))
	}},
	// An id that another node has gone past is raised, with those of the batch that
	// follow it and those in the answers that are kept.
	{"IdsAreRaised", func(w *world) {
		if !w.h.Raises {
			w.t.Skip("one process gives the ids here")
		}
		a, b, last := w.event(1, 1), w.keyed(1, "k", 1), w.event(1, 1)
		w.append(last)
		proposed := ids(a, b)
		r := &store.Request{RequestKey: store.RequestKey{Scope: "s", Key: "k"}, At: w.now}
		w.ok(w.st.Append(w.Context(), &store.Batch{Revision: 1 << 40, Events: []*hook.Event{a, b}, Requests: []*store.Request{r}}))
		w.same(last.ID.Seq()+1, a.ID.Seq())
		w.same(a.ID.Seq()+proposed[1].Seq()-proposed[0].Seq(), b.ID.Seq())
		w.same([]uint64{proposed[0].Tail(), proposed[1].Tail()}, []uint64{a.ID.Tail(), b.ID.Tail()})
		w.same(a.ID.Seq()-proposed[0].Seq(), r.Raised)
		w.same(ids(last, a, b), w.fresh(1, hook.EventID{}, 10))
		known, err := w.st.Known(w.Context(), store.KnownQuery{Events: []store.EventKey{{Tenant: 1, Key: "k"}}, Requests: []store.RequestKey{r.RequestKey}})
		w.ok(err)
		w.same(store.Known{Events: []*store.KnownEvent{{ID: b.ID, Fingerprint: b.Fingerprint, Targets: b.Targets}}, Requests: []*store.Request{r}}, known)
		at, err := w.st.LastEvent(w.Context())
		w.ok(err)
		w.same(b.ID, at)
		if _, err := w.st.Event(w.Context(), hook.AllTenants, proposed[0]); !errors.Is(err, store.ErrNotFound) {
			w.Fatalf("got %v, want ErrNotFound", err)
		}
	}},
	{"NothingOfARefusedBatch", func(w *world) {
		good, bad := w.keyed(1, "k", 1), w.event(1, 5, 2)
		err := w.st.Append(w.Context(), &store.Batch{Revision: 1 << 40, Events: []*hook.Event{good, bad}, Requests: []*store.Request{{RequestKey: store.RequestKey{Scope: "s", Key: "k"}, At: w.now}}})
		if err == nil {
			w.Fatal("targets out of order were taken")
		}
		_, err = w.st.Event(w.Context(), hook.AllTenants, good.ID)
		w.missing(err)
		known, err := w.st.Known(w.Context(), store.KnownQuery{Events: []store.EventKey{{Tenant: 1, Key: "k"}}, Requests: []store.RequestKey{{Scope: "s", Key: "k"}}})
		w.ok(err)
		w.same(store.Known{Events: []*store.KnownEvent{nil}, Requests: []*store.Request{nil}}, known)
		w.append(good)
		w.same(ids(good), w.fresh(1, hook.EventID{}, 10))
	}},
	{"OldRevisionIsRefused", func(w *world) {
		rev, err := w.st.Configure(w.Context(), &store.Change{Tenants: []*hook.Tenant{{ID: "a"}}})
		w.ok(err)
		e := w.event(1, 1)
		err = w.st.Append(w.Context(), &store.Batch{Revision: rev - 1, Events: []*hook.Event{e}})
		if !errors.Is(err, store.ErrStale) {
			w.Fatalf("got %v, want ErrStale", err)
		}
		w.ok(w.st.Append(w.Context(), &store.Batch{Revision: rev, Events: []*hook.Event{e}}))
	}},
	{"TakenKeyIsRefused", func(w *world) {
		w.append(w.keyed(1, "k", 1))
		for _, batch := range [][]*hook.Event{{w.keyed(1, "k", 1)}, {w.keyed(2, "j", 1), w.keyed(2, "j", 1)}} {
			err := w.st.Append(w.Context(), &store.Batch{Revision: 1 << 40, Events: batch})
			if !errors.Is(err, store.ErrKeyTaken) {
				w.Fatalf("got %v, want ErrKeyTaken", err)
			}
		}
		w.append(w.keyed(2, "k", 1))
	}},
	{"Closed", func(w *world) {
		w.ok(w.st.Close())
		err := w.st.Append(w.Context(), &store.Batch{Events: []*hook.Event{w.event(1, 1)}})
		if !errors.Is(err, store.ErrClosed) {
			w.Fatalf("got %v, want ErrClosed", err)
		}
		w.ok(w.st.Close())
	}},
}

func (w *world) missing(err error) {
	w.Helper()
	if !errors.Is(err, store.ErrNotFound) {
		w.Fatalf("got %v, want ErrNotFound", err)
	}
}
