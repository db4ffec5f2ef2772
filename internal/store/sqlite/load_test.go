package sqlite_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/sqlite"
)

// The pieces of a configuration are together what Configuration returns.
func TestLoadConfiguration(t *testing.T) {
	t.Parallel()
	st, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	c := &store.Change{
		Types: []*hook.EventType{{Name: "a.b"}}, Keys: []*hook.Key{{ID: "key_1"}}, Pinned: []*hook.Pinned{{Name: "p"}},
	}
	for i := range 700 {
		c.Tenants = append(c.Tenants, &hook.Tenant{ID: fmt.Sprint("t", i), PastSettings: []hook.Past[map[string]string]{{Before: int64(i)}}})
		c.Endpoints = append(c.Endpoints, &hook.Endpoint{ID: fmt.Sprint("e", i), URL: "https://a.example/?a&b", Deleted: i%7 == 0},
			&hook.Endpoint{ID: fmt.Sprint("f", i), PastFields: []hook.Past[[]string]{{Before: int64(i)}}})
	}
	if _, err := st.Configure(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	want, err := st.Configuration(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	got := &store.Configuration{}
	err = st.LoadConfiguration(t.Context(), func(piece *store.Configuration) error {
		if len(piece.Tenants) > 0 && len(got.Endpoints) > 0 {
			t.Error("a tenant after an endpoint")
		}
		got.Revision = piece.Revision
		got.Tenants = append(got.Tenants, piece.Tenants...)
		got.Endpoints = append(got.Endpoints, piece.Endpoints...)
		got.Types = append(got.Types, piece.Types...)
		got.Keys = append(got.Keys, piece.Keys...)
		got.Replays = append(got.Replays, piece.Replays...)
		got.Pinned = append(got.Pinned, piece.Pinned...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	stop := fmt.Errorf("no more")
	n := 0
	if err := st.LoadConfiguration(t.Context(), func(*store.Configuration) error { n++; return stop }); err == nil || n != 1 {
		t.Errorf("%v after %d pieces", err, n)
	}
}
