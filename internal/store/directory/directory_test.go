package directory_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
)

// source is a configurator whose answers a test lays out in advance: one
// configuration for each revision.
type source struct {
	store.Configurator
	steps []store.Configuration
}

func (s *source) Configuration(_ context.Context, since int64) (*store.Configuration, error) {
	all := &store.Configuration{Revision: since}
	for _, c := range s.steps {
		if c.Revision > since {
			all.Revision = c.Revision
			all.Tenants = append(all.Tenants, c.Tenants...)
			all.Endpoints = append(all.Endpoints, c.Endpoints...)
			all.Types = append(all.Types, c.Types...)
			all.Keys = append(all.Keys, c.Keys...)
			all.Replays = append(all.Replays, c.Replays...)
			all.Pinned = append(all.Pinned, c.Pinned...)
		}
	}
	return all, nil
}

func endpoint(num hook.EndpointNum, tenant hook.TenantNum, url string) *hook.Endpoint {
	return &hook.Endpoint{ID: "ep_" + string('a'+rune(num)), Num: num, TenantNum: tenant, URL: url, State: hook.EndpointActive}
}

func urls(list []*hook.Endpoint) []string {
	out := []string{}
	for _, e := range list {
		out = append(out, e.URL)
	}
	return out
}

func TestDirectoryFollowsTheStore(t *testing.T) {
	t.Parallel()
	acme := &hook.Tenant{ID: "acme", Num: 1}
	src := &source{steps: []store.Configuration{{
		Revision:  1,
		Tenants:   []*hook.Tenant{acme},
		Endpoints: []*hook.Endpoint{endpoint(2, 1, "two"), endpoint(1, 1, "one")},
		Keys:      []*hook.Key{{ID: "key_1", Hash: [32]byte{1}}},
		Types:     []*hook.EventType{{Name: "a.b"}},
	}}}
	d, err := directory.Load(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	before := d.Endpoints("acme")
	if diff := cmp.Diff([]string{"one", "two"}, urls(before)); diff != "" {
		t.Error(diff)
	}
	var seen []int64
	d.Watch(func(c *store.Configuration) { seen = append(seen, c.Revision) })

	gone := endpoint(1, 1, "one")
	gone.Deleted = true
	src.steps = append(src.steps,
		store.Configuration{Revision: 2, Endpoints: []*hook.Endpoint{gone, endpoint(3, 1, "three")}},
		store.Configuration{Revision: 3, Keys: []*hook.Key{{ID: "key_1", Hash: [32]byte{1}, Deleted: true}}, Types: []*hook.EventType{{Name: "a.b", Deleted: true}}})
	for range 2 { // the second refresh has nothing to tell
		if err := d.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]int64{3}, seen); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"two", "three"}, urls(d.Endpoints("acme"))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"one", "two"}, urls(before)); diff != "" {
		t.Errorf("a list handed out earlier changed: %s", diff)
	}
	if e, ok := d.Endpoint(1); !ok || !e.Deleted {
		t.Error("a deleted endpoint is not found by its number any more")
	}
	if _, ok := d.EndpointByID("acme", gone.ID); ok {
		t.Error("a deleted endpoint is found by its id")
	}
	if _, ok := d.Key([32]byte{1}); ok {
		t.Error("a revoked key is found")
	}
	if _, ok := d.Type("a.b"); ok || len(d.Types()) != 0 {
		t.Error("a deleted type is found")
	}
	if r, ok := d.TypeRecord("a.b"); !ok || !r.Deleted {
		t.Error("what events from before are made with is gone with their type")
	}
}

func TestPinned(t *testing.T) {
	t.Parallel()
	src := &source{steps: []store.Configuration{{Revision: 1, Pinned: []*hook.Pinned{{Name: "a", Value: []byte("1")}}}}}
	d, err := directory.Load(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	src.steps = append(src.steps, store.Configuration{Revision: 2, Pinned: []*hook.Pinned{{Name: "a", Value: []byte("2")}}})
	if err := d.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p := d.Pinned("a"); p == nil || string(p.Value) != "2" || d.Pinned("b") != nil {
		t.Errorf("got %+v and %+v", p, d.Pinned("b"))
	}
}

// case 96: an id that was deleted and given again is another tenant.
func TestTenantIDGivenAgain(t *testing.T) {
	t.Parallel()
	src := &source{steps: []store.Configuration{
		{Revision: 1, Tenants: []*hook.Tenant{{ID: "acme", Num: 1}}, Endpoints: []*hook.Endpoint{endpoint(1, 1, "old")}},
		{Revision: 2, Tenants: []*hook.Tenant{{ID: "acme", Num: 1, Deleted: true}, {ID: "acme", Num: 2}}},
	}}
	d, err := directory.Load(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	tenant, endpoints, ok := d.TenantWithEndpoints("acme")
	if !ok || tenant.Num != 2 || len(endpoints) != 0 {
		t.Errorf("got tenant %v with %d endpoints, want the new one without any", tenant, len(endpoints))
	}
	// The tombstone may also come after the tenant that took the id over.
	src.steps = append(src.steps, store.Configuration{Revision: 3, Tenants: []*hook.Tenant{{ID: "acme", Num: 1, Deleted: true}}})
	if err := d.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if tenant, ok := d.Tenant("acme"); !ok || tenant.Num != 2 {
		t.Error("an old tombstone took the new tenant away")
	}
}

// What was noted is shown, and what is gone does not come back by it.
func TestNote(t *testing.T) {
	t.Parallel()
	k, r := &hook.Key{ID: "key_1", Hash: [32]byte{1}}, &hook.Replay{ID: "rpl_1", TenantNum: 1, State: hook.ReplayRunning}
	d, err := directory.Load(t.Context(), &source{steps: []store.Configuration{{Revision: 3, Keys: []*hook.Key{k}, Replays: []*hook.Replay{r}}}})
	if err != nil {
		t.Fatal(err)
	}
	used, on := *k, *r
	used.Hint, on.Redelivered = "used", 5
	d.Note(&store.Change{
		Keys:    []*hook.Key{&used, {ID: "key_2", Hash: [32]byte{1}}, {ID: "key_3", Hash: [32]byte{3}}},
		Replays: []*hook.Replay{&on, {ID: "rpl_2"}},
	})
	if diff := cmp.Diff([]*hook.Key{&used}, d.Keys()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]*hook.Replay{&on}, d.Replays(hook.AllTenants)); diff != "" {
		t.Error(diff)
	}
	if d.Revision() != 3 {
		t.Errorf("revision %d", d.Revision())
	}

	over := on
	over.State = hook.ReplayCancelled
	d.Note(&store.Change{Replays: []*hook.Replay{&over}})
	d.Note(&store.Change{Replays: []*hook.Replay{&on}}) // from before it ended
	if diff := cmp.Diff([]*hook.Replay{&over}, d.Replays(hook.AllTenants)); diff != "" {
		t.Error(diff)
	}
}

// A deleted endpoint is known by its id until that is given again, in its own
// tenant alone.
func TestDeletedEndpoints(t *testing.T) {
	t.Parallel()
	gone := endpoint(1, 1, "one")
	gone.Deleted = true
	again := endpoint(3, 1, "three")
	again.ID = gone.ID
	src := &source{steps: []store.Configuration{{
		Revision: 1, Tenants: []*hook.Tenant{{ID: "acme", Num: 1}, {ID: "bolt", Num: 2}}, Endpoints: []*hook.Endpoint{gone, endpoint(2, 1, "two")},
	}}}
	d, err := directory.Load(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	look := func(want bool) {
		t.Helper()
		if d.EndpointDeleted("acme", gone.ID) != want || d.EndpointDeleted("bolt", gone.ID) || d.EndpointDeleted("acme", "ep_c") || d.EndpointDeleted("none", gone.ID) {
			t.Errorf("want %v, and no other", want)
		}
		if diff := cmp.Diff([]string{"one"}, urls(d.DeletedEndpoints("acme"))); diff != "" {
			t.Error(diff)
		}
	}
	look(true)
	src.steps = append(src.steps, store.Configuration{Revision: 2, Endpoints: []*hook.Endpoint{again}})
	if err := d.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	look(false)
}

func TestSealed(t *testing.T) {
	t.Parallel()
	one, two := endpoint(1, 1, "one"), endpoint(2, 1, "two")
	one.Secrets = []hook.EndpointSecret{{Sealed: "k1.aaaa.x"}, {Sealed: "k1.bbbb.x"}}
	two.Secrets = []hook.EndpointSecret{{Sealed: "k1.bbbb.y"}, {Sealed: "no form"}}
	two.Headers = []hook.Header{{Name: "Authorization", Sealed: "k1.cccc.x"}}
	src := &source{steps: []store.Configuration{{
		Revision: 1, Tenants: []*hook.Tenant{{ID: "acme", Num: 1, Secrets: map[string]hook.Sealed{"smake": "k1.dddd.x"}}}, Endpoints: []*hook.Endpoint{one, two},
	}}}
	d, err := directory.Load(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	got := d.Sealed()
	slices.Sort(got)
	if diff := cmp.Diff([]hook.Sealed{"k1.aaaa.x", "k1.bbbb.x", "k1.cccc.x", "k1.dddd.x"}, got); diff != "" {
		t.Errorf("one thing that each key has sealed (-want +got):\n%s", diff)
	}
}
