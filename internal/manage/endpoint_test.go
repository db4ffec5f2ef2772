package manage_test

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
	"grapnel/internal/store"
)

func TestEndpointLife(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tenant(t, "acme")
	odd := "https://example.com/Hook?a=%7e#" // echoed exactly as given
	e, secret := b.endpointOf(t, "acme", manage.EndpointInput{
		URL: &odd, EventTypes: &[]string{"invoice.*", "user.created"}, Headers: &[]hook.Header{{Name: "X-Team", Value: "a b"}},
		Filter: new([]byte(` {"field":"data.n","operator":"gt","value":1} `)), Schedule: &[]time.Duration{time.Second, time.Minute},
		Timeout: new(5 * time.Second), RateLimit: new(2.5), MaxInFlight: new(3), Description: new("d"),
	})
	if e.URL != odd || e.State != hook.EndpointActive || e.Dialect != "standard" || !strings.HasPrefix(string(secret), "whsec_") {
		t.Errorf("%+v", e)
	}
	if opened, err := b.ring.Open(e.Secrets[0].Sealed, "acme", e.ID); err != nil || opened != secret {
		t.Errorf("the sealed secret: %v", err)
	}
	// A zero takes a field back; what is absent stays.
	changed, err := b.UpdateEndpoint(t.Context(), "acme", e.ID, manage.EndpointInput{
		Timeout: new(time.Duration(0)), Schedule: new([]time.Duration), Filter: &[]byte{}, EventTypes: &[]string{}, Dialect: new("standard"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := *e
	want.Timeout, want.Schedule, want.Filter, want.EventTypes, want.UpdatedAt = 0, nil, nil, []string{}, changed.UpdatedAt
	if diff := cmp.Diff(&want, changed); diff != "" {
		t.Error(diff)
	}
	if live, _ := b.dir.EndpointByID("acme", e.ID); live.Timeout != 0 || live.RateLimit != 2.5 {
		t.Error("the directory does not see the change")
	}
	if e.Timeout != 5*time.Second {
		t.Error("the record handed out before was changed")
	}
	if err := b.DeleteEndpoint(t.Context(), "acme", e.ID, manage.Terms[hook.Endpoint]{}); err != nil {
		t.Fatal(err)
	}
	gone, _ := b.dir.Endpoint(e.Num)
	if !gone.Deleted || gone.Secrets != nil || gone.Headers != nil || gone.URL != odd {
		t.Errorf("tombstone: %+v", gone)
	}
	if err := b.DeleteEndpoint(t.Context(), "acme", e.ID, manage.Terms[hook.Endpoint]{}); err != nil {
		t.Errorf("delete again: %v", err)
	}
	refused(t, "delete what never was", b.DeleteEndpoint(t.Context(), "acme", "ep_x", manage.Terms[hook.Endpoint]{}), hook.CodeNotFound, "")
}

func TestEndpointStates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.tenant(t, "acme")
		e, _ := b.endpointOf(t, "acme", manage.EndpointInput{})
		begin := e.StateAt
		set := func(s hook.EndpointState) *hook.Endpoint {
			t.Helper()
			time.Sleep(time.Second)
			e, err := b.UpdateEndpoint(t.Context(), "acme", e.ID, manage.EndpointInput{State: &s})
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		if same := set(hook.EndpointActive); !same.StateAt.Equal(begin) {
			t.Error("the same state again counts as a change")
		}
		if paused := set(hook.EndpointPaused); paused.Active() || !paused.StateAt.Equal(begin.Add(2*time.Second)) {
			t.Errorf("%+v", paused)
		}
		if err := b.DisableEndpoint(t.Context(), e.Num, "410 Gone"); err != nil {
			t.Fatal(err)
		}
		at, _ := b.dir.Endpoint(e.Num)
		if at.State != hook.EndpointDisabled || at.StateReason != "410 Gone" {
			t.Errorf("%+v", at)
		}
		if err := b.DisableEndpoint(t.Context(), e.Num, "again"); err != nil {
			t.Fatal(err)
		}
		if still, _ := b.dir.Endpoint(e.Num); still != at {
			t.Error("a second disabling changed it")
		}
		if active := set(hook.EndpointActive); !active.Active() || active.StateReason != "" {
			t.Errorf("%+v", active)
		}
		disabled := hook.EndpointDisabled
		_, err := b.UpdateEndpoint(t.Context(), "acme", e.ID, manage.EndpointInput{State: &disabled})
		refused(t, "disabled by its owner", err, hook.CodeInvalid, "/state")
		for range 2 {
			if err := b.Unsubscribe(t.Context(), e.Num, "410 Gone"); err != nil {
				t.Error(err)
			}
		}
		if gone, _ := b.dir.Endpoint(e.Num); !gone.Deleted || gone.StateReason != "410 Gone" {
			t.Errorf("%+v", gone)
		}
		refused(t, "no such endpoint", b.DisableEndpoint(t.Context(), 999, ""), hook.CodeNotFound, "")
	})
}

// case 74, case 75, case 78
func TestEndpointRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *manage.Config) { c.Retention = 400 * time.Hour })
	b.tenant(t, "acme")
	ok := new("https://example.com/")
	headers := func(h ...hook.Header) manage.EndpointInput { return manage.EndpointInput{URL: ok, Headers: &h} }
	types := func(names ...string) manage.EndpointInput { return manage.EndpointInput{URL: ok, EventTypes: &names} }
	waits := func(w ...time.Duration) manage.EndpointInput { return manage.EndpointInput{URL: ok, Schedule: &w} }
	many := make([]time.Duration, 65)
	for _, c := range []struct {
		name  string
		in    manage.EndpointInput
		code  hook.Code
		field string
	}{
		{"no URL", manage.EndpointInput{}, hook.CodeInvalid, "/url"},
		{"bad URL", manage.EndpointInput{URL: new("ftp://x")}, hook.CodeInvalid, "/url"},
		{"unknown dialect", manage.EndpointInput{URL: ok, Dialect: new("nope")}, hook.CodeInvalid, "/dialect"},
		{"long description", manage.EndpointInput{URL: ok, Description: new(strings.Repeat("ü", 1001))}, hook.CodeInvalid, "/description"},
		{"star", types("*", "a"), hook.CodeInvalid, "/event_types/0"},
		{"star inside", types("a", "a.*.b"), hook.CodeInvalid, "/event_types/1"},
		{"star without dot", types("a*"), hook.CodeInvalid, "/event_types/0"},
		{"empty prefix", types(".*"), hook.CodeInvalid, "/event_types/0"},
		{"empty type", types(""), hook.CodeInvalid, "/event_types/0"},
		{"type twice", types("a", "b", "a"), hook.CodeInvalid, "/event_types/2"},
		{"type with space", types("a b"), hook.CodeInvalid, "/event_types/0"},
		{"bad filter", manage.EndpointInput{URL: ok, Filter: new([]byte(`{"and":[{"field":"x","operator":"eq","value":1}]}`))}, hook.CodeInvalid, "/filter/and/0/field"},
		{"large filter", manage.EndpointInput{URL: ok, Filter: new([]byte(`{"x":"` + strings.Repeat("x", 20_000) + `"}`))}, hook.CodeInvalid, "/filter"},
		{"short timeout", manage.EndpointInput{URL: ok, Timeout: new(time.Millisecond)}, hook.CodeInvalid, "/timeout"},
		{"long timeout", manage.EndpointInput{URL: ok, Timeout: new(2 * time.Minute)}, hook.CodeInvalid, "/timeout"},
		{"negative timeout", manage.EndpointInput{URL: ok, Timeout: new(-time.Second)}, hook.CodeInvalid, "/timeout"},
		{"negative rate", manage.EndpointInput{URL: ok, RateLimit: new(-1.0)}, hook.CodeInvalid, "/rate_limit"},
		{"NaN rate", manage.EndpointInput{URL: ok, RateLimit: new(math.NaN())}, hook.CodeInvalid, "/rate_limit"},
		{"huge rate", manage.EndpointInput{URL: ok, RateLimit: new(1e9)}, hook.CodeInvalid, "/rate_limit"},
		{"in flight", manage.EndpointInput{URL: ok, MaxInFlight: new(-1)}, hook.CodeInvalid, "/max_in_flight"},
		{"zero wait", waits(time.Second, 0), hook.CodeInvalid, "/schedule/1"},
		{"long wait", waits(31 * 24 * time.Hour), hook.CodeInvalid, "/schedule/0"},
		{"many waits", waits(many...), hook.CodeInvalid, "/schedule"},
		{"longer than the retention", waits(200*time.Hour, 200*time.Hour), hook.CodeInvalid, "/schedule"},
		{"state", manage.EndpointInput{URL: ok, State: new(hook.EndpointState("off"))}, hook.CodeInvalid, "/state"},
		{"empty secret", manage.EndpointInput{URL: ok, Secret: new(hook.Secret(""))}, hook.CodeInvalid, "/secret"}, // case 108
		{"short secret", manage.EndpointInput{URL: ok, Secret: new(hook.Secret("whsec_c2hvcnQ="))}, hook.CodeInvalid, "/secret"},
		{"base64url secret", manage.EndpointInput{URL: ok, Secret: new(hook.Secret("whsec_" + strings.Repeat("_-", 20)))}, hook.CodeInvalid, "/secret"},
		{"public key", manage.EndpointInput{URL: ok, Secret: new(hook.Secret("whpk_AAAA"))}, hook.CodeInvalid, "/secret"},

		{"CR LF in a header", headers(hook.Header{Name: "X-A", Value: "a\r\nB: c"}), hook.CodeInvalid, "/headers/X-A"},
		{"NUL in a header", headers(hook.Header{Name: "X-A", Value: "a\x00"}), hook.CodeInvalid, "/headers/X-A"},
		{"outer space", headers(hook.Header{Name: "X-A", Value: " a"}), hook.CodeInvalid, "/headers/X-A"},
		{"header twice by case", headers(hook.Header{Name: "X-A", Value: "a"}, hook.Header{Name: "x-a", Value: "b"}), hook.CodeInvalid, "/headers/x-a"},
		{"header of 1 MB", headers(hook.Header{Name: "X-A", Value: strings.Repeat("a", 1<<20)}), hook.CodeInvalid, "/headers/X-A"},
		{"long name", headers(hook.Header{Name: strings.Repeat("X", 1<<20), Value: "a"}), hook.CodeInvalid, "/headers"},
		{"no name", headers(hook.Header{Name: "", Value: "a"}), hook.CodeInvalid, "/headers"},
		{"name with space", headers(hook.Header{Name: "X A", Value: "a"}), hook.CodeInvalid, "/headers"},
		{"name with break", headers(hook.Header{Name: "X\nA", Value: "a"}), hook.CodeInvalid, "/headers"},
		{"many headers", headers(make([]hook.Header, 33)...), hook.CodeInvalid, "/headers"},
		{"host", headers(hook.Header{Name: "Host", Value: "a"}), hook.CodeInvalid, "/headers/Host"},
		{"length", headers(hook.Header{Name: "content-LENGTH", Value: "1"}), hook.CodeInvalid, "/headers/content-LENGTH"},
		{"transfer", headers(hook.Header{Name: "Transfer-Encoding", Value: "a"}), hook.CodeInvalid, "/headers/Transfer-Encoding"},
		{"connection", headers(hook.Header{Name: "Connection", Value: "a"}), hook.CodeInvalid, "/headers/Connection"},
		{"expect", headers(hook.Header{Name: "Expect", Value: "100-continue"}), hook.CodeInvalid, "/headers/Expect"},
		{"upgrade", headers(hook.Header{Name: "Upgrade", Value: "a"}), hook.CodeInvalid, "/headers/Upgrade"},
		{"te", headers(hook.Header{Name: "TE", Value: "a"}), hook.CodeInvalid, "/headers/TE"},
		{"trailer", headers(hook.Header{Name: "Trailer", Value: "a"}), hook.CodeInvalid, "/headers/Trailer"},
		{"proxy", headers(hook.Header{Name: "Proxy-Authorization", Value: "a"}), hook.CodeInvalid, "/headers/Proxy-Authorization"},
		{"webhook", headers(hook.Header{Name: "Webhook-Anything", Value: "a"}), hook.CodeInvalid, "/headers/Webhook-Anything"},
		{"idempotency", headers(hook.Header{Name: "Idempotency-Key", Value: "a"}), hook.CodeInvalid, "/headers/Idempotency-Key"},
		{"x-idempotency", headers(hook.Header{Name: "x-idempotency-key", Value: "a"}), hook.CodeInvalid, "/headers/x-idempotency-key"},
		{"one of the dialect's", manage.EndpointInput{URL: ok, Dialect: new("own"), Headers: &[]hook.Header{{Name: "x-own-signature", Value: "a"}}}, hook.CodeInvalid, "/headers/x-own-signature"},

		{"types where all come", manage.EndpointInput{URL: ok, Dialect: new("own"), EventTypes: &[]string{"a"}}, manage.CodeUnsuitable, "/event_types"},
		{"no type where one is due", manage.EndpointInput{URL: ok, Dialect: new("optional")}, manage.CodeUnsuitable, "/event_types"},
		{"a prefix where one is due", manage.EndpointInput{URL: ok, Dialect: new("optional"), EventTypes: &[]string{"a.*"}}, manage.CodeUnsuitable, "/event_types"},
		{"secret where the tenant's signs", manage.EndpointInput{URL: ok, Dialect: new("own"), Secret: new(hook.Secret("s"))}, manage.CodeUnsuitable, "/secret"},
		{"secret where none is known", manage.EndpointInput{URL: ok, Dialect: new("mute"), Secret: new(hook.Secret("s"))}, hook.CodeInvalid, "/secret"},
	} {
		_, _, err := b.CreateEndpoint(t.Context(), "acme", c.in)
		refused(t, c.name, err, c.code, c.field)
		if c.in.Secret != nil && len(*c.in.Secret) > 1 && err != nil && strings.Contains(err.Error(), string(*c.in.Secret)[6:]) && len(*c.in.Secret) > 6 {
			t.Errorf("%s: the error shows the secret", c.name)
		}
	}
	if n := len(b.dir.Endpoints("acme")); n != 0 {
		t.Errorf("%d refused endpoints were stored", n)
	}
	_, _, err := b.CreateEndpoint(t.Context(), "nobody", manage.EndpointInput{URL: ok})
	refused(t, "no tenant", err, hook.CodeNotFound, "")
}

func TestEndpointLimits(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *manage.Config) { c.MaxEndpoints = 2; c.CheckFilter = nil })
	b.tenant(t, "acme")
	b.endpointOf(t, "acme", manage.EndpointInput{})
	e, _ := b.endpointOf(t, "acme", manage.EndpointInput{})
	_, _, err := b.CreateEndpoint(t.Context(), "acme", manage.EndpointInput{URL: new("https://example.com/")})
	refused(t, "one too many", err, hook.CodeConflict, "") // case 78
	_, err = b.UpdateEndpoint(t.Context(), "acme", e.ID, manage.EndpointInput{Filter: new([]byte(`{}`))})
	refused(t, "filters off", err, hook.CodeInvalid, "/filter")
	_, err = b.UpdateEndpoint(t.Context(), "acme", e.ID, manage.EndpointInput{Dialect: new("mute")})
	refused(t, "another dialect", err, hook.CodeInvalid, "/dialect")
	_, err = b.UpdateEndpoint(t.Context(), "acme", e.ID, manage.EndpointInput{Secret: new(hook.Secret("x"))})
	refused(t, "secret by patch", err, hook.CodeInvalid, "/secret")
	b.tenant(t, "other")
	_, err = b.UpdateEndpoint(t.Context(), "other", e.ID, manage.EndpointInput{}) // case 94
	refused(t, "another tenant's", err, hook.CodeNotFound, "")
}

func TestFirstSecret(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tenant(t, "acme")
	given := hook.Secret("whsec_Z2l2ZW4tZ2l2ZW4tZ2l2ZW4tZ2l2ZW4tMDAwMQ==")
	plain := hook.Secret("ü and space ")
	for _, c := range []struct {
		dialect string
		types   []string
		given   *hook.Secret
		want    string // "" none, "*" made, else as it is
	}{
		{"standard", nil, nil, "*"},
		{"standard", nil, &given, string(given)},
		{"own", nil, nil, ""},
		{"optional", []string{"a"}, nil, ""},
		{"optional", []string{"a"}, &plain, string(plain)},
		{"mute", nil, nil, ""},
	} {
		e, secret := b.endpointOf(t, "acme", manage.EndpointInput{Dialect: &c.dialect, EventTypes: &c.types, Secret: c.given})
		made := c.want == "*" && secret != ""
		if !made && string(secret) != c.want {
			t.Errorf("%s: wrong secret", c.dialect)
		}
		if (len(e.Secrets) == 1) != (c.want != "") {
			t.Errorf("%s: %d secrets", c.dialect, len(e.Secrets))
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.tenant(t, "acme")
		e, first := b.endpointOf(t, "acme", manage.EndpointInput{})
		rotate := func(r manage.Rotation) (*hook.Endpoint, hook.Secret) {
			t.Helper()
			e, secret, err := b.RotateSecret(t.Context(), "acme", e.ID, r)
			if err != nil {
				t.Fatal(err)
			}
			return e, secret
		}
		now := e.CreatedAt
		got, second := rotate(manage.Rotation{})
		if first == second || len(got.Secrets) != 2 || !got.Secrets[0].ExpiresAt.IsZero() || !got.Secrets[1].ExpiresAt.Equal(now.Add(24*time.Hour)) {
			t.Errorf("%+v", got.Secrets)
		}
		if opened, err := b.ring.Open(got.Secrets[1].Sealed, "acme", e.ID); err != nil || opened != first {
			t.Errorf("the old secret: %v", err)
		}
		time.Sleep(time.Hour)
		// A later, shorter overlap ends older secrets sooner, a longer one does
		// not keep them.
		got, _ = rotate(manage.Rotation{Overlap: new(48 * time.Hour)})
		if ends := []time.Time{got.Secrets[1].ExpiresAt, got.Secrets[2].ExpiresAt}; !ends[0].Equal(now.Add(49*time.Hour)) || !ends[1].Equal(now.Add(24*time.Hour)) {
			t.Errorf("%v", ends)
		}
		time.Sleep(24 * time.Hour)
		got, _ = rotate(manage.Rotation{Overlap: new(time.Hour)})
		if len(got.Secrets) != 3 {
			t.Errorf("%d secrets, want 3: the expired one has gone", len(got.Secrets))
		}
		given := hook.Secret("whsec_Z2l2ZW4tZ2l2ZW4tZ2l2ZW4tZ2l2ZW4tMDAwMQ==")
		got, shown := rotate(manage.Rotation{Secret: &given, Overlap: new(time.Duration(0))})
		if len(got.Secrets) != 1 || shown != given {
			t.Errorf("overlap 0: %d secrets", len(got.Secrets))
		}
		for range 4 {
			rotate(manage.Rotation{})
		}
		_, _, err := b.RotateSecret(t.Context(), "acme", e.ID, manage.Rotation{})
		refused(t, "too many at once", err, hook.CodeConflict, "")
		_, _, err = b.RotateSecret(t.Context(), "acme", e.ID, manage.Rotation{Overlap: new(-time.Second)})
		refused(t, "negative overlap", err, hook.CodeInvalid, "/overlap")
		_, _, err = b.RotateSecret(t.Context(), "acme", e.ID, manage.Rotation{Overlap: new(1000 * time.Hour)})
		refused(t, "long overlap", err, hook.CodeInvalid, "/overlap")
		_, _, err = b.RotateSecret(t.Context(), "acme", e.ID, manage.Rotation{Secret: new(hook.Secret("x"))})
		refused(t, "bad secret", err, hook.CodeInvalid, "/secret")
		for _, d := range []string{"own", "mute"} {
			other, _ := b.endpointOf(t, "acme", manage.EndpointInput{Dialect: &d})
			_, _, err = b.RotateSecret(t.Context(), "acme", other.ID, manage.Rotation{})
			if hook.CodeOf(err) != manage.CodeUnsuitable {
				t.Errorf("%s: %v", d, err)
			}
		}
	})
}

// What has signed for the last time is not kept.
func TestDropExpiredSecrets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t)
		b.tenant(t, "acme")
		first, _ := b.endpointOf(t, "acme", manage.EndpointInput{})
		second, _ := b.endpointOf(t, "acme", manage.EndpointInput{})
		b.endpointOf(t, "acme", manage.EndpointInput{})
		for id, overlap := range map[string]time.Duration{first.ID: time.Hour, second.ID: 3 * time.Hour} {
			for range 2 {
				if _, _, err := b.RotateSecret(t.Context(), "acme", id, manage.Rotation{Overlap: &overlap}); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, step := range []struct {
			wait                     time.Duration
			dropped, changes         int
			firstSecrets, secondOnes int
		}{{0, 0, 0, 3, 3}, {time.Hour, 2, 1, 1, 3}, {time.Hour, 0, 0, 1, 3}, {48 * time.Hour, 2, 1, 1, 1}} {
			time.Sleep(step.wait)
			before := b.dir.Revision()
			n, err := b.DropExpiredSecrets(t.Context())
			one, _ := b.dir.EndpointByID("acme", first.ID)
			two, _ := b.dir.EndpointByID("acme", second.ID)
			if err != nil || n != step.dropped || b.dir.Revision()-before != int64(step.changes) || len(one.Secrets) != step.firstSecrets || len(two.Secrets) != step.secondOnes {
				t.Errorf("after %s: dropped %d, %v; %d and %d left", step.wait, n, err, len(one.Secrets), len(two.Secrets))
			}
			if !one.Secrets[0].ExpiresAt.IsZero() || !two.Secrets[0].ExpiresAt.IsZero() {
				t.Error("the secret that stays has gone")
			}
		}
	})
}

// case 104, case 105
func TestSecretsStayHidden(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tenant(t, "acme")
	e, secret := b.endpointOf(t, "acme", manage.EndpointInput{})
	_, rotated, err := b.RotateSecret(t.Context(), "acme", e.ID, manage.Rotation{})
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := b.CreateKey(t.Context(), manage.KeyInput{Scopes: []hook.Scope{hook.ScopeAdmin}})
	if err != nil {
		t.Fatal(err)
	}
	stored, _ := b.store.Configuration(t.Context(), 0)
	for _, s := range []hook.Secret{secret, rotated, key} {
		if strings.Contains(b.log.String(), string(s)) {
			t.Error("the log shows a secret")
		}
		if text := dump(t, stored); strings.Contains(text, string(s)) {
			t.Error("the store holds a secret in clear")
		}
	}
	other, _ := b.endpointOf(t, "acme", manage.EndpointInput{})
	if _, err := b.ring.Open(e.Secrets[0].Sealed, "acme", other.ID); err == nil {
		t.Error("a secret opens at another endpoint")
	}
}

// case 104: a credential is sealed when it is set; one of a folder from before
// is at the next change, whatever that changes.
func TestCredentialsAreSealed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.tenant(t, "acme")
	given := []hook.Header{{Name: "X-Team", Value: "a"}, {Name: "Authorization", Value: "Bearer canary"}}
	check := func(what string, e *hook.Endpoint) {
		t.Helper()
		if e.Headers[0] != given[0] || e.Headers[1].Value != "" || e.Headers[1].Sealed == "" {
			t.Errorf("%s: %+v", what, e.Headers)
		}
		opened, err := b.ring.OpenHeaders(e.Headers, e.Tenant, e.ID)
		if diff := cmp.Diff(given, opened); err != nil || diff != "" {
			t.Errorf("%s: %v %s", what, err, diff)
		}
	}
	e, _ := b.endpointOf(t, "acme", manage.EndpointInput{URL: new("https://example.com/"), Headers: &given})
	check("created", e)
	for what, change := range map[string]func(id string) error{
		"patched": func(id string) error {
			_, err := b.UpdateEndpoint(t.Context(), "acme", id, manage.EndpointInput{Description: new("d")})
			return err
		},
		"put": func(id string) error {
			_, err := b.PutEndpoint(t.Context(), "acme", id, manage.EndpointInput{Description: new("d")})
			return err
		},
		"rotated": func(id string) error {
			_, _, err := b.RotateSecret(t.Context(), "acme", id, manage.Rotation{})
			return err
		},
		"disabled": func(id string) error {
			e, _ := b.dir.EndpointByID("acme", id)
			return b.DisableEndpoint(t.Context(), e.Num, "gone")
		},
	} {
		e, _ := b.endpointOf(t, "acme", manage.EndpointInput{URL: new("https://example.com/")})
		before := *e
		before.Headers = given
		if _, err := b.store.Configure(t.Context(), &store.Change{Endpoints: []*hook.Endpoint{&before}}); err != nil {
			t.Fatal(err)
		}
		if err := b.dir.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := change(e.ID); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		e, _ = b.dir.EndpointByID("acme", e.ID)
		check(what, e)
	}
}
