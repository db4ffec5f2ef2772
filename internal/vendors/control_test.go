package vendors_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/ingest"
	"grapnel/internal/manage"
)

// has checks an error's code and the field that it names.
func has(t *testing.T, err error, code hook.Code, field string) {
	t.Helper()
	var e *hook.Error
	if !errors.As(err, &e) || e.Code != code || e.Field != field {
		t.Errorf("%T %v, want %s at %q", err, err, code, field)
	}
}

func hookInput(url string, types ...string) dialect.HookInput {
	return dialect.HookInput{URL: &url, EventTypes: &types}
}

func TestHooksAreEndpoints(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tenant("acme")
	w.tenant("other")
	key := w.key([]string{"acme"}, hook.ScopeManage)
	w.as("propstack", key, func(c dialect.Control, _ dialect.Caller, a dialect.Account) {
		ctx := t.Context()
		first, secret, err := a.Create(ctx, hookInput("https://a.example/1", "client_created"))
		must(t, err)
		if first.VendorID != "1" || first.Dialect != "propstack" || secret != "" {
			t.Errorf("%+v, a secret of %d bytes", first, len(secret))
		}
		if e, ok := w.dir.EndpointByID("acme", first.ID); !ok || e.URL != "https://a.example/1" {
			t.Error("the hook is no endpoint")
		}
		w.endpoint("other", "propstack", "https://other.example/") // takes the number 2
		w.endpoint("acme", "smake", "https://a.example/smake")     // another vendor's
		in := hookInput("https://a.example/3", "client_updated")
		in.Secret, in.Active = new(hook.Secret("s3cret")), new(bool)
		third, secret, err := a.Create(ctx, in)
		must(t, err)
		if third.VendorID != "3" || secret != "s3cret" || third.State != hook.EndpointPaused {
			t.Errorf("%+v", third)
		}
		if all := a.Hooks(); len(all) != 2 || all[0].Num != first.Num || all[1].Num != third.Num {
			t.Errorf("hooks: %v", all)
		}
		if _, err := a.Hook("2"); hook.CodeOf(err) != hook.CodeNotFound {
			t.Errorf("another tenant's hook: %v", err)
		}
		if opened, err := a.Secret(third); err != nil || opened != "s3cret" {
			t.Errorf("secret: %v", err)
		}

		third, err = a.Update(ctx, "3", dialect.HookInput{Active: new(true), Secret: new(hook.Secret("another"))})
		must(t, err)
		if opened, err := a.Secret(third); err != nil || opened != "another" || len(third.Secrets) != 1 || !third.Active() || third.URL != "https://a.example/3" {
			t.Errorf("changed: %+v, %v", third, err)
		}
		third, err = a.Update(ctx, "3", dialect.HookInput{Secret: new(hook.Secret(""))})
		must(t, err)
		if opened, err := a.Secret(third); err != nil || opened != "" || len(third.Secrets) != 0 {
			t.Errorf("without a secret: %+v, %v", third, err)
		}
		_, err = a.Update(ctx, "2", dialect.HookInput{Active: new(false)})
		has(t, err, hook.CodeNotFound, "")

		must(t, a.Delete(ctx, "1"))
		has(t, a.Delete(ctx, "1"), hook.CodeNotFound, "")
		has(t, a.Delete(ctx, "2"), hook.CodeNotFound, "")
		if _, err := a.Hook("1"); hook.CodeOf(err) != hook.CodeNotFound {
			t.Errorf("a deleted hook: %v", err)
		}
		fourth, _, err := a.Create(ctx, hookInput("https://a.example/4", "task_created"))
		if err != nil || fourth.VendorID != "4" { // no id is given twice
			t.Errorf("%+v, %v", fourth, err)
		}
		if c.PublicURL() != "https://hooks.example" {
			t.Errorf("public URL %q", c.PublicURL())
		}
	})
}

func TestActivatingEndsADisabling(t *testing.T) { // A2-LOST3
	t.Parallel()
	w := newWorld(t)
	w.tenant("acme")
	e := w.endpoint("acme", "api2cart", "https://a.example/")
	must(t, w.manager.DisableEndpoint(t.Context(), e.Num, "gone"))
	w.as("api2cart", w.key([]string{"acme"}, hook.ScopeManage), func(_ dialect.Control, _ dialect.Caller, a dialect.Account) {
		if e, err := a.Hook(e.VendorID); err != nil || e.Active() {
			t.Errorf("%+v, %v", e, err)
		}
		if e, err := a.Update(t.Context(), e.VendorID, dialect.HookInput{Active: new(true)}); err != nil || !e.Active() || e.StateReason != "" {
			t.Errorf("%+v, %v", e, err)
		}
	})
}

func TestWhatAContractDoesNotHaveIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tenant("acme")
	key := w.key([]string{"acme"}, hook.ScopeManage)
	url := "https://a.example/"
	for _, c := range []struct {
		name, family string
		in           dialect.HookInput
		code         hook.Code
		field        string
	}{
		{"C1-M13 an unknown event", "customers1st", hookInput(url, "no.such"), hook.CodeInvalid, "/event_types/0"},
		{"C1-M13 not http", "customers1st", hookInput("ftp://a.example/", "product.created"), hook.CodeInvalid, "/url"},
		{"C1-M1 two events", "customers1st", hookInput(url, "product.created", "product.updated"), hook.CodeInvalid, "/event_types"},
		{"PS-E1 no client_deleted", "propstack", hookInput(url, "client_deleted"), hook.CodeInvalid, "/event_types/0"},
		{"SP-D5 no choice", "sixpark", hookInput(url, "ACCOUNT_OPENED"), hook.CodeInvalid, "/event_types"},
		{"an operational event", "propstack", hookInput(url, "grapnel.endpoint.disabled"), hook.CodeInvalid, "/event_types/0"},
		{"many events at once", "smake", hookInput(url, "order.*"), hook.CodeInvalid, "/event_types/0"},
		{"no fields", "propstack", dialect.HookInput{URL: &url, EventTypes: &[]string{"client_created"}, Fields: &[]string{"id"}}, hook.CodeInvalid, "/fields"},
		{"no URL", "propstack", dialect.HookInput{EventTypes: &[]string{"client_created"}}, hook.CodeInvalid, "/url"},
		{"a secret of its own", "customers1st", dialect.HookInput{URL: &url, EventTypes: &[]string{"product.created"}, Secret: new(hook.Secret("x"))}, hook.CodeInvalid, "/secret"},
		{"a bad filter", "api2cart", dialect.HookInput{URL: &url, EventTypes: &[]string{"product.add"}, Filter: new([]byte(`{"and":1}`))}, hook.CodeInvalid, "/filter/and"},
		{"another vendor's dialect", "api2cart", dialect.HookInput{URL: &url, EventTypes: &[]string{"product.add"}, Dialect: "smake"}, hook.CodeInvalid, "/dialect"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.as(c.family, key, func(_ dialect.Control, _ dialect.Caller, a dialect.Account) {
				_, _, err := a.Create(t.Context(), c.in)
				has(t, err, c.code, c.field)
			})
		})
	}
	if all := w.dir.Endpoints("acme"); len(all) != 0 {
		t.Errorf("there are %d endpoints", len(all))
	}
}

func TestRegisteredTypesCanBeSubscribedTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tenant("acme")
	for _, name := range []string{"our.own", "client_deleted", "client_created"} {
		_, _, err := w.manager.PutEventType(t.Context(), name, manage.EventTypeInput{})
		must(t, err)
	}
	w.as("propstack", w.key([]string{"acme"}, hook.ScopeManage), func(c dialect.Control, _ dialect.Caller, a dialect.Account) {
		types := c.Types()
		catalogue := w.vendors[slices.IndexFunc(w.vendors, func(v *dialect.Vendor) bool { return v.Dialects[0].Name() == "propstack" })].Dialects[0].Catalogue()
		if want := append(catalogue, "our.own"); !slices.Equal(types, want) {
			t.Errorf("types %v, want %v", types, want)
		}
		if _, _, err := a.Create(t.Context(), hookInput("https://a.example/", "our.own")); err != nil {
			t.Error(err)
		}
	})
}

func TestSMM4TenWebhooksPerEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tenant("acme")
	w.tenant("other")
	w.endpoint("other", "smake", "https://other.example/")
	w.as("smake", w.key([]string{"acme"}, hook.ScopeManage), func(c dialect.Control, _ dialect.Caller, a dialect.Account) {
		ctx, types := t.Context(), c.Types()
		for i := range 10 {
			in := hookInput(fmt.Sprintf("https://a.example/%d", i), types[0])
			if i%2 == 1 {
				in.EventTypes = &[]string{types[1], types[0]}
			}
			_, _, err := a.Create(ctx, in)
			must(t, err)
		}
		_, _, err := a.Create(ctx, hookInput("https://a.example/11", types[0]))
		has(t, err, hook.CodeConflict, "/event_types/0")
		more, _, err := a.Create(ctx, hookInput("https://a.example/11", types[1]))
		must(t, err)
		_, err = a.Update(ctx, more.VendorID, dialect.HookInput{EventTypes: &[]string{types[1], types[0]}})
		has(t, err, hook.CodeConflict, "/event_types/1")
		if _, err := a.Update(ctx, "2", dialect.HookInput{Description: new("one of the ten")}); err != nil {
			t.Errorf("a change of one of the ten: %v", err)
		}
		must(t, a.Delete(ctx, a.Hooks()[0].VendorID))
		if _, err = a.Update(ctx, more.VendorID, dialect.HookInput{EventTypes: &[]string{types[1], types[0]}}); err != nil {
			t.Errorf("when there is room: %v", err)
		}
	})
}

func TestStoreSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tenant("acme")
	w.tenant("other")
	both := w.key([]string{"acme", "other"}, hook.ScopeManage)
	key := w.key([]string{"acme"}, hook.ScopeManage)
	w.as("customers1st", key, func(_ dialect.Control, _ dialect.Caller, a dialect.Account) { // C1-S3, C1-S5
		if made, err := a.StoreSecret(); err != nil || made == "" {
			t.Errorf("%d bytes, %v", len(made), err)
		}
		must(t, a.SetStoreSecret(t.Context(), "changed"))
		if now, err := a.StoreSecret(); err != nil || now != "changed" {
			t.Errorf("%d bytes, %v", len(now), err)
		}
		has(t, a.SetStoreSecret(t.Context(), ""), hook.CodeInvalid, "/secret")
		must(t, a.SetSettings(t.Context(), map[string]string{"a": "1", "b": "2"}))
		must(t, a.SetSettings(t.Context(), map[string]string{"a": "", "c": "3"}))
		if now, _ := w.dir.Tenant("acme"); fmt.Sprint(now.Settings) != "map[b:2 c:3]" {
			t.Errorf("settings %v", now.Settings)
		}
	})
	w.as("api2cart", key, func(_ dialect.Control, by dialect.Caller, a dialect.Account) {
		if found, err := by.BySecret("store-key-of-acme"); err != nil || found.Tenant().ID != "acme" {
			t.Errorf("%v, %v", found, err)
		}
		for _, secret := range []hook.Secret{"store-key-of-other", "store-key-of-nobody", "", "changed"} {
			_, err := by.BySecret(secret)
			has(t, err, hook.CodeNotFound, "")
		}
		has(t, a.SetStoreSecret(t.Context(), "store-key-of-other"), hook.CodeConflict, "/secret")
		must(t, a.SetStoreSecret(t.Context(), "store-key-of-acme")) // its own, again
		must(t, a.SetStoreSecret(t.Context(), "a new one"))
		if _, err := by.BySecret("store-key-of-acme"); hook.CodeOf(err) != hook.CodeNotFound {
			t.Errorf("by the old secret: %v", err)
		}
		if found, err := by.BySecret("a new one"); err != nil || found.Tenant().ID != "acme" {
			t.Errorf("by the new secret: %v", err)
		}
	})
	w.probe = func(c dialect.Control, _ http.ResponseWriter, r *http.Request) {
		by, err := c.Caller(r, hook.Secret(both))
		must(t, err)
		_, err = by.Only()
		has(t, err, hook.CodeForbidden, "")
		if found, err := by.BySecret("store-key-of-other"); err != nil || found.Tenant().ID != "other" {
			t.Errorf("%v, %v", found, err)
		}
		if a, err := by.Account("other"); err != nil || a.Tenant().ID != "other" {
			t.Errorf("%v, %v", a, err)
		}
		_, err = by.Account("nobody")
		has(t, err, hook.CodeNotFound, "")
	}
	w.do("POST", "/probe/api2cart/1", "", nil)
	_, err := w.manager.DeleteTenant(t.Context(), "other", manage.Terms[hook.Tenant]{})
	must(t, err)
	w.as("api2cart", key, func(_ dialect.Control, _ dialect.Caller, a dialect.Account) {
		must(t, a.SetStoreSecret(t.Context(), "store-key-of-other")) // it is free again
	})
}

func TestVariants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tenant("acme")
	key := w.key([]string{"acme"}, hook.ScopeManage)
	create := func(in dialect.HookInput) (made *hook.Endpoint) {
		w.as("customers1st", key, func(_ dialect.Control, _ dialect.Caller, a dialect.Account) {
			var err error
			made, _, err = a.Create(t.Context(), in)
			must(t, err)
		})
		return made
	}
	in := hookInput("https://a.example/", "product.created")
	if e := create(in); e.Dialect != "customers1st" || e.VendorID != "1" {
		t.Errorf("%+v", e)
	}
	variant := in
	variant.Dialect = "customers1st@bare"
	if e := create(variant); e.Dialect != "customers1st@bare" || e.VendorID != "2" {
		t.Errorf("%+v", e)
	}
	_, err := w.manager.PutTenant(t.Context(), "acme", manage.TenantInput{Dialect: new("customers1st@bare")})
	must(t, err)
	if e := create(in); e.Dialect != "customers1st@bare" || e.VendorID != "3" {
		t.Errorf("%+v", e)
	}
	if now, _ := w.dir.Tenant("acme"); now.Secrets["customers1st@bare"] != "" || now.Secrets["customers1st"] == "" {
		t.Errorf("secrets of %v", now.Secrets)
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tenant("acme")
	w.tenant("other")
	one, gone := w.endpoint("acme", "customers1st", "https://a.example/1"), w.endpoint("acme", "customers1st", "https://a.example/2")
	smake := w.endpoint("acme", "smake", "https://a.example/smake")
	other := w.endpoint("other", "customers1st", "https://other.example/")
	eventType := one.EventTypes[0]
	var events []*hook.Event
	for i := range 3 {
		events = append(events, w.publish("acme", eventType, fmt.Sprintf(`{"n":%d}`, i)))
	}
	w.publish("other", eventType, `{"n":"other"}`)
	w.publish("acme", smake.EventTypes[0], `{"n":"smake"}`)
	w.attempt(events[0], one, hook.Attempt{N: 1, State: hook.Pending, Status: 500, NextAt: time.Now().Add(time.Hour)})
	w.attempt(events[0], one, hook.Attempt{N: 2, State: hook.Failed, Status: 503})
	w.attempt(events[1], one, hook.Attempt{N: 1, State: hook.Delivered, Status: 204})
	w.attempt(events[0], gone, hook.Attempt{N: 1, State: hook.Delivered, Status: 200})
	must(t, w.manager.DeleteEndpoint(t.Context(), "acme", gone.ID, manage.Terms[hook.Endpoint]{}))
	w.as("customers1st", w.key([]string{"acme"}, hook.ScopeManage), func(_ dialect.Control, _ dialect.Caller, a dialect.Account) {
		show := func(q dialect.LogQuery) string {
			t.Helper()
			page, err := a.Log(t.Context(), q)
			must(t, err)
			var out strings.Builder
			for _, e := range page.Entries {
				status := 0
				if e.Last != nil {
					status = e.Last.Status
				}
				fmt.Fprintf(&out, "%d/%s:%s:%d ", slices.IndexFunc(events, func(have *hook.Event) bool { return have.ID == e.Event.ID }), e.Endpoint.VendorID, e.Delivery.State, status)
			}
			return fmt.Sprintf("%s%d %t %t", out.String(), page.Total, page.Counted, page.More)
		}
		for _, c := range []struct {
			name string
			q    dialect.LogQuery
			want string
		}{
			{"all, the newest first", dialect.LogQuery{Size: 10}, "2/2:pending:0 2/1:pending:0 1/2:pending:0 1/1:delivered:204 0/2:delivered:200 0/1:failed:503 6 true false"},
			{"a part", dialect.LogQuery{Start: 3, Size: 2}, "1/1:delivered:204 0/2:delivered:200 6 true true"},
			{"behind the end", dialect.LogQuery{Start: 9, Size: 2}, "6 true false"},
			{"far behind it", dialect.LogQuery{Start: math.MaxInt, Size: math.MaxInt}, "6 true false"},
			{"those that failed", dialect.LogQuery{Size: 10, States: []hook.DeliveryState{hook.Failed}}, "0/1:failed:503 1 true false"},
			{"of one hook, which is deleted", dialect.LogQuery{Size: 10, Hooks: []string{"2"}, States: []hook.DeliveryState{hook.Delivered}}, "0/2:delivered:200 1 true false"},
			{"of several hooks", dialect.LogQuery{Size: 1, Hooks: []string{"1", "2", "99"}}, "2/2:pending:0 6 true true"},
			{"of another tenant's hook", dialect.LogQuery{Size: 10, Hooks: []string{other.VendorID}}, "0 true false"},
			{"of no hook", dialect.LogQuery{Size: 10, Hooks: []string{"99"}}, "0 true false"},
			{"since later", dialect.LogQuery{Size: 10, Since: time.Now().Add(time.Hour)}, "0 true false"},
		} {
			if got := show(c.q); got != c.want {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
		}
	})
}

// C1-M9: an entry tells of all attempts what is to be told.
func TestC1M9LogTellsOfAttempts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tenant("acme")
	e := w.endpoint("acme", "customers1st", "https://a.example/1")
	tenant, _ := w.dir.Tenant("acme")
	var events []*hook.Event
	for i := range 4 {
		events = append(events, w.publish("acme", e.EventTypes[0], fmt.Sprintf(`{"n":%d}`, i)))
	}
	body, err := w.Renderer.Render(events[1], e, tenant)
	must(t, err)
	at := time.Now().Add(-time.Hour)
	attempt := func(event, n int, state hook.DeliveryState, sha [32]byte) {
		w.attempt(events[event], e, hook.Attempt{N: n, At: at.Add(time.Duration(n) * time.Minute), Timing: hook.Timing{Total: 5 * time.Second}, State: state, NextAt: time.Now().Add(time.Hour), BodySHA256: sha})
	}
	attempt(1, 1, hook.Pending, sha256.Sum256(body))
	attempt(1, 2, hook.Pending, sha256.Sum256(body))
	attempt(1, 3, hook.Delivered, sha256.Sum256(body))
	attempt(2, 1, hook.Delivered, sha256.Sum256(body)) // of another event: it comes out otherwise now
	attempt(3, 1, hook.Failed, [32]byte{})
	w.as("customers1st", w.key([]string{"acme"}, hook.ScopeManage), func(_ dialect.Control, _ dialect.Caller, a dialect.Account) {
		page, err := a.Log(t.Context(), dialect.LogQuery{Size: 10, Bodies: true})
		must(t, err)
		n := func(at *hook.Attempt) int {
			if at == nil {
				return 0
			}
			return at.N
		}
		for i, want := range []struct {
			last, failed, succeeded int
			body                    bool
			settled                 time.Time
		}{
			{1, 1, 0, false, at.Add(65 * time.Second)},
			{1, 0, 1, false, at.Add(65 * time.Second)},
			{3, 2, 3, true, at.Add(185 * time.Second)},
			{0, 0, 0, true, events[0].ID.Time()},
		} {
			have := page.Entries[i]
			if n(have.Last) != want.last || n(have.Failed) != want.failed || n(have.Succeeded) != want.succeeded || have.Settled().Sub(want.settled).Abs() > time.Millisecond {
				t.Errorf("entry %d: last %d, failed %d, succeeded %d, settled %s; want %+v", i, n(have.Last), n(have.Failed), n(have.Succeeded), have.Settled(), want)
			}
			if got := strings.Contains(string(have.Body), string(have.Event.Data)); got != want.body || !got && have.Body != nil {
				t.Errorf("entry %d: the body is %q", i, have.Body)
			}
		}
	})
}

// C1-M7: the latest attempt to a hook is found behind what was never tried, as
// far as it is looked for.
func TestC1M7LastAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tenant("acme")
	e := w.endpoint("acme", "customers1st", "https://a.example/1")
	other := w.endpoint("acme", "customers1st", "https://a.example/2")
	older, newer := w.publish("acme", e.EventTypes[0], `{}`), w.publish("acme", e.EventTypes[0], `{}`)
	retried, at := time.Now().Add(-time.Minute), time.Now().Add(-time.Hour)
	key := w.key([]string{"acme"}, hook.ScopeManage)
	is := func(name string, e *hook.Endpoint, want time.Time) {
		t.Helper()
		w.as("customers1st", key, func(_ dialect.Control, _ dialect.Caller, a dialect.Account) {
			got, err := a.LastAttempt(t.Context(), e)
			if err != nil || got.Sub(want).Abs() > time.Millisecond {
				t.Errorf("%s: %s, %v, want %s", name, got, err, want)
			}
		})
	}
	is("before any", e, time.Time{})
	w.attempt(older, e, hook.Attempt{N: 1, At: at.Add(-time.Minute), State: hook.Pending, NextAt: retried})
	w.attempt(newer, e, hook.Attempt{N: 1, At: at, State: hook.Delivered})
	is("the newest delivery's", e, at)
	w.attempt(older, e, hook.Attempt{N: 2, At: retried, State: hook.Delivered})
	is("a retry of an older one", e, retried)
	w.publish("acme", e.EventTypes[0], `{}`)
	is("the newest is not tried yet", e, retried)
	is("another hook has none", other, time.Time{})

	items := make([]ingest.Item, 1_000)
	for i := range items {
		items[i] = ingest.Item{Tenant: "acme", Type: e.EventTypes[0], Data: json.RawMessage(`{}`), Suppress: true}
	}
	for _, c := range []struct {
		name string
		want time.Time
	}{{"behind 1,001", retried}, {"behind 2,001, it is not looked for", time.Time{}}} {
		_, _, err := w.ingest.Publish(t.Context(), &ingest.Submission{Items: items})
		must(t, err)
		is(c.name, e, c.want)
	}
}

func TestErrorsOfTheServerAreHiddenAndLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tenant("acme")
	key := w.key([]string{"acme"}, hook.ScopeManage)
	must(t, w.store.Close())
	w.as("propstack", key, func(_ dialect.Control, _ dialect.Caller, a dialect.Account) {
		_, _, err := a.Create(t.Context(), hookInput("https://a.example/", "client_created"))
		has(t, err, hook.CodeUnavailable, "")
		_, err = a.Log(t.Context(), dialect.LogQuery{Size: 1})
		has(t, err, hook.CodeUnavailable, "")
	})
	if !strings.Contains(w.log.String(), `"request failed"`) {
		t.Errorf("not logged: %s", w.log)
	}
}
