package manage_test

import (
	"fmt"
	"testing"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// kept is a dialect whose bodies hold settings.
func kept(t *testing.T) *dialect.Dialect {
	t.Helper()
	d, err := dialect.Load("kept.yaml", []byte(`
name: kept
title: Bodies of settings
request:
  timeout: 10s
  headers: {Content-Type: application/json, User-Agent: Test, X-Shop: "{endpoint.setting.shop|}"}
  body: {json: {tenant: "{tenant.vendor_id}", lang: "{endpoint.setting.lang|en}", data: "{event.data}"}}
subscription: any
secret: {made: never}
success: [2xx]
retry: {on: none}
on_inactive: hold
`))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// C1-D2: a setting that bodies hold is kept as it was; others are not, for they
// would only take room.
func TestSettingsKeepThePast(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *manage.Config) {
		var err error
		if c.Dialects, err = dialect.NewRegistry(kept(t)); err != nil {
			t.Fatal(err)
		}
		c.DefaultDialect = "kept"
	})
	tenant := func(settings map[string]string) (*hook.Tenant, int64) {
		t.Helper()
		r, err := b.PutTenant(t.Context(), "acme", manage.TenantInput{Settings: &settings})
		if err != nil {
			t.Fatal(err)
		}
		return r.Tenant, b.dir.Revision()
	}
	_, first := tenant(map[string]string{"vendor_id": "17", "note": "a"})
	if same, _ := tenant(map[string]string{"vendor_id": "17", "note": "b"}); same.PastSettings != nil {
		t.Errorf("a setting that no body holds is kept: %+v", same.PastSettings)
	}
	now, second := tenant(map[string]string{"note": "c"})
	for revision, want := range map[int64]string{first: "17", second - 1: "17", second: ""} {
		if got := hook.AsOf(now.Settings, now.PastSettings, revision); got["vendor_id"] != want {
			t.Errorf("in revision %d: %v, want the vendor_id %q", revision, got, want)
		}
	}
	if _, ok := now.PastSettings[0].Value["note"]; ok {
		t.Errorf("a setting that no body holds is kept: %+v", now.PastSettings)
	}

	e, _, err := b.CreateEndpoint(t.Context(), "acme", manage.EndpointInput{URL: new("https://example.com/"), Settings: &map[string]string{"lang": "da", "shop": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	update := func(settings map[string]string) *hook.Endpoint {
		t.Helper()
		if _, err := b.UpdateEndpoint(t.Context(), "acme", e.ID, manage.EndpointInput{Settings: &settings}); err != nil {
			t.Fatal(err)
		}
		stored, _ := b.dir.Endpoint(e.Num)
		return stored
	}
	if e := update(map[string]string{"lang": "da", "shop": "2"}); e.PastSettings != nil {
		t.Errorf("a setting that stands in a header alone is kept: %+v", e.PastSettings)
	}
	changed := update(map[string]string{"lang": "sv"})
	if len(changed.PastSettings) != 1 || changed.PastSettings[0].Before != b.dir.Revision() || fmt.Sprint(changed.PastSettings[0].Value) != "map[lang:da]" {
		t.Errorf("%+v in revision %d", changed.PastSettings, b.dir.Revision())
	}
}

// A dialect's earlier text may hold settings that its present one does not:
// bodies of events from then need them.
func TestSettingsOfAnEarlierText(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.PinSettings(kept(t))
	b.tenant(t, "acme")
	r, err := b.PutTenant(t.Context(), "acme", manage.TenantInput{Settings: &map[string]string{"vendor_id": "17"}})
	if err != nil || len(r.Tenant.PastSettings) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}
