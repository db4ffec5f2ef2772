package manage_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
	"grapnel/internal/store"
)

// SM-V1: a record keeps what it had before, as of the revision that the change
// led to.
func TestChangesKeepThePast(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tenant(t, "acme")
	begin := b.dir.Revision()
	put := func(version string) int64 {
		t.Helper()
		if _, err := b.PutTenant(t.Context(), "acme", manage.TenantInput{APIVersion: &version, Name: new(version)}); err != nil {
			t.Fatal(err)
		}
		return b.dir.Revision()
	}
	first := put("2021")
	put("2021") // changes the record, and not the version
	last := put("2022")
	tenant, _ := b.dir.Tenant("acme")
	for revision, want := range map[int64]string{begin: "", first - 1: "", first: "2021", last - 1: "2021", last: "2022", last + 9: "2022"} {
		if got := hook.AsOf(tenant.APIVersion, tenant.PastAPIVersions, revision); got != want {
			t.Errorf("in revision %d the version was %q, want %q", revision, got, want)
		}
	}
	if _, err := b.PutTenant(t.Context(), "acme", manage.TenantInput{APIVersion: new("2023"), Terms: manage.Terms[hook.Tenant]{DryRun: true}}); err != nil {
		t.Fatal(err)
	}
	if after, _ := b.dir.Tenant("acme"); after != tenant {
		t.Error("a dry run changed the past")
	}
}

// A change that was stale is made again, and says the revision that it led to.
func TestPastOfAStaleChange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tenant(t, "acme")
	b.store.before = func() {
		b.store.Configure(t.Context(), &store.Change{Tenants: []*hook.Tenant{{ID: "other"}}})
	}
	if _, err := b.PutTenant(t.Context(), "acme", manage.TenantInput{APIVersion: new("2021")}); err != nil {
		t.Fatal(err)
	}
	tenant, _ := b.dir.Tenant("acme")
	if len(tenant.PastAPIVersions) != 1 || tenant.PastAPIVersions[0].Before != b.dir.Revision() {
		t.Errorf("revision %d, past %+v", b.dir.Revision(), tenant.PastAPIVersions)
	}
}

// The past goes when no event of it can be there any more. It never holds more
// than a thousand values: what would need more is refused, and nothing is lost.
func TestPastEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, func(c *manage.Config) { c.Retention = 30 * 24 * time.Hour })
		b.tenant(t, "acme")
		try := func(version string) error {
			_, err := b.PutTenant(t.Context(), "acme", manage.TenantInput{APIVersion: &version})
			return err
		}
		put := func(version string) []hook.Past[string] {
			t.Helper()
			if err := try(version); err != nil {
				t.Fatal(err)
			}
			tenant, _ := b.dir.Tenant("acme")
			return tenant.PastAPIVersions
		}
		put("1")
		time.Sleep(31 * 24 * time.Hour)
		if past := put("2"); len(past) != 2 {
			t.Errorf("within a day of the retention: %+v", past)
		}
		time.Sleep(time.Hour)
		if past := put("2"); len(past) != 1 || past[0].Value != "1" {
			t.Errorf("want only what version 1 was before 2: %+v", past)
		}
		for i := range 999 {
			put(fmt.Sprint("v", i))
		}
		err := try("one too many")
		refused(t, "a change whose past has no room", err, hook.CodeConflict, "")
		if err == nil || !strings.Contains(err.Error(), "the last 1000 values") || !strings.Contains(err.Error(), "744h0m0s") {
			t.Errorf("%v", err)
		}
		if past := put("v998"); len(past) != 1000 || past[0].Value != "1" || past[999].Value != "v997" {
			t.Errorf("%d values, the first %+v, the last %+v", len(past), past[0], past[len(past)-1])
		}
		time.Sleep(40 * 24 * time.Hour)
		if past := put("v998"); past != nil {
			t.Errorf("want nothing left: %d", len(past))
		}
		if past := put("one too many"); len(past) != 1 {
			t.Errorf("want room again: %d", len(past))
		}
	})
}

// What is the operator's has more room than what customers change.
func TestOperatorsPastHasRoom(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tenant(t, "acme")
	versions := func(i int) *[]hook.TypeVersion {
		return &[]hook.TypeVersion{{Version: "2"}, {Version: "1", Convert: fmt.Sprintf("{a: %d, b: %q}", i, strings.Repeat("x", 4000))}}
	}
	for i := range 200 {
		if _, _, err := b.PutEventType(t.Context(), "a.b", manage.EventTypeInput{Versions: versions(i)}); err != nil {
			t.Fatal(i, err)
		}
	}
}

// Events of a type may be older than what is registered of it, and younger than
// its end.
func TestPastVersionsOfATypeThatComesAndGoes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tenant(t, "acme")
	versions := []hook.TypeVersion{{Version: "1", Convert: "{a}"}}
	before := b.dir.Revision()
	if _, _, err := b.PutEventType(t.Context(), "a.b", manage.EventTypeInput{Versions: &versions}); err != nil {
		t.Fatal(err)
	}
	there := b.dir.Revision()
	if err := b.DeleteEventType(t.Context(), "a.b", manage.Terms[hook.EventType]{}); err != nil {
		t.Fatal(err)
	}
	gone := b.dir.Revision()
	other := []hook.TypeVersion{{Version: "1", Convert: "{b}"}}
	if _, _, err := b.PutEventType(t.Context(), "a.b", manage.EventTypeInput{Versions: &other}); err != nil {
		t.Fatal(err)
	}
	r, ok := b.dir.TypeRecord("a.b")
	if !ok {
		t.Fatal("the type is gone")
	}
	for revision, want := range map[int64][]hook.TypeVersion{before: nil, there: versions, gone: nil, b.dir.Revision(): other} {
		if diff := cmp.Diff(want, hook.AsOf(r.Versions, r.PastVersions, revision)); diff != "" {
			t.Errorf("revision %d: %s", revision, diff)
		}
	}
}

func TestPin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pin := func(url string) int64 {
		t.Helper()
		if err := b.Pin(t.Context(), map[string][]byte{hook.PinnedURL: []byte(url), "dialect/own": []byte("same")}); err != nil {
			t.Fatal(err)
		}
		return b.dir.Revision()
	}
	first := pin("https://a.example")
	if again := pin("https://a.example"); again != first {
		t.Errorf("what did not change led from revision %d to %d", first, again)
	}
	second := pin("https://b.example")
	p := b.dir.Pinned(hook.PinnedURL)
	for revision, want := range map[int64]string{1: "https://a.example", first: "https://a.example", second: "https://b.example"} {
		if got := hook.AsOf(p.Value, p.Past, revision); string(got) != want {
			t.Errorf("in revision %d it was %q, want %q", revision, got, want)
		}
	}
	if own := b.dir.Pinned("dialect/own"); len(own.Past) != 0 {
		t.Errorf("what did not change has a past: %+v", own)
	}
}

// SM-V1: versions are checked when they are stored, against the sample too.
func TestVersionsAreChecked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sample := new([]byte(`{"price":{"value":"1.50"}}`))
	many := make([]hook.TypeVersion, 101)
	for i, c := range []struct {
		versions []hook.TypeVersion
		sample   *[]byte
		field    string
		says     string
	}{
		{[]hook.TypeVersion{{Version: "2022-02-01"}, {Version: "2021-02-23", Convert: "{price: .price.value}"}}, sample, "", ""},
		{[]hook.TypeVersion{{Version: "2", Convert: "{price: .price.value}"}, {Version: "1", Convert: ".price"}}, sample, "", ""},
		{[]hook.TypeVersion{{}}, nil, "/versions/0/version", "missing"},
		{[]hook.TypeVersion{{Version: strings.Repeat("1", 65)}}, nil, "/versions/0/version", ""},
		{[]hook.TypeVersion{{Version: "2"}, {Version: "1"}}, nil, "/versions/1/convert", "missing"},
		{[]hook.TypeVersion{{Version: "2"}, {Version: "2", Convert: "."}}, nil, "/versions/1/version", "not older"},
		{[]hook.TypeVersion{{Version: "2"}, {Version: "10", Convert: "."}}, nil, "/versions/1/version", "the newest stands first"},
		{[]hook.TypeVersion{{Version: "2"}, {Version: "1", Convert: "{"}}, nil, "/versions/1/convert", "not jq"},
		{[]hook.TypeVersion{{Version: "1", Convert: "now"}}, nil, "/versions/0/convert", "the clock"},
		{[]hook.TypeVersion{{Version: "3"}, {Version: "2", Convert: "{price: .price.value}"}, {Version: "1", Convert: ".price.value"}}, sample, "/versions/2/convert", `version "1" of the sample`},
		{[]hook.TypeVersion{{Version: "2", Convert: ".[]"}, {Version: "1", Convert: ".[]"}}, new([]byte("[]")), "/versions/0/convert", "no result"},
		{many, nil, "/versions", "at most"},
	} {
		_, _, err := b.PutEventType(t.Context(), fmt.Sprintf("type.%d", i), manage.EventTypeInput{Versions: &c.versions, Sample: c.sample})
		if c.field == "" {
			if err != nil {
				t.Errorf("%+v: %v", c.versions, err)
			}
			continue
		}
		var e *hook.Error
		if !errors.As(err, &e) || e.Field != c.field || !strings.Contains(e.Message, c.says) {
			t.Errorf("%+v: got %v, want an error at %s that says %q", c.versions, err, c.field, c.says)
		}
	}
	// A sample that comes later is held against the versions that there are.
	_, _, err := b.PutEventType(t.Context(), "type.1", manage.EventTypeInput{Sample: new([]byte(`{"price":[]}`))})
	refused(t, "a sample that does not fit", err, hook.CodeInvalid, "/versions/0/convert")
	et, _, err := b.PutEventType(t.Context(), "type.1", manage.EventTypeInput{Versions: &[]hook.TypeVersion{}})
	if err != nil || len(et.Versions) != 0 || len(et.PastVersions) != 2 {
		t.Errorf("%+v, %v", et, err)
	}
}
