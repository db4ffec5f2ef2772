package directory_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"grapnel/internal/hook"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
)

// model is a directory that goes through everything for each answer.
type model struct {
	tenants   map[hook.TenantNum]*hook.Tenant
	endpoints map[hook.EndpointNum]*hook.Endpoint
}

func (m *model) apply(c *store.Configuration) {
	for _, t := range c.Tenants {
		m.tenants[t.Num] = t
	}
	for _, e := range c.Endpoints {
		m.endpoints[e.Num] = e
	}
}

func (m *model) tenant(id string) *hook.Tenant {
	for _, t := range m.tenants {
		if t.ID == id && !t.Deleted {
			return t
		}
	}
	return nil
}

// of lists the endpoints of a tenant that are deleted or not.
func (m *model) of(tenant hook.TenantNum, deleted bool) (out []*hook.Endpoint) {
	for _, e := range m.endpoints {
		if e.TenantNum == tenant && e.Deleted == deleted {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *hook.Endpoint) int { return cmp.Compare(a.Num, b.Num) })
	return out
}

// lastOfEach leaves the last one of each id.
func lastOfEach(list []*hook.Endpoint) (out []*hook.Endpoint) {
	for i, e := range list {
		if !slices.ContainsFunc(list[i+1:], func(later *hook.Endpoint) bool { return later.ID == e.ID }) {
			out = append(out, e)
		}
	}
	return out
}

// changes draws what one revision changes of few tenants and endpoints.
type changes struct {
	m        *model
	revision int64
	next     int64 // number to give
}

func (g *changes) draw(t *rapid.T) store.Configuration {
	g.revision++
	c := store.Configuration{Revision: g.revision}
	for range rapid.IntRange(0, 2).Draw(t, "tenants") {
		c.Tenants = append(c.Tenants, g.tenant(t))
		g.m.apply(&c)
	}
	for range rapid.IntRange(0, 6).Draw(t, "endpoints") {
		c.Endpoints = append(c.Endpoints, g.endpoint(t))
		g.m.apply(&c)
	}
	return c
}

func (g *changes) tenant(t *rapid.T) *hook.Tenant {
	id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "tenant")
	if old := g.m.tenant(id); old != nil {
		now := *old
		now.Deleted = rapid.Bool().Draw(t, "deleted")
		now.Name = fmt.Sprint("revision ", g.revision)
		now.LinkEpoch = rapid.Int64Range(0, 3).Draw(t, "epoch")
		now.Connection = nil
		if rapid.Bool().Draw(t, "lost") {
			now.Connection = &hook.Connection{Code: 1}
		}
		return &now
	}
	g.next++
	return &hook.Tenant{ID: id, Num: hook.TenantNum(g.next), SecretMarks: map[string]string{"family": id}}
}

func (g *changes) endpoint(t *rapid.T) *hook.Endpoint {
	if len(g.m.endpoints) > 0 && rapid.Bool().Draw(t, "old") {
		now := *g.m.endpoints[rapid.SampledFrom(slices.Sorted(maps.Keys(g.m.endpoints))).Draw(t, "endpoint")]
		now.Deleted = rapid.Bool().Draw(t, "deleted")
		now.State = rapid.SampledFrom([]hook.EndpointState{hook.EndpointActive, hook.EndpointPaused, "other"}).Draw(t, "state")
		now.URL = strings.Repeat(fmt.Sprint("https://", g.revision), rapid.IntRange(1, 300).Draw(t, "long"))
		now.Secrets = nil
		if rapid.Bool().Draw(t, "expires") {
			now.Secrets = []hook.EndpointSecret{{Sealed: "s", ExpiresAt: time.Unix(g.revision, 0).UTC()}}
		}
		return &now
	}
	g.next++
	e := &hook.Endpoint{
		ID: rapid.SampledFrom([]string{"x", "y", "z", "ep_00000000000000000000000000"}).Draw(t, "id"), Num: hook.EndpointNum(g.next), State: hook.EndpointActive,
		TenantNum: hook.TenantNum(rapid.Int64Range(1, max(g.next, 4)).Draw(t, "of")), Dialect: rapid.SampledFrom([]string{"standard", "family@a"}).Draw(t, "dialect"),
	}
	if rapid.IntRange(0, 9).Draw(t, "far") == 0 {
		e.Num += 1 << 40
	}
	if e.Dialect != "standard" {
		e.VendorID = fmt.Sprint(g.next)
	}
	return e
}

// compare asks both the same.
func compare(t *rapid.T, m *model, d *directory.Directory) {
	same := func(what string, want, got any) {
		t.Helper()
		if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s: %s", what, diff)
		}
	}
	states, dialects, expiring, lost := map[hook.EndpointState]int{}, map[string]int{}, []hook.EndpointNum{}, []hook.TenantNum{}
	for num, want := range m.tenants {
		got, ok := d.TenantByNum(num)
		same("tenant by number", want, got)
		if !ok || want.Deleted {
			continue
		}
		if want.Connection != nil {
			lost = append(lost, num)
		}
		live := m.of(num, false)
		for _, e := range live {
			states[e.State]++
			dialects[e.Dialect]++
			if len(e.Secrets) > 0 {
				expiring = append(expiring, e.Num)
			}
		}
	}
	ids := []string{}
	for _, id := range []string{"a", "b", "c"} {
		want := m.tenant(id)
		got, endpoints, ok := d.TenantWithEndpoints(id)
		same("tenant "+id, want, got)
		if ok != (want != nil) {
			t.Fatalf("tenant %s: %t", id, ok)
		}
		marked, _ := d.TenantBySecretMark("family", id)
		same("tenant by mark", want, marked)
		if want == nil {
			continue
		}
		ids = append(ids, id)
		live, gone := m.of(want.Num, false), m.of(want.Num, true)
		same("endpoints", live, endpoints)
		same("their number", len(live), d.EndpointCount(id))
		same("deleted endpoints", lastOfEach(gone), d.DeletedEndpoints(id))
		var outlined []hook.EndpointNum
		version, _ := d.Outlines(id, func(o *directory.Outline) {
			outlined = append(outlined, o.Num)
			if e := m.endpoints[o.Num]; o.Active() != e.Active() || o.Dialect != e.Dialect || o.Tenant != want.Num {
				t.Fatalf("outline %+v of %+v", o, e)
			}
		})
		if again, n, ok := d.EndpointsVersion(id); !ok || again != version || n != len(outlined) {
			t.Fatalf("version %d, %d endpoints; want %d, %d", again, n, version, len(outlined))
		}
		for _, e := range []string{"x", "y", "ep_00000000000000000000000000"} {
			hasID := func(x *hook.Endpoint) bool { return x.ID == e }
			got, ok := d.EndpointByID(id, e)
			if i := slices.IndexFunc(live, hasID); i >= 0 {
				same("endpoint by id", live[i], got)
			} else if ok {
				t.Fatalf("there is an endpoint %s", e)
			}
			same("endpoint is deleted", slices.ContainsFunc(gone, hasID) && !ok, d.EndpointDeleted(id, e))
		}
	}
	same("ids", ids, slices.Clone(d.TenantIDs()))
	for num, want := range m.endpoints {
		got, _ := d.Endpoint(num)
		same("endpoint by number", want, got)
		if want.VendorID != "" {
			got, _ = d.EndpointByVendorID("family", want.VendorID)
			same("endpoint by the vendor's id", want, got)
		}
	}
	same("states", states, d.CountEndpoints())
	same("dialects", dialects, d.CountDialects())
	got := []hook.EndpointNum{}
	for _, e := range d.ExpiringSecrets() {
		got = append(got, e.Num)
	}
	slices.Sort(expiring)
	same("expiring", expiring, got)
	gotLost := []hook.TenantNum{}
	for _, t := range d.LostConnections() {
		gotLost = append(gotLost, t.Num)
	}
	slices.Sort(lost)
	same("lost", lost, gotLost)
}

// The directory answers as one that goes through everything, whatever changes,
// with next to no unpacked records kept; loaded anew as well as grown.
func TestDirectoryAgainstAModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &model{tenants: map[hook.TenantNum]*hook.Tenant{}, endpoints: map[hook.EndpointNum]*hook.Endpoint{}}
		g := &changes{m: m}
		src := &source{}
		d, err := directory.LoadSmall(t.Context(), src)
		if err != nil {
			t.Fatal(err)
		}
		versions := map[string]int64{}
		for range rapid.IntRange(1, 12).Draw(t, "revisions") {
			src.steps = append(src.steps, g.draw(t))
			if rapid.IntRange(0, 3).Draw(t, "load") == 0 {
				d, err = directory.LoadSmall(t.Context(), src)
			} else {
				before := d.Revision()
				err = d.Refresh(t.Context())
				checkVersions(t, d, before, versions, src.steps)
			}
			if err != nil {
				t.Fatal(err)
			}
			compare(t, m, d)
			for _, id := range d.TenantIDs() {
				versions[id], _, _ = d.EndpointsVersion(id)
			}
		}
	})
}

// checkVersions looks that a tenant whose endpoints have changed has another
// version of them.
func checkVersions(t *rapid.T, d *directory.Directory, since int64, versions map[string]int64, steps []store.Configuration) {
	for _, c := range steps {
		if c.Revision <= since {
			continue
		}
		for _, e := range c.Endpoints {
			of, ok := d.TenantByNum(e.TenantNum)
			if !ok || of.Deleted {
				continue
			}
			if now, n, _ := d.EndpointsVersion(of.ID); n > 0 && now == versions[of.ID] {
				t.Fatalf("the endpoints of %s changed, their version %d did not", of.ID, now)
			}
		}
	}
}

// Who reads while everything changes and moves finds whole records, each as it
// was in some revision.
func TestReadersBesideChanges(t *testing.T) {
	t.Parallel()
	const endpoints = 3000
	step := func(revision int64) store.Configuration {
		c := store.Configuration{Revision: revision, Tenants: []*hook.Tenant{{ID: "a", Num: 1, Name: fmt.Sprint(revision)}}}
		for i := range hook.EndpointNum(endpoints) {
			if revision > 1 && i%7 != hook.EndpointNum(revision%7) {
				continue
			}
			c.Endpoints = append(c.Endpoints, &hook.Endpoint{ID: fmt.Sprint("e", i), Num: i + 1, TenantNum: 1, State: hook.EndpointActive,
				URL: strings.Repeat(fmt.Sprint(revision), 1500), Description: fmt.Sprint(revision)})
		}
		return c
	}
	src := &changing{now: step(1)}
	d, err := directory.Load(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				e, ok := d.Endpoint(hook.EndpointNum(1 + i%endpoints))
				if !ok || e.URL != strings.Repeat(e.Description, 1500) {
					t.Errorf("endpoint %d: %+v", i, e)
					return
				}
				if _, all, ok := d.TenantWithEndpoints("a"); i%500 == 0 && (!ok || len(all) != endpoints) {
					t.Errorf("%d endpoints", len(all))
					return
				}
			}
		})
	}
	for revision := range int64(40) {
		src.now = step(revision + 2)
		if err := d.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
		if revision%10 == 0 {
			runtime.GC() // memory that nobody holds is given back
		}
	}
	close(done)
	readers.Wait()
}

// changing is a configurator that has one change at a time.
type changing struct {
	store.Configurator
	now store.Configuration
}

func (c *changing) Configuration(context.Context, int64) (*store.Configuration, error) {
	now := c.now
	return &now, nil
}
