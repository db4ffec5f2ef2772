package storetest

import (
	"errors"
	"fmt"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// fullPast are earlier values.
func fullPast[T any](values ...T) []hook.Past[T] {
	var out []hook.Past[T]
	for i, v := range values {
		out = append(out, hook.Past[T]{Before: int64(i + 2), At: epoch.Add(time.Duration(i)), Value: v})
	}
	return out
}

func fullTenant(id string) *hook.Tenant {
	return &hook.Tenant{
		ID: id, Name: "Ünï", Dialect: "standard", APIVersion: "2", Settings: map[string]string{"a": "b"},
		PastAPIVersions: fullPast("", "1"), PastSettings: fullPast(nil, map[string]string{"a": "c"}), SecretMarks: map[string]string{"api2cart": "mark"},
		Connection: &hook.Connection{LostAt: epoch, Code: 3, Reason: "r", Message: "m", Told: 2, NextAt: epoch.Add(time.Hour)},
		Secrets:    map[string]hook.Sealed{"standard": "k1.x.y"}, CreatedAt: epoch, UpdatedAt: epoch.Add(time.Nanosecond),
		Quota: hook.Quota{Events: 1.5, Pending: -1}, LinkEpoch: 2,
	}
}

func fullEndpoint(id string) *hook.Endpoint {
	return &hook.Endpoint{
		ID: id, Tenant: "t", TenantNum: 1, URL: "https://example.com/ä?x=%2f", EventTypes: []string{"a.*"}, Dialect: "standard",
		Secrets: []hook.EndpointSecret{{Sealed: "k1.a.b", CreatedAt: epoch}}, Description: "d", Headers: []hook.Header{{Name: "X-a", Value: "1"}},
		Filter: []byte(`{"and":[]}`), Schedule: []time.Duration{time.Second, time.Hour}, Timeout: time.Second, RateLimit: 1.5,
		VendorID: "17", Fields: []string{"id", "price.value"}, PastFields: fullPast(nil, []string{"id"}), Settings: map[string]string{"store_id": "2"},
		PastSettings: fullPast(nil, map[string]string{"store_id": "1"}),
		Auth:         &hook.EndpointAuth{Type: hook.AuthOAuth2, Name: "id", Sealed: "k1.c.d", TokenURL: "https://example.com/token", Scope: "s", Audience: "a", InBody: true},
		TLS:          &hook.EndpointTLS{Certificate: "c", Key: "k1.e.f", CA: "a"},
		MaxInFlight:  3, State: hook.EndpointPaused, StateReason: "r", StateAt: epoch, CreatedAt: epoch, UpdatedAt: epoch,
	}
}

func fullReplay(id string) *hook.Replay {
	k := hook.DeliveryKey{Event: hook.EventIDFrom(epoch.UnixMilli()<<20, 7), Endpoint: 3}
	return &hook.Replay{
		ID: id, Tenant: "t", TenantNum: 1, Through: k.Event, State: hook.ReplayDone, Reason: "r", Position: k, Counted: true,
		Filter: hook.ReplayFilter{Endpoint: 3, Types: []string{"a.*"}, States: []hook.DeliveryState{hook.Failed}, Since: epoch, Until: epoch.Add(time.Hour), Limit: 9},
		Total:  4, Redelivered: 3, Skipped: 2, Failed: 1, CreatedAt: epoch, UpdatedAt: epoch, FinishedAt: epoch.Add(time.Nanosecond),
	}
}

// request makes a request that was made at an instant.
func request(key string, at time.Time) *store.Request {
	return &store.Request{RequestKey: store.RequestKey{Scope: "s", Key: key}, At: at, Fingerprint: [32]byte{1, 2}, Answer: []byte("told")}
}

var configureTests = []test{
	{"EmptyStore", func(w *world) {
		c, err := w.st.Configuration(w.Context(), 0)
		w.ok(err)
		w.same(&store.Configuration{}, c)
	}},
	{"KeepsEveryField", func(w *world) {
		versions := []hook.TypeVersion{{Version: "2"}, {Version: "1", Convert: "{a: .b}"}}
		change := &store.Change{
			Tenants: []*hook.Tenant{fullTenant("t"), {ID: "bare"}}, Endpoints: []*hook.Endpoint{fullEndpoint("ep_1"), {ID: "ep_2"}},
			Types: []*hook.EventType{{
				Name: "a.b", Description: "d", Schema: []byte(`{}`), Sample: []byte(`[1]`), CreatedAt: epoch, UpdatedAt: epoch,
				Versions: versions, PastVersions: fullPast(nil, versions[:1]),
			}},
			Keys:    []*hook.Key{{ID: "key_1", Hash: [32]byte{1, 2}, Hint: "gk_a", Tenants: []string{"t"}, Scopes: []hook.Scope{hook.ScopeRead}, CreatedAt: epoch, ExpiresAt: epoch}},
			Replays: []*hook.Replay{fullReplay("rpl_1"), {ID: "rpl_2"}},
			Pinned:  []*hook.Pinned{{Name: "dialect/own", Value: []byte("name: öwn\n\x00"), Past: fullPast([]byte("before"), nil)}, {Name: "public_url"}},
		}
		rev, err := w.st.Configure(w.Context(), change)
		w.ok(err)
		if change.Tenants[0].Num == 0 || change.Tenants[0].Num == change.Tenants[1].Num || change.Endpoints[0].Num == 0 || change.Endpoints[0].Num == change.Endpoints[1].Num {
			w.Fatalf("numbers are not given: %+v %+v", change.Tenants, change.Endpoints)
		}
		want := &store.Configuration{Revision: rev, Tenants: change.Tenants, Endpoints: change.Endpoints, Types: change.Types, Keys: change.Keys, Replays: change.Replays, Pinned: change.Pinned}
		for range 2 {
			got, err := w.st.Configuration(w.Context(), 0)
			w.ok(err)
			w.same(want, got)
			w.crash()
		}
	}},
	{"OnlyWhatChanged", func(w *world) {
		a, b := &hook.Tenant{ID: "a"}, &hook.Tenant{ID: "b"}
		first, err := w.st.Configure(w.Context(), &store.Change{Tenants: []*hook.Tenant{a, b}})
		w.ok(err)
		changed := *b
		changed.Name, changed.Deleted = "new", true
		second, err := w.st.Configure(w.Context(), &store.Change{Tenants: []*hook.Tenant{&changed}})
		w.ok(err)
		if second <= first {
			w.Fatalf("revision %d after %d", second, first)
		}
		got, err := w.st.Configuration(w.Context(), first)
		w.ok(err)
		w.same(&store.Configuration{Revision: second, Tenants: []*hook.Tenant{&changed}}, got)
		got, err = w.st.Configuration(w.Context(), second)
		w.ok(err)
		w.same(&store.Configuration{Revision: second}, got)
	}},
	{"OneIsTheFirst", func(w *world) {
		_, err := w.st.Configure(w.Context(), &store.Change{Base: store.BaseEmpty, Tenants: []*hook.Tenant{{ID: "a"}}})
		w.ok(err)
		_, err = w.st.Configure(w.Context(), &store.Change{Base: store.BaseEmpty, Tenants: []*hook.Tenant{{ID: "b"}}})
		if !errors.Is(err, store.ErrStale) {
			w.Fatalf("got %v, want ErrStale", err)
		}
	}},
	{"BaseIsChecked", func(w *world) {
		first, err := w.st.Configure(w.Context(), &store.Change{Tenants: []*hook.Tenant{{ID: "a"}}})
		w.ok(err)
		second, err := w.st.Configure(w.Context(), &store.Change{Base: first, Tenants: []*hook.Tenant{{ID: "b"}}})
		w.ok(err)
		lost := &hook.Tenant{ID: "c"}
		_, err = w.st.Configure(w.Context(), &store.Change{Base: first, Tenants: []*hook.Tenant{lost}})
		if !errors.Is(err, store.ErrStale) {
			w.Fatalf("got %v, want ErrStale", err)
		}
		got, err := w.st.Configuration(w.Context(), first)
		w.ok(err)
		if got.Revision != second || len(got.Tenants) != 1 || lost.Num != 0 {
			w.Fatalf("a refused change left %+v, number %d", got, lost.Num)
		}
	}},
	{"RevisionsRiseByOne", func(w *world) {
		base, err := w.st.Configure(w.Context(), &store.Change{Tenants: []*hook.Tenant{{ID: "a"}}})
		w.ok(err)
		_, err = w.st.Configure(w.Context(), &store.Change{Base: base + 1, Tenants: []*hook.Tenant{{ID: "b"}}})
		if !errors.Is(err, store.ErrStale) {
			w.Fatalf("got %v, want ErrStale", err)
		}
		for i, c := range []*store.Change{
			{Tenants: []*hook.Tenant{{ID: "b"}, {ID: "c"}}, Endpoints: []*hook.Endpoint{{ID: "ep_1"}}},
			{Pinned: []*hook.Pinned{{Name: "public_url", Value: []byte("a")}}},
			{Pinned: []*hook.Pinned{{Name: "public_url", Value: []byte("b")}}},
		} {
			c.Base = base
			rev, err := w.st.Configure(w.Context(), c)
			w.ok(err)
			if rev != base+1 {
				w.Fatalf("change %d made of revision %d leads to %d", i, base, rev)
			}
			if base = rev; i == 1 {
				w.crash()
			}
		}
		got, err := w.st.Configuration(w.Context(), base-1)
		w.ok(err)
		w.same(&store.Configuration{Revision: base, Pinned: []*hook.Pinned{{Name: "public_url", Value: []byte("b")}}}, got)
	}},
	{"TakenIdIsAConflict", func(w *world) {
		a := &hook.Tenant{ID: "a"}
		_, err := w.st.Configure(w.Context(), &store.Change{
			Tenants: []*hook.Tenant{a}, Endpoints: []*hook.Endpoint{{ID: "ep_1"}}, Keys: []*hook.Key{{ID: "key_1", Hash: [32]byte{7}}},
		})
		w.ok(err)
		again := &hook.Tenant{ID: "a"}
		for _, c := range []*store.Change{
			{Tenants: []*hook.Tenant{{ID: "new"}, again}},
			{Endpoints: []*hook.Endpoint{{ID: "ep_1"}}},
			{Keys: []*hook.Key{{ID: "key_2", Hash: [32]byte{7}}}},
		} {
			if _, err := w.st.Configure(w.Context(), c); hook.CodeOf(err) != hook.CodeConflict {
				w.Fatalf("got %v, want a conflict", err)
			}
		}
		got, err := w.st.Configuration(w.Context(), 1)
		w.ok(err)
		w.same(&store.Configuration{Revision: 1}, got)
		_, err = w.st.Configure(w.Context(), &store.Change{Endpoints: []*hook.Endpoint{{ID: "ep_1", TenantNum: 2}}}) // another tenant's
		w.ok(err)
		gone := *a
		gone.Deleted = true
		_, err = w.st.Configure(w.Context(), &store.Change{Tenants: []*hook.Tenant{&gone}})
		w.ok(err)
		_, err = w.st.Configure(w.Context(), &store.Change{Tenants: []*hook.Tenant{again}})
		w.ok(err)
		if again.Num == a.Num {
			w.Fatal("a number was given twice")
		}
	}},
	{"RequestsAreRemembered", func(w *world) {
		r := request("k", w.now)
		first, err := w.st.Configure(w.Context(), &store.Change{Tenants: []*hook.Tenant{{ID: "a"}}, Requests: []*store.Request{r}})
		w.ok(err)
		alone := request("alone", w.now)
		second, err := w.st.Configure(w.Context(), &store.Change{Requests: []*store.Request{alone}})
		w.ok(err)
		w.same(first, second)
		for range 2 {
			for _, want := range []*store.Request{r, alone} {
				got, err := w.st.Remembered(w.Context(), want.RequestKey, w.now)
				w.ok(err)
				w.same(want, got)
				got, err = w.st.Remembered(w.Context(), want.RequestKey, w.now.Add(time.Nanosecond))
				w.ok(err)
				w.same((*store.Request)(nil), got)
			}
			got, err := w.st.Remembered(w.Context(), store.RequestKey{Scope: "other", Key: "k"}, w.now)
			w.ok(err)
			w.same((*store.Request)(nil), got)
			w.crash()
		}
	}},
	{"CompleteSeesTheNumbers", func(w *world) {
		e := &hook.Endpoint{ID: "ep_1"}
		c := &store.Change{Endpoints: []*hook.Endpoint{e}}
		c.Complete = func() error {
			if e.Num == 0 {
				return errors.New("no number yet")
			}
			c.Requests = []*store.Request{request("k", w.now)}
			return nil
		}
		_, err := w.st.Configure(w.Context(), c)
		w.ok(err)
		got, err := w.st.Remembered(w.Context(), store.RequestKey{Scope: "s", Key: "k"}, w.now)
		w.ok(err)
		w.same(request("k", w.now), got)
		failed := errors.New("no")
		_, err = w.st.Configure(w.Context(), &store.Change{Endpoints: []*hook.Endpoint{{ID: "ep_2"}}, Complete: func() error { return failed }})
		if !errors.Is(err, failed) {
			w.Fatalf("got %v", err)
		}
		all, err := w.st.Configuration(w.Context(), 0)
		w.ok(err)
		w.same([]*hook.Endpoint{e}, all.Endpoints)
	}},
	{"ATakenRequestStoresNothing", func(w *world) {
		_, err := w.st.Configure(w.Context(), &store.Change{Requests: []*store.Request{request("k", w.now)}})
		w.ok(err)
		before, err := w.st.Configuration(w.Context(), 0)
		w.ok(err)
		for _, c := range []*store.Change{
			{Tenants: []*hook.Tenant{{ID: "a"}}, Requests: []*store.Request{request("new", w.now), request("k", w.now.Add(time.Hour))}},
			{Requests: []*store.Request{request("twice", w.now), request("twice", w.now)}},
		} {
			if _, err := w.st.Configure(w.Context(), c); !errors.Is(err, store.ErrKeyTaken) {
				w.Fatalf("got %v, want ErrKeyTaken", err)
			}
		}
		after, err := w.st.Configuration(w.Context(), 0)
		w.ok(err)
		w.same(before, after)
		got, err := w.st.Remembered(w.Context(), store.RequestKey{Scope: "s", Key: "new"}, time.Time{})
		w.ok(err)
		w.same((*store.Request)(nil), got)
	}},
	{"ARequestAgainAfterTheWindow", func(w *world) {
		old, again := request("k", w.now), request("k", w.now.Add(48*time.Hour))
		for _, r := range []*store.Request{old, again} {
			_, err := w.st.Configure(w.Context(), &store.Change{Requests: []*store.Request{r}})
			w.ok(err)
		}
		got, err := w.st.Remembered(w.Context(), old.RequestKey, time.Time{})
		w.ok(err)
		w.same(again, got)
	}},
	{"RequestsOfEventsAndOfChangesAreApart", func(w *world) {
		r := request("k", w.now)
		w.ok(w.st.Append(w.Context(), &store.Batch{Revision: 1 << 40, Requests: []*store.Request{r}}))
		got, err := w.st.Remembered(w.Context(), r.RequestKey, time.Time{})
		w.ok(err)
		w.same((*store.Request)(nil), got)
		_, err = w.st.Configure(w.Context(), &store.Change{Requests: []*store.Request{r}})
		w.ok(err)
	}},
	{"TombstonesOfReplaysAreForgotten", func(w *world) {
		gone, over, later, running := fullReplay("rpl_1"), fullReplay("rpl_2"), fullReplay("rpl_3"), fullReplay("rpl_4")
		gone.Deleted, later.Deleted = true, true
		later.FinishedAt = epoch.Add(time.Hour)
		running.FinishedAt, running.State = time.Time{}, hook.ReplayRunning
		_, err := w.st.Configure(w.Context(), &store.Change{Replays: []*hook.Replay{gone, over, later, running}})
		w.ok(err)
		w.prune(epoch.Add(time.Minute), nil)
		for range 2 {
			got, err := w.st.Configuration(w.Context(), 0)
			w.ok(err)
			w.same([]*hook.Replay{over, later, running}, got.Replays)
			w.crash()
		}
	}},
	{"ANoteLeavesTheRevision", func(w *world) {
		k, r := &hook.Key{ID: "key_1", Hash: [32]byte{1}, CreatedAt: epoch}, fullReplay("rpl_1")
		rev, err := w.st.Configure(w.Context(), &store.Change{Keys: []*hook.Key{k}, Replays: []*hook.Replay{r}})
		w.ok(err)
		used, on := *k, *r
		used.LastUsedAt, on.Redelivered = epoch.Add(time.Hour), 77
		same, err := w.st.Configure(w.Context(), &store.Change{Base: rev, Note: true, Keys: []*hook.Key{&used}, Replays: []*hook.Replay{&on}})
		w.ok(err)
		w.same(rev, same)
		for range 2 {
			got, err := w.st.Configuration(w.Context(), 0)
			w.ok(err)
			w.same(&store.Configuration{Revision: rev, Keys: []*hook.Key{&used}, Replays: []*hook.Replay{&on}}, got)
			got, err = w.st.Configuration(w.Context(), rev)
			w.ok(err)
			w.same(&store.Configuration{Revision: rev}, got)
			w.crash()
		}
		if _, err := w.st.Configure(w.Context(), &store.Change{Base: rev, Note: true, Endpoints: []*hook.Endpoint{{ID: "ep_1"}}}); err == nil {
			w.Fatal("an endpoint was noted")
		}
		if _, err := w.st.Configure(w.Context(), &store.Change{Base: rev + 1, Note: true, Keys: []*hook.Key{k}}); !errors.Is(err, store.ErrStale) {
			w.Fatalf("got %v, want ErrStale", err)
		}
	}},
	{"OldRequestsAreForgotten", func(w *world) {
		old, young := request("old", w.now), request("young", w.now.Add(time.Hour))
		_, err := w.st.Configure(w.Context(), &store.Change{Requests: []*store.Request{old, young}})
		w.ok(err)
		_, err = w.st.Prune(w.Context(), store.PruneQuery{Before: epoch.Add(-time.Hour), Requests: young.At})
		w.ok(err)
		for r, want := range map[*store.Request]*store.Request{old: nil, young: young} {
			got, err := w.st.Remembered(w.Context(), r.RequestKey, time.Time{})
			w.ok(err)
			w.same(want, got)
		}
	}},
	{"RequestsOfAScopeAreBounded", func(w *world) {
		var many []*store.Request
		for i := range store.MaxRequests {
			many = append(many, request(fmt.Sprint("k", i), w.now))
		}
		_, err := w.st.Configure(w.Context(), &store.Change{Requests: many[1:]})
		w.ok(err)
		_, err = w.st.Configure(w.Context(), &store.Change{Requests: many[:1]})
		w.ok(err)
		for range 2 {
			one := request("more", w.now.Add(time.Minute))
			if _, err := w.st.Configure(w.Context(), &store.Change{Tenants: []*hook.Tenant{{ID: "t"}}, Requests: []*store.Request{one}}); !errors.Is(err, store.ErrTooManyKeys) {
				w.Fatalf("got %v, want ErrTooManyKeys", err)
			}
			if _, err := w.st.Remembered(w.Context(), one.RequestKey, w.now); !errors.Is(err, store.ErrTooManyKeys) {
				w.Fatalf("got %v, want ErrTooManyKeys", err)
			}
			got, err := w.st.Remembered(w.Context(), many[5].RequestKey, w.now)
			w.ok(err)
			w.same(many[5], got)
			w.crash()
		}
		all, err := w.st.Configuration(w.Context(), 0)
		w.ok(err)
		w.same(&store.Configuration{}, all)
		other := request("k", w.now)
		other.Scope = "another"
		later := request("more", w.now.Add(48*time.Hour)) // when the others are out of the window
		_, err = w.st.Configure(w.Context(), &store.Change{Requests: []*store.Request{other, later}})
		w.ok(err)
	}},
	{"NumbersAreNeverGivenTwice", func(w *world) {
		a := &hook.Endpoint{ID: "ep_1"}
		_, err := w.st.Configure(w.Context(), &store.Change{Endpoints: []*hook.Endpoint{a}})
		w.ok(err)
		w.crash()
		b := &hook.Endpoint{ID: "ep_2"}
		_, err = w.st.Configure(w.Context(), &store.Change{Endpoints: []*hook.Endpoint{b}})
		w.ok(err)
		if b.Num <= a.Num {
			w.Fatalf("number %d after %d", b.Num, a.Num)
		}
	}},
}
