package sqlite_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/sqlite"
)

// unpack writes a folder that an earlier program left.
func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o700)
		} else {
			var content []byte
			if content, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(path, content, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// case 14: what a program with the first schema left is brought up to date, with
// all that is in it. The folder was written by that program: a tenant, an
// endpoint, five events cut into two segments; the second one's delivery has
// failed, the first and third one's were made.
func TestOpensTheFirstSchema(t *testing.T) {
	t.Parallel()
	f := newFolder(t, sqlite.Options{SegmentEvents: 3})
	unpack(t, "testdata/schema1.tar.gz", f.dir)
	f.open(t)
	replay := &hook.Replay{ID: "rpl_1", Tenant: "acme", State: hook.ReplayRunning}
	request := &store.Request{RequestKey: store.RequestKey{Scope: "s", Key: "k"}, At: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC), Answer: []byte("a")}
	rev, err := f.st.Configure(t.Context(), &store.Change{Base: 1, Replays: []*hook.Replay{replay}, Requests: []*store.Request{request}})
	if err != nil || rev != 2 {
		t.Fatalf("revision %d, %v", rev, err)
	}
	for range 2 {
		c, err := f.st.Configuration(t.Context(), 0)
		if err != nil || len(c.Tenants) != 1 || len(c.Endpoints) != 1 || c.Endpoints[0].URL != "https://example.com/" || len(c.Replays) != 1 {
			t.Fatalf("configuration is %+v, %v", c, err)
		}
		p, err := f.st.Deliveries(t.Context(), store.DeliveryQuery{Tenant: 1, Oldest: true, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		var states []hook.DeliveryState
		for _, d := range p.Deliveries {
			states = append(states, d.State)
		}
		diff(t, []hook.DeliveryState{hook.Delivered, hook.Failed, hook.Delivered, hook.Pending, hook.Pending}, states)
		got, err := f.st.Remembered(t.Context(), request.RequestKey, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		diff(t, request, got)
		f.reopen(t)
	}
}

func diff(t *testing.T, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("(-want +got):\n%s", d)
	}
}
